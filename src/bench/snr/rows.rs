//! The scores of all networks over the SNR: as CSV, as a picture, and on standard output.

use std::fmt::Write as _;

use coordinator::{OnAir, TaskResult, Test};
use serde::Serialize;

use crate::{
    cli::evaluated::{label, scale},
    draw::chart::{Axis, Chart, Diagram, Line, Look, Mark, Series},
};

/// How far the ratio of a digital chain's uses to those of analogue features may be off 1.
const MOST_OFF: f64 = 0.05;

/// What is said of a digital chain beyond that.
const UNEQUAL: &str = "not at equal uses";

/// The scores of a network at an SNR.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) training: String,
    pub(super) seed: u64,
    pub(super) snr_db: f64,
    /// Channel uses over the ceil(d/2) a sample that the values of the same entries would take; none if nothing is
    /// known of them.
    pub(super) uses_ratio: Option<f64>,
    /// Of a digital chain: that it is not compared at equal uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<&'static str>,
    pub(super) test: Test,
    pub(super) channel: Option<OnAir>,
}

/// What is to be said of a digital chain with this ratio of its uses to those of analogue features.
pub(super) fn unequal(ratio: f64) -> Option<&'static str> {
    ((ratio - 1.0).abs() > MOST_OFF).then_some(UNEQUAL)
}

/// A line for every network, SNR and task.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = "training,seed,snr_db,task,metric,value,ci95_low,ci95_high,ce,n_ce,sum_rate,uses,uses_ratio,capacity,lost,note\n"
        .to_owned();
    for row in rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.5}"));
        let uses = number(row.channel.map(|air| air.uses));
        let ratio = number(row.uses_ratio);
        let note = row.note.unwrap_or_default();
        let capacity = number(row.channel.and_then(|air| air.capacity));
        for task in &row.test.tasks {
            let [low, high] = task.ci95;
            let _ = writeln!(
                text,
                "\"{}\",{},{},{},{},{:.5},{low:.5},{high:.5},{:.5},{:.5},{:.3},{uses},{ratio},{capacity},{:.5},{note}",
                row.training,
                row.seed,
                row.snr_db,
                task.name,
                task.metric,
                task.value,
                task.ce,
                row.test.n_ce,
                row.test.sum_rate,
                lost(row)
            );
        }
    }
    text
}

/// The share of entries that did not arrive.
fn lost(row: &Row) -> f64 {
    row.test.missing.map_or(0.0, |missing| missing.share())
}

/// The names of all trainings, in their order.
fn trainings(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.training.as_str()) {
            names.push(&row.training);
        }
    }
    names
}

/// What a value of a training is at each SNR: the mean over seeds, the lowest and the highest.
fn over_seeds(rows: &[Row], training: &str, of: impl Fn(&Row) -> Option<f64>) -> Vec<(f64, [f64; 3])> {
    let own = || rows.iter().filter(|row| row.training == training);
    let mut snrs: Vec<f64> = own().map(|row| row.snr_db).collect();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let at = |snr_db: f64| {
        let values: Vec<f64> = own().filter(|row| row.snr_db == snr_db).filter_map(&of).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (!values.is_empty()).then_some((snr_db, [mean, low, high]))
    };
    snrs.into_iter().filter_map(at).collect()
}

/// Each task's score, N-CE, and what the channel uses could carry, over the SNR; with bars where there are several
/// seeds.
pub(super) fn draw(rows: &[Row]) -> Chart {
    let tasks: &[TaskResult] = rows.first().map_or(&[], |row| &row.test.tasks);
    let names = trainings(rows);
    let diagram = |title: &str, what: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        let series = |(number, name): (usize, &&str)| {
            let points = over_seeds(rows, name, of);
            let bars = points.iter().filter(|(_, [_, low, high])| low < high);
            Series {
                name: (*name).into(),
                bars: bars.map(|&(at, [_, low, high])| [(at, low), (at, high)]).collect(),
                points: points.into_iter().map(|(at, [mean, ..])| (at, mean)).collect(),
                look: Look { color: Some(number), line: Line::Solid, mark: Mark::Dot },
            }
        };
        let series: Vec<Series> = names.iter().enumerate().map(series).collect();
        let values = series
            .iter()
            .flat_map(|series| series.points.iter().map(|(_, value)| *value))
            .collect::<Vec<_>>();
        Diagram {
            title: title.into(),
            x: Axis::linear("Es/N0, dB", rows.iter().map(|row| row.snr_db)),
            y: Axis::linear(what, values),
            series,
        }
    };
    let of_task = |(at, task): (usize, &TaskResult)| {
        let scale = scale(&task.metric);
        diagram(&task.name, label(&task.metric), &|row| Some(scale * row.test.tasks[at].value))
    };
    let mut diagrams: Vec<Diagram> = tasks.iter().enumerate().map(of_task).collect();
    diagrams.push(diagram("all tasks", "N-CE, nats", &|row| Some(row.test.n_ce)));
    diagrams.push(diagram("capacity of the channel uses", "nats a sample", &|row| {
        row.channel.and_then(|air| air.capacity)
    }));
    Chart { title: "Scores over the SNR of channels".into(), diagrams }
}

pub(super) fn print(rows: &[Row], json: bool) {
    if json {
        println!("{}", serde_json::json!({ "rows": rows }));
        return;
    }
    print!(
        "{:<28}{:>8}{:>10}{:>10}{:>8}{:>8}{:>10}{:>9}",
        "", "dB", "N-CE", "sum-rate", "uses", "ratio", "capacity", "lost"
    );
    let tasks: &[TaskResult] = rows.first().map_or(&[], |row| &row.test.tasks);
    tasks.iter().for_each(|task| print!("{:>14}", format!("{}, {}", task.name, label(&task.metric))));
    println!();
    for name in trainings(rows) {
        let of = |of: &dyn Fn(&Row) -> Option<f64>| over_seeds(rows, name, of);
        let mean = |values: &[(f64, [f64; 3])], snr_db: f64| {
            values.iter().find(|(at, _)| *at == snr_db).map_or(f64::NAN, |(_, [mean, ..])| *mean)
        };
        let columns = [
            of(&|row| Some(row.test.sum_rate)),
            of(&|row| row.channel.map(|air| air.uses)),
            of(&|row| row.uses_ratio),
            of(&|row| row.channel.and_then(|air| air.capacity)),
            of(&|row| Some(100.0 * lost(row))),
        ];
        let scores = |(at, task): (usize, &TaskResult)| {
            let scale = scale(&task.metric);
            of(&move |row| Some(scale * row.test.tasks[at].value))
        };
        let scores: Vec<_> = tasks.iter().enumerate().map(scores).collect();
        for (snr_db, [n_ce, ..]) in of(&|row| Some(row.test.n_ce)) {
            let [rate, uses, ratio, capacity, lost] = columns.each_ref().map(|values| mean(values, snr_db));
            let ratio = if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}") };
            print!(
                "{name:<28}{snr_db:>8}{n_ce:>10.4}{rate:>10.2}{uses:>8.1}{ratio:>8}{capacity:>10.2}{lost:>7.1} %"
            );
            scores.iter().for_each(|values| print!("{:>14.2}", mean(values, snr_db)));
            let mut own = rows.iter().filter(|row| row.training == name && row.snr_db == snr_db);
            match own.find_map(|row| row.note) {
                Some(note) => println!("  {note}"),
                None => println!(),
            }
        }
    }
    println!("ratio: channel uses over those of the same entries as values, ceil(d/2) a sample");
    if rows.iter().any(|row| row.note.is_some()) {
        println!(
            "{UNEQUAL}: the ratio is more than 5 % off 1; blocks that do not fit want a larger train.beta (--digital-beta)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_equal_within_5_percent() {
        assert_eq!([0.96, 1.0, 1.04].map(unequal), [None; 3]);
        assert_eq!([0.94, 1.06, 3.0].map(unequal), [Some(UNEQUAL); 3]);
    }
}
