//! The rule for whether a claim holds, does not hold, or cannot be told.
//!
//! d_i is the difference of the two sides on seed i, with the same seed and the same test rows on both, with the sign
//! that makes positive values support the claim. [L, U] is its 95 % interval: paired t over the seeds or, where losses
//! by test recording are on record, the wider of that and a bootstrap over seeds and recordings together. The margin m
//! is in `paper.toml`.
//! | claim | holds | does not |
//! | --- | --- | --- |
//! | below, above | L > 0 | U < m |
//! | at least, at most | L > -m | U < -m |
//! | the optimum | at least as good as every rival, and better than one (Holm) | worse than one, or better than none |
//!
//! All other cases cannot be told. Noise widens [L, U], and so never helps a claim. Fewer than [`FEWEST`] seeds give no
//! verdict. Where outcomes are of two kinds, a mean describes neither: the interval is then Clopper and Pearson's for
//! the share of seeds on which the claim is true, from [`FEWEST_OF_TWO_KINDS`] seeds on. A side that a claim calls
//! good, or comparable, in N-CE must first beat guessing: the sum of the labels' entropies.

use super::paper::Relation;
use crate::statistics::{
    Cluster, Interval, Paired, Resampled, TAIL, clopper_pearson, holm, over_seeds, resampled,
};

/// Fewest seeds for a verdict.
pub(super) const FEWEST: usize = 5;

/// The same where outcomes are of two kinds.
pub(super) const FEWEST_OF_TWO_KINDS: usize = 20;

/// The verdict on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    DoesNot,
    CannotBeTold,
    NotRun,
}

impl Verdict {
    pub(super) fn words(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::DoesNot => "does not hold",
            Verdict::CannotBeTold => "cannot be told",
            Verdict::NotRun => "not run",
        }
    }

    /// The verdict if both must hold.
    pub(super) fn and(self, other: Verdict) -> Verdict {
        use Verdict::{CannotBeTold, DoesNot, Holds, NotRun};
        match (self, other) {
            (NotRun, _) | (_, NotRun) => NotRun,
            (DoesNot, _) | (_, DoesNot) => DoesNot,
            (CannotBeTold, _) | (_, CannotBeTold) => CannotBeTold,
            (Holds, Holds) => Holds,
        }
    }
}

/// d_i of a claim, one for each seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    pub(super) values: Vec<f64>,
    /// The same by test recording, for every seed, if all are on record.
    pub(super) clusters: Option<Vec<Vec<Cluster>>>,
}

impl Differences {
    fn resampled(&self) -> Option<Resampled> {
        self.clusters.as_deref().map(resampled)
    }

    /// [L, U]; none from a single seed.
    pub(super) fn interval(&self) -> Option<Interval> {
        over_seeds(&self.values, self.clusters.as_deref())
    }

    /// The p-value under a true difference of 0 or less.
    fn above_0_by_chance(&self) -> f64 {
        let paired = Paired(&self.values).above_0_by_chance();
        self.resampled().map_or(paired, |resampled| paired.max(resampled.above_0_by_chance()))
    }

    /// Whether there are enough seeds.
    fn suffice(&self) -> bool {
        self.values.len() >= FEWEST
    }
}

/// The verdict on one difference.
pub(super) fn verdict(relation: Relation, differences: &Differences, margin: f64) -> Verdict {
    match differences.interval().filter(|_| differences.suffice()) {
        Some(interval) => of_interval(relation, interval, margin),
        None => Verdict::CannotBeTold,
    }
}

fn of_interval(relation: Relation, Interval { low, high }: Interval, margin: f64) -> Verdict {
    let (enough, too_little) = match relation {
        Relation::Below | Relation::Above => (0.0, margin),
        Relation::AtLeast | Relation::AtMost | Relation::Optimum => (-margin, -margin),
    };
    match (low > enough, high < too_little) {
        (true, _) => Verdict::Holds,
        (_, true) => Verdict::DoesNot,
        _ => Verdict::CannotBeTold,
    }
}

/// The verdict on an optimum, from its differences to every rival, each with its margin; and the number of rivals that
/// it beats.
pub(super) fn optimum(rivals: &[(Differences, f64)]) -> (Verdict, usize) {
    let at_least =
        rivals.iter().map(|(differences, margin)| verdict(Relation::AtLeast, differences, *margin));
    let at_least = at_least.fold(Verdict::Holds, Verdict::and);
    if rivals.is_empty() || !rivals.iter().all(|(differences, _)| differences.suffice()) {
        return (Verdict::CannotBeTold, 0);
    }
    let chances: Vec<f64> = rivals.iter().map(|(differences, _)| differences.above_0_by_chance()).collect();
    let better = holm(&chances, TAIL).into_iter().filter(|better| *better).count();
    let no_better = |(differences, margin): &(Differences, f64)| {
        verdict(Relation::Above, differences, *margin) == Verdict::DoesNot
    };
    let better_than_one = match better {
        0 if rivals.iter().all(no_better) => Verdict::DoesNot,
        0 => Verdict::CannotBeTold,
        _ => Verdict::Holds,
    };
    (at_least.and(better_than_one), better)
}

/// The verdict where outcomes are of two kinds: whether the claim is true on more than half of the seeds, and the
/// interval of that share.
pub(super) fn of_two_kinds(differences: &Differences) -> (Verdict, Interval) {
    let n = differences.values.len();
    let hits = differences.values.iter().filter(|difference| **difference > 0.0).count();
    let interval = clopper_pearson(hits, n);
    let verdict = match interval {
        _ if n < FEWEST_OF_TWO_KINDS => Verdict::CannotBeTold,
        Interval { low, .. } if low > 0.5 => Verdict::Holds,
        Interval { high, .. } if high < 0.5 => Verdict::DoesNot,
        _ => Verdict::CannotBeTold,
    };
    (verdict, interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELATIONS: [Relation; 4] = [Relation::Below, Relation::Above, Relation::AtLeast, Relation::AtMost];

    fn plain(values: &[f64]) -> Differences {
        Differences { values: values.to_vec(), clusters: None }
    }

    /// With the same spread over recordings on every seed.
    fn clustered(values: &[f64], spread: &[f64]) -> Differences {
        let of = |value: &f64| spread.iter().map(|own| Cluster { rows: 1.0, sum: value + own }).collect();
        Differences { values: values.to_vec(), clusters: Some(values.iter().map(of).collect()) }
    }

    /// The same mean with `times` the spread.
    fn spread_out(values: &[f64], times: f64) -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| mean + times * (value - mean)).collect()
    }

    #[test]
    fn the_rule_stands_as_it_is_written() {
        use Verdict::{CannotBeTold, DoesNot, Holds};
        for (relation, low, high, expected) in [
            (Relation::Above, 0.001, 5.0, Holds),
            (Relation::Above, 0.001, 0.01, Holds),
            (Relation::Above, -0.001, 0.019, DoesNot),
            (Relation::Above, -0.001, 0.021, CannotBeTold),
            (Relation::Below, -5.0, -0.1, DoesNot),
            (Relation::AtLeast, -0.019, 0.3, Holds),
            (Relation::AtLeast, -0.021, -0.001, CannotBeTold),
            (Relation::AtLeast, -0.3, 0.3, CannotBeTold),
            (Relation::AtMost, -0.3, -0.021, DoesNot),
        ] {
            assert_eq!(
                of_interval(relation, Interval { low, high }, 0.02),
                expected,
                "{relation:?} {low} {high}"
            );
        }
    }

    #[test]
    fn four_seeds_have_no_verdict_however_clear_they_are_and_five_have() {
        for relation in RELATIONS {
            assert_eq!(verdict(relation, &plain(&[1.0; 4]), 0.02), Verdict::CannotBeTold);
            assert_eq!(verdict(relation, &plain(&[1.0; 5]), 0.02), Verdict::Holds);
            assert_eq!(verdict(relation, &plain(&[-1.0; 5]), 0.02), Verdict::DoesNot);
            assert_eq!(verdict(relation, &plain(&[]), 0.02), Verdict::CannotBeTold);
        }
    }

    #[test]
    fn recordings_that_disagree_take_a_verdict_away() {
        let values = [0.030, 0.031, 0.029, 0.030, 0.031];
        assert_eq!(verdict(Relation::Above, &plain(&values), 0.02), Verdict::Holds);
        // A hundred recordings, of which a few cause the whole difference.
        let spread: Vec<f64> = (0..100).map(|at| if at < 2 { 2.45 } else { -0.05 }).collect();
        assert_eq!(verdict(Relation::Above, &clustered(&values, &spread), 0.02), Verdict::CannotBeTold);
        assert_eq!(verdict(Relation::Above, &clustered(&values, &[0.0; 100]), 0.02), Verdict::Holds);
    }

    #[test]
    fn an_optimum_is_no_worse_than_any_and_better_than_one() {
        let rival = |values: &[f64]| (plain(values), 0.02);
        let (even, better, worse) = (
            rival(&[0.001, -0.001, 0.0, 0.002, -0.002]),
            rival(&[0.5, 0.6, 0.4, 0.5, 0.5]),
            rival(&[-0.5; 5]),
        );
        let noisy = rival(&[0.5, -0.5, 0.4, -0.3, 0.1]);
        let of = |rivals: &[&(Differences, f64)]| {
            optimum(&rivals.iter().map(|rival| (*rival).clone()).collect::<Vec<_>>())
        };
        assert_eq!(of(&[&even, &better]), (Verdict::Holds, 1));
        assert_eq!(of(&[&even, &even]), (Verdict::DoesNot, 0), "better than none");
        assert_eq!(of(&[&better, &worse]), (Verdict::DoesNot, 1));
        assert_eq!(of(&[&better, &noisy]), (Verdict::CannotBeTold, 1));
        assert_eq!(of(&[&better, &rival(&[0.5; 4])]), (Verdict::CannotBeTold, 0));
        assert_eq!(of(&[]), (Verdict::CannotBeTold, 0));
        // By chance in 0.0175 of cases: significant alone, not as one of six.
        let slight = rival(&[0.02, 0.01, 0.03, 0.0, 0.02]);
        assert_eq!(of(&[&slight]).0, Verdict::Holds);
        assert_eq!(of(&[&slight, &even, &even, &even, &even, &even]).0, Verdict::CannotBeTold);
    }

    #[test]
    fn where_outcomes_are_of_two_kinds_most_seeds_must_say_so() {
        let seeds = |hits: usize, n: usize| {
            let values: Vec<f64> = (0..n).map(|at| if at < hits { 2.4 } else { -0.6 }).collect();
            of_two_kinds(&plain(&values)).0
        };
        assert_eq!(seeds(19, 19), Verdict::CannotBeTold);
        assert_eq!(seeds(15, 20), Verdict::Holds);
        assert_eq!(seeds(14, 20), Verdict::CannotBeTold);
        assert_eq!(seeds(5, 20), Verdict::DoesNot);
    }

    proptest! {
        #[test]
        fn noise_never_helps(
            values in proptest::collection::vec(-0.1_f64..0.1, 5..12),
            times in 1.0_f64..20.0,
            margin in 0.0_f64..0.05,
        ) {
            let noisy = spread_out(&values, times);
            for relation in RELATIONS {
                if verdict(relation, &plain(&noisy), margin) == Verdict::Holds {
                    prop_assert_eq!(verdict(relation, &plain(&values), margin), Verdict::Holds);
                }
            }
            let rivals = |values: &[f64]| optimum(&[(plain(values), margin), (plain(&[0.01; 6]), margin)]).0;
            if rivals(&noisy) == Verdict::Holds {
                prop_assert_eq!(rivals(&values), Verdict::Holds);
            }
        }

        #[test]
        fn a_worse_side_never_helps(
            values in proptest::collection::vec(-0.1_f64..0.1, 5..12), less in 0.0_f64..0.2
        ) {
            let worse: Vec<f64> = values.iter().map(|value| value - less).collect();
            for relation in RELATIONS {
                if verdict(relation, &plain(&worse), 0.02) == Verdict::Holds {
                    prop_assert_eq!(verdict(relation, &plain(&values), 0.02), Verdict::Holds);
                }
            }
        }

        #[test]
        fn recordings_never_narrow_an_interval(
            values in proptest::collection::vec(-0.1_f64..0.1, 5..8),
            spread in proptest::collection::vec(-1.0_f64..1.0, 2..20),
        ) {
            let width = |differences: &Differences| differences.interval().unwrap().width();
            prop_assert!(width(&clustered(&values, &spread)) >= width(&plain(&values)));
        }

        #[test]
        fn nothing_but_one_kind_of_verdict_is_ever_both(low in -1.0_f64..1.0, width in 0.0_f64..1.0) {
            // A claim and its opposite never both hold with a margin between them.
            let own = Interval { low, high: low + width };
            let opposite = Interval { low: -own.high, high: -own.low };
            let holds = |interval| of_interval(Relation::Above, interval, 0.02) == Verdict::Holds;
            prop_assert!(!(holds(own) && holds(opposite)));
        }
    }
}
