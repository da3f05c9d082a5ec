//! `pom2dib records`: all observations of runs, one in each row, for programs that draw and compute.

pub(crate) mod figures;
pub(crate) mod origin;
pub(crate) mod recordings;
pub(crate) mod run_log;

use std::{
    ffi::OsStr,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use coordinator::{Summary, TaskResult};

use crate::{
    cli::complain::complain,
    records::{
        figures::csv_line,
        run_log::{Round, Validated},
    },
    report::Recorded,
};

/// The columns. Columns that do not apply to a row are empty.
const HEAD: [&str; 15] = [
    "run",
    "scenario",
    "method",
    "seed",
    "split",
    "round",
    "quantity",
    "receiver",
    "task",
    "transmitter",
    "modality",
    "name",
    "value",
    "low",
    "high",
];

/// Write all observations of runs as one table: one row for each, named by receiver and entry.
///
/// Columns: run (its folder), scenario, method, seed; split (train, validation or test); round (counted from 0; for
/// test: the number of trained rounds); quantity; receiver and task; transmitter, modality (its index there) and its
/// name; value; low and high (the ends of the 95 % interval, if any). Rows without a receiver are about the whole
/// network; rows with a transmitter are about an entry. Quantities of train: sum_rate, n_ce, loss, logl, ce, rate
/// (nats), granted (share of ticks), seconds, feature_bytes, gradient_bytes, total_bytes. Of test: n_ce, sum_rate,
/// joint_rate, ce, rate (nats), entries, granted (share of passes), and each metric of a task. Of validation: n_ce, gap
/// (nats).
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib records runs/mine
  pom2dib records runs/a runs/b --out records.csv")]
pub(crate) struct Arguments {
    /// Folders of runs, finished or not
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,

    /// The table, as CSV; by default standard output
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // All possible errors are those of input: a folder without a whole run, or a file that cannot be written.
        Err(error) => complain(&error, 2),
    }
}

fn write(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(out) = &arguments.out else {
        let mut text = Vec::new();
        table(&arguments.folders, &mut text)?;
        print!("{}", String::from_utf8_lossy(&text));
        return Ok(());
    };
    if out.extension() == Some(OsStr::new("parquet")) {
        bail!(
            "{}: this command writes CSV; in Python, pom2dib.records(RUN).to_parquet(FILE) writes Parquet",
            out.display()
        );
    }
    let cannot = || format!("{}: cannot be written; choose another --out", out.display());
    let mut file = BufWriter::new(std::fs::File::create(out).with_context(cannot)?);
    table(&arguments.folders, &mut file)?;
    file.flush().with_context(cannot)
}

fn table(folders: &[PathBuf], file: &mut impl Write) -> anyhow::Result<()> {
    file.write_all(csv_line(HEAD.map(str::to_owned)).as_bytes())?;
    for folder in folders {
        of_run(folder, file)?;
    }
    Ok(())
}

fn of_run(folder: &Path, file: &mut impl Write) -> anyhow::Result<()> {
    let recorded = Recorded::read(folder)?;
    let mut rows = Vec::new();
    for round in &recorded.rounds {
        rows.extend(of_round(round));
    }
    for (round, granted) in recorded.rounds.iter().zip(&recorded.granted) {
        let shares = granted.iter().map(|shares| shares.iter().copied().map(Some).collect());
        rows.extend(of_entries(&recorded, "train", round.round, "granted", shares));
    }
    if let Some(summary) = &recorded.summary {
        rows.extend(of_summary(&recorded, summary));
    }
    let scenario = &recorded.scenario;
    let of_run = [
        recorded.folder.clone(),
        scenario.name.clone(),
        scenario.train.method.name().to_owned(),
        scenario.seed.to_string(),
    ];
    for row in rows {
        let cells = of_run.iter().cloned().chain(row.cells(&recorded));
        file.write_all(csv_line(cells).as_bytes())?;
    }
    Ok(())
}

/// An observation.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    split: &'static str,
    round: u64,
    quantity: String,
    receiver: Option<usize>,
    /// Transmitter k and modality m, if it is about an entry.
    entry: Option<(usize, usize)>,
    value: f64,
    interval: Option<[f64; 2]>,
}

impl Row {
    fn new(split: &'static str, round: u64, quantity: &str, value: f64) -> Self {
        Row { split, round, quantity: quantity.into(), receiver: None, entry: None, value, interval: None }
    }

    fn of(self, receiver: usize) -> Self {
        Row { receiver: Some(receiver), ..self }
    }

    /// Its cells from the split on, in the order of [`HEAD`].
    fn cells(self, recorded: &Recorded) -> impl Iterator<Item = String> {
        let scenario = &recorded.scenario;
        let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
        let task = self.receiver.map(|t| scenario.receiver[t].task.clone()).unwrap_or_default();
        let (k, m) = self.entry.unzip();
        let name = self.entry.map(|(k, m)| scenario.transmitter[k].modalities[m].clone()).unwrap_or_default();
        let end = |at: usize| self.interval.map(|ends| ends[at].to_string()).unwrap_or_default();
        let (low, high) = (end(0), end(1));
        let (receiver, k, m) = (number(self.receiver), number(k), number(m));
        let cells = [
            self.split.to_owned(),
            self.round.to_string(),
            self.quantity,
            receiver,
            task,
            k,
            m,
            name,
            self.value.to_string(),
            low,
            high,
        ];
        cells.into_iter()
    }
}

fn of_round(round: &Round) -> Vec<Row> {
    let row = |quantity: &str, value: f64| Row::new("train", round.round, quantity, value);
    let mut rows = vec![
        row("sum_rate", round.sum_rate),
        row("n_ce", round.n_ce),
        row("loss", round.loss),
        row("logl", round.logl),
        row("seconds", round.seconds),
        row("feature_bytes", round.bytes.feature as f64),
        row("gradient_bytes", round.bytes.gradient as f64),
        row("total_bytes", round.bytes.total as f64),
    ];
    if let Some(Validated { n_ce, gap }) = round.validation {
        let judged = |quantity: &str, value: f64| Row::new("validation", round.round, quantity, value);
        rows.extend([judged("n_ce", n_ce), judged("gap", gap)]);
    }
    for (quantity, values) in [("ce", &round.ce), ("rate", &round.rate)] {
        rows.extend(values.iter().enumerate().map(|(t, value)| row(quantity, *value).of(t)));
    }
    rows
}

/// Values of entries, by receiver and (k, m) in order; entries without a value are left out.
fn of_entries(
    recorded: &Recorded,
    split: &'static str,
    round: u64,
    quantity: &str,
    values: impl Iterator<Item = Vec<Option<f64>>>,
) -> Vec<Row> {
    let transmitters = recorded.scenario.transmitter.iter().enumerate();
    let entries: Vec<_> =
        transmitters.flat_map(|(k, of)| (0..of.modalities.len()).map(move |m| (k, m))).collect();
    let of_receiver = |(t, values): (usize, Vec<Option<f64>>)| {
        let known = entries.iter().zip(values).filter_map(|(entry, value)| Some((*entry, value?)));
        let row =
            |(entry, value)| Row { entry: Some(entry), ..Row::new(split, round, quantity, value).of(t) };
        known.map(row).collect::<Vec<_>>()
    };
    values.enumerate().flat_map(of_receiver).collect()
}

fn of_summary(recorded: &Recorded, summary: &Summary) -> Vec<Row> {
    let test = &summary.test;
    let row = |quantity: &str, value: f64| Row::new("test", summary.rounds, quantity, value);
    let mut rows = vec![
        Row { interval: test.n_ce_ci95, ..row("n_ce", test.n_ce) },
        row("sum_rate", test.sum_rate),
        row("joint_rate", test.joint_rate),
        row("entries", test.selected_entries),
    ];
    for (t, task) in by_receiver(&test.tasks) {
        rows.push(Row { interval: Some(task.ci95), ..row(&task.metric, task.value).of(t) });
        let others = [
            ("balanced_accuracy", task.balanced_accuracy),
            ("macro_f1", task.macro_f1),
            ("majority", task.majority),
        ];
        let known = others.into_iter().filter_map(|(name, value)| Some(row(name, value?).of(t)));
        rows.extend(known);
        // A task with several metrics has one loss.
        let has_loss = rows.iter().any(|row| row.quantity == "ce" && row.receiver == Some(t));
        rows.extend((!has_loss).then(|| row("ce", task.ce).of(t)));
    }
    let shares = test.selection.iter().map(|of| of.iter().flatten().copied().map(Some).collect());
    rows.extend(of_entries(recorded, "test", summary.rounds, "granted", shares));
    let rates = test.entry_rates.iter().map(|of| of.iter().flatten().copied().collect());
    rows.extend(of_entries(recorded, "test", summary.rounds, "rate", rates));
    rows
}

/// The rows of a summary with their receivers: rows of one receiver are adjacent, and have different metrics.
fn by_receiver(tasks: &[TaskResult]) -> Vec<(usize, &TaskResult)> {
    let mut found: Vec<(usize, &TaskResult)> = Vec::new();
    for task in tasks {
        let last = found.last().map(|(t, _)| *t);
        let another = |t: usize| {
            let mut of_last = found.iter().filter(|(of, _)| *of == t).map(|(_, known)| known);
            of_last.any(|known| known.name != task.name || known.metric == task.metric)
        };
        let t = last.map_or(0, |t| if another(t) { t + 1 } else { t });
        found.push((t, task));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, metric: &str) -> TaskResult {
        serde_json::from_value(serde_json::json!({
            "name": name, "metric": metric, "value": 0.5, "ci95": [0.4, 0.6], "ce": 0.1
        }))
        .unwrap()
    }

    #[test]
    fn metrics_of_a_task_are_of_one_receiver_and_the_same_task_again_is_of_the_next() {
        let tasks =
            [task("pose", "mpjpe"), task("pose", "pa-mpjpe"), task("digit", "top1"), task("digit", "top1")];
        let receivers: Vec<usize> = by_receiver(&tasks).into_iter().map(|(t, _)| t).collect();
        assert_eq!(receivers, [0, 0, 1, 2]);
    }
}
