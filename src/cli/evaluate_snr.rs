//! `pom2dib evaluate DIR --snr-db`: evaluates one checkpoint at several SNRs.

use std::process::ExitCode;

use anyhow::{Context, bail};
use coordinator::{RunFolder, Summary};
use serde_json::json;

use super::evaluated::{Checkpoint, cells, evaluate, heads, label, scale};
use crate::{
    cli::complain::complain,
    draw::{
        chart::{Axis, Chart, Diagram, Line, Look, Mark, Series},
        picture,
    },
};

/// An SNR in dB, and the summary at it.
type Point = (f64, Summary);

pub(crate) fn run(checkpoint: &Checkpoint<'_>, snrs: &[f64]) -> ExitCode {
    let mut snrs = snrs.to_vec();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let planned = match plan(checkpoint, &snrs) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(checkpoint, &snrs, &planned) {
        Ok(points) => {
            print(&points, checkpoint.place.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// The assignment for each SNR, all checked before the first evaluation.
fn plan(checkpoint: &Checkpoint<'_>, snrs: &[f64]) -> anyhow::Result<Vec<String>> {
    let folder = RunFolder::at(checkpoint.folder);
    let scenario = folder.scenario_judged(checkpoint.set)?;
    let at = |&snr_db: &f64| {
        let Some(set) = scenario.channels_at(snr_db) else {
            bail!(
                "--snr-db: no channel of {} has noise; give it one, as in --set 'channel=[{{kind=\"awgn\",snr_db=0}}]'",
                checkpoint.folder.display()
            );
        };
        folder.scenario_judged(&[checkpoint.set, std::slice::from_ref(&set)].concat())?;
        Ok(set)
    };
    snrs.iter().map(at).collect()
}

fn measure(checkpoint: &Checkpoint<'_>, snrs: &[f64], planned: &[String]) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    for (&snr_db, set) in snrs.iter().zip(planned) {
        eprintln!("{snr_db} dB: evaluating");
        points.push((snr_db, evaluate(checkpoint, "snr", std::slice::from_ref(set))?));
        // Written after every point, so that results can be viewed early and survive an interruption.
        let path = checkpoint.folder.join("snr.json");
        std::fs::write(&path, format!("{}\n", rows(&points))).with_context(|| path.display().to_string())?;
    }
    picture::write(checkpoint.folder, "snr", &draw(&points))?;
    Ok(points)
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
    let tasks = points.first().map_or(&[][..], |(_, summary)| summary.test.tasks.as_slice());
    println!("{:>8}{:>10}{:>10}{:>10}{:>10}{}", "dB", "N-CE", "sent", "arrives", "capacity", heads(tasks));
    let nats = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    for (snr_db, summary) in points {
        let on_air = summary.channel;
        print!("{snr_db:>8}{:>10.4}", summary.test.n_ce);
        print!("{:>10}", nats(on_air.map(|air| air.rate_sent)));
        print!("{:>10}", nats(on_air.and_then(|air| air.rate_received)));
        print!("{:>10}", nats(on_air.and_then(|air| air.capacity)));
        println!("{}", cells(&summary.test.tasks));
    }
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
            y: Axis::linear(label(&task.metric), ends),
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
