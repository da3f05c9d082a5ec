//! Evaluates one checkpoint again, in a process of its own: for commands that compare evaluations.

use std::{ffi::OsString, path::Path, process::Stdio};

use anyhow::Context;
use coordinator::{Summary, TaskResult};

use crate::{
    bench::measured_run,
    program,
    run::{launch::LaunchOptions, processes::OF_ONE_PROCESS},
};

/// The checkpoint to evaluate, and how.
pub(crate) struct Checkpoint<'a> {
    pub(crate) folder: &'a Path,
    /// Whether it is the best checkpoint on validation rows.
    pub(crate) best: bool,
    pub(crate) data: Option<&'a Path>,
    /// Assignments for every evaluation.
    pub(crate) set: &'a [String],
    pub(crate) place: &'a LaunchOptions,
}

/// Evaluates with more assignments, without writing the folder's evaluation.json. What the evaluation says goes to this
/// log, which is removed after success.
pub(super) fn evaluate(checkpoint: &Checkpoint<'_>, log: &Path, more: &[String]) -> anyhow::Result<Summary> {
    let mut command = program::again()?;
    command.arg("evaluate").arg(checkpoint.folder).args(["--json", "--print-only"]);
    command.args(place_words(checkpoint.place));
    command.args(checkpoint.best.then_some("--best"));
    command.args(checkpoint.data.into_iter().flat_map(|data| ["--data".as_ref(), data.as_os_str()]));
    command.args(checkpoint.set.iter().chain(more).flat_map(|assignment| ["--set", assignment]));
    // The words already include all settings of the environment.
    for name in OF_ONE_PROCESS {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    let said = std::fs::File::create(log).with_context(|| log.display().to_string())?;
    let output = command.stdin(Stdio::null()).stderr(said).output()?;
    measured_run::check(output.status, log)?;
    let _ = std::fs::remove_file(log);
    serde_json::from_slice(&output.stdout).context("what an evaluation printed")
}

fn place_words(place: &LaunchOptions) -> Vec<OsString> {
    // By default, each evaluation shares the cores as a single one does.
    let mut words = place.words(place.threads.unwrap_or(1));
    if place.threads.is_none() {
        let at = words.iter().position(|word| word == "--threads");
        at.map(|at| words.drain(at..at + 2));
    }
    words
}

/// Fractions of right answers are shown in percent.
pub(crate) fn scale(metric: &str) -> f64 {
    if metric == "top1" { 100.0 } else { 1.0 }
}

/// The name of a metric in charts.
pub(crate) fn label(metric: &str) -> &str {
    if metric == "top1" { "top-1, %" } else { metric }
}

/// The heads of the tasks' columns in a table.
pub(super) fn heads(tasks: &[TaskResult]) -> String {
    tasks.iter().map(|task| format!("{:>26}", format!("{} {}", task.name, task.metric))).collect()
}

/// The tasks' columns of a row: each score with its interval.
pub(super) fn cells(tasks: &[TaskResult]) -> String {
    let cell = |task: &TaskResult| {
        let ([low, high], scale) = (task.ci95, scale(&task.metric));
        let interval = format!("{:.2} to {:.2}", scale * low, scale * high);
        format!("{:>10.2} {interval:>15}", scale * task.value)
    };
    tasks.iter().map(cell).collect()
}
