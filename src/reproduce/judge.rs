//! The paper's claims, judged by the runs.

use std::collections::BTreeMap;

use super::{
    paper::{Claim, Margins, Relation, Term},
    results::Group,
    verdict::{Differences, FEWEST, FEWEST_OF_TWO_KINDS, Verdict, of_two_kinds, optimum, verdict},
};
use crate::{
    records::figures::named,
    statistics::{Cluster, Interval, Mean},
};

/// A claim of the paper and its outcome.
pub(super) struct Judged {
    pub(super) claim: Claim,
    /// Means of both sides; of several rivals the nearest one. None if a run is missing.
    pub(super) sides: Option<[Mean; 2]>,
    /// Of the difference, with the sign that makes positive values support the claim; for outcomes of two kinds, of the
    /// share of seeds on which the claim is true.
    pub(super) interval: Option<Interval>,
    pub(super) margin: f64,
    /// Seeds on both sides.
    pub(super) seeds: usize,
    /// Whether the interval includes the variation over recordings.
    pub(super) over_recordings: bool,
    pub(super) verdict: Verdict,
    /// Remarks on the verdict.
    pub(super) why: String,
}

/// One side: a number for every seed, or a constant; and by recording, if known.
struct Side {
    label: String,
    values: Values,
}

enum Values {
    Constant(f64),
    BySeed(BTreeMap<u64, (f64, Option<Vec<Cluster>>)>),
}

impl Side {
    fn mean(&self) -> Option<Mean> {
        match &self.values {
            Values::Constant(number) => Some(Mean { mean: *number, half_width: None, n: 0 }),
            Values::BySeed(seeds) => Mean::of(&seeds.values().map(|(value, _)| *value).collect::<Vec<_>>()),
        }
    }
}

/// The left side compared with one right side.
struct Comparison {
    sides: [Mean; 2],
    rival: String,
    differences: Differences,
    margin: f64,
}

/// Judges a claim. `guessing` is the sum of the labels' entropies, where there are labels.
pub(super) fn judge(groups: &[Group], claim: Claim, margins: &Margins, guessing: Option<f64>) -> Judged {
    let Some(comparisons) = comparisons(groups, &claim, margins) else {
        return Judged {
            claim,
            sides: None,
            interval: None,
            margin: 0.0,
            seeds: 0,
            over_recordings: false,
            verdict: Verdict::NotRun,
            why: String::new(),
        };
    };
    let nearest = nearest(&comparisons);
    let seeds = comparisons.iter().map(|one| one.differences.values.len()).min().unwrap_or(0);
    let over_recordings = nearest.differences.clusters.is_some();
    let (mut verdict, mut interval, mut why) = found(&claim, &comparisons, nearest, seeds);
    if let Some((guard, words)) = guessing.and_then(|entropy| guard(groups, &claim, margins, entropy)) {
        if guard != Verdict::Holds && verdict != Verdict::DoesNot {
            why = words;
        }
        verdict = verdict.and(guard);
    }
    if seeds < 2 && !claim.of_two_kinds {
        interval = None;
    }
    let (sides, margin) = (Some(nearest.sides), nearest.margin);
    Judged { claim, sides, interval, margin, seeds, over_recordings, verdict, why }
}

/// The result of the comparisons: the verdict, its interval, and remarks.
fn found(
    claim: &Claim,
    comparisons: &[Comparison],
    nearest: &Comparison,
    seeds: usize,
) -> (Verdict, Option<Interval>, String) {
    if claim.of_two_kinds {
        let (verdict, interval) = of_two_kinds(&nearest.differences);
        let hits = nearest.differences.values.iter().filter(|value| **value > 0.0).count();
        let more = match seeds {
            few if few < FEWEST_OF_TWO_KINDS => {
                format!("; it takes {FEWEST_OF_TWO_KINDS} seeds, since outcomes are of two kinds")
            }
            _ => "; outcomes are of two kinds".into(),
        };
        return (verdict, Some(interval), format!("true of {hits} of {seeds} seeds{more}"));
    }
    let interval = nearest.differences.interval();
    let few = if seeds < FEWEST { format!("only {seeds} of {FEWEST} seeds") } else { String::new() };
    let of_rivals = if comparisons.len() > 1 { format!("nearest: {}", nearest.rival) } else { String::new() };
    let join =
        |parts: &[&str]| parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("; ");
    if claim.is == Relation::Optimum {
        let rivals: Vec<(Differences, f64)> =
            comparisons.iter().map(|one| (one.differences.clone(), one.margin)).collect();
        let (verdict, better) = optimum(&rivals);
        let better = match few.is_empty() {
            true => format!("better than {better} of {} (Holm)", comparisons.len()),
            false => String::new(),
        };
        return (verdict, interval, join(&[&of_rivals, &better, &few]));
    }
    let one = |one: &Comparison| verdict(claim.is, &one.differences, one.margin);
    let all = comparisons.iter().map(one).fold(Verdict::Holds, Verdict::and);
    (all, interval, join(&[&of_rivals, &few]))
}

/// The comparison with the least support: a claim about several rivals is about all of them.
fn nearest(comparisons: &[Comparison]) -> &Comparison {
    let low = |one: &Comparison| match one.differences.interval() {
        Some(interval) => interval.low,
        None => one.differences.values.first().copied().unwrap_or(f64::NEG_INFINITY),
    };
    let least = comparisons.iter().min_by(|one, other| low(one).total_cmp(&low(other)));
    least.expect("there is at least one")
}

/// Whether the sides that the claim calls good, or comparable, are better than guessing; and remarks if not. In a claim
/// about rates both are: what networks send that have learnt nothing says nothing.
fn guard(groups: &[Group], claim: &Claim, margins: &Margins, entropy: f64) -> Option<(Verdict, String)> {
    let is_rate = |term: &Term| matches!(term, Term::Metric { metric, .. } if metric.ends_with("_rate"));
    let good: Vec<&Term> = match claim.is {
        _ if is_rate(&claim.left) || is_rate(&claim.right) => vec![&claim.left, &claim.right],
        Relation::Below => vec![&claim.right],
        Relation::Above | Relation::Optimum => vec![&claim.left],
        Relation::AtLeast | Relation::AtMost => vec![&claim.left, &claim.right],
    };
    let floor = Side { label: String::new(), values: Values::Constant(-entropy) };
    let mut guard = None;
    for term in good {
        let Term::Metric { group, metric, .. } = term else { continue };
        if metric != "n_ce" && !is_rate(term) {
            continue;
        }
        // N-CE itself, without the claim's factor.
        let plain = Term::Metric { group: group.clone(), metric: "n_ce".into(), times: 1.0, plus: 0.0 };
        for side in sides(groups, &plain, "") {
            let differences = differences(&side, &floor);
            let margin = margins.of("n_ce", entropy).unwrap_or(0.0);
            let own = verdict(Relation::Above, &differences, margin);
            let words = match own {
                Verdict::Holds => String::new(),
                Verdict::DoesNot => format!("{} is no better than guessing ({:.3})", side.label, -entropy),
                _ if differences.values.len() < FEWEST => {
                    format!("only {} of {FEWEST} seeds", differences.values.len())
                }
                _ => format!("{} is not surely better than guessing ({:.3})", side.label, -entropy),
            };
            let (before, said) = guard.unwrap_or((Verdict::Holds, String::new()));
            guard = Some((before.and(own), if before == Verdict::Holds { words } else { said }));
        }
    }
    guard
}

/// The left side compared with each right side; none if one of them was not run.
fn comparisons(groups: &[Group], claim: &Claim, margins: &Margins) -> Option<Vec<Comparison>> {
    let left_name = match &claim.left {
        Term::Metric { group, .. } => group.as_str(),
        Term::Number { .. } => "",
    };
    let left = sides(groups, &claim.left, "").pop()?;
    let metric = match (&claim.left, &claim.right) {
        (Term::Metric { metric, .. }, _) | (_, Term::Metric { metric, .. }) => metric,
        _ => return None,
    };
    let of = |right: Side| {
        let means = [left.mean()?, right.mean()?];
        let mut differences = differences(&left, &right);
        if matches!(claim.is, Relation::Below | Relation::AtMost) {
            differences = turned(differences);
        }
        let margin = margins.of(metric, means[1].mean)?;
        Some(Comparison { sides: means, rival: right.label, differences, margin })
    };
    let all: Vec<Comparison> =
        sides(groups, &claim.right, left_name).into_iter().map(of).collect::<Option<_>>()?;
    (!all.is_empty()).then_some(all)
}

/// The sides that a term names; * is every group but `left_out`. A group without runs is a side without values.
fn sides(groups: &[Group], term: &Term, left_out: &str) -> Vec<Side> {
    let (group, metric, times, plus) = match term {
        Term::Number { number } => {
            return vec![Side { label: number.to_string(), values: Values::Constant(*number) }];
        }
        Term::Metric { group, metric, times, plus } => (group, metric, *times, *plus),
    };
    let meant = |label: &str| label == group || (group == "*" && label != left_out);
    let side = |group: &Group| {
        let of = |run: &super::results::Run| {
            let value = times * named(&run.figures, metric)? + plus;
            let clusters = run.by_recording(metric);
            let scaled = |own: Cluster| Cluster { rows: own.rows, sum: times * own.sum + plus * own.rows };
            let clusters = clusters.map(|clusters| clusters.into_iter().map(scaled).collect());
            Some((run.seed, (value, clusters)))
        };
        Side {
            label: group.label.clone(),
            values: Values::BySeed(group.runs.iter().filter_map(of).collect()),
        }
    };
    groups.iter().filter(|group| meant(&group.label)).map(side).collect()
}

/// Left minus right on every seed of both; a constant applies to all seeds.
fn differences(left: &Side, right: &Side) -> Differences {
    match (&left.values, &right.values) {
        (Values::BySeed(left), Values::BySeed(right)) => {
            let pairs = || left.iter().filter_map(|(seed, own)| Some((own, right.get(seed)?)));
            let clusters = pairs().map(|(left, right)| minus(left.1.as_ref()?, right.1.as_ref()?));
            Differences {
                values: pairs().map(|(left, right)| left.0 - right.0).collect(),
                clusters: whole(clusters.collect()),
            }
        }
        (Values::BySeed(left), Values::Constant(number)) => {
            let less = |own: &Cluster| Cluster { rows: own.rows, sum: own.sum - number * own.rows };
            let clusters = left.values().map(|(_, own)| Some(own.as_ref()?.iter().map(less).collect()));
            Differences {
                values: left.values().map(|(value, _)| value - number).collect(),
                clusters: whole(clusters.collect()),
            }
        }
        (Values::Constant(_), Values::BySeed(_)) => turned(differences(right, left)),
        (Values::Constant(_), Values::Constant(_)) => Differences::default(),
    }
}

/// All seeds' values, if they are of the same recordings.
fn whole(clusters: Option<Vec<Vec<Cluster>>>) -> Option<Vec<Vec<Cluster>>> {
    clusters.filter(|seeds| {
        let rows = |own: &[Cluster]| own.iter().map(|cluster| cluster.rows).collect::<Vec<_>>();
        seeds
            .first()
            .is_some_and(|first| !first.is_empty() && seeds.iter().all(|own| rows(own) == rows(first)))
    })
}

/// The difference by recording, if both have the same recordings.
fn minus(left: &[Cluster], right: &[Cluster]) -> Option<Vec<Cluster>> {
    let same = left.len() == right.len() && left.iter().zip(right).all(|(one, other)| one.rows == other.rows);
    let less = |(one, other): (&Cluster, &Cluster)| Cluster { rows: one.rows, sum: one.sum - other.sum };
    same.then(|| left.iter().zip(right).map(less).collect())
}

fn turned(differences: Differences) -> Differences {
    let turn = |own: Cluster| Cluster { rows: own.rows, sum: -own.sum };
    let of_seed = |own: Vec<Cluster>| own.into_iter().map(turn).collect();
    Differences {
        values: differences.values.into_iter().map(|value| -value).collect(),
        clusters: differences.clusters.map(|seeds| seeds.into_iter().map(of_seed).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            paper::Paper,
            results::{Recordings, tests::group},
            target::{Half, Target},
        },
        *,
    };

    fn judged(groups: &[Group], target: Target) -> Vec<Judged> {
        let paper = Paper::read();
        let claims = paper.claims(target, Half::HandWritten);
        claims.into_iter().map(|claim| judge(groups, claim, &paper.margins, Some(4.476))).collect()
    }

    fn verdicts(groups: &[Group], target: Target) -> Vec<Verdict> {
        judged(groups, target).iter().map(|one| one.verdict).collect()
    }

    #[test]
    fn networks_that_have_learnt_nothing_hold_no_claim() {
        // Three rounds: all are below guessing, one slightly above another. An older rule called that true.
        let n_ces = |own: f64| [own, own + 0.01, own - 0.01, own, own];
        let methods =
            [("pom2dib", -4.76), ("rs-dib", -4.9), ("tadib", -4.8), ("vddib", -4.8), ("dlsc", -4.8)];
        let groups: Vec<Group> = methods.iter().map(|(name, own)| group(name, &n_ces(*own))).collect();
        let judged = judged(&groups, Target::Table1);
        assert_eq!(judged[0].verdict, Verdict::DoesNot, "comparable with what is no better than guessing");
        assert_eq!(judged[0].why, "pom2dib is no better than guessing (-4.476)");
        assert_eq!(judged[3].verdict, Verdict::DoesNot, "worse than what is no better than guessing");
        // Nor does a claim about what they send, however much less that is.
        let mut groups = groups;
        for (group, rate) in groups.iter_mut().zip([10.0, 20.0, 30.0, 40.0, 900.0]) {
            for run in &mut group.runs {
                run.figures.retain(|(name, _)| name != "sum_rate");
                run.figures.push(("sum_rate".into(), rate));
            }
        }
        assert!(verdicts(&groups, Target::Table1).iter().all(|verdict| *verdict != Verdict::Holds));
        // One seed never suffices.
        let groups: Vec<Group> = methods.iter().map(|(name, own)| group(name, &[*own])).collect();
        assert!(verdicts(&groups, Target::Table1).iter().all(|verdict| *verdict == Verdict::CannotBeTold));
    }

    #[test]
    fn seeds_are_paired() {
        // Seeds differ far more than the sides: only pairs show that one is better on each.
        let seeds = [-0.1, -0.5, -0.9, -0.3, -0.7];
        let worse: Vec<f64> = seeds.iter().map(|own| own - 0.05).collect();
        let groups = [group("pom2dib", &seeds), group("tadib", &worse), group("rs-dib", &worse)];
        let judged = judged(&groups, Target::Table1);
        assert_eq!((judged[0].verdict, judged[3].verdict), (Verdict::Holds, Verdict::Holds));
        let interval = judged[3].interval.unwrap();
        assert!((interval.low - 0.05).abs() < 1e-9 && interval.width() < 1e-9, "{interval:?}");
        assert_eq!((judged[0].seeds, judged[0].margin), (5, 0.02));
        assert_eq!(judged[2].verdict, Verdict::NotRun, "there is no dlsc");
        // A seed missing on one side is not a pair.
        let fewer = [group("pom2dib", &seeds), group("tadib", &worse[..4])];
        let judged = super::tests::judged(&fewer, Target::Table1);
        assert_eq!((judged[0].verdict, judged[0].seeds), (Verdict::CannotBeTold, 4));
        assert_eq!(judged[0].why, "only 4 of 5 seeds");
    }

    #[test]
    fn noise_does_not_make_a_side_as_good_as_another() {
        // An older rule added the half-widths of both sides, so that a side as bad as this was "no less than" the
        // other.
        let groups = [
            group("pom2dib", &[-1.5, -0.2, -0.9, -0.1, -1.8]),
            group("tadib", &[-0.02, -0.03, -0.02, -0.03, -0.02]),
        ];
        assert_eq!(judged(&groups, Target::Table1)[0].verdict, Verdict::CannotBeTold);
    }

    #[test]
    fn an_optimum_is_judged_against_every_rival() {
        let ratio = |name: &str, own: f64| group(name, &[own, own - 0.004, own + 0.004, own, own]);
        let names = ["1:16", "1:8", "1:4", "1:1", "2:1", "4:1"];
        let with = |own: f64, last: f64| {
            let mut groups: Vec<Group> = names.iter().map(|name| ratio(name, -0.03)).collect();
            groups[5] = group("4:1", &[last; 5]);
            groups.push(ratio("1:2", own));
            judged(&groups, Target::Table2).remove(0)
        };
        let best = with(-0.03, -0.6);
        assert_eq!(best.verdict, Verdict::Holds);
        assert!(best.why.contains("better than 1 of 6 (Holm)"), "{}", best.why);
        assert_eq!(with(-0.03, -0.03).verdict, Verdict::DoesNot, "better than none");
        assert_eq!(with(-0.09, -0.6).verdict, Verdict::DoesNot, "worse than five");
    }

    #[test]
    fn a_constant_takes_one_sample_and_a_share_of_seeds_twenty() {
        // Made-up runs begin with 2 entries and end with 1.75; the claims are 8 to the end, and that half of them go.
        let fig3 = judged(&[group("pom2dib", &[-0.1; 5])], Target::Fig3);
        let of = |words: &str| fig3.iter().find(|one| one.claim.says.contains(words)).unwrap();
        assert_eq!(of("in the first rounds").verdict, Verdict::DoesNot);
        assert_eq!(of("all noise").verdict, Verdict::DoesNot, "a quarter of the grants are noise");
        assert_eq!(of("mixed").verdict, Verdict::Holds);
        let fig7 = |n: usize| {
            let groups = [group("gamma = 0.1", &vec![-0.1; n]), group("gamma = 0.3", &vec![-0.1; n])];
            judged(&groups, Target::Fig7)
        };
        let thins = |n: usize| fig7(n).remove(1);
        assert_eq!(thins(19).verdict, Verdict::CannotBeTold);
        assert!(thins(19).why.starts_with("true of 0 of 19 seeds; it takes 20"), "{}", thins(19).why);
        assert_eq!(thins(20).verdict, Verdict::DoesNot);
    }

    #[test]
    fn losses_by_recording_widen_an_interval_where_both_sides_have_them() {
        let n_ces = [-0.10, -0.11, -0.10, -0.09, -0.10];
        let worse: Vec<f64> = n_ces.iter().map(|own| own - 0.03).collect();
        let mut groups = [group("pom2dib", &n_ces), group("tadib", &worse), group("rs-dib", &worse)];
        let width = |groups: &[Group]| judged(groups, Target::Table1)[3].interval.unwrap().width();
        let seeds_alone = width(&groups);
        for group in &mut groups {
            for (run, own) in group.runs.iter_mut().zip(n_ces) {
                // pom2dib's loss is uniform, the others' is on one recording of ten.
                let loss = |at: usize| match group.label.as_str() {
                    "pom2dib" => -own,
                    _ if at == 0 => -own + 0.3,
                    _ => -own,
                };
                run.recordings = Some(Recordings {
                    rows: vec![10; 10],
                    losses: vec![(0..10).map(loss).collect()],
                    scores: Vec::new(),
                });
            }
        }
        let judged = judged(&groups, Target::Table1);
        assert!(judged[3].over_recordings && !judged[1].over_recordings);
        assert!(width(&groups) > seeds_alone + 0.05, "{} {}", width(&groups), seeds_alone);
        assert_eq!(judged[3].verdict, Verdict::CannotBeTold);
        // If one run lacks recordings, the interval is over the seeds alone.
        groups[0].runs[0].recordings = None;
        assert!((width(&groups) - seeds_alone).abs() < 1e-9);
    }
}
