//! What networks reach that were trained without sensors that the grid turns off.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use coordinator::{RunFolder, RunLock, Test, Trained};
use scenario::Scenario;
use serde_json::{Value, json};

use super::TRAINED_WITHOUT;
use crate::cli::evaluated::{Checkpoint, evaluate, scale};

/// By how many points, in per cent of right answers, a network whose sensor is off may lie below one that was trained
/// without it.
const POINTS: f64 = 2.0;

/// A run that was trained without some sensors of another.
pub(super) struct Without {
    pub(super) folder: PathBuf,
    /// Those sensors, such as "1/mel", in order.
    sensors: Vec<String>,
}

impl Without {
    /// Opens a run beside one with this scenario, whose checkpoint is evaluated.
    ///
    /// # Errors
    /// That it lacks no sensor, differs in more than sensors that it lacks, or cannot be evaluated likewise.
    pub(super) fn open(
        scenario: &Scenario,
        folder: &Path,
        checkpoint: &Checkpoint<'_>,
    ) -> anyhow::Result<Self> {
        let shown = folder.display();
        let named = || format!("--without {shown}");
        let other = RunFolder::at(folder).scenario_to_evaluate(checkpoint.set).with_context(named)?;
        let without = Without::beside(scenario, &other, folder)?;
        // It has that checkpoint, and is whole.
        let _lock = RunLock::take(folder).with_context(named)?;
        let trained = if checkpoint.best { Trained::open_best(folder) } else { Trained::open(folder) };
        trained.with_context(named)?;
        Ok(without)
    }

    /// What a run with another scenario, in a folder, lacks.
    fn beside(scenario: &Scenario, other: &Scenario, folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        ensure!(
            other.tasks() == scenario.tasks(),
            "--without {shown}: this run has other tasks; give one of the same"
        );
        // Another path may hold the same files, and held-out rows belong to training.
        let is_of_test = |key: &str| {
            let is_of_data = key.starts_with("data.") || key.starts_with("mmfi.");
            is_of_data && !["data.path", "data.hold_out", "data.groups"].contains(&key)
        };
        let mut changes = scenario.changes(other).into_iter();
        if let Some(change) = changes.find(|change| is_of_test(&change.key)) {
            bail!("--without {shown}: this run has other data, by {change}; give one with the same");
        }
        let sensors = |scenario: &Scenario| -> Vec<Vec<String>> {
            scenario.transmitter.iter().map(|transmitter| transmitter.modalities.clone()).collect()
        };
        match missing(&sensors(scenario), &sensors(other)) {
            Some(missing) if !missing.is_empty() => {
                Ok(Without { folder: folder.to_owned(), sensors: missing })
            }
            Some(_) => bail!("--without {shown}: this run has the same sensors; give one that lacks some"),
            None => bail!("--without {shown}: this run has sensors that the evaluated one lacks"),
        }
    }

    /// Evaluates it as the checkpoint beside which it stands.
    pub(super) fn evaluate(&self, checkpoint: &Checkpoint<'_>, log: &Path) -> anyhow::Result<Test> {
        let evaluated = evaluate(&Checkpoint { folder: &self.folder, ..*checkpoint }, log, &[]);
        Ok(evaluated.with_context(|| self.folder.display().to_string())?.test)
    }

    /// What they are called together.
    pub(super) fn name(&self) -> String {
        format!("{TRAINED_WITHOUT} {}", self.sensors.join(", "))
    }

    /// Those among the sensors that are in use: the others are as good as off.
    pub(super) fn among<'a>(&self, in_use: &'a [String]) -> Vec<&'a str> {
        in_use.iter().filter(|sensor| self.sensors.contains(sensor)).map(String::as_str).collect()
    }
}

/// The sensors of `all` that `others` lacks, or None if `others` is not `all` with sensors or whole transmitters
/// removed, in order.
fn missing(all: &[Vec<String>], others: &[Vec<String>]) -> Option<Vec<String>> {
    let (mut sensors, mut left) = (Vec::new(), others);
    for (k, own) in all.iter().enumerate() {
        let is_part = |other: &[String]| other.iter().all(|sensor| own.contains(sensor));
        let counterpart = match left.split_first() {
            Some((other, rest)) if is_part(other) => {
                left = rest;
                other.as_slice()
            }
            _ if left.len() < all.len() - k => &[],
            _ => return None,
        };
        let lacks = own.iter().filter(|sensor| !counterpart.contains(sensor));
        sensors.extend(lacks.map(|sensor| format!("{k}/{sensor}")));
    }
    left.is_empty().then_some(sensors)
}

/// How a network fares with sensors off, beside one that was trained without them.
pub(super) struct Compared {
    run: PathBuf,
    /// The condition under which they are off.
    condition: String,
    tasks: Vec<OfTask>,
}

/// A score of both.
struct OfTask {
    name: String,
    metric: String,
    off: f64,
    without: f64,
}

impl Compared {
    pub(super) fn new(without: &Without, condition: &str, off: &Test, trained_without: &Test) -> Self {
        let tasks = off.tasks.iter().zip(&trained_without.tasks).map(|(off, without)| OfTask {
            name: off.name.clone(),
            metric: off.metric.clone(),
            off: off.value,
            without: without.value,
        });
        Compared { run: without.folder.clone(), condition: condition.to_owned(), tasks: tasks.collect() }
    }

    pub(super) fn json(&self) -> Value {
        let task = |task: &OfTask| {
            json!({
                "name": task.name,
                "metric": task.metric,
                "off": task.off,
                "trained_without": task.without,
                "points_below": task.points_below(),
                "within_two_points": task.points_below().map(holds),
            })
        };
        let tasks: Vec<Value> = self.tasks.iter().map(task).collect();
        json!({ "run": self.run.display().to_string(), "condition": self.condition, "tasks": tasks })
    }

    /// A line for each task.
    pub(super) fn text(&self) -> String {
        let line = |task: &OfTask| {
            let (name, metric, condition) = (&task.name, &task.metric, &self.condition);
            let [off, without] = [task.off, task.without].map(|score| scale(metric) * score);
            let verdict = match task.points_below() {
                Some(below) if holds(below) => format!("{below:.2} points below, within {POINTS}"),
                Some(below) => format!("{below:.2} points below, not within {POINTS}"),
                None => "no share of right answers, so no verdict".into(),
            };
            let run = self.run.display();
            format!("{name} {metric}: {off:.2} {condition}, {without:.2} by {run}, trained so: {verdict}\n")
        };
        self.tasks.iter().map(line).collect()
    }
}

impl OfTask {
    /// By how many points the network with sensors off lies below the other; none where the score is no share.
    fn points_below(&self) -> Option<f64> {
        (self.metric == "top1").then_some(100.0 * (self.without - self.off))
    }
}

/// Whether a difference is within the limit; 1e-8 allows for rounding.
fn holds(below: f64) -> bool {
    below <= POINTS + 1e-8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(transmitters: &[&[&str]]) -> Vec<Vec<String>> {
        transmitters.iter().map(|own| own.iter().map(|&sensor| sensor.to_owned()).collect()).collect()
    }

    #[test]
    fn what_a_network_lacks_is_found_transmitter_by_transmitter() {
        let all = network(&[&["fft", "mel"], &["mel"], &["depth"]]);
        let lacks = |transmitters: &[&[&str]]| missing(&all, &network(transmitters));
        let sensors = |sensors: &[&str]| -> Option<Vec<String>> {
            Some(sensors.iter().map(|&sensor| sensor.to_owned()).collect())
        };
        assert_eq!(lacks(&[&["fft", "mel"], &["mel"], &["depth"]]), sensors(&[]));
        assert_eq!(lacks(&[&["fft"], &["mel"], &["depth"]]), sensors(&["0/mel"]));
        assert_eq!(lacks(&[&["fft", "mel"], &["depth"]]), sensors(&["1/mel"]));
        assert_eq!(lacks(&[&["depth"]]), sensors(&["0/fft", "0/mel", "1/mel"]));
        assert_eq!(lacks(&[&["fft", "mel"], &["mel"], &["lidar"]]), None);
        assert_eq!(lacks(&[&["fft", "mel"], &["mel"], &["depth"], &["depth"]]), None);
    }

    #[test]
    fn a_score_holds_up_to_two_points_below() {
        let below = |off: f64| {
            let task = OfTask { name: "digit".into(), metric: "top1".into(), off, without: 0.9 };
            task.points_below().map(holds)
        };
        assert_eq!([0.95, 0.88, 0.8799].map(below), [Some(true), Some(true), Some(false)]);
        let metres = OfTask { name: "pose".into(), metric: "mpjpe".into(), off: 80.0, without: 60.0 };
        assert_eq!(metres.points_below(), None);
    }
}
