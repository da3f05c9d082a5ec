//! `pom2dib sweep`: a run for every combination of values, and one table.

mod axis;
mod plan;
mod point;
mod pool;
mod progress;
mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use coordinator::ScenarioArguments;
use scenario::Scenario;

use self::{axis::Axis, point::product};
pub(crate) use self::{
    axis::label,
    plan::{Found, Planned, difference},
    point::Point,
    pool::{End, run as run_points},
    table::{Table, written},
};
use crate::{
    cli::complain::complain,
    records::origin::{self, Kinship, Origins},
    run::{LaunchOptions, mmfi},
};

/// Run a scenario at every combination of values, and make one table of it
///
/// Values follow a key, separated by commas; a..b stands for all integers from a to b. The combinations of all keys are
/// the points of the sweep, each with its own run in a folder named by its values:
///
/// > pom2dib sweep scenarios/handwritten.toml --data DIR --set train.beta=0,1e-4,1e-3 --set seed=1..5
///
/// makes 15 runs. A comma within brackets or quotes belongs to the value: `--set 'mmfi.test_subjects=[1,2],[3,4]'` has
/// two.
///
/// After an interruption or failed points, the same command continues: it skips finished points, and resumes the others
/// from their last checkpoint. More values can be added in the same folder.
///
/// At the end OUT holds sweep.csv (a row for each point), sweep-seeds.csv (means over seeds with 95 % intervals,
/// Student's t) and sweep.json (both). Failed points are listed with their error; the exit status is then 1.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  pom2dib sweep --set train.beta=0,1e-4,1e-3 --set seed=1..5 --out betas
  pom2dib sweep mine.toml --data DIR --set train.method=pom2dib,tadib"
)]
pub(crate) struct Arguments {
    /// The scenario file; by default the built-in digits, which need no download
    #[arg(env = "POM2DIB_SCENARIO", value_name = "SCENARIO")]
    scenario: Option<PathBuf>,

    /// Values of a key, for example --set train.beta=0,1e-4,1e-3 (may be repeated, for other keys)
    #[arg(long = "set", value_name = "KEY=VALUE,...")]
    set: Vec<String>,

    /// Methods: pom2dib, rs-dib, tadib, vddib, dlsc (short for --set train.method=...)
    #[arg(long, value_name = "METHOD,...")]
    method: Option<String>,

    /// Seeds, for example 1..5 (short for --set seed=...)
    #[arg(long, value_name = "N,...")]
    seed: Option<String>,

    /// Rounds of training for each point (short for --set train.rounds=...)
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,

    /// Folder of the data set, or for arrays the URL of an object store (short for --set data.path=...)
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Run the MM-Fi scenario on a small synthetic tree of files, kept in data-cache/mmfi-synthetic; overrides --data
    #[arg(long)]
    synthetic: bool,

    /// Number of points that run at a time; they share the cores
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// The sweep's folder: a folder in it for every point, and the tables; by default runs/NAME-sweep
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    place: LaunchOptions,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (out, planned) = match plan(arguments) {
        Ok(planned) => planned,
        Err(error) => return complain(&error, 2),
    };
    match conduct(arguments, &out, &planned) {
        Ok(code) => code,
        Err(error) => complain(&error, 1),
    }
}

/// All points, checked: a mistake in the last must not waste the time of the others.
fn plan(arguments: &Arguments) -> anyhow::Result<(PathBuf, Vec<Planned>)> {
    let points = product(&axes(arguments)?)?;
    let mut base = ScenarioArguments {
        scenario: arguments.scenario.clone(),
        rounds: arguments.rounds,
        data: arguments.data.clone(),
        ..ScenarioArguments::default()
    };
    ScenarioArguments { set: arguments.set.clone(), ..base.clone() }.warn_of_deprecated_keys();
    // With the first point's values: the file alone may not be a complete scenario.
    let first = Point { values: Vec::new(), ..points[0].clone() };
    let scenario = prepare(&mut base, &first, arguments.synthetic)?;
    let out = arguments.out.clone().unwrap_or_else(|| default_out(&scenario));
    let planned = plan_points(&base, points, &out)?;
    Ok((out, planned))
}

fn axes(arguments: &Arguments) -> anyhow::Result<Vec<Axis>> {
    let short = [("--method", "train.method", &arguments.method), ("--seed", "seed", &arguments.seed)];
    let mut axes = Vec::new();
    let given = |(flag, key, values): (&'static str, &'static str, &Option<String>)| {
        values.as_ref().map(|values| Axis::of(key, values).with_context(|| flag))
    };
    let [method, seed] = short.map(given);
    axes.extend(method.transpose()?);
    for assignment in &arguments.set {
        axes.push(Axis::parse(assignment)?);
    }
    axes.extend(seed.transpose()?);
    let rounds = axes.iter().any(|axis| axis.key == "train.rounds") && arguments.rounds.is_some();
    anyhow::ensure!(!rounds, "train.rounds is given twice, by --rounds and by --set; leave one out");
    Ok(axes)
}

/// Prepares the common part of all runs once: makes or indexes the data. Returns the checked scenario of a point.
pub(crate) fn prepare(
    base: &mut ScenarioArguments,
    point: &Point,
    synthetic: bool,
) -> anyhow::Result<Scenario> {
    let given = base.set.len();
    base.set.extend(point.set.iter().cloned());
    if synthetic {
        mmfi::use_synthetic(base)?;
    }
    let scenario = base.resolve()?;
    mmfi::prepare(&scenario, base)?;
    if scenario.data.source == "handwritten" {
        node::data_source(&scenario, None)?.info()?;
    }
    let scenario = base.resolve()?;
    // The point's own values are removed again; additions by the preparation stay.
    base.set.drain(given..given + point.set.len());
    Ok(scenario)
}

/// Plans named points, in folders under `out`.
pub(crate) fn plan_points(
    base: &ScenarioArguments,
    points: Vec<Point>,
    out: &Path,
) -> anyhow::Result<Vec<Planned>> {
    let mut origins = Origins::default();
    let planned: Vec<Planned> = points
        .into_iter()
        .map(|point| Planned::new(base, point, out, &mut origins))
        .collect::<anyhow::Result<_>>()?;
    let there: Vec<Kinship> = planned.iter().filter_map(|planned| planned.kinship.clone()).collect();
    origin::say("points that are there", &there);
    Ok(planned)
}

fn default_out(scenario: &Scenario) -> PathBuf {
    PathBuf::from("runs").join(format!("{}-sweep", label(&format!("{:?}", scenario.name))))
}

fn conduct(arguments: &Arguments, out: &Path, planned: &[Planned]) -> anyhow::Result<ExitCode> {
    say_what_is_there(planned, out);
    let ends = run_points(planned, &arguments.place, arguments.parallel.into(), &mut |_, _| ())?;
    let table = Table::new(planned, &ends);
    table.write(out)?;
    if arguments.place.json {
        println!("{}", table.json());
    } else {
        print!("{}", table.text());
        println!("tables       {}", out.join("sweep.csv").display());
    }
    Ok(verdict(&ends))
}

/// Prints which points of a sweep are done and which continue.
pub(crate) fn say_what_is_there(planned: &[Planned], out: &Path) {
    let count = |what: fn(&Found) -> bool| planned.iter().filter(|planned| what(&planned.found)).count();
    let finished = count(|found| matches!(found, Found::Finished(_)));
    let resumed = count(|found| *found == Found::Checkpoint);
    let fresh = planned.len() - finished - resumed;
    let folder = out.display();
    eprintln!(
        "{} points in {folder}: {finished} done already, {resumed} to go on from a checkpoint, {fresh} to begin",
        planned.len()
    );
}

/// The exit status, with a message about points that are not done.
pub(crate) fn verdict(ends: &[End]) -> ExitCode {
    let failed = ends.iter().filter(|end| matches!(end, End::Failed(_))).count();
    let open = ends.iter().filter(|end| **end == End::Open).count();
    if open > 0 {
        let done = ends.len() - open - failed;
        eprintln!(
            "error: interrupted: {done} of {} points are done; the same command goes on from here",
            ends.len()
        );
    } else if failed > 0 {
        eprintln!("error: {failed} of {} points failed; the same command tries them again", ends.len());
    }
    if open + failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
