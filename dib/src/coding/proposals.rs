//! Relative entropy coding: a number of bits near KL(p || r) that tells a receiver a sample of p, where both ends know
//! r alone.
//!
//! Both ends draw the same endless list of proposals from r. The sender gives each an arrival time of a Poisson process
//! and chooses the one whose time, over its weight p / r, is the smallest: it is distributed as p, exactly (C. T. Li
//! and A. El Gamal, "Strong functional representation lemma", 2018; "Poisson functional representation"). Its number is
//! what travels. No later proposal can be chosen once its time alone, over the largest weight that there is, exceeds
//! the best so far.

use super::Marginal;

/// Proposals that are looked at before a choice that is not certain is taken all the same.
pub const MOST_PROPOSALS: u32 = 1 << 20;
/// Up to so many nats of the largest log-weight the search is meant to end: its proposals grow as the exponential.
const FEASIBLE: f64 = 14.0;
/// Proposals that are looked at where it is not: what is chosen is not exact anyway.
const FEW_PROPOSALS: u32 = 1 << 10;
/// How far around its mean a Gaussian is looked at, in deviations.
const REACH: f64 = 12.0;
/// Steps on each side of it.
const STEPS: i32 = 24;
/// By how much, in nats, a sum of bounds may be below the sum that it bounds, by rounding alone.
const SLACK: f64 = 1e-9;

/// A Gaussian in every dimension of a block.
#[derive(Clone, Copy, Debug)]
pub struct Gaussian {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

impl Gaussian {
    /// Its differential entropy, in nats.
    pub(super) fn entropy(self) -> f64 {
        0.5 + libm::log(self.deviation * libm::sqrt(2.0 * std::f64::consts::PI))
    }
}

/// The prior of a block of dimensions, which both ends know to the bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    dimensions: Vec<Marginal>,
}

/// A proposal that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Its number, from 0.
    pub number: u32,
    /// What it is.
    pub values: Vec<f32>,
    /// Whether no later one could have been chosen. Where not, the values follow p only nearly.
    pub is_exact: bool,
    /// The bound of D_inf(p || r), in nats, that the choice used.
    pub largest_log_weight: f64,
}

impl Block {
    /// Of these dimensions' priors.
    pub fn new(dimensions: Vec<Marginal>) -> Self {
        Block { dimensions }
    }

    /// The proposal of a number in the list of a key, as f32: every operation is rounded by itself, so that both ends
    /// agree to the bit.
    pub fn proposal(&self, key: u64, number: u32) -> Vec<f32> {
        let draws = Draws::of_proposal(key, number);
        (0..self.dimensions.len()).map(|dimension| self.value(&draws, dimension)).collect()
    }

    /// One of its values.
    fn value(&self, draws: &Draws, dimension: usize) -> f32 {
        let mut draws = draws.after(2 * dimension as u64);
        self.dimensions[dimension].sample(draws.uniform(), draws.uniform()) as f32
    }

    /// Chooses a proposal in the list of `key` for a Gaussian; `own` is the sender's own key, for the arrival times.
    pub fn choose(&self, target: &[Gaussian], key: u64, own: u64) -> Chosen {
        let bounds = Bounds::new(&self.dimensions, target);
        let most = bounds.largest();
        let mut arrivals = Draws { state: mixed(own) };
        let (mut time, mut best) = (0.0, f64::INFINITY);
        let values = self.proposal(key, 0);
        let mut chosen = Chosen { number: 0, values, is_exact: false, largest_log_weight: most };
        for number in 0..if most <= FEASIBLE { MOST_PROPOSALS } else { FEW_PROPOSALS } {
            time -= libm::log(1.0 - arrivals.uniform());
            let log_time = libm::log(time);
            if log_time - most >= best {
                return Chosen { is_exact: true, ..chosen };
            }
            let draws = Draws::of_proposal(key, number);
            if bounds.stay_below(log_time - best - SLACK, |dimension| self.value(&draws, dimension)) {
                continue;
            }
            let values = self.proposal(key, number);
            let score = log_time - self.log_weight(target, &values);
            if score < best {
                best = score;
                chosen = Chosen { number, values, ..chosen };
            }
        }
        chosen
    }

    /// log p / r of a proposal, in nats.
    fn log_weight(&self, target: &[Gaussian], values: &[f32]) -> f64 {
        let of = |((prior, gaussian), value): ((&Marginal, &Gaussian), &f32)| {
            log_weight(prior, *gaussian, f64::from(*value))
        };
        self.dimensions.iter().zip(target).zip(values).map(of).sum()
    }
}

/// What the log-weights of a block's dimensions cannot exceed. Most proposals are far from the Gaussian in the first
/// dimension that is looked at, and are done with there: a look costs much less than a log-weight.
struct Bounds {
    dimensions: Vec<Bound>,
    /// The dimensions that exclude most proposals first.
    order: Vec<usize>,
}

impl Bounds {
    fn new(priors: &[Marginal], target: &[Gaussian]) -> Self {
        let dimensions: Vec<Bound> =
            priors.iter().zip(target).map(|(prior, gaussian)| Bound::new(prior, *gaussian)).collect();
        let mut order: Vec<usize> = (0..dimensions.len()).collect();
        order.sort_by(|&one, &other| dimensions[other].largest.total_cmp(&dimensions[one].largest));
        Bounds { dimensions, order }
    }

    /// That of the sum over all values: of D_inf(p || r), in nats.
    fn largest(&self) -> f64 {
        self.dimensions.iter().map(|bound| bound.largest).sum()
    }

    /// Whether the sum of the log-weights of some values is surely at most `limit`.
    fn stay_below(&self, limit: f64, value: impl Fn(usize) -> f32) -> bool {
        let mut most = self.largest();
        self.order.iter().any(|&dimension| {
            let bound = &self.dimensions[dimension];
            most += bound.at(f64::from(value(dimension))) - bound.largest;
            most <= limit
        })
    }
}

/// What the log-weight of a dimension cannot exceed, from a grid around the Gaussian's mean. Beyond deviation^2 / scale
/// of the narrowest component it only falls; and between two points of the grid it is above the higher by no more than
/// its curvature, at most 1 / deviation^2 + 1.5 / scale^2, allows.
pub(super) struct Bound {
    /// The log-weight on the grid.
    values: [f64; 2 * STEPS as usize + 1],
    first: f64,
    step: f64,
    /// How much it may be higher between two points.
    between: f64,
    /// The bound over all values, in nats.
    pub(super) largest: f64,
}

impl Bound {
    pub(super) fn new(prior: &Marginal, gaussian: Gaussian) -> Self {
        let (deviation, narrowest) = (gaussian.deviation, prior.narrowest());
        let step = deviation * (REACH + deviation / narrowest) / f64::from(STEPS);
        let place = |at: usize| gaussian.mean + f64::from(at as i32 - STEPS) * step;
        let values = std::array::from_fn(|at| log_weight(prior, gaussian, place(at)));
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let between = 0.125 * step * step * (1.0 / (deviation * deviation) + 1.5 / (narrowest * narrowest));
        Bound { values, first: place(0), step, between, largest: highest + between }
    }

    /// The bound at a value.
    fn at(&self, value: f64) -> f64 {
        let place = (value - self.first) / self.step;
        let last = self.values.len() - 1;
        match () {
            () if place < 0.0 => self.values[0] + self.between,
            () if place < last as f64 => {
                let before = place as usize;
                self.values[before].max(self.values[before + 1]) + self.between
            }
            () => self.values[last] + self.between,
        }
    }
}

fn log_weight(prior: &Marginal, Gaussian { mean, deviation }: Gaussian, value: f64) -> f64 {
    let far = (value - mean) / deviation;
    -0.5 * far * far
        - libm::log(deviation * libm::sqrt(2.0 * std::f64::consts::PI))
        - prior.log_density(value)
}

/// KL(p || r) of a Gaussian to a prior in nats, by the trapezoidal rule.
pub fn divergence(prior: &Marginal, gaussian: Gaussian) -> f64 {
    let step = gaussian.deviation * REACH / f64::from(STEPS);
    let at = |place: i32| {
        let value = gaussian.mean + f64::from(place) * step;
        let far = (value - gaussian.mean) / gaussian.deviation;
        let density = libm::exp(-0.5 * far * far) / libm::sqrt(2.0 * std::f64::consts::PI);
        density * log_weight(prior, gaussian, value)
    };
    (-STEPS..=STEPS).map(at).sum::<f64>() * step / gaussian.deviation
}

/// Uniform draws that can begin anywhere: a counter that is mixed (G. Steele, D. Lea and C. Flood, "Fast splittable
/// pseudorandom number generators", 2014). Keys come from addressed streams.
struct Draws {
    state: u64,
}

impl Draws {
    /// Those that make a proposal.
    fn of_proposal(key: u64, number: u32) -> Self {
        // Mixed first: lists of neighbouring keys, and neighbours in a list, have nothing in common.
        Draws { state: mixed(key ^ mixed(number.into())) }
    }

    /// Without the first ones.
    fn after(&self, draws: u64) -> Self {
        Draws { state: self.state.wrapping_add(STRIDE.wrapping_mul(draws)) }
    }

    /// In (0, 1), with 52 random digits.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(STRIDE);
        ((mixed(self.state) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }
}

/// An odd number near 2^64 over the golden ratio.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number whose bits have all to do with all of another's.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coding::{Component, Decoder, Encoder, Numbers};

    fn prior() -> Marginal {
        let component = |weight, location, scale| Component { weight, location, scale };
        Marginal::new(vec![component(0.5, -1.0, 0.4), component(0.2, 0.3, 1.0), component(0.3, 2.0, 0.3)])
    }

    fn block(dimensions: usize) -> Block {
        Block::new(vec![prior(); dimensions])
    }

    fn key(number: u64) -> u64 {
        randomness::Seed::from_number(8).stream(randomness::Purpose::Test, &[], number).below(u64::MAX)
    }

    /// Samples chosen for one Gaussian from many lists, and what each took.
    fn samples(target: &[Gaussian], count: u64) -> Vec<Chosen> {
        let block = block(target.len());
        (0..count).map(|number| block.choose(target, key(2 * number), key(2 * number + 1))).collect()
    }

    /// The largest distance of two distributions of so many samples each that chance alone exceeds once in a million:
    /// Kolmogorov and Smirnov's.
    fn bound(count: usize) -> f64 {
        (-(0.5e-6_f64).ln() / count as f64).sqrt()
    }

    #[test]
    fn what_is_chosen_follows_the_gaussian() {
        let targets =
            [(0.4, 0.3), (-2.0, 0.1), (3.1, 0.6)].map(|(mean, deviation)| Gaussian { mean, deviation });
        let count = 4000;
        for target in targets {
            let mut chosen: Vec<f64> =
                samples(&[target], count).iter().map(|chosen| f64::from(chosen.values[0])).collect();
            let mut stream = randomness::Seed::from_number(9).stream(randomness::Purpose::Test, &[], 0);
            let mut drawn: Vec<f64> =
                (0..count).map(|_| target.mean + target.deviation * stream.normal()).collect();
            chosen.sort_by(f64::total_cmp);
            drawn.sort_by(f64::total_cmp);
            let below = |sorted: &[f64], value: f64| {
                sorted.partition_point(|other| *other <= value) as f64 / count as f64
            };
            let apart = chosen
                .iter()
                .chain(&drawn)
                .map(|value| (below(&chosen, *value) - below(&drawn, *value)).abs());
            let apart = apart.fold(0.0, f64::max);
            assert!(apart < bound(count as usize), "{target:?}: two distributions are {apart} apart");
        }
    }

    #[test]
    fn dimensions_of_a_block_do_not_tell_of_each_other() {
        let target = [Gaussian { mean: 0.2, deviation: 0.3 }, Gaussian { mean: 1.5, deviation: 0.2 }];
        let far: Vec<[f64; 2]> = samples(&target, 3000)
            .iter()
            .map(|chosen| {
                [0, 1].map(|at| (f64::from(chosen.values[at]) - target[at].mean) / target[at].deviation)
            })
            .collect();
        let mean = |of: &dyn Fn(&[f64; 2]) -> f64| far.iter().map(of).sum::<f64>() / far.len() as f64;
        // Five deviations of a mean of 3000.
        let bound = 5.0 / (far.len() as f64).sqrt();
        assert!(mean(&|far| far[0]).abs() < bound && mean(&|far| far[0] * far[1]).abs() < bound);
        assert!((mean(&|far| far[1] * far[1]) - 1.0).abs() < 2.0 * bound);
    }

    #[test]
    fn a_sample_takes_little_more_than_its_divergence() {
        for target in [
            vec![Gaussian { mean: 0.4, deviation: 0.2 }; 1],
            vec![
                Gaussian { mean: 1.9, deviation: 0.1 },
                Gaussian { mean: -1.2, deviation: 0.15 },
                Gaussian { mean: 0.0, deviation: 0.3 },
            ],
        ] {
            let kl = target.iter().map(|gaussian| divergence(&prior(), *gaussian)).sum::<f64>()
                / std::f64::consts::LN_2;
            let chosen = samples(&target, 2000);
            assert!(chosen.iter().all(|chosen| chosen.is_exact));
            let (mut encoder, mut numbers) = (Encoder::default(), Numbers::default());
            chosen.iter().for_each(|chosen| numbers.encode(chosen.number, &mut encoder));
            let stream = encoder.finish();
            let bits = 8.0 * stream.len() as f64 / chosen.len() as f64;
            assert!(bits < kl + (kl + 1.0).log2() + 2.5, "{bits} bits for {kl}");
            let (mut decoder, mut numbers) = (Decoder::new(&stream).unwrap(), Numbers::default());
            for (at, chosen) in chosen.iter().enumerate() {
                let number = numbers.decode(&mut decoder).unwrap();
                assert_eq!(block(target.len()).proposal(key(2 * at as u64), number), chosen.values);
            }
            decoder.finish().unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_weight_exceeds_its_bound(mean in -5.0..5.0_f64, log in -4.0..1.5_f64, value in -8.0..8.0_f64) {
            let gaussian = Gaussian { mean, deviation: log.exp() };
            let at = mean + value * gaussian.deviation;
            let (bound, weight) = (Bound::new(&prior(), gaussian), log_weight(&prior(), gaussian, at));
            prop_assert!(weight <= bound.at(at) + 1e-9 && bound.at(at) <= bound.largest + 1e-9);
        }

        /// To pass over proposals by their bounds changes no choice.
        #[test]
        fn what_is_chosen_is_the_best_of_all_proposals(
            means in proptest::collection::vec(-2.0..2.0_f64, 1..4), log in -2.0..0.5_f64, key in any::<u64>(), own in any::<u64>()
        ) {
            let target: Vec<Gaussian> = means.iter().map(|&mean| Gaussian { mean, deviation: log.exp() }).collect();
            let block = block(target.len());
            let chosen = block.choose(&target, key, own);
            let (mut time, mut arrivals) = (0.0, Draws { state: mixed(own) });
            let score = |number: u32| {
                time -= libm::log(1.0 - arrivals.uniform());
                (libm::log(time) - block.log_weight(&target, &block.proposal(key, number)), number)
            };
            let best = (0..4 * (chosen.number + 16)).map(score).min_by(|one, other| one.0.total_cmp(&other.0));
            prop_assert_eq!(best.unwrap().1, chosen.number);
        }
    }

    #[test]
    fn proposals_are_pinned() {
        let bits: Vec<u32> = block(2).proposal(7, 3).into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, PINNED);
    }
    const PINNED: [u32; 2] = [0xbf71_94eb, 0xbf85_59ad];
}
