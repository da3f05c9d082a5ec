//! `pom2dib run` and `pom2dib evaluate`.

pub(crate) mod data_notes;
mod elsewhere;
pub(crate) mod folder;
pub(crate) mod in_process;
pub(crate) mod loopback;
pub(crate) mod mmfi;
pub(crate) mod processes;
pub(crate) mod spread;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use coordinator::{CoordinatorError, PageAddress, RunFolder, RunLock, ScenarioArguments};
use scenario::Scenario;

use crate::{
    cli::{evaluate_grid, evaluate_snr, evaluated::Checkpoint, model},
    launch::EngineOptions,
};

/// Seconds for a restarted process to join.
pub(crate) const REJOIN: u64 = 120;

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

    /// Folder into which scalars, histograms, the map of grants and hyper-parameters are written as event files of TensorBoard
    #[arg(long, env = "POM2DIB_TENSORBOARD", value_name = "DIR")]
    tensorboard: Option<PathBuf>,

    /// Show a live table in the terminal instead of a line of progress: curves, grants, nodes; elsewhere lines as usual
    #[arg(long, env = "POM2DIB_TUI", value_parser = node::boolean)]
    tui: bool,

    /// Send traces of rounds, of all processes, to this OpenTelemetry collector, which takes OTLP over gRPC (docs/watching.md)
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
  pom2dib evaluate runs/mine --grid                # sensors off or noisy, lost entries")]
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

    /// Evaluate under disturbances, one after the other: sensors off, alone and together, sensor noise, lost entries,
    /// and other SNRs where channels have noise. A table, and grid.json, grid.csv, grid.svg and grid.png in the run's
    /// folder
    #[arg(long, conflicts_with = "snr_db")]
    grid: bool,

    #[command(flatten)]
    place: LaunchOptions,
}

/// Where and how the nodes run.
#[derive(Clone, Debug, Default, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Where and how the nodes run")]
pub(crate) struct LaunchOptions {
    /// Device of the nodes: cpu, cuda:N or auto; overrides the scenario's devices
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    pub(crate) device: Option<scenario::Device>,

    /// Run all nodes as tasks of this process instead of separate processes
    #[arg(long)]
    pub(crate) in_process: bool,

    /// Let the nodes communicate over TCP instead of Unix-domain sockets
    #[arg(long, env = "POM2DIB_TCP_ONLY", value_parser = node::boolean)]
    pub(crate) tcp_only: bool,

    /// Encrypt all connections and show certificates: a folder made by `pom2dib certs new`
    #[arg(long, env = "POM2DIB_TLS", value_name = "DIR")]
    pub(crate) tls: Option<PathBuf>,

    /// File with the join token that peers must present; POM2DIB_TOKEN can hold the token itself
    #[arg(long, env = "POM2DIB_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Threads for the matrix products of each node; by default its share of the cores. Results do not depend on it
    #[arg(long, env = "POM2DIB_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// How often killed processes of the run are restarted, all together; the network then continues from its last
    /// checkpoint
    #[arg(long, env = "POM2DIB_RESTARTS", default_value_t = 10, value_name = "N")]
    pub(crate) restarts: u32,

    /// Verify all draws of every round: a node that cheats or diverges is named
    #[arg(long, env = "POM2DIB_VERIFY", value_parser = node::boolean)]
    pub(crate) verify: bool,

    /// Print only the summary, as one JSON object, on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// The network is spread over this many machines that share the run's folder, of which this is the first
    #[arg(long, hide = true, value_name = "N", conflicts_with = "in_process", value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) spread: Option<u16>,
}

impl LaunchOptions {
    /// Who may connect.
    pub(crate) fn security(&self) -> node::SecurityOptions {
        let (tls, token_file) = (self.tls.clone(), self.token_file.clone());
        node::SecurityOptions { tls, token_file, ..Default::default() }
    }

    /// The same as command line words.
    pub(crate) fn security_words(&self) -> Vec<OsString> {
        let flags = [("--tls", &self.tls), ("--token-file", &self.token_file)];
        let given =
            flags.into_iter().filter_map(|(flag, path)| Some([flag.into(), path.clone()?.into_os_string()]));
        given.flatten().collect()
    }

    /// All options but --json as command line words of `run`, with `threads` threads for each node.
    pub(crate) fn words(&self, threads: u16) -> Vec<OsString> {
        let mut words = self.security_words();
        let device = self.device.map(|device| device.to_string());
        words.extend(device.into_iter().flat_map(|device| ["--device".into(), device.into()]));
        words.extend(["--threads".into(), threads.to_string().into()]);
        words.extend(["--restarts".into(), self.restarts.to_string().into()]);
        for (flag, set) in
            [("--in-process", self.in_process), ("--tcp-only", self.tcp_only), ("--verify", self.verify)]
        {
            words.extend(set.then(|| flag.into()));
        }
        let spread = self.spread.map(|machines| machines.to_string());
        words.extend(spread.into_iter().flat_map(|machines| ["--spread".into(), machines.into()]));
        words
    }
}

/// A whole network to run on this machine.
pub(crate) struct Launch {
    pub(crate) scenario: Scenario,
    /// The coordinator's own arguments.
    pub(crate) coordinator: coordinator::Arguments,
    pub(crate) place: LaunchOptions,
    before: Before,
}

/// Preparation of the run's folder.
enum Before {
    Nothing,
    /// The run is extended to this number of rounds.
    Extend(u64),
    /// The folder is created from the checkpoint of the run in another one.
    Fork {
        from: PathBuf,
        force: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
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
    let EvaluateArguments { folder, best, data, set, snr_db, grid, place } = arguments;
    let checkpoint = Checkpoint { folder, best: *best, data: data.as_deref(), set, place };
    match (*grid, snr_db.is_empty()) {
        (true, _) => evaluate_grid::run(&checkpoint),
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
            model::check(&scenario)?;
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
    Ok(Launch { scenario, coordinator, place: arguments.place.clone(), before: Before::Nothing })
}

/// A coordinator on a free port of this machine.
pub(crate) fn local_coordinator(
    scenario: ScenarioArguments,
    out: PathBuf,
    place: &LaunchOptions,
) -> Result<coordinator::Arguments, CoordinatorError> {
    let listen = match place.spread {
        Some(_) => std::net::SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
        None => loopback::free_port().map_err(CoordinatorError::Run)?,
    };
    Ok(coordinator::Arguments {
        scenario,
        out,
        force: false,
        resume: false,
        resume_or_start: false,
        evaluate: false,
        serve: None,
        stream: coordinator::StreamArguments::default(),
        command: Some(coordinator::command_line()),
        best: false,
        listen,
        security: place.security(),
        insecure: false,
        json: place.json,
        verify: place.verify,
        patience: 120,
        // Without restarts a lost node does not come back.
        rejoin: if place.restarts > 0 && !place.in_process { REJOIN } else { 0 },
        silence: 10,
        stall: 600,
        health: None,
        page: Some(PageAddress::Off),
        stop_after: None,
        tensorboard: None,
        tui: false,
        otlp: None,
        end_with_parent: true,
        lock_inherited: true,
    })
}

impl Launch {
    /// A network whose folder needs no preparation.
    pub(crate) fn of(scenario: Scenario, coordinator: coordinator::Arguments, place: LaunchOptions) -> Self {
        Launch { scenario, coordinator, place, before: Before::Nothing }
    }

    /// The run in a folder, computed again as tasks of this process up to a round: from its checkpoint, or from its
    /// beginning.
    pub(crate) fn again(
        folder: &Path,
        is_begun: bool,
        stop_after: u64,
        place: LaunchOptions,
        data: Option<PathBuf>,
    ) -> Result<Self, CoordinatorError> {
        let scenario = RunFolder::at(folder).scenario()?;
        let file = (!is_begun).then(|| folder.join("scenario.toml"));
        let arguments = ScenarioArguments { scenario: file, data, ..ScenarioArguments::default() };
        let out = if is_begun { folder.to_owned() } else { folder.join("again") };
        // What takes a folder's lock makes the folder; nobody else knows of this one.
        std::fs::create_dir_all(&out)
            .map_err(|error| CoordinatorError::Run(format!("{}: {error}", out.display())))?;
        let coordinator = local_coordinator(arguments, out, &place)?;
        let coordinator =
            coordinator::Arguments { resume: is_begun, stop_after: Some(stop_after), ..coordinator };
        Ok(Launch { scenario, coordinator, place, before: Before::Nothing })
    }

    /// Prepares the folder, which is locked.
    fn prepare(&self) -> Result<(), CoordinatorError> {
        let folder = &self.coordinator.out;
        match &self.before {
            Before::Nothing => Ok(()),
            Before::Extend(rounds) => coordinator::extend(folder, *rounds),
            Before::Fork { from, force } => coordinator::fork(from, folder, &self.scenario, *force),
        }
    }

    /// The file into which the coordinator writes its address; that of an earlier run is removed.
    pub(crate) fn fresh_address_file(&self) -> PathBuf {
        let file = self.coordinator.out.join("address");
        // The file may not exist.
        let _ = std::fs::remove_file(&file);
        file
    }

    /// The launch options with a node's credentials for the coordinator at an address. A node finds a token generated
    /// by the coordinator by itself; if no folder is suitable for that, it gets the path of the run's own file.
    pub(crate) fn place_of_nodes(&self, address: &str) -> LaunchOptions {
        let own = self.coordinator.out.join("token");
        let security =
            self.place.security().of_coordinator().map(|security| security.finding_token_of(address));
        let finds = security.is_ok_and(|security| security.protects() || security.has_token());
        let token_file = self.place.token_file.clone().or((!finds && own.exists()).then_some(own));
        LaunchOptions { token_file, ..self.place.clone() }
    }

    /// Each node's share of the cores: transmitters and receivers mostly compute alternately, so that only nodes of one
    /// kind share them.
    pub(crate) fn threads(&self) -> u16 {
        let nodes = self.scenario.transmitters().max(self.scenario.receivers());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.place.threads.unwrap_or_else(|| u16::try_from(cores / nodes).unwrap_or(u16::MAX).max(1))
    }

    /// The options of every node.
    pub(crate) fn node_options(&self, address: &str, index: usize) -> node::Options {
        node::Options {
            coordinator: address.into(),
            index: Some(index as u32),
            // At the coordinator's address, on any free port.
            listen: std::net::SocketAddr::new(self.coordinator.listen.ip(), 0),
            advertise: None,
            tcp_only: self.place.tcp_only,
            threads: self.threads(),
            data: None,
            device: self.place.device,
            security: self.place_of_nodes(address).security(),
            insecure: false,
            patience: 60,
            health: None,
            otlp: self.coordinator.otlp.clone(),
            end_with_parent: true,
            network: link::Transport::System,
            shutdown: node::Shutdown::default(),
            traces: node::Traces::default(),
            state_of_health: node::Health::default(),
        }
    }
}
