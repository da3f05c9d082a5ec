use std::{net::SocketAddr, path::PathBuf, time::Duration};

use link::{Security, Token};
use scenario::Scenario;
use store::Store;

use crate::{AnswerSink, CoordinatorError, PageAddress, StreamArguments};

/// Settings of a coordinator at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to run, resolved. In every mode but [`Mode::Train`] it is the folder's own.
    pub scenario: Scenario,
    /// The mode.
    pub mode: Mode,
    /// The command that started it.
    pub command: String,
    /// Evaluate the checkpoint that scored best on validation rows instead of the last.
    pub best: bool,
    /// The run's folder.
    pub folder: PathBuf,
    /// The store of its checkpoints, if already open; else it is opened as the scenario says.
    pub store: Option<Store>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Who may connect.
    pub security: Security,
    /// Listen even on an address that others can reach without TLS or a token.
    pub insecure: bool,
    /// Print the summary as one JSON object instead of a table.
    pub json: bool,
    /// Let the nodes report the draws of every round, and verify them.
    pub verify: bool,
    /// End after this many rounds: for looking at a round again.
    pub stop_after: Option<u64>,
    /// Evaluate without writing `evaluation.json`.
    pub print_only: bool,
    /// Where the run's page is served.
    pub page: PageAddress,
    /// Folder for an event file of TensorBoard.
    pub tensorboard: Option<PathBuf>,
    /// Show a live table where standard error is a terminal.
    pub tui: bool,
    /// Where spans of rounds are sent.
    pub otlp: Option<node::Collector>,
    /// The health port, which has the run's metrics too.
    pub health: node::Health,
    /// How long to wait for nodes.
    pub deadlines: Deadlines,
    /// Signal for the coordinator to stop.
    pub terminate: node::Shutdown,
    /// Serve instead of evaluating.
    pub serve: Option<ServeOptions>,
}

/// What is served, and of which run.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The run's folder, of which [`Options::folder`] is the service's own.
    pub run: PathBuf,
    /// Its best checkpoint on validation rows, instead of the last.
    pub best: bool,
    /// The stream.
    pub stream: StreamArguments,
    /// Takes the answers, instead of standard output.
    pub answers: Option<AnswerSink>,
}

/// The file of a run's folder with a token that the run generated for itself. It is never stored remotely.
pub(crate) const TOKEN: &str = "token";

impl Options {
    /// The same with a generated token where any user of this machine could reach the run: on loopback, without
    /// certificates or a token. A continued run keeps its token.
    ///
    /// # Errors
    ///
    /// If the folder's token cannot be read or written.
    pub fn with_own_token(self) -> Result<Self, CoordinatorError> {
        if self.security.protects() || self.insecure || !self.listen.ip().is_loopback() {
            return Ok(self);
        }
        let is_fresh = matches!(self.mode, Mode::Train { .. });
        let token = Token::keep(&self.folder.join(TOKEN), is_fresh)?;
        Ok(Options { security: self.security.with_own_token(token), ..self })
    }
}

/// How long a coordinator waits for nodes.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For all nodes to join and get ready.
    pub join: Duration,
    /// For a lost node to come back; zero: the loss ends the run.
    pub rejoin: Duration,
    /// For a heartbeat: after this long without one a node is lost.
    pub silence: Duration,
    /// For progress while all nodes send heartbeats.
    pub stall: Duration,
}

/// How a coordinator's run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The run is done.
    Done(Box<crate::Summary>),
    /// The service has ended: its summary.
    Served(serde_json::Value),
    /// The run was stopped, and has a checkpoint of this version (unless that is 0).
    Stopped(u64),
}

/// The coordinator's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Train a fresh run in a fresh folder, or over an old run if `force`.
    Train {
        /// Clear an existing folder.
        force: bool,
    },
    /// Continue from the last checkpoint.
    Resume,
    /// Continue from the last checkpoint if there is one, else start afresh.
    ResumeOrStart,
    /// Evaluate the folder's last checkpoint, or its [best](Options::best).
    Evaluate,
}
