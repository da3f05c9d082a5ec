//! Difference credit: what a request is judged by where a tick's cost alone says too little about it.
//!
//! A difference reward (Wolpert and Tumer) judges an action by what the whole costs with it, less what the whole would
//! cost without it. Let receiver t draw the count n and then k_1, ..., k_n without replacement, and let C(R) be what the
//! tick would cost it with what the transmitters of R granted alone, so that C = C({k_1, ..., k_n}) is what it did cost.
//! The estimate of the gradient of the expected cost is
//!
//! > (C - C({})) grad ln p(n) + sum over e of (C - C({k_1, ..., k_(e-1)})) grad ln p(k_e | k_1, ..., k_(e-1)).
//!
//! Each step is judged by what it and the later ones brought. For the last step that is the difference reward itself:
//! C less the cost without k_n alone.
//!
//! What is subtracted must not depend on what the step drew: only then is its expectation, given what was drawn before,
//! a constant times the expectation of a score, which is 0. C({k_1, ..., k_(e-1)}) depends on earlier steps, on other
//! nodes' draws and on the caps of k_1, ..., k_(e-1), and none of these changes with k_e. The cost without k_e alone,
//! C({k_1, ..., k_n} less k_e), is unfit where e < n: later steps draw without replacement, so what else was requested
//! depends on k_e, and the estimate would be biased even where costs add up over transmitters.
//!
//! What transmitter k chooses for those that requested it comes after all requests, and nothing that it chooses changes
//! what others grant. So its choices at a tick are judged by the sum over the receivers t that requested it of the
//! difference reward C_t(R_t) - C_t(R_t less k), where R_t is the set of transmitters that t
//! requested. Only receiver t can evaluate C_t: it sends transmitter k this difference instead of its cost.

/// The advantage of each term of a drawn sequence's log-probability, by tick: that of the count first, which is the
/// first step's, then those of the steps.
///
/// `differences[n][e]` is tick n's cost less that of what was requested before its step e. The advantages of a step are
/// [those of its differences](advantages_of_differences), over the ticks that took it.
///
/// ```
/// use pom2dib_dib::{Baseline, advantages, advantages_of_terms};
///
/// // Three ticks, of which the second and the third drew two items.
/// let differences = [vec![-1.0], vec![-2.0, -0.5], vec![-6.0, 1.5]];
/// let less_mean = |costs: &[f64], took: &[bool]| advantages(Baseline::LeaveOneOut, costs, took, 0.0);
/// let of = advantages_of_terms(&differences, less_mean);
/// assert_eq!(of, [vec![3.0, 3.0], vec![1.5, 1.5, -2.0], vec![-4.5, -4.5, 2.0]]);
/// ```
pub fn advantages_of_terms(
    differences: &[Vec<f64>],
    less_baseline: impl Fn(&[f64], &[bool]) -> Vec<f64>,
) -> Vec<Vec<f64>> {
    let steps = differences.iter().map(Vec::len).max().unwrap_or(0);
    let mut terms: Vec<Vec<f64>> = vec![Vec::new(); differences.len()];
    for step in 0..steps {
        let took: Vec<bool> = differences.iter().map(|of_tick| of_tick.len() > step).collect();
        let of_step: Vec<f64> =
            differences.iter().map(|of_tick| of_tick.get(step).copied().unwrap_or(0.0)).collect();
        let advantages = advantages_of_differences(&of_step, &took, &less_baseline);
        let of_ticks = terms.iter_mut().zip(advantages).zip(&took);
        for ((of_tick, advantage), _) in of_ticks.filter(|(_, took)| **took) {
            // Before the first item nothing is requested, as before the count.
            if step == 0 {
                of_tick.push(advantage);
            }
            of_tick.push(advantage);
        }
    }
    terms
}

/// The advantage of each tick that `took` part, by its difference; 0 of the others. It is the difference less a
/// baseline, as `less_baseline` gives it, which must depend on other ticks alone. A tick that took part alone cannot be
/// compared with others, and the difference itself is its advantage: without one the estimate would be biased.
///
/// ```
/// use pom2dib_dib::{Baseline, advantages, advantages_of_differences};
///
/// let less_mean = |costs: &[f64], took: &[bool]| advantages(Baseline::LeaveOneOut, costs, took, 0.0);
/// let of = |took: &[bool]| advantages_of_differences(&[-1.0, -2.0, 0.5], took, less_mean);
/// assert_eq!(of(&[true, false, true]), [-1.5, 0.0, 1.5]);
/// assert_eq!(of(&[false, true, false]), [0.0, -2.0, 0.0]);
/// ```
pub fn advantages_of_differences(
    differences: &[f64],
    took: &[bool],
    less_baseline: impl Fn(&[f64], &[bool]) -> Vec<f64>,
) -> Vec<f64> {
    if took.iter().filter(|took| **took).count() != 1 {
        return less_baseline(differences, took);
    }
    differences.iter().zip(took).map(|(&difference, &took)| if took { difference } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Baseline, Draw, LogProbability, SelectorShape, advantages};

    const LOGITS: [[f32; 7]; 2] =
        [[0.5, -0.25, 0.75, 1.0, -0.5, 0.125, 0.25], [-1.0, 0.75, 0.0, 0.25, -2.0, 1.5, -0.125]];

    fn shape() -> SelectorShape {
        SelectorShape { counts: 3, items: 4 }
    }

    /// Every draw of [`shape`]: one to three of four items, in every order.
    fn all_draws() -> Vec<Draw> {
        let mut draws = Vec::new();
        let mut longest: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..shape().counts {
            let mut longer = Vec::new();
            for begun in &longest {
                let fresh = (0..shape().items).filter(|item| !begun.contains(item));
                longer.extend(fresh.map(|item| [begun.as_slice(), &[item]].concat()));
            }
            draws.extend(longer.iter().map(|items| Draw { items: items.clone() }));
            longest = longer;
        }
        draws
    }

    fn probability(logits: &[f32], draw: &Draw) -> f64 {
        shape().log_probability(logits, draw, LogProbability::Sequence).exp()
    }

    /// What each item adds.
    fn additive(items: &[usize]) -> f64 {
        items.iter().map(|&item| [1.0, -2.5, 0.3, -0.8][item]).sum()
    }

    /// A cost that depends only on the set, and does not add up: it has a penalty for nothing.
    fn coupled(items: &[usize]) -> f64 {
        let penalty = if items.is_empty() { 1.0 } else { 0.0 };
        additive(items).powi(2) + 0.7 * items.len() as f64 + penalty
    }

    /// The cost less that of what was drawn before each step.
    fn differences(cost: impl Fn(&[usize]) -> f64, items: &[usize]) -> Vec<f64> {
        (0..items.len()).map(|step| cost(items) - cost(&items[..step])).collect()
    }

    /// The gradient of the expected cost: the sum over all draws of cost x gradient of the probability.
    fn true_gradient(logits: &[f32], cost: impl Fn(&[usize]) -> f64) -> Vec<f64> {
        let mut gradient = vec![0.0; shape().outputs()];
        for draw in all_draws() {
            let weight = probability(logits, &draw) * cost(&draw.items);
            let kind = LogProbability::Sequence;
            shape().add_log_probability_gradient(logits, &draw, kind, weight, &mut gradient);
        }
        gradient
    }

    /// The expectation of a tick's estimate with these advantages of the terms of a draw's log-probability.
    fn expected_estimate(logits: &[f32], terms: impl Fn(&[usize]) -> Vec<f64>) -> Vec<f64> {
        let mut estimate = vec![0.0; shape().outputs()];
        for draw in all_draws() {
            let mass = probability(logits, &draw);
            let weights: Vec<f64> = terms(&draw.items).into_iter().map(|term| mass * term).collect();
            shape().add_term_gradients(logits, &draw, &weights, &mut estimate);
        }
        estimate
    }

    fn error(one: &[f64], other: &[f64]) -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn the_expected_estimate_is_the_gradient_of_the_expected_cost() {
        let costs: [fn(&[usize]) -> f64; 2] = [additive, coupled];
        for cost in costs {
            let terms = |items: &[usize]| {
                advantages_of_terms(&[differences(cost, items)], |costs, _| costs.to_vec()).remove(0)
            };
            for logits in &LOGITS {
                let expected = true_gradient(logits, cost);
                let worst = error(&expected_estimate(logits, terms), &expected);
                assert!(worst < 1e-12, "{worst}");
            }
        }
    }

    #[test]
    fn it_is_so_with_the_mean_of_other_ticks_subtracted() {
        let mut estimate = [vec![0.0; shape().outputs()], vec![0.0; shape().outputs()]];
        let less_mean = |costs: &[f64], took: &[bool]| advantages(Baseline::LeaveOneOut, costs, took, 0.0);
        for first in all_draws() {
            for second in all_draws() {
                let draws = [&first, &second];
                let mass = probability(&LOGITS[0], &first) * probability(&LOGITS[1], &second);
                let judged = draws.map(|draw| differences(coupled, &draw.items));
                for (tick, terms) in advantages_of_terms(&judged, less_mean).into_iter().enumerate() {
                    let weights: Vec<f64> = terms.into_iter().map(|term| mass * term).collect();
                    shape().add_term_gradients(&LOGITS[tick], draws[tick], &weights, &mut estimate[tick]);
                }
            }
        }
        for (estimate, logits) in estimate.iter().zip(&LOGITS) {
            let worst = error(estimate, &true_gradient(logits, coupled));
            assert!(worst < 1e-11, "{worst}");
        }
    }

    #[test]
    fn to_leave_one_of_several_requests_out_would_be_biased() {
        // The count's term has the whole cost: what is wrong is wrong with the steps.
        let terms = |items: &[usize]| {
            let without = |step: usize| [&items[..step], &items[step + 1..]].concat();
            let of_steps = (0..items.len()).map(|step| additive(items) - additive(&without(step)));
            std::iter::once(additive(items)).chain(of_steps).collect::<Vec<f64>>()
        };
        let worst = error(&expected_estimate(&LOGITS[0], terms), &true_gradient(&LOGITS[0], additive));
        assert!(worst > 1e-2, "{worst}");
    }

    #[test]
    fn the_last_step_is_judged_by_what_its_item_brought() {
        let items = [2, 0, 3];
        let terms = advantages_of_terms(&[differences(coupled, &items)], |costs, _| costs.to_vec()).remove(0);
        assert_eq!(terms.len(), 4);
        assert_eq!(terms[0], terms[1]);
        assert_eq!(terms[1], coupled(&items) - coupled(&[]));
        assert_eq!(terms[3], coupled(&items) - coupled(&[2, 0]));
    }
}
