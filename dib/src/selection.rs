//! The distribution of a selector: first the number of items, then the items, without replacement (section IV of the
//! paper).
//!
//! The paper's policies range over all 2^K subsets. The distribution here is structured instead: a selector outputs one
//! logit for every possible count and one for every item, so its cost grows as K, not as 2^K. A receiver's items are
//! transmitters, a transmitter's items are its modalities.
//!
//! All probabilities are computed as logarithms, in f64, and the sum over the remaining items is recomputed:
//! `1 - (drawn mass)` would lose all precision once one item has nearly all the probability. Transcendentals come from
//! `libm`, so that every machine computes the same bits.

use randomness::Stream;

/// The largest draw whose [`LogProbability::Set`] is computed, with one step for each of its 2^12 subsets.
pub const MAX_SET_COUNT: usize = 12;

/// The draw of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The items, each once, in drawn order. Never empty.
    pub items: Vec<usize>,
}

impl Draw {
    /// Whether `item` was drawn.
    pub fn contains(&self, item: usize) -> bool {
        self.items.contains(&item)
    }
}

/// The event whose log-probability the score function, (21), differentiates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogProbability {
    /// The items in the order in which they were drawn.
    #[default]
    Sequence,
    /// The items in any order: the sum over all orders. The cost depends only on the set, so this estimates the same
    /// gradient with less variance.
    Set,
}

/// Why a selector cannot have the requested shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// More items to draw than there are, or none.
    #[error("a selector cannot draw up to {counts} of {items} items: the limit must be from 1 to {items}")]
    Counts {
        /// The largest requested count.
        counts: usize,
        /// The number of items.
        items: usize,
    },
    /// Too many subsets.
    #[error(
        "log-probability `set` takes draws of at most {MAX_SET_COUNT} items, not {counts}: use `sequence`"
    )]
    Set {
        /// The largest requested count.
        counts: usize,
    },
}

/// The shape of a selector's distribution. Its logits are `counts` values (for the count, less one), then `items`
/// values (for the items).
///
/// A receiver's selector v_t draws 1 to E_t out of K transmitters, constraint (9). A transmitter's v_k draws 1 to
/// min(E_k, m(k)) out of m(k) modalities; constraint (10), on all receivers together, is enforced by the
/// [cap](crate::cap::cap()).
///
/// ```
/// use pom2dib_dib::{Draw, LogProbability, SelectorShape};
/// use randomness::{Purpose, Seed};
///
/// // One or two out of three, all alike.
/// let (shape, logits) = (SelectorShape { counts: 2, items: 3 }, [0.0; 5]);
/// let draw = shape.draw(&logits, &mut Seed::from_number(1).stream(Purpose::Test, &[], 0));
/// assert!((1..=2).contains(&draw.items.len()));
/// // Item 1 alone: with probability 1/2 one item is drawn, with 1/3 this one.
/// let alone = Draw { items: vec![1] };
/// assert!((shape.log_probability(&logits, &alone, LogProbability::Sequence) - (1f64 / 6.0).ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorShape {
    /// The largest count, c: from 1 to the number of items.
    pub counts: usize,
    /// The number of items, n.
    pub items: usize,
}

impl SelectorShape {
    /// The number of logits, c + n.
    pub fn outputs(&self) -> usize {
        self.counts + self.items
    }

    /// Checks that a selector can have this shape, and that log-probabilities of this kind can be computed for all its
    /// draws. Call it once, before a run.
    ///
    /// # Errors
    /// If the largest count is 0 or exceeds the number of items; for [`LogProbability::Set`] if it exceeds
    /// [`MAX_SET_COUNT`].
    pub fn check(&self, kind: LogProbability) -> Result<(), ShapeError> {
        let SelectorShape { counts, items } = *self;
        if counts == 0 || counts > items {
            return Err(ShapeError::Counts { counts, items });
        }
        if kind == LogProbability::Set && counts > MAX_SET_COUNT {
            return Err(ShapeError::Set { counts });
        }
        Ok(())
    }

    /// Draws a count from the softmax of the first c logits, then that many items, one after the other
    /// without replacement, from the softmax of the last n. Takes 1 + count uniforms from the stream.
    ///
    /// NaN logits still give some valid draw: the code that computed them must detect them.
    ///
    /// # Panics
    /// If the shape is impossible, or if there are not [`outputs`](Self::outputs) logits.
    pub fn draw(&self, logits: &[f32], stream: &mut Stream) -> Draw {
        let (count_head, mut item_head) = self.heads(logits);
        let count = 1 + categorical(&count_head, stream);
        let mut remaining: Vec<usize> = (0..self.items).collect();
        let mut draw_one = || {
            let position = categorical(&item_head, stream);
            item_head.remove(position);
            remaining.remove(position)
        };
        Draw { items: (0..count).map(|_| draw_one()).collect() }
    }

    /// The logarithm of the probability of `draw`, in nats: of its count, plus of its items given their
    /// count.
    ///
    /// # Panics
    /// If the logits or the draw are not of this shape, or if [`check`](Self::check) refuses this kind for
    /// them.
    pub fn log_probability(&self, logits: &[f32], draw: &Draw, kind: LogProbability) -> f64 {
        let (count_head, item_head) = self.heads(logits);
        let count = count_head[draw.items.len() - 1] - log_sum_exp(&count_head);
        let items = Split::new(&item_head, draw);
        match kind {
            LogProbability::Sequence => count + items.sequence_log_probability(),
            LogProbability::Set => count + items.set_log_probability(),
        }
    }

    /// Adds `weight` times the gradient of [`log_probability`](Self::log_probability) by the logits to `gradient` (c +
    /// n values): one term of (21), where the weight is the advantage.
    ///
    /// # Panics
    /// As for [`log_probability`](Self::log_probability), or if the gradient is not of this shape.
    pub fn add_log_probability_gradient(
        &self,
        logits: &[f32],
        draw: &Draw,
        kind: LogProbability,
        weight: f64,
        gradient: &mut [f64],
    ) {
        assert_eq!(gradient.len(), self.outputs(), "a gradient of another selector");
        let (count_head, item_head) = self.heads(logits);
        let (count_gradient, item_gradient) = gradient.split_at_mut(self.counts);
        add_count_gradient(&count_head, draw, weight, count_gradient);

        let split = Split::new(&item_head, draw);
        let score = match kind {
            LogProbability::Sequence => split.sequence_score(&vec![1.0; draw.items.len()]),
            LogProbability::Set => split.set_score(),
        };
        split.add_item_gradient(&item_head, draw, &score, weight, item_gradient);
    }

    /// The terms whose sum is the [`LogProbability::Sequence`] of `draw`, in nats: that of its count, then that of each
    /// item given those drawn before it.
    ///
    /// # Panics
    /// If the logits or the draw are not of this shape.
    pub fn log_probability_terms(&self, logits: &[f32], draw: &Draw) -> Vec<f64> {
        let (count_head, item_head) = self.heads(logits);
        let mut terms = vec![count_head[draw.items.len() - 1] - log_sum_exp(&count_head)];
        let split = Split::new(&item_head, draw);
        let remainders = split.sequence_remainders();
        terms.extend(split.drawn.iter().zip(remainders).map(|(logit, remainder)| logit - remainder));
        terms
    }

    /// Adds the gradients of the [terms](Self::log_probability_terms) by the logits to `gradient` (c + n values), each
    /// times its own weight: one term of (21) where the steps of a draw have different advantages.
    ///
    /// ```
    /// use pom2dib_dib::{Draw, LogProbability, SelectorShape};
    ///
    /// let (shape, logits) = (SelectorShape { counts: 2, items: 3 }, [0.5, 0.0, 1.0, -0.5, 0.25]);
    /// let draw = Draw { items: vec![2, 0] };
    /// let (mut by_term, mut whole) = ([0.0; 5], [0.0; 5]);
    /// shape.add_term_gradients(&logits, &draw, &[1.0; 3], &mut by_term);
    /// shape.add_log_probability_gradient(&logits, &draw, LogProbability::Sequence, 1.0, &mut whole);
    /// assert_eq!(by_term, whole);
    /// ```
    ///
    /// # Panics
    /// If the logits or the draw are not of this shape, if there is not one weight for each term, or if the gradient is
    /// not of this shape.
    pub fn add_term_gradients(&self, logits: &[f32], draw: &Draw, weights: &[f64], gradient: &mut [f64]) {
        assert_eq!(gradient.len(), self.outputs(), "a gradient of another selector");
        assert_eq!(weights.len(), 1 + draw.items.len(), "weights of the terms of another draw");
        let (count_head, item_head) = self.heads(logits);
        let (count_gradient, item_gradient) = gradient.split_at_mut(self.counts);
        add_count_gradient(&count_head, draw, weights[0], count_gradient);
        let split = Split::new(&item_head, draw);
        let score = split.sequence_score(&weights[1..]);
        split.add_item_gradient(&item_head, draw, &score, 1.0, item_gradient);
    }

    /// The probability of each item to be the first that is drawn: the softmax of the last n logits.
    ///
    /// # Panics
    /// If the logits are not of this shape.
    pub fn first_probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let (_, item_head) = self.heads(logits);
        let total = log_sum_exp(&item_head);
        item_head.into_iter().map(|logit| libm::exp(logit - total)).collect()
    }

    /// The count head and the item head.
    fn heads(&self, logits: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let SelectorShape { counts, items } = *self;
        assert!(1 <= counts && counts <= items, "a selector of up to {counts} of {items} items");
        assert_eq!(logits.len(), self.outputs(), "logits of another selector");
        let (counts, items) = logits.split_at(self.counts);
        let widen = |head: &[f32]| head.iter().copied().map(f64::from).collect();
        (widen(counts), widen(items))
    }
}

/// The item head as one draw sees it. Only the drawn items are distinguished: undrawn items enter through their sum
/// alone, so n does too.
struct Split {
    /// The logits of the drawn items, in drawn order.
    drawn: Vec<f64>,
    /// The logarithm of the summed exponentials of all other items: minus infinity if there are none.
    undrawn: f64,
}

/// The gradient of a log-probability by the item head.
struct Score {
    /// By the logit of each drawn item.
    drawn: Vec<f64>,
    /// The expected number of steps of the draw at which an undrawn item would have been drawn instead.
    escape: f64,
}

impl Split {
    fn new(item_head: &[f64], draw: &Draw) -> Self {
        let mut others: Vec<f64> = item_head.to_vec();
        for &item in &draw.items {
            others[item] = f64::NEG_INFINITY;
        }
        let drawn = draw.items.iter().map(|&item| item_head[item]).collect();
        Split { drawn, undrawn: log_sum_exp(&others) }
    }

    /// Before each step of the drawn order: the log-sum-exp of the remaining items.
    fn sequence_remainders(&self) -> Vec<f64> {
        let mut remainder = self.undrawn;
        let mut remainders: Vec<f64> = (self.drawn.iter().rev())
            .map(|&logit| {
                remainder = log_add_exp(remainder, logit);
                remainder
            })
            .collect();
        remainders.reverse();
        remainders
    }

    /// The sum of the log-probabilities of the steps, in the drawn order.
    fn sequence_log_probability(&self) -> f64 {
        self.drawn.iter().zip(self.sequence_remainders()).map(|(logit, remainder)| logit - remainder).sum()
    }

    /// Each step raises the logit of its item and lowers those of all remaining items, in proportion to their
    /// probability. A step counts `weights` times.
    fn sequence_score(&self, weights: &[f64]) -> Score {
        let mut score = Score { drawn: weights.to_vec(), escape: 0.0 };
        for (step, (remainder, weight)) in self.sequence_remainders().into_iter().zip(weights).enumerate() {
            for (derivative, logit) in score.drawn.iter_mut().zip(&self.drawn).skip(step) {
                *derivative -= weight * libm::exp(logit - remainder);
            }
            score.escape += weight * libm::exp(self.undrawn - remainder);
        }
        score
    }

    /// Adds `weight` times a score to the gradient by the item head.
    fn add_item_gradient(
        &self,
        item_head: &[f64],
        draw: &Draw,
        score: &Score,
        weight: f64,
        gradient: &mut [f64],
    ) {
        for (item, sum) in gradient.iter_mut().enumerate() {
            let derivative = match draw.items.iter().position(|&drawn| drawn == item) {
                Some(position) => score.drawn[position],
                None => -score.escape * libm::exp(item_head[item] - self.undrawn),
            };
            *sum += weight * derivative;
        }
    }

    /// The set of all drawn items, as a bit mask over drawn positions. Smaller masks are its subsets.
    fn full(&self) -> usize {
        assert!(
            self.drawn.len() <= MAX_SET_COUNT,
            "the log-probability of a set of {} items cannot be computed: that is too many",
            self.drawn.len()
        );
        (1 << self.drawn.len()) - 1
    }

    /// For each subset: the log-sum-exp of the items that remain after it is removed.
    fn set_remainders(&self) -> Vec<f64> {
        let full = self.full();
        let mut remainders = vec![self.undrawn; full + 1];
        for gone in (0..full).rev() {
            // Removing one item less was computed before; that item is added back.
            let item = gone.trailing_ones() as usize;
            remainders[gone] = log_add_exp(remainders[gone | 1 << item], self.drawn[item]);
        }
        remainders
    }

    /// For each subset: the log-probability that the first steps drew it, in any order.
    fn set_log_probabilities(&self, remainders: &[f64]) -> Vec<f64> {
        let mut masses = vec![f64::NEG_INFINITY; remainders.len()];
        masses[0] = 0.0;
        for set in 1..masses.len() {
            for last in self.members(set) {
                let before = set ^ 1 << last;
                let step = self.drawn[last] - remainders[before];
                masses[set] = log_add_exp(masses[set], masses[before] + step);
            }
        }
        masses
    }

    fn set_log_probability(&self) -> f64 {
        self.set_log_probabilities(&self.set_remainders())[self.full()]
    }

    /// As for the sequence, at every subset that the draw may have passed through, weighted by the probability that it
    /// did, given its final set.
    fn set_score(&self) -> Score {
        let remainders = self.set_remainders();
        let passed = self.set_passages(&remainders);
        let mut score = Score { drawn: vec![1.0; self.drawn.len()], escape: 0.0 };
        for gone in 0..self.full() {
            for item in self.members(self.full() ^ gone) {
                score.drawn[item] -= passed[gone] * libm::exp(self.drawn[item] - remainders[gone]);
            }
            score.escape += passed[gone] * libm::exp(self.undrawn - remainders[gone]);
        }
        score
    }

    /// For each subset: the probability that the draw passed through it, given its final set.
    fn set_passages(&self, remainders: &[f64]) -> Vec<f64> {
        let masses = self.set_log_probabilities(remainders);
        let mut passed = vec![0.0; masses.len()];
        passed[self.full()] = 1.0;
        for set in (1..masses.len()).rev() {
            for last in self.members(set) {
                let before = set ^ 1 << last;
                let step = self.drawn[last] - remainders[before];
                passed[before] += passed[set] * libm::exp(masses[before] + step - masses[set]);
            }
        }
        passed
    }

    /// The drawn positions in a subset.
    fn members(&self, set: usize) -> impl Iterator<Item = usize> {
        (0..self.drawn.len()).filter(move |item| set >> item & 1 == 1)
    }
}

/// Adds `weight` times the gradient of the log-probability of a draw's count to the gradient by the count head.
fn add_count_gradient(count_head: &[f64], draw: &Draw, weight: f64, gradient: &mut [f64]) {
    let total = log_sum_exp(count_head);
    for (sum, logit) in gradient.iter_mut().zip(count_head) {
        *sum -= weight * libm::exp(logit - total);
    }
    gradient[draw.items.len() - 1] += weight;
}

/// A position drawn from the softmax of `logits`.
fn categorical(logits: &[f64], stream: &mut Stream) -> usize {
    let largest = largest(logits);
    let masses: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - largest)).collect();
    let target = stream.uniform() * masses.iter().sum::<f64>();
    let mut reached = 0.0;
    for (position, mass) in masses.iter().enumerate() {
        reached += mass;
        if target < reached {
            return position;
        }
    }
    // A uniform below 1 stays below the same sum: only NaN logits lead here.
    logits.len() - 1
}

/// log(sum(exp(logits))): minus infinity for no logits.
fn log_sum_exp(logits: &[f64]) -> f64 {
    let largest = largest(logits);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + libm::log(logits.iter().map(|logit| libm::exp(logit - largest)).sum())
}

/// log(exp(a) + exp(b)), where one or both may be minus infinity.
fn log_add_exp(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY {
        return large;
    }
    large + libm::log1p(libm::exp(small - large))
}

fn largest(logits: &[f64]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use randomness::{Purpose, Seed};

    const KINDS: [LogProbability; 2] = [LogProbability::Sequence, LogProbability::Set];

    #[test]
    fn first_probabilities_are_those_of_draws_that_begin_with_an_item() {
        let (shape, logits) = (SelectorShape { counts: 2, items: 3 }, [0.3, -1.0, 2.0, 0.5, -0.7]);
        for (item, probability) in shape.first_probabilities(&logits).into_iter().enumerate() {
            let begins = all_draws(shape).into_iter().filter(|draw| draw.items[0] == item);
            let sum: f64 = begins
                .map(|draw| libm::exp(shape.log_probability(&logits, &draw, LogProbability::Sequence)))
                .sum();
            assert!((sum - probability).abs() < 1e-12, "item {item}: {sum}, {probability}");
        }
    }

    /// Every possible draw of a shape, in every order.
    fn all_draws(shape: SelectorShape) -> Vec<Draw> {
        let mut draws = Vec::new();
        let mut prefixes = vec![Vec::new()];
        for _ in 0..shape.counts {
            prefixes = prefixes.iter().flat_map(|prefix| extensions(prefix, shape.items)).collect();
            draws.extend(prefixes.iter().map(|items| Draw { items: items.clone() }));
        }
        draws
    }

    fn extensions(prefix: &[usize], items: usize) -> Vec<Vec<usize>> {
        let fresh = (0..items).filter(|item| !prefix.contains(item));
        fresh.map(|item| [prefix, &[item]].concat()).collect()
    }

    /// One order of every set.
    fn all_sets(shape: SelectorShape) -> Vec<Draw> {
        all_draws(shape).into_iter().filter(|draw| draw.items.is_sorted()).collect()
    }

    /// Logits on a grid of 1/1024, so that steps of that size are exact in f32.
    fn logits(shape: SelectorShape, bound: i32) -> impl Strategy<Value = Vec<f32>> {
        let one = (-bound * 1024..=bound * 1024).prop_map(|value| value as f32 / 1024.0);
        proptest::collection::vec(one, shape.outputs())
    }

    fn shape_and_logits(bound: i32) -> impl Strategy<Value = (SelectorShape, Vec<f32>)> {
        let shape = (1usize..=5).prop_flat_map(|items| (1..=items.min(4), Just(items)));
        let shape = shape.prop_map(|(counts, items)| SelectorShape { counts, items });
        shape.prop_flat_map(move |shape| (Just(shape), logits(shape, bound)))
    }

    fn score(shape: SelectorShape, logits: &[f32], draw: &Draw, kind: LogProbability) -> Vec<f64> {
        let mut gradient = vec![0.0; shape.outputs()];
        shape.add_log_probability_gradient(logits, draw, kind, 1.0, &mut gradient);
        gradient
    }

    /// The derivative of the log-probability by one logit: central differences with two steps, extrapolated to step 0.
    fn difference(
        shape: SelectorShape,
        logits: &[f32],
        draw: &Draw,
        kind: LogProbability,
        index: usize,
    ) -> f64 {
        let central = |step: f32| {
            let at = |offset: f32| {
                let mut moved = logits.to_vec();
                moved[index] += offset;
                shape.log_probability(&moved, draw, kind)
            };
            (at(step) - at(-step)) / (2.0 * f64::from(step))
        };
        (4.0 * central(1.0 / 1024.0) - central(2.0 / 1024.0)) / 3.0
    }

    proptest! {
        #[test]
        fn masses_sum_to_one((shape, logits) in shape_and_logits(50)) {
            let total = |draws: &[Draw], kind| -> f64 {
                draws.iter().map(|draw| shape.log_probability(&logits, draw, kind).exp()).sum()
            };
            prop_assert!((total(&all_draws(shape), LogProbability::Sequence) - 1.0).abs() < 1e-12);
            prop_assert!((total(&all_sets(shape), LogProbability::Set) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn the_mass_of_a_set_is_that_of_all_its_orders((shape, logits) in shape_and_logits(50)) {
            for set in all_sets(shape) {
                let is_order = |draw: &&Draw| {
                    draw.items.len() == set.items.len() && draw.items.iter().all(|&item| set.contains(item))
                };
                let draws = all_draws(shape);
                let orders: Vec<&Draw> = draws.iter().filter(is_order).collect();
                let masses: Vec<f64> =
                    orders.iter().map(|order| shape.log_probability(&logits, order, LogProbability::Sequence)).collect();
                for order in orders {
                    let mass = shape.log_probability(&logits, order, LogProbability::Set);
                    prop_assert!((mass - log_sum_exp(&masses)).abs() < 1e-11);
                }
            }
        }

        #[test]
        fn gradients_are_those_of_finite_differences((shape, logits) in shape_and_logits(8)) {
            for (draw, kind) in all_draws(shape).iter().flat_map(|draw| KINDS.map(|kind| (draw, kind))) {
                for (index, derivative) in score(shape, &logits, draw, kind).into_iter().enumerate() {
                    let expected = difference(shape, &logits, draw, kind, index);
                    prop_assert!((derivative - expected).abs() < 1e-9, "{derivative} and {expected}");
                }
            }
        }

        #[test]
        fn the_terms_of_a_sequence_have_its_sum_and_gradients_of_their_own(
            (shape, logits) in shape_and_logits(8)
        ) {
            for draw in all_draws(shape) {
                let terms = shape.log_probability_terms(&logits, &draw);
                let whole = shape.log_probability(&logits, &draw, LogProbability::Sequence);
                prop_assert!((terms.iter().sum::<f64>() - whole).abs() < 1e-12);
                prop_assert_eq!(terms.len(), 1 + draw.items.len());
                let weights: Vec<f64> = (0..terms.len()).map(|term| 0.7 - 0.9 * term as f64).collect();
                let mut gradient = vec![0.0; shape.outputs()];
                shape.add_term_gradients(&logits, &draw, &weights, &mut gradient);
                for (index, derivative) in gradient.into_iter().enumerate() {
                    let weighed = |offset: f32| -> f64 {
                        let mut moved = logits.clone();
                        moved[index] += offset;
                        let terms = shape.log_probability_terms(&moved, &draw);
                        terms.iter().zip(&weights).map(|(term, weight)| term * weight).sum()
                    };
                    let central = |step: f32| (weighed(step) - weighed(-step)) / (2.0 * f64::from(step));
                    let expected = (4.0 * central(1.0 / 1024.0) - central(2.0 / 1024.0)) / 3.0;
                    prop_assert!((derivative - expected).abs() < 1e-8, "{} and {}", derivative, expected);
                }
            }
        }

        #[test]
        fn the_expected_score_is_zero((shape, logits) in shape_and_logits(50)) {
            for (kind, draws) in [(LogProbability::Sequence, all_draws(shape)), (LogProbability::Set, all_sets(shape))] {
                let mut expectation = vec![0.0; shape.outputs()];
                for draw in draws {
                    let mass = shape.log_probability(&logits, &draw, kind).exp();
                    shape.add_log_probability_gradient(&logits, &draw, kind, mass, &mut expectation);
                }
                prop_assert!(expectation.iter().all(|value| value.abs() < 1e-12), "{expectation:?}");
            }
        }

        #[test]
        fn draws_hold_each_item_once_and_keep_the_limit(
            (shape, logits) in shape_and_logits(50), tick in any::<u64>()
        ) {
            let draw = shape.draw(&logits, &mut Seed::from_number(1).stream(Purpose::Test, &[], tick));
            prop_assert!((1..=shape.counts).contains(&draw.items.len()));
            prop_assert!(all_draws(shape).contains(&draw));
        }
    }

    #[test]
    fn draws_come_as_often_as_their_mass_says() {
        let shape = SelectorShape { counts: 2, items: 4 };
        let logits = [0.3, -0.2, 1.0, -0.7, 0.1, 0.6];
        let draws = all_draws(shape);
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        let mut counts = vec![0.0; draws.len()];
        let total = 100_000;
        for _ in 0..total {
            let draw = shape.draw(&logits, &mut stream);
            counts[draws.iter().position(|other| *other == draw).unwrap()] += 1.0;
        }
        let chi_squared: f64 = (draws.iter().zip(&counts))
            .map(|(draw, count)| {
                let expected =
                    f64::from(total) * shape.log_probability(&logits, draw, LogProbability::Sequence).exp();
                (count - expected).powi(2) / expected
            })
            .sum();
        // The 99.9 % quantile of chi-squared with 15 degrees of freedom: 4 single items and 12 pairs, less one.
        assert_eq!(draws.len(), 16);
        assert!(chi_squared < 37.70, "{chi_squared}");
    }

    #[test]
    fn draws_are_pinned_so_that_published_runs_stay_reproducible() {
        let shape = SelectorShape { counts: 3, items: 5 };
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        let drawn: Vec<_> = (0..4).map(|_| shape.draw(&[0.0; 8], &mut stream).items).collect();
        assert_eq!(drawn, PINNED);
    }
    const PINNED: [&[usize]; 4] = [&[1, 2, 4], &[4, 0, 3], &[1, 2], &[4, 0]];

    #[test]
    fn small_probabilities_beside_a_dominant_one_keep_their_precision() {
        // Item 0 has all but e^-100 of the probability; the second of a pair is drawn from the rest.
        let shape = SelectorShape { counts: 2, items: 3 };
        let logits = [-50.0, 50.0, 50.0, -50.0, -49.0];
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        let share = 1.0 / (1.0 + std::f64::consts::E);
        let mut seconds = 0.0;
        for _ in 0..10_000 {
            let draw = shape.draw(&logits, &mut stream);
            assert_eq!((draw.items.len(), draw.items[0]), (2, 0));
            seconds += f64::from(u8::from(draw.items[1] == 1));
        }
        // Four standard errors.
        assert!((seconds / 1e4 - share).abs() < 4.0 * (share * (1.0 - share) / 1e4).sqrt());

        let mass =
            |items: &[usize], kind| shape.log_probability(&logits, &Draw { items: items.to_vec() }, kind);
        for kind in KINDS {
            assert!((mass(&[0, 1], kind) - share.ln()).abs() < 1e-14);
        }
        // The dominant item is left out twice: 1 x e^-100 for the first, e^-99 for the second, in two orders.
        assert!((mass(&[1, 2], LogProbability::Sequence) - (-199.0)).abs() < 1e-12);
        assert!((mass(&[1, 2], LogProbability::Set) - (-199.0 + 2f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn twelve_of_thousands_have_a_set_mass() {
        let shape = SelectorShape { counts: MAX_SET_COUNT, items: 5000 };
        let logits = vec![0.0; shape.outputs()];
        let draw = Draw { items: (0..MAX_SET_COUNT).map(|item| 7 * item).collect() };
        let steps = (0..MAX_SET_COUNT).map(|step| ((step + 1) as f64 / (5000 - step) as f64).ln());
        let expected = steps.sum::<f64>() - (MAX_SET_COUNT as f64).ln();
        assert!((shape.log_probability(&logits, &draw, LogProbability::Set) - expected).abs() < 1e-11);
        assert!(score(shape, &logits, &draw, LogProbability::Set).iter().sum::<f64>().abs() < 1e-11);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (counts, items) in [(0, 3), (4, 3), (0, 0)] {
            let refused = SelectorShape { counts, items }.check(LogProbability::Sequence);
            assert_eq!(refused, Err(ShapeError::Counts { counts, items }));
        }
        let large = SelectorShape { counts: 13, items: 13 };
        assert_eq!(large.check(LogProbability::Set), Err(ShapeError::Set { counts: 13 }));
        assert_eq!(large.check(LogProbability::Sequence), Ok(()));
    }

    #[test]
    fn logits_that_are_no_numbers_still_give_a_draw() {
        let shape = SelectorShape { counts: 2, items: 3 };
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(all_draws(shape).contains(&shape.draw(&[value; 5], &mut stream)));
        }
    }
}
