//! Simulated features: the rows of an entry, in blocks of dimensions, by numbers of [proposals](Block).

use super::proposals::{Bound, Gaussian, mixed};
use super::{Block, CodeError, Component, Decoder, Encoder, Marginal, Numbers, divergence};

/// In nats: dimensions share a block as long as the mean of their largest log-weights adds up to no more. Proposals
/// grow as its exponential.
const BLOCK: f64 = 7.0;
/// The smallest deviation that is taken for one.
const LEAST: f64 = 1e-6;
/// Rows over which the worth of a block is averaged, at most.
const SAMPLED: usize = 64;

/// The prior of an entry's dimensions, as both ends have it: made of the numbers that travel.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedPrior {
    dimensions: Vec<Marginal>,
    bytes: Vec<u8>,
}

/// What became of an entry's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// What receivers will find, row after row.
    pub values: Vec<f32>,
    /// Whether a block begins at each dimension.
    begins: Vec<bool>,
    /// The numbers of the chosen proposals: row after row, one a block.
    numbers: Vec<u32>,
    /// How many of them could have been others.
    pub inexact: usize,
    /// log r of the decoded values minus its mean under the Gaussians, in nats, averaged over the rows: near 0 if all
    /// choices are exact.
    pub bias: f64,
    /// KL of each dimension, in nats, averaged over the rows.
    divergences: Vec<f64>,
    /// The bound of D_inf of each choice, in nats.
    largest_log_weights: Vec<f64>,
}

impl Simulated {
    /// How many choices there were.
    pub fn choices(&self) -> usize {
        self.numbers.len()
    }

    /// KL to the prior, in nats, averaged over the rows.
    pub fn divergence(&self) -> f64 {
        self.divergences.iter().sum()
    }

    /// KL of each block, in nats, averaged over the rows.
    pub fn block_divergences(&self) -> Vec<f64> {
        let mut blocks: Vec<f64> = Vec::new();
        for (begins, divergence) in self.begins.iter().zip(&self.divergences) {
            match blocks.last_mut().filter(|_| !*begins) {
                Some(last) => *last += divergence,
                None => blocks.push(*divergence),
            }
        }
        blocks
    }

    /// The 99th percentile of the choices' bounds of D_inf, in nats.
    pub fn log_weight_99(&self) -> f64 {
        percentile_99(&self.largest_log_weights)
    }

    /// Adds it to a stream.
    pub fn write(&self, encoder: &mut Encoder) {
        self.begins[1..].iter().for_each(|begins| encoder.push_digits(u64::from(*begins), 1));
        let blocks = self.begins.iter().filter(|begins| **begins).count();
        let mut numbers = vec![Numbers::default(); blocks];
        for (at, &number) in self.numbers.iter().enumerate() {
            numbers[at % blocks].encode(number, encoder);
        }
    }
}

/// The 99th percentile of some numbers; 0 if there are none.
pub fn percentile_99(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * 99 / 100).copied().unwrap_or(0.0)
}

/// log r of a decoded value minus its mean under the Gaussian, in nats, given KL(p || r).
pub fn bias_of(prior: &Marginal, gaussian: Gaussian, divergence: f64, found: f64) -> f64 {
    // E log r is E log p - KL, and E log p is minus the entropy.
    prior.log_density(found) + gaussian.entropy() + divergence
}

impl SharedPrior {
    /// Numbers of a dimension: of each component its logit, location and logarithm of the scale.
    const NUMBERS: usize = 3 * super::COMPONENTS;
    /// None of them is larger.
    const MOST: f32 = 2e4;
    /// No logarithm of a scale is larger than this, or smaller than minus this.
    const MOST_LOG_SCALE: f32 = 8.0;

    /// Of rows of d values each: logits, locations and logarithms of scales, a row a component.
    ///
    /// # Errors
    /// If there are not as many, or they are those of no prior.
    pub fn new(rows: &[f32], d: usize) -> Result<Self, CodeError> {
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        SharedPrior::from_bytes(&bytes, d)
    }

    /// As it came.
    ///
    /// # Errors
    /// If it has another length, or numbers that no prior has.
    pub fn from_bytes(bytes: &[u8], d: usize) -> Result<Self, CodeError> {
        let (rows, rest) = bytes.as_chunks::<4>();
        let rows: Vec<f32> = rows.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if rows.len() < SharedPrior::NUMBERS * d {
            return Err(CodeError::Ends);
        }
        let left = bytes.len() - 4 * SharedPrior::NUMBERS * d;
        if left > 0 || !rest.is_empty() {
            return Err(CodeError::Left { bytes: left });
        }
        let components = super::COMPONENTS;
        let at = |row: usize, dimension: usize| rows[row * d + dimension];
        let is_good = |dimension: usize| {
            let numbers = (0..SharedPrior::NUMBERS).all(|row| at(row, dimension).abs() <= SharedPrior::MOST);
            let logits = (0..components).all(|row| at(row, dimension).abs() <= 80.0);
            let scales = (2 * components..3 * components)
                .all(|row| at(row, dimension).abs() <= SharedPrior::MOST_LOG_SCALE);
            numbers && logits && scales
        };
        if !(0..d).all(is_good) {
            return Err(CodeError::Damaged);
        }
        let dimension = |dimension: usize| {
            let component = |c: usize| Component {
                weight: libm::exp(at(c, dimension).into()),
                location: at(components + c, dimension).into(),
                scale: libm::exp(at(2 * components + c, dimension).into()),
            };
            Marginal::new((0..components).map(component).collect())
        };
        Ok(SharedPrior { dimensions: (0..d).map(dimension).collect(), bytes: bytes.to_vec() })
    }

    /// As it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Simulates rows of Gaussians. `key` is that of the proposals, `own` the sender's.
    pub fn simulate(&self, means: &[f32], deviations: &[f32], [key, own]: [u64; 2]) -> Simulated {
        let d = self.dimensions.len();
        let gaussian =
            |at: usize| Gaussian { mean: means[at].into(), deviation: f64::from(deviations[at]).max(LEAST) };
        let targets: Vec<Gaussian> = (0..means.len()).map(gaussian).collect();
        let ranges = self.blocks(&targets);
        let blocks: Vec<Block> =
            ranges.iter().map(|range| Block::new(self.dimensions[range.clone()].to_vec())).collect();
        let mut simulated = Simulated {
            values: Vec::with_capacity(means.len()),
            begins: (0..d).map(|at| ranges.iter().any(|range| range.start == at)).collect(),
            numbers: Vec::new(),
            inexact: 0,
            bias: 0.0,
            divergences: vec![0.0; d],
            largest_log_weights: Vec::new(),
        };
        for (row, targets) in targets.chunks_exact(d).enumerate() {
            for (place, (range, block)) in ranges.iter().zip(&blocks).enumerate() {
                let list = mixed((row * d + place) as u64);
                let chosen = block.choose(&targets[range.clone()], mixed(key ^ list), mixed(own ^ list));
                simulated.numbers.push(chosen.number);
                simulated.inexact += usize::from(!chosen.is_exact);
                simulated.largest_log_weights.push(chosen.largest_log_weight);
                simulated.values.extend(chosen.values);
            }
            for (at, (prior, gaussian)) in self.dimensions.iter().zip(targets).enumerate() {
                let divergence = divergence(prior, *gaussian);
                simulated.divergences[at] += divergence;
                let found = f64::from(simulated.values[row * d + at]);
                simulated.bias += bias_of(prior, *gaussian, divergence, found);
            }
        }
        let rows = (targets.len() / d).max(1) as f64;
        simulated.bias /= rows;
        simulated.divergences.iter_mut().for_each(|divergence| *divergence /= rows);
        simulated
    }

    /// So many rows that were simulated.
    ///
    /// # Errors
    /// If the stream ends before, or is none that a sender writes.
    pub fn decode(&self, rows: usize, key: u64, decoder: &mut Decoder<'_>) -> Result<Vec<f32>, CodeError> {
        let d = self.dimensions.len();
        let mut starts = vec![0];
        for at in 1..d {
            if decoder.digits(1)? == 1 {
                starts.push(at);
            }
        }
        let ends = starts[1..].iter().copied().chain([d]);
        let blocks: Vec<Block> = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| Block::new(self.dimensions[start..end].to_vec()))
            .collect();
        let mut numbers = vec![Numbers::default(); blocks.len()];
        let mut values = Vec::new();
        for row in 0..rows {
            for (place, block) in blocks.iter().enumerate() {
                let number = numbers[place].decode(decoder)?;
                values.extend(block.proposal(mixed(key ^ mixed((row * d + place) as u64)), number));
            }
        }
        Ok(values)
    }

    /// Which dimensions share a block: neighbours, as many as the proposals that that takes allow.
    fn blocks(&self, targets: &[Gaussian]) -> Vec<std::ops::Range<usize>> {
        let d = self.dimensions.len();
        let rows = (targets.len() / d).max(1);
        let sampled: Vec<usize> = (0..rows.min(SAMPLED)).map(|at| at * rows / rows.min(SAMPLED)).collect();
        let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
        let mut sum = 0.0;
        for (at, prior) in self.dimensions.iter().enumerate() {
            let weights = sampled
                .iter()
                .filter_map(|row| targets.get(row * d + at))
                .map(|gaussian| Bound::new(prior, *gaussian).largest);
            let mean = weights.sum::<f64>() / sampled.len() as f64;
            match blocks.last_mut().filter(|_| sum + mean <= BLOCK) {
                Some(last) => {
                    last.end = at + 1;
                    sum += mean;
                }
                None => {
                    blocks.push(at..at + 1);
                    sum = mean;
                }
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> SharedPrior {
        let dimension = [[-0.3, -1.2, -0.9], [-1.0, 0.3, 2.0], [-0.9, 0.0, -1.2]];
        let rows: Vec<f32> = dimension.iter().flatten().flat_map(|&value| [value; 5]).collect();
        SharedPrior::new(&rows, 5).unwrap()
    }

    #[test]
    fn an_entry_comes_back_to_the_bit() {
        let prior = shared();
        let rows = 60;
        let means: Vec<f32> = (0..rows * 5).map(|at| 2.0 * (at as f32 * 0.7).sin()).collect();
        let deviations: Vec<f32> = (0..rows * 5).map(|at| [0.1, 0.3, 0.9, 0.2, 0.5][at % 5]).collect();
        let simulated = prior.simulate(&means, &deviations, [3, 4]);
        assert_eq!(simulated.inexact, 0);
        let mut encoder = Encoder::default();
        simulated.write(&mut encoder);
        let stream = encoder.finish();
        let other = SharedPrior::from_bytes(&prior.to_bytes(), 5).unwrap();
        let mut decoder = Decoder::new(&stream).unwrap();
        assert_eq!(other.decode(rows, 3, &mut decoder).unwrap(), simulated.values);
        decoder.finish().unwrap();
        // What is found lies around the means.
        let far = simulated.values.iter().zip(means.iter().zip(&deviations));
        let square =
            far.map(|(value, (mean, deviation))| f64::from((value - mean) / deviation).powi(2)).sum::<f64>();
        assert!(
            (square / (rows * 5) as f64 - 1.0).abs() < 5.0 * (2.0 / (rows * 5) as f64).sqrt(),
            "{square}"
        );
        // log r of each of the 300 values has a standard deviation of about 1 nat.
        assert!(simulated.bias.abs() < 5.0 * 5.0 / (rows as f64).sqrt(), "{}", simulated.bias);
        let blocks = simulated.block_divergences();
        assert_eq!(blocks.len() * rows, simulated.choices());
        assert!((blocks.iter().sum::<f64>() - simulated.divergence()).abs() < 1e-9);
        assert!(simulated.log_weight_99() > simulated.divergence() / blocks.len() as f64);
        let bits = rows as f64 * simulated.divergence() / std::f64::consts::LN_2;
        assert!(8.0 * stream.len() as f64 > bits * 0.9, "{} bytes for {bits} bits", stream.len());
    }

    /// Where the prior has next to no mass, chosen proposals lie nearer to it than the Gaussians' means.
    #[test]
    fn inexact_choices_are_counted_and_have_a_bias() {
        let (means, deviations) = ([60.0; 3 * 5], [0.1; 3 * 5]);
        let simulated = shared().simulate(&means, &deviations, [3, 4]);
        assert_eq!((simulated.choices(), simulated.inexact), (15, 15));
        assert_eq!(simulated.block_divergences().len(), 5);
        assert!(simulated.log_weight_99() > 14.0 && simulated.divergence() > 5.0 * 14.0);
        assert!(simulated.bias > 5.0 * 14.0, "{}", simulated.bias);
    }

    #[test]
    fn a_prior_that_is_none_is_refused() {
        let good = shared().to_bytes();
        assert_eq!(SharedPrior::from_bytes(&good[..good.len() - 1], 5), Err(CodeError::Ends));
        assert_eq!(
            SharedPrior::from_bytes(&[&good[..], &[0; 4]].concat(), 5),
            Err(CodeError::Left { bytes: 4 })
        );
        for odd in [f32::NAN, f32::INFINITY, 1e6] {
            let bytes = [&odd.to_le_bytes(), &good[4..]].concat();
            assert_eq!(SharedPrior::from_bytes(&bytes, 5), Err(CodeError::Damaged));
        }
    }
}
