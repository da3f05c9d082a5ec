//! `pom2dib evaluate DIR --snr-db`: evaluates one checkpoint at several SNRs.

use std::{
    ffi::OsString,
    path::Path,
    process::{ExitCode, Stdio},
};

use anyhow::{Context, bail};
use coordinator::{RunFolder, Summary};
use serde_json::json;

use crate::{
    bench::measured_run,
    cli::complain::complain,
    draw::{
        chart::{Axis, Chart, Diagram, Line, Look, Mark, Series},
        picture,
    },
    program,
    run::{LaunchOptions, processes::OF_ONE_PROCESS},
};

/// The checkpoint to evaluate, and how.
pub(crate) struct Sweep<'a> {
    pub(crate) folder: &'a Path,
    /// Whether it is the best checkpoint on validation rows.
    pub(crate) best: bool,
    pub(crate) data: Option<&'a Path>,
    /// Assignments for every SNR.
    pub(crate) set: &'a [String],
    pub(crate) place: &'a LaunchOptions,
}

/// An SNR in dB, and the summary at it.
type Point = (f64, Summary);

pub(crate) fn run(sweep: &Sweep<'_>, snrs: &[f64]) -> ExitCode {
    let mut snrs = snrs.to_vec();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let planned = match plan(sweep, &snrs) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(sweep, &snrs, &planned) {
        Ok(points) => {
            print(&points, sweep.place.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// The assignment for each SNR, all checked before the first evaluation.
fn plan(sweep: &Sweep<'_>, snrs: &[f64]) -> anyhow::Result<Vec<String>> {
    let folder = RunFolder::at(sweep.folder);
    let scenario = folder.scenario_judged(sweep.set)?;
    let at = |&snr_db: &f64| {
        let Some(set) = scenario.channels_at(snr_db) else {
            bail!(
                "--snr-db: no channel of {} has noise; give it one, as in --set 'channel=[{{kind=\"awgn\",snr_db=0}}]'",
                sweep.folder.display()
            );
        };
        folder.scenario_judged(&[sweep.set, std::slice::from_ref(&set)].concat())?;
        Ok(set)
    };
    snrs.iter().map(at).collect()
}

fn measure(sweep: &Sweep<'_>, snrs: &[f64], planned: &[String]) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    for (&snr_db, set) in snrs.iter().zip(planned) {
        eprintln!("{snr_db} dB: judging");
        points.push((snr_db, judge(sweep, set)?));
        // Written after every point, so that results can be viewed early and survive an interruption.
        let path = sweep.folder.join("snr.json");
        std::fs::write(&path, format!("{}\n", rows(&points))).with_context(|| path.display().to_string())?;
    }
    picture::write(sweep.folder, "snr", &draw(&points))?;
    Ok(points)
}

/// Evaluates with one more assignment, in a separate process.
fn judge(sweep: &Sweep<'_>, set: &str) -> anyhow::Result<Summary> {
    let log = sweep.folder.join("snr.log");
    let mut command = program::again()?;
    command.arg("evaluate").arg(sweep.folder).arg("--json").args(place_words(sweep.place));
    command.args(sweep.best.then_some("--best"));
    command.args(sweep.data.into_iter().flat_map(|data| ["--data".as_ref(), data.as_os_str()]));
    let set = sweep.set.iter().map(String::as_str).chain([set]);
    command.args(set.flat_map(|assignment| ["--set", assignment]));
    // The words already include all settings of the environment.
    for name in OF_ONE_PROCESS {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    let said = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
    let output = command.stdin(Stdio::null()).stderr(said).output()?;
    measured_run::check(output.status, &log)?;
    // After success the log is not needed.
    let _ = std::fs::remove_file(&log);
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

fn rows(points: &[Point]) -> serde_json::Value {
    let row = |(snr_db, summary): &Point| json!({"snr_db": snr_db, "test": summary.test, "channel": summary.channel});
    json!({ "rows": points.iter().map(row).collect::<Vec<_>>() })
}

fn print(points: &[Point], json: bool) {
    if json {
        println!("{}", rows(points));
        return;
    }
    let tasks = points.iter().take(1).flat_map(|(_, summary)| &summary.test.tasks);
    print!("{:>8}{:>10}{:>10}{:>10}{:>10}", "dB", "N-CE", "sent", "arrives", "capacity");
    tasks.for_each(|task| print!("{:>26}", format!("{} {}", task.name, task.metric)));
    println!();
    let nats = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    for (snr_db, summary) in points {
        let on_air = summary.channel;
        print!("{snr_db:>8}{:>10.4}", summary.test.n_ce);
        print!("{:>10}", nats(on_air.map(|air| air.rate_sent)));
        print!("{:>10}", nats(on_air.and_then(|air| air.rate_received)));
        print!("{:>10}", nats(on_air.and_then(|air| air.capacity)));
        for task in &summary.test.tasks {
            let ([low, high], scale) = (task.ci95, scale(&task.metric));
            let interval = format!("{:.2} to {:.2}", scale * low, scale * high);
            print!("{:>10.2} {:>15}", scale * task.value, interval);
        }
        println!();
    }
}

/// Fractions of right answers are shown in percent.
fn scale(metric: &str) -> f64 {
    if metric == "top1" { 100.0 } else { 1.0 }
}

/// One diagram for each task and metric: the score over the SNR, with its intervals.
fn draw(points: &[Point]) -> Chart {
    let snrs = || points.iter().map(|(snr_db, _)| *snr_db);
    let tasks = points.first().map(|(_, summary)| summary.test.tasks.as_slice()).unwrap_or_default();
    let diagram = |(at, task): (usize, &coordinator::TaskResult)| {
        let scale = scale(&task.metric);
        let of = |(snr_db, summary): &Point| {
            let task = &summary.test.tasks[at];
            ((*snr_db, scale * task.value), task.ci95.map(|end| (*snr_db, scale * end)))
        };
        let (scores, bars): (Vec<_>, Vec<_>) = points.iter().map(of).unzip();
        let ends = bars.iter().flatten().map(|(_, end)| *end);
        Diagram {
            title: task.name.clone(),
            x: Axis::linear("Es/N0, dB", snrs()),
            y: Axis::linear(if scale == 1.0 { &task.metric } else { "top-1, %" }, ends),
            series: vec![Series {
                name: "score and its 95 % interval".into(),
                points: scores,
                bars,
                look: Look { color: Some(0), line: Line::Solid, mark: Mark::Dot },
            }],
        }
    };
    Chart {
        title: "One checkpoint over its channels at several SNRs".into(),
        diagrams: tasks.iter().enumerate().map(diagram).collect(),
    }
}
