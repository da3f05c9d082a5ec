//! Intervals of shares of seeds, and multiple tests.

use super::{
    Interval, TAIL,
    beta::{crossing, incomplete_beta},
};

/// Clopper and Pearson's 95 % interval of a share, from `hits` of `n`: its coverage is at least 95 % for any n.
pub(crate) fn clopper_pearson(hits: usize, n: usize) -> Interval {
    let (k, n) = (hits as f64, n as f64);
    // P(at least k) rises with the share, and so does P(more than k).
    let at_least = |share: f64| incomplete_beta(k, n - k + 1.0, share);
    let more = |share: f64| incomplete_beta(k + 1.0, n - k, share);
    Interval {
        low: if hits == 0 { 0.0 } else { crossing(at_least, TAIL, 0.0, 1.0) },
        high: if k == n { 1.0 } else { crossing(more, 1.0 - TAIL, 0.0, 1.0) },
    }
}

/// Which of several hypotheses Holm's procedure rejects, with at most probability `level` of rejecting a true one. In
/// the order of `chances`.
pub(crate) fn holm(chances: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|one, other| chances[*one].total_cmp(&chances[*other]));
    let mut given_up = vec![false; chances.len()];
    for (step, &at) in order.iter().enumerate() {
        if chances[at] > level / (chances.len() - step) as f64 {
            break;
        }
        given_up[at] = true;
    }
    given_up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interval_of_none_or_all_has_its_closed_form() {
        for n in [1, 5, 20, 100] {
            let rest = TAIL.powf(1.0 / n as f64);
            let (none, all) = (clopper_pearson(0, n), clopper_pearson(n, n));
            assert!(none.low == 0.0 && (none.high - (1.0 - rest)).abs() < 1e-9, "{none:?}");
            assert!(all.high == 1.0 && (all.low - rest).abs() < 1e-9, "{all:?}");
        }
        // A textbook example: 15 of 20.
        let Interval { low, high } = clopper_pearson(15, 20);
        assert!((low - 0.5090).abs() < 1e-3 && (high - 0.9134).abs() < 1e-3, "{low} {high}");
    }

    /// P(exactly k of n).
    fn exactly(k: usize, n: usize, share: f64) -> f64 {
        let choose: f64 = (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product();
        choose * share.powi(k as i32) * (1.0 - share).powi((n - k) as i32)
    }

    proptest! {
        #[test]
        fn a_true_share_is_covered_at_least_as_often_as_is_said(n in 1_usize..40, share in 0.0_f64..1.0) {
            let covered = (0..=n).filter(|&k| {
                let Interval { low, high } = clopper_pearson(k, n);
                low <= share && share <= high
            });
            let often: f64 = covered.map(|k| exactly(k, n, share)).sum();
            prop_assert!(often >= 1.0 - 2.0 * TAIL - 1e-9, "{}", often);
        }

        #[test]
        fn holm_rejects_no_less_than_bonferroni_and_follows_its_definition(
            chances in proptest::collection::vec(0.0_f64..0.1, 1..8)
        ) {
            let given_up = holm(&chances, 0.05);
            let n = chances.len();
            for (at, &chance) in chances.iter().enumerate() {
                prop_assert!(given_up[at] || chance > 0.05 / n as f64);
                // By brute force: rejected if every set that contains it has a p-value below the set's share of the
                // level (closed testing).
                let rejected = (0_u32..1 << n).filter(|set| set & (1 << at) != 0).all(|set| {
                    let own = || (0..n).filter(|i| set & (1 << i) != 0).map(|i| chances[i]);
                    own().fold(1.0, f64::min) <= 0.05 / own().count() as f64
                });
                prop_assert_eq!(given_up[at], rejected);
            }
        }
    }
}
