//! `pom2dib records`: all observations of runs, one in each row, for programs that draw and compute.

pub(crate) mod figures;
mod of_round;
mod of_summary;
pub(crate) mod origin;
pub(crate) mod over_snr;
pub(crate) mod recordings;
mod row;
pub(crate) mod run_log;

use std::{
    ffi::OsStr,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};

use crate::{cli::complain::complain, records::figures::csv_line, report::Recorded};

/// The columns. Columns that do not apply to a row are empty.
const HEAD: [&str; 16] = [
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
    "at_snr_db",
];

/// Write all observations of runs as one table: one row for each, named by receiver and entry.
///
/// Columns: run (its folder), scenario, method, seed; split (train, validation or test); round (counted from 0; for
/// test: the number of trained rounds); quantity; receiver and task; transmitter, modality (its index there) and name
/// (of the modality, or of what else it is of); value; low and high (the ends of the 95 % interval, if any); at_snr_db
/// (of evaluations at several SNRs). Rows without a receiver are about the whole network; rows with a transmitter and a
/// receiver about a link; rows with a modality about an entry.
///
/// Quantities of train: sum_rate, n_ce, loss, logl, ce, rate (nats); granted, encoded (shares of ticks); requests (a
/// tick); most_asks, most_entries; seconds; work_seconds (of all nodes, by phase); feature_bytes, gradient_bytes,
/// table_bytes, total_bytes. Of a sample, in train and test: estimate_nats, prior_nats, coded_bits, message_bytes,
/// socket_bytes; uses, uses_ratio, entry_uses (of a channel), snr_db, rate_sent, rate_received, capacity (nats). Of
/// links: link_snr_db, link_bytes, link_coded_bits. Where entries may be lost: entries_used, entries_lost,
/// entries_late, messages_absent. Of test also: each metric of a task, balanced_accuracy, macro_f1, majority;
/// joint_rate, joint_ceiling (nats); entries; granted is a share of passes; noise_share; confusion (samples, by
/// LABEL>ANSWER), train_samples, test_samples (by class); clear_groups, strongest_requested, strength_links,
/// strength_granted (by the least strength of a step, in dB). Of validation: n_ce, gap, sum_rate, ce (nats), score,
/// best_n_ce.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib records runs/mine
  pom2dib records runs/a runs/b --out records.csv")]
pub(crate) struct Arguments {
    /// Folders of runs, finished or not
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,

    /// The table, as CSV; by default standard output. The Python package's command also writes FILE.parquet
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
            "{}: this program writes CSV; with the Python package, pom2dib records RUN --out FILE.parquet and \
             pom2dib.records(RUN).to_parquet(FILE) write Parquet",
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
    let scenario = &recorded.scenario;
    let mut rows = Vec::new();
    for round in &recorded.rounds {
        rows.extend(of_round::of_metrics(scenario, round));
    }
    for (round, selection) in recorded.rounds.iter().zip(&run_log::selection(&recorded.path, scenario)?) {
        rows.extend(of_round::of_selection(scenario, round.round, selection));
    }
    if let Some(summary) = &recorded.summary {
        rows.extend(of_summary::of_summary(scenario, summary));
    }
    if let Some(over) = &recorded.over_snr {
        rows.extend(over.rows.iter().flat_map(|at| of_summary::of_snr(scenario, over.rounds, at)));
    }
    let of_run = [
        recorded.folder.clone(),
        scenario.name.clone(),
        scenario.train.method.name().to_owned(),
        scenario.seed.to_string(),
    ];
    for row in rows {
        let cells = of_run.iter().cloned().chain(row.cells(scenario));
        file.write_all(csv_line(cells).as_bytes())?;
    }
    Ok(())
}
