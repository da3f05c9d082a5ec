//! Results of the runs of a table or figure.

pub(super) use coordinator::Recordings;
use coordinator::Summary;
use scenario::{JointRateRows, Scenario};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use super::verdict::Differences;
use crate::{
    draw::heat_map::binned,
    records::{
        figures::{figures, named, scores},
        origin::Origin,
        recordings::{n_ce_by_recording, recordings, score_by_recording},
        run_log::{self, Round},
    },
    statistics::{Cluster, Interval, Mean},
    sweep::Planned,
};

/// Rounds over which late figures of training are averaged, like "mass on noise".
const LATE: usize = 100;

/// Rounds over which early figures are averaged.
const EARLY: usize = 5;

/// Number of pieces of a curve over the rounds.
const PIECES: usize = 50;

/// Upper limit on rows of the selection over the rounds.
const ROWS: usize = 80;

/// Runs that differ in the seed alone.
pub(super) struct Group {
    pub(super) label: String,
    /// The finished runs.
    pub(super) runs: Vec<Run>,
    /// The missing runs, with the reason.
    pub(super) lacking: Vec<String>,
}

/// A finished run, or why it is missing.
pub(super) type Outcome = Result<Run, String>;

/// All data of a finished run for tables and figures; as JSON, its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// Its differences from other runs: `train.beta=0.01,seed=1`.
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) rounds: u64,
    /// The program and its numerics.
    pub(super) program: String,
    /// Data and build; none in records of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
    /// The devices of the nodes: "cpu".
    pub(super) device: String,
    /// Cores and processor.
    pub(super) machine: String,
    pub(super) fingerprint: String,
    /// The estimator of the sum-rate, and N of it and of the joint rate.
    pub(super) rate_estimator: String,
    pub(super) rate_samples: usize,
    pub(super) joint_rate_samples: u64,
    /// All its numbers by name: those of the summary, and those of training with prefix "train.".
    pub(super) figures: Vec<(String, f64)>,
    /// Losses by test recording; none in records of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recordings: Option<Recordings>,
    /// The course of training.
    pub(super) curve: Vec<Piece>,
    /// The granted share of every entry, (t, k, m) in order: means over consecutive rounds, 4 decimals. Empty if
    /// unknown.
    pub(super) granted: Vec<Vec<f64>>,
    /// Without the location of the data.
    #[serde(deserialize_with = "with_old_names")]
    pub(super) scenario: Scenario,
}

/// A scenario in which keys may have the names that they had when the record was written.
fn with_old_names<'de, D: Deserializer<'de>>(record: D) -> Result<Scenario, D::Error> {
    let mut scenario = Value::deserialize(record)?;
    for (section, old, new) in scenario::RENAMED {
        let keys = scenario.get_mut(section).and_then(Value::as_object_mut);
        if let Some((keys, value)) = keys.and_then(|keys| keys.remove(old).map(|value| (keys, value))) {
            keys.insert(new.into(), value);
        }
    }
    serde_json::from_value(scenario).map_err(D::Error::custom)
}

/// Means over consecutive rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) round: f64,
    pub(super) sum_rate: f64,
    pub(super) n_ce: f64,
    pub(super) logl: f64,
}

impl Group {
    /// A group of runs with their names.
    pub(super) fn of<'a>(label: &str, outcomes: impl Iterator<Item = (&'a str, Outcome)>) -> Self {
        let mut group = Group { label: label.into(), runs: Vec::new(), lacking: Vec::new() };
        for (name, outcome) in outcomes {
            match outcome {
                Ok(run) => group.runs.push(run),
                Err(reason) => group.lacking.push(format!("{name}: {reason}")),
            }
        }
        group.keep_joint_rates_of_most_rows();
        group
    }

    /// Drops joint rates over fewer rows than others of the group have, or over other rows than theirs: they must not
    /// be averaged together.
    fn keep_joint_rates_of_most_rows(&mut self) {
        let rows = |run: &Run| (run.scenario.evaluation.joint_rate_rows as u8, run.joint_rate_samples);
        let Some(most) = self.runs.iter().map(rows).max() else { return };
        for run in self.runs.iter_mut().filter(|run| rows(run) != most) {
            run.figures.retain(|(name, _)| !name.starts_with("joint_"));
        }
    }

    /// N of the remaining joint rates, and their rows.
    pub(super) fn joint_rows(&self) -> String {
        let with_one = |run: &&Run| named(&run.figures, "joint_rate").is_some();
        let Some(run) = self.runs.iter().find(with_one) else { return "·".into() };
        match run.scenario.evaluation.joint_rate_rows {
            JointRateRows::Test => run.joint_rate_samples.to_string(),
            JointRateRows::Train => format!("{} training rows", run.joint_rate_samples),
        }
    }

    /// The mean of a figure over the runs that have it.
    pub(super) fn mean(&self, name: &str) -> Option<Mean> {
        Mean::of(&self.runs.iter().filter_map(|run| named(&run.figures, name)).collect::<Vec<_>>())
    }

    /// The interval of N-CE or of a score over seeds and recordings together; none unless all runs have it by
    /// recording.
    pub(super) fn interval(&self, name: &str) -> Option<Interval> {
        let values = self.runs.iter().filter_map(|run| named(&run.figures, name)).collect();
        let clusters: Option<Vec<Vec<Cluster>>> =
            self.runs.iter().map(|run| run.by_recording(name)).collect();
        Differences { values, clusters: Some(clusters?) }.interval()
    }

    /// The course of training, means over the runs.
    pub(super) fn curve(&self) -> Vec<Piece> {
        let longest = self.runs.iter().map(|run| run.curve.len()).max().unwrap_or(0);
        let at = |at: usize| {
            let own: Vec<Piece> = self.runs.iter().filter_map(|run| run.curve.get(at)).copied().collect();
            mean_of(&own)
        };
        (0..longest).map(at).collect()
    }
}

impl Run {
    /// Reads the results in a run's folder.
    ///
    /// # Errors
    /// The malformed line of a log.
    pub(super) fn read(planned: &Planned, summary: &Summary) -> anyhow::Result<Self> {
        let rounds = run_log::rounds(&planned.folder)?;
        let scenario = &planned.scenario;
        let selection = run_log::selection(&planned.folder, scenario)?;
        let (receivers, entries) = (scenario.receivers(), scenario.entries_per_receiver());
        let granted: Vec<Vec<f64>> =
            selection.iter().map(|line| line.granted.to_rows(receivers, entries).concat()).collect();
        let mut run = Run::of(&planned.point.name, scenario, summary, &rounds, &granted);
        run.origin = Origin::read(&planned.folder)?;
        run.recordings = recordings(&planned.folder)?;
        Ok(run)
    }

    fn of(
        name: &str,
        scenario: &Scenario,
        summary: &Summary,
        rounds: &[Round],
        granted: &[Vec<f64>],
    ) -> Self {
        let mut figures = figures(summary);
        figures.extend(of_training(rounds, granted));
        let mut scenario = scenario.clone();
        scenario.data.path = None;
        let test = &summary.test;
        let decimals = |share: f64| (share * 1e4).round() / 1e4;
        let row = |row: Vec<f64>| row.into_iter().map(decimals).collect();
        Run {
            name: name.into(),
            seed: summary.seed,
            rounds: summary.rounds,
            program: format!("pom2dib {}, numerics {}", env!("CARGO_PKG_VERSION"), dib::NUMERICS),
            origin: None,
            recordings: None,
            device: summary.device.clone(),
            machine: machine(),
            fingerprint: summary.fingerprint.clone(),
            rate_estimator: test.rate_estimator.clone(),
            rate_samples: test.rate_samples,
            joint_rate_samples: test.joint_rate_samples,
            figures,
            curve: pieces(rounds),
            granted: binned(granted, ROWS).into_iter().map(row).collect(),
            scenario,
        }
    }

    /// N-CE or a score by test recording. None if unknown.
    pub(super) fn by_recording(&self, name: &str) -> Option<Vec<Cluster>> {
        let recordings = self.recordings.as_ref()?;
        match name {
            "n_ce" => Some(n_ce_by_recording(recordings)),
            name => score_by_recording(recordings, scores(&self.figures).position(|own| own == name)?),
        }
    }

    /// The first round of a row of `granted`.
    pub(super) fn first_round(&self, row: usize) -> u64 {
        row as u64 * self.rounds / self.granted.len() as u64
    }
}

/// Cores and processor of this machine.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, name)| name.trim());
    format!("{} cores of {model}", std::thread::available_parallelism().map_or(1, usize::from))
}

/// Figures from the logs: over the last rounds, the first ones, and over time.
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

/// Means over consecutive rounds.
fn pieces(rounds: &[Round]) -> Vec<Piece> {
    let count = rounds.len().min(PIECES);
    let of = |round: &Round| Piece {
        round: round.round as f64,
        sum_rate: round.sum_rate,
        n_ce: round.n_ce,
        logl: round.logl,
    };
    let piece = |at: usize| {
        let own = &rounds[at * rounds.len() / count..(at + 1) * rounds.len() / count];
        mean_of(&own.iter().map(of).collect::<Vec<_>>())
    };
    (0..count).map(piece).collect()
}

/// The mean of one or more pieces.
fn mean_of(pieces: &[Piece]) -> Piece {
    let mean = |of: fn(&Piece) -> f64| pieces.iter().map(of).sum::<f64>() / pieces.len() as f64;
    Piece {
        round: mean(|piece| piece.round),
        sum_rate: mean(|piece| piece.sum_rate),
        n_ce: mean(|piece| piece.n_ce),
        logl: mean(|piece| piece.logl),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::records::figures::tests::summary;

    /// Made-up runs: one for each N-CE, at 30 nats, with a rate that rises and falls again and two entries.
    pub(in super::super) fn group(label: &str, n_ces: &[f64]) -> Group {
        let run = |(at, n_ce): (usize, &f64)| {
            let rate = |round: u64| if round < 30 { 10.0 + round as f64 } else { 60.0 - round as f64 };
            let round =
                |round| Round { round, sum_rate: rate(round), n_ce: -1.0, logl: -0.5, ..Round::default() };
            let rounds: Vec<Round> = (0..50).map(round).collect();
            let granted: Vec<Vec<f64>> =
                (0..50).map(|round| vec![1.0, if round < 25 { 1.0 } else { 0.5 }]).collect();
            let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
            let name = format!("seed={}", at + 1);
            let run = Run::of(&name, &scenario, &summary(*n_ce, 30.0), &rounds, &granted);
            Run { seed: at as u64 + 1, ..run }
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
