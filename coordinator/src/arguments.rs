//! The coordinator's command line, and the options of a run that come of it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use node::{Health, Shutdown};
use scenario::Scenario;

use crate::{
    CoordinatorError, Deadlines, Mode, Options, PageAddress, RunFolder, ScenarioArguments, ServeOptions,
    StreamArguments, command_line,
    scenario_arguments::absolute,
    screen,
    stream::{self, Prepared},
};

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

    /// Evaluate without writing evaluation.json: for commands that compare evaluations
    #[arg(long, hide = true, requires = "evaluate")]
    pub print_only: bool,

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
            print_only: self.print_only,
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
