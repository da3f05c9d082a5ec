//! What the runs of a table or figure came to.

use coordinator::Summary;
use scenario::Scenario;

use crate::{
    figures::{figures, named},
    run_log::{self, Round},
    student::Mean,
    sweep::{End, Planned},
};

/// Late figures of training are over so many rounds, as "mass on noise" is.
const LATE: usize = 100;

/// Early ones over so many.
const EARLY: usize = 5;

/// Into how many pieces a curve over the rounds is put together.
const PIECES: usize = 50;

/// Runs that differ in the seed alone.
pub(super) struct Group {
    pub(super) label: String,
    /// Those that are done.
    pub(super) runs: Vec<Run>,
    /// Those that are not, with the reason.
    pub(super) lacking: Vec<String>,
}

/// A run that is done.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) scenario: Scenario,
    pub(super) summary: Summary,
    /// All its numbers by name: those of the summary, and those of training, which begin with "train.".
    pub(super) figures: Vec<(String, f64)>,
    /// The logged rounds, in order.
    pub(super) rounds: Vec<Round>,
    /// The granted share of every entry, (t, k, m) in order, for each of them.
    pub(super) granted: Vec<Vec<f64>>,
}

/// Means of consecutive rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) round: f64,
    pub(super) sum_rate: f64,
    pub(super) n_ce: f64,
    pub(super) logl: f64,
}

impl Group {
    /// Reads what the runs of these points have left.
    pub(super) fn read(label: &str, points: &[(&Planned, &End)]) -> anyhow::Result<Self> {
        let mut group = Group { label: label.into(), runs: Vec::new(), lacking: Vec::new() };
        for (planned, end) in points {
            let name = &planned.point.name;
            match end {
                End::Done(summary) => group.runs.push(Run::read(planned, summary)?),
                End::Failed(error) => group.lacking.push(format!("{name}: {error}")),
                End::Open => group.lacking.push(format!("{name}: not done yet")),
            }
        }
        Ok(group)
    }

    /// The mean of a figure over the runs that have it.
    pub(super) fn mean(&self, name: &str) -> Option<Mean> {
        Mean::of(&self.runs.iter().filter_map(|run| named(&run.figures, name)).collect::<Vec<_>>())
    }
}

impl Run {
    fn read(planned: &Planned, summary: &Summary) -> anyhow::Result<Self> {
        let rounds = run_log::rounds(&planned.folder)?;
        let selection = run_log::selection(&planned.folder)?;
        let granted: Vec<Vec<f64>> = selection.into_iter().map(|line| line.granted.concat()).collect();
        let mut figures = figures(summary);
        figures.extend(of_training(&rounds, &granted));
        let (name, scenario) = (planned.point.name.clone(), planned.scenario.clone());
        Ok(Run { name, scenario, summary: summary.clone(), figures, rounds, granted })
    }
}

/// Figures of the logs: over the last rounds, the first ones, and along the way.
fn of_training(rounds: &[Round], granted: &[Vec<f64>]) -> Vec<(String, f64)> {
    if rounds.is_empty() || granted.is_empty() {
        return Vec::new();
    }
    let curve = pieces(rounds);
    let late = &rounds[rounds.len().saturating_sub(LATE)..];
    let late_grants = &granted[granted.len().saturating_sub(LATE)..];
    let early_grants = &granted[..granted.len().min(EARLY)];
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let entries = |grants: &[Vec<f64>]| mean(&mut grants.iter().map(|shares| shares.iter().sum()));
    let share = |entry: usize| mean(&mut late_grants.iter().map(|shares| shares[entry]));
    let undecided = (0..late_grants[0].len()).map(share).map(|share| share.min(1.0 - share)).sum();
    let peak = |of: fn(&Piece) -> f64| curve.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    let named = [
        ("sum_rate", mean(&mut late.iter().map(|round| round.sum_rate))),
        ("n_ce", mean(&mut late.iter().map(|round| round.n_ce))),
        ("entries", entries(late_grants)),
        ("entries_first", entries(early_grants)),
        ("undecided", undecided),
        ("rate_first", first.sum_rate),
        ("rate_peak", peak(|piece| piece.sum_rate)),
        ("rate_last", last.sum_rate),
        ("logl_first", first.logl),
        ("logl_peak", peak(|piece| piece.logl)),
        ("logl_last", last.logl),
    ];
    named.map(|(name, value)| (format!("train.{name}"), value)).into()
}

/// Means of consecutive rounds.
pub(super) fn pieces(rounds: &[Round]) -> Vec<Piece> {
    let count = rounds.len().min(PIECES);
    let piece = |at: usize| {
        let own = &rounds[at * rounds.len() / count..(at + 1) * rounds.len() / count];
        let mean = |of: fn(&Round) -> f64| own.iter().map(of).sum::<f64>() / own.len() as f64;
        Piece {
            round: mean(|round| round.round as f64),
            sum_rate: mean(|round| round.sum_rate),
            n_ce: mean(|round| round.n_ce),
            logl: mean(|round| round.logl),
        }
    };
    (0..count).map(piece).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::figures::tests::summary;

    /// Made up: one run for each N-CE, at 30 nats, with a rate that rises and falls again and two entries.
    pub(in super::super) fn group(label: &str, n_ces: &[f64]) -> Group {
        let run = |(at, n_ce): (usize, &f64)| {
            let rate = |round: u64| if round < 30 { 10.0 + round as f64 } else { 60.0 - round as f64 };
            let round =
                |round| Round { round, sum_rate: rate(round), n_ce: -1.0, logl: -0.5, ..Round::default() };
            let rounds: Vec<Round> = (0..50).map(round).collect();
            let granted: Vec<Vec<f64>> =
                (0..50).map(|round| vec![1.0, if round < 25 { 1.0 } else { 0.5 }]).collect();
            let summary = summary(*n_ce, 30.0);
            let mut figures = figures(&summary);
            figures.extend(of_training(&rounds, &granted));
            let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
            Run { name: format!("seed={}", at + 1), scenario, summary, figures, rounds, granted }
        };
        Group { label: label.into(), runs: n_ces.iter().enumerate().map(run).collect(), lacking: Vec::new() }
    }

    #[test]
    fn figures_of_training_say_how_it_began_and_ended() {
        let group = group("x", &[-1.0, -2.0]);
        let of = |name: &str| group.mean(name).unwrap().mean;
        assert_eq!((of("n_ce"), of("sum_rate"), of("train.n_ce")), (-1.5, 30.0, -1.0));
        assert_eq!(
            (of("train.rate_first"), of("train.rate_peak"), of("train.rate_last")),
            (10.0, 39.0, 11.0)
        );
        assert_eq!((of("train.entries_first"), of("train.entries")), (2.0, 1.75));
        // One entry always, the other at three quarters of the ticks of the last (here all) rounds.
        assert!((of("train.undecided") - 0.25).abs() < 1e-12);
        assert_eq!(group.mean("no such figure"), None);
    }

    #[test]
    fn pieces_hold_all_rounds() {
        let round = |round| Round { round, ..Round::default() };
        let rounds: Vec<Round> = (0..2000).map(round).collect();
        let pieces = pieces(&rounds);
        assert_eq!((pieces.len(), pieces[0].round, pieces[49].round), (50, 19.5, 1979.5));
    }
}
