//! `pom2dib run` and `pom2dib evaluate`.

pub(crate) mod data_notes;
mod elsewhere;
pub(crate) mod folder;
pub(crate) mod in_process;
pub(crate) mod launch;
pub(crate) mod loopback;
pub(crate) mod mmfi;
pub(crate) mod processes;
pub(crate) mod spread;

pub(crate) use launch::{Launch, LaunchOptions};

use std::{path::PathBuf, process::ExitCode};

use coordinator::{CoordinatorError, PageAddress, RunFolder, RunLock, ScenarioArguments};
use scenario::Scenario;

use self::launch::{Before, local_coordinator};
use crate::{
    cli::{evaluate_grid, evaluate_snr, evaluated::Checkpoint, model},
    launch::EngineOptions,
    program,
};

/// Train and evaluate a whole network on this machine: a coordinator, K transmitters and T receivers as processes.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib run                                        # digits made by code; needs no files
  pom2dib run scenarios/handwritten.toml --data data-cache/handwritten --seed 7
  pom2dib run mine.toml --set train.beta=1e-4 --set network.transmitter_limit=2 --out runs/mine
  pom2dib run mine.toml --rounds 50 --json | jq .test.tasks
  pom2dib run --resume runs/mine
  pom2dib run mine.toml --out /shared/mine --on slurm --nodes 3")]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    #[command(flatten)]
    place: LaunchOptions,

    #[command(flatten)]
    engine: EngineOptions,

    /// Machines over which the network is spread, with --on slurm [default: 1]
    #[arg(long, requires = "on", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    nodes: Option<u16>,

    /// The run's folder; by default a fresh one under runs/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Overwrite the run that --out holds
    #[arg(long)]
    force: bool,

    /// Continue the run in this folder from its last checkpoint, or from its beginning if it has none yet; with
    /// --rounds N, also a finished run, up to N rounds
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "scenario", "preset", "set", "method", "seed"])]
    resume: Option<PathBuf>,

    /// Begin with the last checkpoint of the run in this folder, which stays as it is, and continue in another folder
    /// with the changes of its scenario by --set, --rounds and so on
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resume", "scenario", "preset", "synthetic"])]
    from: Option<PathBuf>,

    /// Address of the run's page for browsers, or off; by default a free port of this machine alone (docs/watching.md)
    #[arg(long, env = "POM2DIB_PAGE", value_name = "IP:PORT|off")]
    page: Option<PageAddress>,

    /// Folder into which scalars, histograms, the map of grants and hyper-parameters are written as event files of
    /// TensorBoard
    #[arg(long, env = "POM2DIB_TENSORBOARD", value_name = "DIR")]
    tensorboard: Option<PathBuf>,

    /// Show a live table in the terminal instead of a line of progress: curves, grants, nodes; elsewhere lines as usual
    #[arg(long, env = "POM2DIB_TUI", value_parser = node::boolean)]
    tui: bool,

    /// Send traces of rounds and evaluation passes, of all processes, to this OpenTelemetry collector, which takes OTLP
    /// over gRPC (docs/watching.md)
    #[arg(long, env = "POM2DIB_OTLP", value_name = "URL")]
    otlp: Option<node::Collector>,

    /// Run the MM-Fi scenario on a small synthetic tree of files, kept in data-cache/mmfi-synthetic; overrides --data
    #[arg(long, conflicts_with = "resume")]
    synthetic: bool,

    /// End when standard input is closed (the parent process has ended)
    #[arg(long, hide = true)]
    end_with_parent: bool,

    /// Print the run's folder on standard error as soon as it is known: for programs that follow the run
    #[arg(long, hide = true)]
    say_folder: bool,
}

/// Evaluate the last checkpoint of a run again: Algorithm 2 on the whole test set.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib evaluate runs/mine
  pom2dib evaluate runs/mine --best --set evaluation.passes=100
  pom2dib evaluate runs/mine --snr-db -6,0,6,12    # of a run whose channels have noise
  pom2dib evaluate runs/mine --grid                # sensors off, noisy, blurred or late; lost entries
  pom2dib evaluate runs/mine --grid --without runs/no-mel    # beside a run that was trained without a sensor")]
pub(crate) struct EvaluateArguments {
    /// The run's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Evaluate the checkpoint that scored best on validation rows (evaluation.every), instead of the last
    #[arg(long)]
    best: bool,

    /// Folder of the data set, if it has moved
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Change the evaluation: a key of evaluation, straggler, link or channel, for example --set evaluation.passes=1
    /// (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Evaluate at each of these Es/N0 of all channels with noise: a table, and snr.json, snr.svg and snr.png in the
    /// run's folder
    #[arg(long, value_name = "DB,...", value_delimiter = ',', allow_hyphen_values = true)]
    snr_db: Vec<f64>,

    /// Evaluate under disturbances, one after the other: sensors off, alone and together, sensor noise and blur, stale
    /// samples where rows follow each other in time, lost entries, and other SNRs where channels have noise. A table, and
    /// grid.json, grid.csv, grid.svg and grid.png in the run's folder
    #[arg(long, conflicts_with = "snr_db")]
    grid: bool,

    /// With --grid: a run that was trained without a sensor of this one, whose scores stand beside those with the sensor
    /// off, with whether these are within 2 points (may be repeated)
    #[arg(long, value_name = "RUN", requires = "grid")]
    without: Vec<PathBuf>,

    /// Leave evaluation.json as it is: for commands that compare evaluations
    #[arg(long, hide = true)]
    print_only: bool,

    #[command(flatten)]
    place: LaunchOptions,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // First: exec would repeat any output.
    if arguments.place.in_process && arguments.engine.on.is_none() {
        program::keep_freed_memory();
    }
    if arguments.end_with_parent {
        node::end_with_parent();
    } else {
        arguments.scenario.warn_of_deprecated_keys();
    }
    if arguments.engine.on.is_some() {
        return elsewhere::run(arguments);
    }
    let planned = launch_of_run(arguments);
    if let Some(launch) = planned.as_ref().ok().filter(|_| arguments.say_folder) {
        eprintln!("folder {}", launch.coordinator.out.display());
    }
    launch(planned)
}

pub(crate) fn evaluate(arguments: &EvaluateArguments) -> ExitCode {
    if arguments.place.in_process {
        program::keep_freed_memory();
    }
    let EvaluateArguments { folder, best, data, set, snr_db, grid, without, place, .. } = arguments;
    let checkpoint = Checkpoint { folder, best: *best, data: data.as_deref(), set, place };
    match (*grid, snr_db.is_empty()) {
        (true, _) => evaluate_grid::run(&checkpoint, without),
        (false, false) => evaluate_snr::run(&checkpoint, snr_db),
        (false, true) => launch(launch_of_evaluation(arguments)),
    }
}

/// Runs a network. This process owns the run's folder while it lives, and while its coordinator lives.
fn launch(launch: Result<Launch, CoordinatorError>) -> ExitCode {
    let locked = launch.and_then(|launch| {
        let lock = RunLock::take(&launch.coordinator.out)?;
        launch.prepare()?;
        Ok((lock, launch))
    });
    match locked {
        Ok((_lock, launch)) if launch.place.in_process => in_process::run(&launch),
        Ok((lock, launch)) => processes::run(&launch, &lock),
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn launch_of_run(arguments: &Arguments) -> Result<Launch, CoordinatorError> {
    let mut given = arguments.scenario.clone();
    let out = |scenario: &Scenario| arguments.out.clone().unwrap_or_else(|| folder::fresh(scenario));
    let mut before = Before::Nothing;
    let (scenario, out) = match (&arguments.resume, &arguments.from) {
        (Some(folder), _) => {
            let mut scenario = RunFolder::at(folder).scenario()?;
            // Files that networks began with are to be what they were.
            node::bind_weights(&mut scenario)?;
            if let Some(rounds) = given.rounds.take() {
                scenario.train.rounds = rounds;
                before = Before::Extend(rounds);
            }
            (scenario, folder.clone())
        }
        (None, Some(from)) => {
            let scenario = given.resolve_from(from)?;
            // All other settings are in the new folder.
            given = ScenarioArguments::default();
            before = Before::Fork { from: from.clone(), force: arguments.force };
            let out = out(&scenario);
            (scenario, out)
        }
        (None, None) => {
            if arguments.synthetic {
                mmfi::use_synthetic(&mut given)?;
            }
            mmfi::prepare(&given.resolve()?, &mut given)?;
            let scenario = given.resolve()?;
            data_notes::say(&scenario)?;
            model::check(&scenario).map_err(|error| error.of(&given.origin()))?;
            let out = out(&scenario);
            (scenario, out)
        }
    };
    let place = spread::with_token(&arguments.place, &out)?;
    let mut coordinator = local_coordinator(given, out, &place)?;
    coordinator.resume = arguments.resume.is_some() || arguments.from.is_some();
    coordinator.force = arguments.force && arguments.from.is_none();
    coordinator.page = Some(arguments.page.unwrap_or(PageAddress::Free));
    coordinator.tensorboard.clone_from(&arguments.tensorboard);
    coordinator.otlp.clone_from(&arguments.otlp);
    coordinator.tui = arguments.tui;
    Ok(Launch { scenario, coordinator, place, before })
}

fn launch_of_evaluation(arguments: &EvaluateArguments) -> Result<Launch, CoordinatorError> {
    let scenario = RunFolder::at(&arguments.folder).scenario()?;
    let changes = ScenarioArguments {
        data: arguments.data.clone(),
        set: arguments.set.clone(),
        ..ScenarioArguments::default()
    };
    let mut coordinator = local_coordinator(changes, arguments.folder.clone(), &arguments.place)?;
    coordinator.evaluate = true;
    coordinator.best = arguments.best;
    coordinator.print_only = arguments.print_only;
    Ok(Launch { scenario, coordinator, place: arguments.place.clone(), before: Before::Nothing })
}
