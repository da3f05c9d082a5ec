use std::{net::SocketAddr, path::PathBuf, time::Duration};

use link::{Security, Token};
use scenario::Scenario;
use store::Store;

use crate::CoordinatorError;

/// What a coordinator is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to run, resolved. In every mode but [`Mode::Train`] it is the folder's own.
    pub scenario: Scenario,
    /// What to do.
    pub mode: Mode,
    /// What was typed to start it.
    pub command: String,
    /// Evaluate the checkpoint that scored best on validation rows instead of the last.
    pub best: bool,
    /// The run's folder.
    pub folder: PathBuf,
    /// Where its checkpoints lie, if that is open already; else it is opened as the scenario says.
    pub store: Option<Store>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who is let in.
    pub security: Security,
    /// Listen there although others can reach it and nothing protects it.
    pub insecure: bool,
    /// Print the summary as one JSON object instead of a table.
    pub json: bool,
    /// Let the nodes say what they see of the draws of every round, and verify it.
    pub verify: bool,
    /// How long to wait for nodes.
    pub deadlines: Deadlines,
    /// How the coordinator learns that it is to stop.
    pub terminate: node::Shutdown,
}

/// The file of a run's folder that holds a token which nobody was given. It goes to no store.
pub(crate) const TOKEN: &str = "token";

impl Options {
    /// The same with a token of its own where any user of this machine could have a word in the run: on loopback, without
    /// certificates or a token. A run that goes on keeps the token that it has.
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
    /// For all to join and to get ready.
    pub join: Duration,
    /// For one that was lost to come back; zero: its loss ends the run.
    pub rejoin: Duration,
    /// For a heartbeats: after this long without one a node is lost.
    pub silence: Duration,
    /// For anything to move while all give heartbeats.
    pub stall: Duration,
}

/// How a coordinator's work ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The run is done.
    Done(Box<crate::Summary>),
    /// It was told to stop, and has a checkpoint of this version (unless that is 0).
    Stopped(u64),
}

/// What a coordinator is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A fresh run in a fresh folder, or over an old one if `force`.
    Train {
        /// Empty an existing folder.
        force: bool,
    },
    /// Go on from the last checkpoint.
    Resume,
    /// The same if there is one, else start afresh.
    ResumeOrStart,
    /// Evaluate the folder's last checkpoint, or its [best](Options::best).
    Evaluate,
}
