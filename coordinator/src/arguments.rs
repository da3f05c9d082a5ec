use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use node::{Health, Shutdown};
use scenario::{Preset, Scenario};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    CoordinatorError, Deadlines, Mode, Options, Outcome, PageAddress, RunFolder, RunLock, ServeOptions,
    StreamArguments, Summary, command_line, render, screen,
    stream::{self, Prepared},
};

/// The scenarios that come with the program, by their names. The first runs when none is named: it needs no files.
const BUILT_IN: [(&str, &str); 4] = [
    ("digits", include_str!("../../scenarios/digits.toml")),
    ("handwritten", include_str!("../../scenarios/handwritten.toml")),
    ("mmfi", include_str!("../../scenarios/mmfi.toml")),
    ("two-links", include_str!("../../scenarios/two-links.toml")),
];

/// The text of a scenario that comes with the program, if it has one of that name.
pub fn built_in_scenario(name: &str) -> Option<&'static str> {
    BUILT_IN.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
}

/// Environment variable with changes of keys, separated by semicolons or line ends. `--set` overrides it, and a flag
/// for a key overrides both.
const SET: &str = "POM2DIB_SET";

/// Command line arguments that select a scenario and change its keys.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "What is run")]
pub struct ScenarioArguments {
    /// The scenario: a file, or one that is built in (digits, handwritten, mmfi, two-links); without one, digits, which
    /// need no download
    #[arg(env = "POM2DIB_SCENARIO", value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,

    /// Hyper-parameters that override those of the scenario's file, and are overridden by --set and flags. paper: those
    /// of the paper and its authors' script (label-entropy baseline, own credit, no entropy bonus, no sparse term, beta
    /// fixed at 1e-3, learning rates 1e-4 and 5e-5, 2000 rounds of 20 x 20 samples, E_t = 2, E_k = 4)
    #[arg(long, env = "POM2DIB_PRESET", value_name = "PRESET", value_parser = parse_preset)]
    pub preset: Option<Preset>,

    /// Change a key of the scenario, for example --set train.beta=1e-4 (may be repeated); POM2DIB_SET can hold several,
    /// separated by semicolons, which these override
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The method: pom2dib, rs-dib, tadib, vddib or dlsc (short for --set train.method=...)
    #[arg(long, env = "POM2DIB_METHOD")]
    pub method: Option<String>,

    /// How many rounds to train (short for --set train.rounds=...)
    #[arg(long, env = "POM2DIB_ROUNDS")]
    pub rounds: Option<u64>,

    /// The seed, 0 to 2^64 - 1 (short for --set seed=...)
    #[arg(long, env = "POM2DIB_SEED", value_parser = node::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// Folder of the data set, or for arrays the URL of an object store (short for --set data.path=...)
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl ScenarioArguments {
    /// Reads the scenario, changes it and checks it, names of modalities and tasks included.
    ///
    /// # Errors
    ///
    /// A [`CoordinatorError`] if the scenario cannot be read, an assignment is wrong, or the scenario is invalid.
    pub fn resolve(&self) -> Result<Scenario, CoordinatorError> {
        self.read().map_err(|error| error.of(&self.origin()))
    }

    /// What errors call the scenario: the path of its file, or that it is built in.
    pub fn origin(&self) -> String {
        match (self.built_in(), &self.scenario) {
            (None, Some(path)) => path.display().to_string(),
            (found, _) => format!("the built-in {}", found.unwrap_or(BUILT_IN[0]).0),
        }
    }

    fn read(&self) -> Result<Scenario, CoordinatorError> {
        let overrides = self.overrides();
        let mut scenario = match (self.built_in(), &self.scenario) {
            (None, Some(path)) => Scenario::read_with(path, self.preset, &overrides)?,
            (found, _) => {
                let (_, text) = found.unwrap_or(BUILT_IN[0]);
                Scenario::parse_with(text, &self.origin(), self.preset, &overrides)?
            }
        };
        if let Some(folder) = &self.data {
            let is_url = folder.to_str().is_some_and(|place| place.contains("://"));
            scenario.data.path = Some(if is_url { folder.clone() } else { absolute(folder)? });
        }
        if let Some(store) = scenario.checkpoint.store.as_mut().filter(|store| !store.contains("://")) {
            *store = absolute(Path::new(store))?.to_string_lossy().into_owned();
        }
        node::check_data_names(&scenario)?;
        node::check_kinds(&scenario)?;
        node::check_channels(&scenario)?;
        node::bind_weights(&mut scenario)?;
        Ok(scenario)
    }

    /// Name and text of the selected built-in scenario. A file of the same name takes precedence.
    fn built_in(&self) -> Option<(&'static str, &'static str)> {
        let path = self.scenario.as_ref().filter(|path| !path.exists())?;
        BUILT_IN.into_iter().find(|(name, _)| path.as_os_str() == *name)
    }

    /// The changed scenario of the run in `folder`, for a run that continues from its checkpoint. The new run keeps its
    /// checkpoints elsewhere.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve); also if the folder holds no readable scenario.
    pub fn resolve_from(&self, folder: &Path) -> Result<Scenario, CoordinatorError> {
        let first = RunFolder::at(folder);
        let before = first.scenario()?;
        let mut scenario =
            ScenarioArguments { scenario: Some(first.file("scenario.toml")), ..self.clone() }.resolve()?;
        if scenario.checkpoint.store == before.checkpoint.store {
            scenario.checkpoint.store = None;
        }
        Ok(scenario)
    }

    /// Prints a line on standard error for each deprecated key. Only the process that the user started calls this:
    /// child processes get the same arguments.
    pub fn warn_of_deprecated_keys(&self) {
        // An unreadable file is reported when the scenario is read.
        let text = self.scenario.as_ref().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        for line in scenario::deprecated_keys(&text.unwrap_or_default(), &self.overrides()) {
            eprintln!("warning: {line}");
        }
    }

    /// The same arguments as command line words.
    pub fn words(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut words: Vec<String> = self.scenario.iter().map(path).collect();
        let mut flag = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
        };
        flag("preset", self.preset.map(|preset| preset.name().to_owned()));
        for assignment in self.assignments() {
            flag("set", Some(assignment));
        }
        flag("method", self.method.clone());
        flag("rounds", self.rounds.map(|rounds| rounds.to_string()));
        flag("seed", self.seed.map(|seed| seed.to_string()));
        flag("data", self.data.as_ref().map(path));
        words
    }

    /// Assignments in order of application: those of the environment, then those of the command line, which override
    /// them.
    fn assignments(&self) -> Vec<String> {
        let of_environment = std::env::var(SET).unwrap_or_default();
        let mut assignments = split(&of_environment);
        assignments.extend_from_slice(&self.set);
        assignments
    }

    fn overrides(&self) -> Vec<String> {
        let mut overrides = self.assignments();
        overrides.extend(self.method.iter().map(|method| format!("train.method=\"{method}\"")));
        overrides.extend(self.rounds.iter().map(|rounds| format!("train.rounds={rounds}")));
        overrides.extend(self.seed.iter().map(|seed| format!("seed={seed}")));
        overrides
    }
}

/// Command line of the coordinator.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("evaluates").args(["evaluate", "serve"]).multiple(false))]
#[command(after_long_help = "Examples:
  pom2dib coordinator scenarios/digits.toml --out by-hand       # nodes of this machine
  pom2dib coordinator mine.toml --out run --listen 0.0.0.0:7310 --tls certs
  pom2dib coordinator mine.toml --out run --resume-or-start     # for a supervisor that restarts")]
pub struct Arguments {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArguments,

    /// The run's folder
    #[arg(long, env = "POM2DIB_OUT", default_value = "run", value_name = "DIR")]
    pub out: PathBuf,

    /// Overwrite the run that --out holds
    #[arg(long, env = "POM2DIB_FORCE", value_parser = node::boolean)]
    pub force: bool,

    /// Go on from the last checkpoint of the run in --out
    #[arg(long, conflicts_with_all = ["force", "evaluate"])]
    pub resume: bool,

    /// Go on from the last checkpoint of the run in --out if there is one, else start it: for supervisors that restart
    #[arg(long, env = "POM2DIB_RESUME_OR_START", value_parser = node::boolean, conflicts_with_all = ["force", "evaluate", "resume"])]
    pub resume_or_start: bool,

    /// Evaluate the last checkpoint of the run in --out and train nothing
    #[arg(long, conflicts_with = "force")]
    pub evaluate: bool,

    /// Evaluate (or serve) the checkpoint that scored best on validation rows, instead of the last
    #[arg(long, requires = "evaluates")]
    pub best: bool,

    /// Serve the last checkpoint of the run in this folder, or with --best its best, and train nothing: --out is then
    /// RUN/serve
    #[arg(long, env = "POM2DIB_SERVE", value_name = "RUN", conflicts_with_all = ["force", "evaluate", "resume", "resume_or_start", "scenario", "verify"])]
    pub serve: Option<PathBuf>,

    /// What is served, and how.
    #[command(flatten)]
    pub stream: StreamArguments,

    /// Address to listen on
    #[arg(long, env = "POM2DIB_LISTEN", default_value = "127.0.0.1:7310", value_name = "IP:PORT", value_parser = node::listening)]
    pub listen: SocketAddr,

    /// Who may connect.
    #[command(flatten)]
    pub security: node::SecurityOptions,

    /// Listen on an address that other machines can reach even without TLS or a token
    #[arg(long, env = "POM2DIB_INSECURE", value_parser = node::boolean)]
    pub insecure: bool,

    /// Print the summary as one JSON object
    #[arg(long, env = "POM2DIB_JSON", value_parser = node::boolean)]
    pub json: bool,

    /// Let all nodes report the draws of every round, compare the reports and recompute what follows from the seed: a
    /// node that cheats or diverges is named
    #[arg(long, env = "POM2DIB_VERIFY", value_parser = node::boolean)]
    pub verify: bool,

    /// Seconds for all nodes to join and get ready
    #[arg(long, env = "POM2DIB_PATIENCE", default_value_t = 600, value_name = "SECONDS")]
    pub patience: u64,

    /// Seconds for a lost node to come back before the run fails; 0: the run fails at once
    #[arg(long, env = "POM2DIB_REJOIN", default_value_t = 600, value_name = "SECONDS")]
    pub rejoin: u64,

    /// Seconds without a heartbeat after which a node is lost (nodes send one every second)
    #[arg(long, env = "POM2DIB_SILENCE", default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(3..))]
    pub silence: u64,

    /// Seconds without progress, although all nodes send heartbeats, after which the network goes back to its last
    /// checkpoint; must exceed the longest round or piece of evaluation
    #[arg(long, env = "POM2DIB_STALL", default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub stall: u64,

    /// Address of the standard gRPC health service, open to any client (see `pom2dib health`)
    #[arg(long, env = "POM2DIB_HEALTH", value_name = "IP:PORT", value_parser = node::listening)]
    pub health: Option<SocketAddr>,

    /// Address of the run's page for browsers, or off; by default a free port of this machine alone (docs/watching.md)
    #[arg(long, env = "POM2DIB_PAGE", value_name = "IP:PORT|off")]
    pub page: Option<PageAddress>,

    /// Folder into which scalars, histograms, the map of grants and hyper-parameters are written as event files of
    /// TensorBoard
    #[arg(long, env = "POM2DIB_TENSORBOARD", value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,

    /// Show a live table in the terminal instead of a line of progress; elsewhere lines as usual (docs/watching.md)
    #[arg(long, env = "POM2DIB_TUI", value_parser = node::boolean)]
    pub tui: bool,

    /// Send traces of rounds and evaluation passes to this OpenTelemetry collector, which takes OTLP over gRPC
    /// (docs/watching.md)
    #[arg(long, env = "POM2DIB_OTLP", value_name = "URL")]
    pub otlp: Option<node::Collector>,

    /// End when standard input is closed (the parent process has ended)
    #[arg(long, hide = true)]
    pub end_with_parent: bool,

    /// End after this many rounds
    #[arg(long, hide = true)]
    pub stop_after: Option<u64>,

    /// The command that started the run, if it differs from this one
    #[arg(long, hide = true)]
    pub command: Option<String>,

    /// The parent process holds the lock of the run's folder for this process
    #[arg(long, hide = true)]
    pub lock_inherited: bool,
}

impl Arguments {
    /// Checks the arguments and turns them into options of a run.
    ///
    /// # Errors
    ///
    /// [`CoordinatorError::Input`] or a scenario's error if an argument, the scenario or the folder cannot be used.
    pub fn options(&self) -> Result<Options, CoordinatorError> {
        if let Some(run) = &self.serve {
            return self.options_of_service(run);
        }
        let mode = match (self.resume, self.evaluate, self.resume_or_start) {
            (true, ..) => Mode::Resume,
            (_, true, _) => Mode::Evaluate,
            (.., true) => Mode::ResumeOrStart,
            _ => Mode::Train { force: self.force },
        };
        let scenario = match mode {
            Mode::Train { .. } | Mode::ResumeOrStart => self.scenario.resolve()?,
            Mode::Resume if !RunFolder::at(&self.out).holds_run() => self.scenario_of_store()?,
            Mode::Resume | Mode::Evaluate => self.scenario_of_folder()?,
        };
        self.options_with(scenario, mode)
    }

    /// Those of a service of a run's checkpoint. The caller holds the lock of its folder, --out.
    fn options_of_service(&self, run: &Path) -> Result<Options, CoordinatorError> {
        let Prepared { scenario, store } = stream::prepare(run, self.best, &self.scenario.set, &self.stream)?;
        let mut scenario = scenario;
        if let Some(folder) = &self.scenario.data {
            scenario.data.path = Some(absolute(folder)?);
        }
        // The copy is of one checkpoint: it is the last, whichever of the run's it was.
        let options = self.options_with(scenario, Mode::Evaluate)?;
        let stream = self.stream.clone();
        let serve = ServeOptions { run: run.into(), best: self.best, stream, answers: None };
        let folder = stream::service_folder(run);
        Ok(Options { store: Some(store), best: false, folder, serve: Some(serve), ..options })
    }

    fn options_with(&self, scenario: Scenario, mode: Mode) -> Result<Options, CoordinatorError> {
        if self.tui {
            screen::check()?;
        }
        Ok(Options {
            scenario,
            mode,
            command: self.command.clone().unwrap_or_else(command_line),
            best: self.best,
            folder: self.out.clone(),
            store: None,
            listen: self.listen,
            security: self
                .security
                .of_coordinator()
                .map_err(|error| CoordinatorError::Input(error.to_string()))?,
            insecure: self.insecure,
            json: self.json,
            verify: self.verify,
            page: self.page.unwrap_or(self.usual_page()),
            stop_after: self.stop_after,
            tensorboard: self.tensorboard.clone(),
            tui: self.tui,
            otlp: self.otlp.clone(),
            health: Health::default(),
            deadlines: Deadlines {
                join: Duration::from_secs(self.patience),
                rejoin: Duration::from_secs(self.rejoin),
                silence: Duration::from_secs(self.silence),
                stall: Duration::from_secs(self.stall),
            },
            terminate: Shutdown::default(),
            serve: None,
        })
    }

    /// Where the page is without --page: only training has one then.
    fn usual_page(&self) -> PageAddress {
        if self.evaluate || self.serve.is_some() { PageAddress::Off } else { PageAddress::Free }
    }

    /// A scenario that names the store of the run, for a folder without files of the run.
    fn scenario_of_store(&self) -> Result<Scenario, CoordinatorError> {
        let scenario = self.scenario.resolve()?;
        match scenario.checkpoint.store {
            Some(_) => Ok(scenario),
            None => RunFolder::at(&self.out).scenario(),
        }
    }

    /// The folder's own scenario. Only the location of the data and the evaluation settings may differ.
    fn scenario_of_folder(&self) -> Result<Scenario, CoordinatorError> {
        let folder = RunFolder::at(&self.out);
        let mut scenario = if self.evaluate {
            folder.scenario_to_evaluate(&self.scenario.set)?
        } else {
            folder.scenario()?
        };
        if let Some(folder) = &self.scenario.data {
            scenario.data.path = Some(absolute(folder)?);
        }
        Ok(scenario)
    }
}

fn parse_preset(text: &str) -> Result<Preset, String> {
    text.parse()
}

/// Splits one text into assignments.
fn split(text: &str) -> Vec<String> {
    let parts = text.split([';', '\n']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Makes a path absolute, since nodes may start in other folders. The path goes into the scenario, which is text.
fn absolute(path: &Path) -> Result<PathBuf, CoordinatorError> {
    if path.to_str().is_none() {
        let message =
            format!("--data {}: the folder's name must be UTF-8; rename it or link to it", path.display());
        return Err(CoordinatorError::Input(message));
    }
    Ok(std::path::absolute(path).unwrap_or_else(|_| path.into()))
}

/// Runs the coordinator on its own runtime, prints the summary and returns the exit status: 0 done, 2 wrong user input,
/// 1 the run failed.
pub fn main(arguments: Arguments) -> ExitCode {
    if arguments.end_with_parent {
        node::end_with_parent();
    } else {
        arguments.scenario.warn_of_deprecated_keys();
    }
    match conduct(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn conduct(arguments: &Arguments) -> Result<(), CoordinatorError> {
    if let Some(run) = &arguments.serve {
        // Without a run there is nothing to lock.
        RunFolder::at(run).scenario()?;
    }
    let folder =
        arguments.serve.as_ref().map_or_else(|| arguments.out.clone(), |run| stream::service_folder(run));
    let before = if arguments.serve.is_none() { Some(arguments.options()?) } else { None };
    let _lock = match arguments.lock_inherited {
        true => RunLock::inherit(&folder)?,
        false => RunLock::take(&folder)?,
    };
    let options = before.map_or_else(|| arguments.options(), Ok)?;
    let options = match arguments.scenario.rounds.filter(|_| arguments.resume) {
        Some(rounds) if RunFolder::at(&options.folder).holds_run() => {
            crate::extend(&options.folder, rounds)?;
            arguments.options()?
        }
        // From here on the folder's scenario applies; the arguments only locate the store.
        Some(rounds) => {
            crate::further::extend_from_store(&options.folder, &options.scenario, rounds)?;
            options
        }
        None => options,
    };
    let options = options.with_own_token()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CoordinatorError::Run(format!("cannot start the async runtime: {error}")))?;
    let (mut scenario, folder, json) = (options.scenario.clone(), options.folder.clone(), options.json);
    let outcome = runtime.block_on(async {
        let terminate = if arguments.end_with_parent {
            // A terminal sends Ctrl-C to the whole process group: the parent decides what it means.
            let _ignored = signal(SignalKind::interrupt());
            Shutdown::on(&[SignalKind::terminate()])
        } else {
            Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt()])
        };
        let health = Health::serve(arguments.health)
            .await
            .map_err(|error| CoordinatorError::Input(error.to_string()))?;
        // From now on the coordinator admits nodes, or it ends at once.
        health.ready(true).await;
        crate::run(Options { terminate, health, ..options }).await
    })?;
    if arguments.resume_or_start {
        // A continued run has its own scenario.
        scenario = RunFolder::at(&folder).scenario()?;
    }
    print_outcome(&outcome, &scenario, &folder, json);
    Ok(())
}

/// Prints the outcome of a run: the summary on standard output, as a table or one JSON object, or how to continue it.
pub fn print_outcome(outcome: &Outcome, scenario: &Scenario, folder: &Path, json: bool) {
    match outcome {
        Outcome::Done(summary) => print_summary(summary, scenario, folder, json),
        Outcome::Served(summary) => {
            node::say(&if json { format!("{summary}\n") } else { stream::table(summary) });
        }
        Outcome::Stopped(version) => {
            let (rounds, folder) = (scenario.train.rounds, folder.display());
            let when = match version {
                0 => "before the first round".into(),
                version => format!("after round {version} of {rounds}"),
            };
            eprintln!("stopped {when}; go on with: pom2dib run --resume {folder}");
        }
    }
}

/// Prints the summary on standard output, as a table or one JSON object. The run's folder already holds it.
fn print_summary(summary: &Summary, scenario: &Scenario, folder: &Path, json: bool) {
    let text = if json {
        serde_json::to_string(summary).expect("a summary has only strings and numbers") + "\n"
    } else {
        render(summary, scenario, folder)
    };
    node::say(&text);
}
