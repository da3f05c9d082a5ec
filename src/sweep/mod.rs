//! `pom2dib sweep`: a run for every combination of values, and one table.

mod ask;
mod axis;
mod cells;
mod compare;
mod conduct;
mod front;
mod halving;
mod job;
mod plan;
mod point;
mod pool;
mod probe;
mod progress;
mod range;
mod remote;
mod resume;
mod search;
mod sobol;
mod table;
mod worker;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use coordinator::ScenarioArguments;
use scenario::Scenario;

pub(crate) use self::{
    ask::{AskArguments, TellArguments, ask, tell},
    axis::label,
    cells::written,
    conduct::{say_what_is_there, verdict},
    plan::{Found, Planned, difference, finished},
    point::Point,
    pool::{End, run as run_points},
    probe::needs,
    remote::Remote,
    worker::{PointArguments, run as run_point},
};
use self::{
    axis::Axis,
    compare::Success,
    search::{SearchOptions, Space},
};
use crate::{
    cli::complain::complain,
    launch::{Engine, EngineOptions},
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
/// After an interruption or failed points, the same command continues, and so does --resume OUT: it skips finished
/// points, and resumes the others from their last checkpoint. More values can be added in the same folder.
///
/// With --on the points run elsewhere: as jobs of Slurm or Kubernetes, or wherever a command starts them. OUT must be
/// in storage that those machines share with this one. Ctrl-C leaves the jobs running; --resume OUT finds them.
///
/// At the end OUT holds sweep.csv (a row for each point), sweep-seeds.csv (means over seeds with 95 % intervals,
/// Student's t; whether a row is on the Pareto front of N-CE and sum-rate, coded bits or SNR), sweep-pairs.csv
/// (differences of all rows to the first, over the seeds that both have), sweep.html (a page) and sweep.json (all).
/// Failed points are listed with their error; the exit status is then 1.
#[derive(Clone, Debug, Default, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  pom2dib sweep --set train.beta=0,1e-4,1e-3 --set seed=1..5 --out betas
  pom2dib sweep mine.toml --data DIR --set train.method=pom2dib,tadib
  pom2dib sweep mine.toml --seed 1..100 --out /shared/seeds --on slurm --cores 2 --memory 1G
  pom2dib sweep mine.toml --seed 1..9 --out /shared/seeds --on 'ssh {host} {command}' --hosts one,two,three
  pom2dib sweep --resume /shared/seeds"
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

    /// Number of points that run at a time: on this machine, whose cores they share, 1 by default; elsewhere as many as
    /// the engine lets run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,

    /// Count runs as successes, and give their share with its 95 % interval: a column of sweep.csv with a bound, for
    /// example 'digit.top1>=0.9', or 'worst.ce<=0.2', the largest cross entropy of all tasks
    #[arg(long, value_name = "FIGURE>=NUMBER")]
    success: Option<String>,

    /// The sweep's folder: a folder in it for every point, and the tables; by default runs/NAME-sweep
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Continue the sweep in this folder as it was started; --on and --parallel may change
    #[arg(long, value_name = "DIR", conflicts_with_all = ["set", "method", "seed", "rounds", "synthetic", "out"])]
    #[serde(skip)]
    resume: Option<PathBuf>,

    /// Folder into which every point writes event files of TensorBoard, in a folder named by its values: with its keys
    /// as hyper-parameters
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,

    #[command(flatten)]
    place: LaunchOptions,

    #[command(flatten)]
    engine: EngineOptions,

    #[command(flatten)]
    search: SearchOptions,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let prepared = arguments.resumed().and_then(|arguments| {
        let engine = arguments.engine.checked()?;
        arguments.success()?;
        let (out, planned) = plan(&arguments)?;
        if engine == Some(Engine::Kubernetes) {
            arguments.engine.volume_of(&out)?;
        }
        Ok((arguments, engine, out, planned))
    });
    let (arguments, engine, out, planned) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return complain(&error, 2),
    };
    let outcome = match (engine.as_ref(), arguments.engine.print) {
        (Some(engine), true) => conduct::print(&arguments, engine, &out, &planned),
        (None, true) => conduct::print_points(&arguments, &out, &planned),
        (engine, false) => conduct::conduct(&arguments, engine, &out, planned),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => complain(&error, 1),
    }
}

/// All points, checked: a mistake in the last must not waste the time of the others.
fn plan(arguments: &Arguments) -> anyhow::Result<(PathBuf, Vec<Planned>)> {
    let open = arguments.out.as_deref().map(ask::asked).transpose()?.unwrap_or_default();
    let space = arguments.space(arguments.search.sample.is_some() || !open.is_empty())?;
    // A search that another program drives has the points that it asked for.
    let asks = arguments.search.sample.is_none() && !space.ranges.is_empty();
    let (base, scenario) = base(arguments, &space)?;
    let mut out = arguments.out.clone().unwrap_or_else(|| default_out(&scenario));
    if arguments.engine.on.is_some() || arguments.search.halving || arguments.search.hours.is_some() {
        // Jobs may begin in other folders.
        out = std::path::absolute(&out).with_context(|| out.display().to_string())?;
    }
    let may_be_empty = arguments.engine.print || !open.is_empty();
    let points = if asks && may_be_empty { open } else { space.points(&arguments.search)? };
    let planned = plan_points_at(&base, points, &out, arguments.search.halving)?;
    let planned = arguments.with_boards(planned)?;
    if let Some(halving) = arguments.search.halving(scenario.train.rounds)? {
        planned.iter().try_for_each(|planned| halving.check(planned))?;
    }
    Ok((out, planned))
}

/// Plans points of a sweep by name, for those who ask for them one by one.
fn plan_of(arguments: &Arguments, out: &Path, points: Vec<Point>) -> anyhow::Result<Vec<Planned>> {
    let (base, _) = base(arguments, &arguments.space(true)?)?;
    arguments.with_boards(plan_points_at(&base, points, out, false)?)
}

/// What all points have in common, prepared, and a checked scenario of one of them.
fn base(arguments: &Arguments, space: &Space) -> anyhow::Result<(ScenarioArguments, Scenario)> {
    let mut base = ScenarioArguments {
        scenario: arguments.scenario.clone(),
        rounds: arguments.rounds,
        data: arguments.data.clone(),
        ..ScenarioArguments::default()
    };
    ScenarioArguments { set: arguments.set.clone(), ..base.clone() }.warn_of_deprecated_keys();
    // With the first point's values: the file alone may not be a complete scenario.
    let first = point::product(&space.axes)?.swap_remove(0);
    let first = space.at(&first, &space.draw(&arguments.search, 0));
    let scenario = prepare(&mut base, &Point { values: Vec::new(), ..first }, arguments.synthetic)?;
    Ok((base, scenario))
}

impl Arguments {
    fn success(&self) -> anyhow::Result<Option<Success>> {
        self.success.as_deref().map(Success::parse).transpose()
    }

    /// The same points with the folders of their event files.
    fn with_boards(&self, mut planned: Vec<Planned>) -> anyhow::Result<Vec<Planned>> {
        if let Some(folder) = &self.tensorboard {
            // Jobs may begin in other folders.
            let folder = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
            planned.iter_mut().for_each(|planned| planned.board = Some(folder.join(&planned.point.name)));
        }
        Ok(planned)
    }

    /// The keys' values and ranges. `drawn`: points are drawn, so that ranges of whole numbers are ranges too.
    fn space(&self, drawn: bool) -> anyhow::Result<Space> {
        let short = [("--method", "train.method", &self.method), ("--seed", "seed", &self.seed)];
        let given = |(flag, key, values): (&'static str, &'static str, &Option<String>)| {
            values.as_ref().map(|values| Axis::of(key, values).with_context(|| flag))
        };
        let [method, seed] = short.map(given);
        let mut space = Space::default();
        space.axes.extend(method.transpose()?);
        for assignment in &self.set {
            space.add(assignment, drawn)?;
        }
        space.axes.extend(seed.transpose()?);
        let mut keys =
            space.axes.iter().map(|axis| &axis.key).chain(space.ranges.iter().map(|range| &range.key));
        let rounds = keys.any(|key| key == "train.rounds");
        anyhow::ensure!(
            !(rounds && self.rounds.is_some()),
            "train.rounds is given twice, by --rounds and by --set; leave one out"
        );
        anyhow::ensure!(
            !(rounds && self.search.halving),
            "--halving decides on the rounds: give the most by --rounds, not by --set"
        );
        Ok(space)
    }
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
    plan_points_at(base, points, out, false)
}

/// The same. `any_rounds`: their runs may have been trained for other numbers of rounds so far.
fn plan_points_at(
    base: &ScenarioArguments,
    points: Vec<Point>,
    out: &Path,
    any_rounds: bool,
) -> anyhow::Result<Vec<Planned>> {
    let mut origins = Origins::default();
    let planned: Vec<Planned> = points
        .into_iter()
        .map(|point| Planned::new(base, point, out, &mut origins, any_rounds))
        .collect::<anyhow::Result<_>>()?;
    let there: Vec<Kinship> = planned.iter().filter_map(|planned| planned.kinship.clone()).collect();
    origin::say("points that are there", &there);
    Ok(planned)
}

fn default_out(scenario: &Scenario) -> PathBuf {
    PathBuf::from("runs").join(format!("{}-sweep", label(&format!("{:?}", scenario.name))))
}
