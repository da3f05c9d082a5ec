//! The cost of a selection, and the baseline that is subtracted from it.
//!
//! The score function estimate (21) stays unbiased when a quantity that does not depend on a tick's own draw is
//! subtracted from the cost of that tick; only its variance changes. Receivers send raw costs; every node subtracts its
//! own baseline.

/// The baseline, which is subtracted from a cost before it weighs a log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// H(Y_t) of the training labels in nats, 0 for regression: the cross entropy of an untrained receiver.
    LabelEntropy,
    /// The mean cost of the other ticks that took part.
    LeaveOneOut,
    /// No baseline.
    None,
}

/// The advantage of each tick of a round: its cost less the baseline, or 0 for a tick that took no part (at a
/// transmitter: where the receiver did not request), whose cost is ignored.
///
/// With [`Baseline::LeaveOneOut`] a tick that took part alone has no other tick to compare with: its advantage is 0.
///
/// ```
/// use pom2dib_dib::{Baseline, advantages};
///
/// // The second tick took no part. Each other's cost less the mean of the rest: what cost more becomes less likely.
/// let took_part = [true, false, true, true];
/// let of = advantages(Baseline::LeaveOneOut, &[1.0, 9.0, 2.0, 6.0], &took_part, 0.0);
/// assert_eq!(of, [1.0 - 4.0, 0.0, 2.0 - 3.5, 6.0 - 1.5]);
/// ```
///
/// # Panics
/// If `costs` and `took_part` differ in length.
pub fn advantages(kind: Baseline, costs: &[f64], took_part: &[bool], label_entropy: f64) -> Vec<f64> {
    assert_eq!(costs.len(), took_part.len(), "costs and parts of different rounds");
    let taking = || costs.iter().zip(took_part).filter(|(_, part)| **part).map(|(cost, _)| *cost);
    let (count, total) = (taking().count(), taking().sum::<f64>());
    let advantage = |cost: f64| match kind {
        Baseline::LabelEntropy => cost - label_entropy,
        Baseline::LeaveOneOut if count < 2 => 0.0,
        Baseline::LeaveOneOut => cost - (total - cost) / (count - 1) as f64,
        Baseline::None => cost,
    };
    costs.iter().zip(took_part).map(|(&cost, &part)| if part { advantage(cost) } else { 0.0 }).collect()
}

/// Which entries the sparse term of Remark 7 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseTerm {
    /// The receiver's own granted entries and its own requests.
    Own,
    /// All receivers' granted entries, as in the authors' script.
    Global,
}

/// The cost of a receiver at a tick: its objective, plus `empty_penalty` if no entry was granted (1 in section VII-A),
/// plus `gamma` for every entry and request that the sparse term counts.
///
/// `granted_own` and `granted_all` are numbers of entries, of this receiver and of all; `requests` is the number
/// of transmitters that this receiver requested.
pub fn cost(
    objective: f64,
    granted_own: usize,
    requests: usize,
    granted_all: usize,
    empty_penalty: f64,
    (gamma, sparse): (f64, SparseTerm),
) -> f64 {
    let penalty = if granted_own == 0 { empty_penalty } else { 0.0 };
    let counted = match sparse {
        SparseTerm::Own => granted_own + requests,
        SparseTerm::Global => granted_all,
    };
    objective + penalty + gamma * counted as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Draw, LogProbability, SelectorShape};

    #[test]
    fn baselines_are_subtracted_where_a_tick_took_part() {
        let costs = [1.0, f64::NAN, 2.0, 6.0];
        let took_part = [true, false, true, true];
        let of = |kind| advantages(kind, &costs, &took_part, 0.5);
        assert_eq!(of(Baseline::None), [1.0, 0.0, 2.0, 6.0]);
        assert_eq!(of(Baseline::LabelEntropy), [0.5, 0.0, 1.5, 5.5]);
        assert_eq!(of(Baseline::LeaveOneOut), [1.0 - 4.0, 0.0, 2.0 - 3.5, 6.0 - 1.5]);
    }

    #[test]
    fn a_tick_alone_has_no_advantage_over_itself() {
        assert_eq!(advantages(Baseline::LeaveOneOut, &[3.0, 4.0], &[false, true], 0.0), [0.0, 0.0]);
        assert_eq!(advantages(Baseline::LeaveOneOut, &[3.0], &[false], 0.0), [0.0]);
        assert_eq!(advantages(Baseline::LeaveOneOut, &[], &[], 0.0), [0.0; 0]);
    }

    #[test]
    fn costs_include_the_sparse_term() {
        assert_eq!(cost(2.0, 3, 2, 8, 1.0, (0.5, SparseTerm::Own)), 4.5);
        assert_eq!(cost(2.0, 3, 2, 8, 1.0, (0.5, SparseTerm::Global)), 6.0);
        assert_eq!(cost(2.0, 0, 2, 8, 1.0, (0.5, SparseTerm::Own)), 4.0);
        assert_eq!(cost(2.0, 0, 2, 0, 1.0, (0.5, SparseTerm::Global)), 3.0);
    }

    #[test]
    fn only_receivers_without_an_entry_pay_the_penalty() {
        for penalty in [0.0, 0.25, 1.0, 3.0] {
            assert_eq!(cost(2.0, 0, 1, 4, penalty, (0.0, SparseTerm::Own)), 2.0 + penalty);
            assert_eq!(cost(2.0, 1, 1, 4, penalty, (0.0, SparseTerm::Own)), 2.0);
        }
    }

    fn shape() -> SelectorShape {
        SelectorShape { counts: 2, items: 3 }
    }

    /// Every draw of [`shape`].
    fn all_draws() -> Vec<Draw> {
        let pairs =
            (0..3).flat_map(|one| (0..3).filter(move |&two| two != one).map(move |two| vec![one, two]));
        (0..3).map(|one| vec![one]).chain(pairs).map(|items| Draw { items }).collect()
    }

    /// A cost that depends only on the set, and not additively.
    fn cost_of(draw: &Draw) -> f64 {
        let weights: f64 = draw.items.iter().map(|&item| [1.0, -2.5, 0.3][item]).sum();
        weights * weights + 0.7 * draw.items.len() as f64
    }

    fn probability(logits: &[f32], draw: &Draw) -> f64 {
        shape().log_probability(logits, draw, LogProbability::Sequence).exp()
    }

    /// The gradient of the expected cost: central differences with two steps (exact in f32), extrapolated to step 0.
    fn true_gradient(logits: &[f32]) -> Vec<f64> {
        let expected_cost = |index: usize, offset: f32| -> f64 {
            let mut moved = logits.to_vec();
            moved[index] += offset;
            all_draws().iter().map(|draw| probability(&moved, draw) * cost_of(draw)).sum()
        };
        let central = |index, step: f32| {
            (expected_cost(index, step) - expected_cost(index, -step)) / (2.0 * f64::from(step))
        };
        let extrapolated = |index| (4.0 * central(index, 1.0 / 1024.0) - central(index, 2.0 / 1024.0)) / 3.0;
        (0..logits.len()).map(extrapolated).collect()
    }

    #[test]
    fn the_estimated_gradient_is_right_in_expectation_with_every_baseline() {
        // Two ticks with different u, thus different logits; all pairs of draws, by their probability.
        let logits: [[f32; 5]; 2] = [[0.5, -0.25, 1.0, -0.5, 0.125], [-1.0, 0.75, 0.0, 0.25, -2.0]];
        for kind in [Baseline::LabelEntropy, Baseline::LeaveOneOut, Baseline::None] {
            for mass in [LogProbability::Sequence, LogProbability::Set] {
                let mut estimate = [vec![0.0; 5], vec![0.0; 5]];
                for first in all_draws() {
                    for second in all_draws() {
                        let pair = [&first, &second];
                        let weight = probability(&logits[0], &first) * probability(&logits[1], &second);
                        let advantages = advantages(kind, &pair.map(cost_of), &[true; 2], 1.3);
                        for tick in 0..2 {
                            shape().add_log_probability_gradient(
                                &logits[tick],
                                pair[tick],
                                mass,
                                weight * advantages[tick],
                                &mut estimate[tick],
                            );
                        }
                    }
                }
                for tick in 0..2 {
                    for (estimated, expected) in estimate[tick].iter().zip(true_gradient(&logits[tick])) {
                        assert!(
                            (estimated - expected).abs() < 1e-9,
                            "{kind:?}, {mass:?}: {estimated}, {expected}"
                        );
                    }
                }
            }
        }
    }
}
