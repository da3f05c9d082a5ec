//! `pom2dib report`: the results of a run, or of several side by side, as one HTML page.

mod configuration;
mod entries;
mod html;
mod late;
mod over_snr;
mod page;
mod pictures;
mod recorded;
mod scores;
mod strengths;
mod sweep;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde::Serialize;

pub(crate) use recorded::Recorded;
pub(crate) use sweep::{Dot, Line, sweep_page};

use crate::cli::slow::Slow;

/// The runs, and the path of the page.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib report runs/mine
  pom2dib report runs/one runs/other --out both.html
  pom2dib report runs/mine --log rounds,values")]
pub(crate) struct Arguments {
    /// Folders of runs
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,

    /// The page; by default report.html in the run's folder, or here if there are several
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Logarithmic axes: that of the rounds, and that of the values in charts with values above 0 only
    #[arg(long, value_enum, value_name = "AXIS,...", value_delimiter = ',')]
    log: Vec<Axis>,

    /// Print one JSON object: the path of the page, and the progress of each run
    #[arg(long)]
    json: bool,
}

/// An axis of a chart.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Axis {
    /// The rounds
    Rounds,
    /// The values
    Values,
}

/// The result for programs.
#[derive(Serialize)]
struct Written {
    page: String,
    runs: Vec<Seen>,
}

#[derive(Serialize)]
struct Seen {
    folder: String,
    rounds: usize,
    finished: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match Slow::during("reading the logs and writing the page", || write(arguments)) {
        Ok(written) => {
            let json = || serde_json::to_string(&written).expect("it has only strings and numbers");
            let text = if arguments.json { json() } else { written.page.clone() };
            // The page is written even if its path cannot be printed.
            println!("{text}");
            ExitCode::SUCCESS
        }
        // All possible errors are those of input: a folder without a whole run, or a file that cannot be written.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn write(arguments: &Arguments) -> anyhow::Result<Written> {
    let runs =
        arguments.folders.iter().map(|folder| Recorded::read(folder)).collect::<Result<Vec<_>, _>>()?;
    let out = match (&arguments.out, arguments.folders.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [folder]) => folder.join("report.html"),
        (None, _) => Path::new("report.html").into(),
    };
    let is_log = |axis| arguments.log.contains(&axis);
    let axes = page::Logarithmic { rounds: is_log(Axis::Rounds), values: is_log(Axis::Values) };
    std::fs::write(&out, page::page(&runs, axes)?)
        .with_context(|| format!("{}: cannot be written; choose another --out", out.display()))?;
    let seen = |run: Recorded| Seen {
        rounds: run.rounds.len(),
        finished: run.summary.is_some(),
        folder: run.folder,
    };
    Ok(Written { page: out.display().to_string(), runs: runs.into_iter().map(seen).collect() })
}
