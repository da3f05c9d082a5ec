//! `pom2dib evaluate DIR --snr-db`: evaluates one checkpoint at several SNRs.

use std::process::ExitCode;

use anyhow::{Context, bail};
use coordinator::{RunFolder, SNR_FILE};

use super::evaluated::{Checkpoint, cells, evaluate, heads, label, scale};
use crate::{
    cli::complain::complain,
    draw::{
        chart::{Axis, Chart, Diagram, Line, Look, Mark, Series},
        picture,
    },
    launch::whole::replace,
    records::over_snr::{AtSnr, OverSnr},
};

pub(crate) fn run(checkpoint: &Checkpoint<'_>, snrs: &[f64]) -> ExitCode {
    let mut snrs = snrs.to_vec();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let planned = match plan(checkpoint, &snrs) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match measure(checkpoint, &snrs, &planned) {
        Ok(over) => {
            print(&over, checkpoint.place.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// The assignment for each SNR, all checked before the first evaluation.
fn plan(checkpoint: &Checkpoint<'_>, snrs: &[f64]) -> anyhow::Result<Vec<String>> {
    let folder = RunFolder::at(checkpoint.folder);
    let scenario = folder.scenario_to_evaluate(checkpoint.set)?;
    let at = |&snr_db: &f64| {
        let Some(set) = scenario.channels_at(snr_db) else {
            bail!(
                "--snr-db: no channel of {} has noise; give it one, as in --set 'channel=[{{kind=\"awgn\",snr_db=0}}]'",
                checkpoint.folder.display()
            );
        };
        folder.scenario_to_evaluate(&[checkpoint.set, std::slice::from_ref(&set)].concat())?;
        Ok(set)
    };
    snrs.iter().map(at).collect()
}

fn measure(checkpoint: &Checkpoint<'_>, snrs: &[f64], planned: &[String]) -> anyhow::Result<OverSnr> {
    let mut over = OverSnr { rounds: 0, rows: Vec::new() };
    for (&snr_db, set) in snrs.iter().zip(planned) {
        eprintln!("{snr_db} dB: evaluating");
        let summary = evaluate(checkpoint, &checkpoint.folder.join("snr.log"), std::slice::from_ref(set))?;
        over.rounds = summary.rounds;
        over.rows.push(AtSnr { snr_db, test: summary.test, channel: summary.channel });
        // Written after every point, so that results can be viewed early and survive an interruption.
        let path = checkpoint.folder.join(SNR_FILE);
        replace(&path, (serde_json::to_string(&over)? + "\n").as_bytes())
            .with_context(|| path.display().to_string())?;
    }
    picture::write(checkpoint.folder, "snr", &draw(&over.rows))?;
    Ok(over)
}

fn print(over: &OverSnr, json: bool) {
    if json {
        println!("{}", serde_json::to_string(over).expect("it has only strings and numbers"));
        return;
    }
    let tasks = over.rows.first().map_or(&[][..], |first| first.test.tasks.as_slice());
    println!("{:>8}{:>10}{:>10}{:>10}{:>10}{}", "dB", "N-CE", "sent", "arrives", "capacity", heads(tasks));
    let nats = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    for AtSnr { snr_db, test, channel } in &over.rows {
        print!("{snr_db:>8}{:>10.4}", test.n_ce);
        print!("{:>10}", nats(channel.map(|air| air.rate_sent)));
        print!("{:>10}", nats(channel.and_then(|air| air.rate_received)));
        print!("{:>10}", nats(channel.and_then(|air| air.capacity)));
        println!("{}", cells(&test.tasks));
    }
}

/// One diagram for each task and metric: the score over the SNR, with its intervals.
fn draw(points: &[AtSnr]) -> Chart {
    let snrs = || points.iter().map(|point| point.snr_db);
    let tasks = points.first().map(|point| point.test.tasks.as_slice()).unwrap_or_default();
    let diagram = |(at, task): (usize, &coordinator::TaskResult)| {
        let scale = scale(&task.metric);
        let of = |AtSnr { snr_db, test, .. }: &AtSnr| {
            let task = &test.tasks[at];
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
