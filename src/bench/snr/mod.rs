//! `pom2dib bench snr`: scores over the SNR of channels, for networks that were trained in different ways.

mod plan;
mod rows;

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context, bail};
use coordinator::{OnAir, ScenarioArguments, Summary, Test};
use scenario::Scenario;

use self::{
    plan::{Planned, Training, plan},
    rows::{Row, draw, print, table, unequal},
};
use crate::{
    bench::measured_run,
    cli::complain::complain,
    draw::{picture, plot::write},
    program,
    records::over_snr::OverSnr,
};

/// Command line of `bench snr`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// The SNRs: Es/N0 of every channel, in dB
    #[arg(long, value_name = "DB,...", value_delimiter = ',', allow_hyphen_values = true, default_values_t = [-6.0, 0.0, 6.0, 12.0, 20.0])]
    snr_db: Vec<f64>,

    /// The seeds; by default, the scenario's
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    seeds: Vec<u64>,

    /// The train.beta of each network with a digital chain; by default, the scenario's. `none` leaves the digital chain
    /// out. By default it is also left out where it cannot be, as over a `mac` or in a build without the feature
    /// `digital`
    #[arg(long, value_name = "BETA,...", value_delimiter = ',')]
    digital_beta: Vec<String>,

    /// Folder of the runs, snr.csv, snr.svg and snr.png. Finished runs in it are not repeated
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Print only the table, as JSON, on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // All networks are checked before the first is trained.
    let (planned, left_out) = match plan(arguments) {
        Ok(plan) => plan,
        Err(error) => return complain(&error, 2),
    };
    left_out.iter().for_each(|line| eprintln!("note: {}", link::printable(line)));
    match measure(arguments, &planned) {
        Ok(rows) => {
            print(&rows, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

fn measure(arguments: &Arguments, planned: &[Planned]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, planned_one) in planned.iter().enumerate() {
        let of = format!(
            "{} of {}: seed {}, {}",
            number + 1,
            planned.len(),
            planned_one.seed,
            planned_one.training.name()
        );
        rows.extend(measure_one(arguments, planned_one, &of).with_context(|| of.clone())?);
        // Written after every network, so that results can be viewed early and survive an interruption.
        write(&arguments.out, &[("snr.csv", table(&rows))])?;
        picture::write(&arguments.out, "snr", &draw(&rows))?;
    }
    Ok(rows)
}

/// Trains a network and judges it, as far as that has not been done before.
fn measure_one(arguments: &Arguments, planned: &Planned, of: &str) -> anyhow::Result<Vec<Row>> {
    let folder = arguments.out.join(format!("seed-{}", planned.seed)).join(planned.training.folder());
    let summary = trained(planned, &folder, of)?;
    let is_digital = matches!(planned.training, Training::Digital(_));
    let row = |snr_db, test: Test, channel: Option<OnAir>| {
        // An older program, whose results may lie in the folder, has not counted the uses of entries.
        let counted = channel.filter(|air| air.uses > 0.0 && !test.entry_uses.is_empty());
        let uses_ratio = counted.map(|air| air.uses_ratio.unwrap_or(1.0));
        Row {
            training: planned.training.name(),
            seed: planned.seed,
            snr_db,
            uses_ratio,
            note: uses_ratio.filter(|_| is_digital).and_then(unequal),
            test,
            channel,
        }
    };
    if let Training::Each(snr_db) = planned.training {
        return Ok(vec![row(snr_db, summary.test, summary.channel)]);
    }
    let judged = judged(&folder, &planned.judged_at, of)?;
    Ok(judged.rows.into_iter().map(|judged| row(judged.snr_db, judged.test, judged.channel)).collect())
}

/// The summary of a network in a folder; a run of another scenario there is refused.
fn trained(planned: &Planned, folder: &Path, of: &str) -> anyhow::Result<Summary> {
    let summary = folder.join("summary.json");
    if summary.exists() {
        // Compared as scenarios, since a key may have been renamed since the file was written.
        let written = Scenario::read(&folder.join("scenario.toml"), &[]).ok();
        if written != Some(planned.arguments.resolve()?) {
            bail!("{} holds a run of another scenario: choose another --out, or remove it", folder.display());
        }
        return read(&summary);
    }
    eprintln!("{of}: training");
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let log = folder.with_extension("log");
    let mut words = planned.arguments.words();
    // Overwrites what an interrupted command left.
    words.push("--force".into());
    measured_run::check(measured_run::start(words, folder, &log)?.wait()?, &log)?;
    let _ = std::fs::remove_file(&log);
    read(&summary)
}

/// Scores of a network at these SNRs.
fn judged(folder: &Path, snrs: &[f64], of: &str) -> anyhow::Result<OverSnr> {
    let kept = folder.join("judged.json");
    if kept.exists() {
        let before: OverSnr = read(&kept)?;
        if before.rows.iter().map(|row| row.snr_db).eq(snrs.iter().copied()) {
            return Ok(before);
        }
    }
    eprintln!("{of}: judging at {} SNRs", snrs.len());
    let log = folder.with_extension("log");
    let list = snrs.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let mut command = program::again()?;
    command.arg("evaluate").arg(folder).args(["--json", "--snr-db", &list]);
    let output = command.stdin(Stdio::null()).stderr(std::fs::File::create(&log)?).output()?;
    measured_run::check(output.status, &log)?;
    let _ = std::fs::remove_file(&log);
    std::fs::write(&kept, output.stdout).with_context(|| kept.display().to_string())?;
    read(&kept)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}
