use std::{net::SocketAddr, path::PathBuf, time::Duration};

use scenario::Scenario;

/// What a coordinator is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to run, resolved. In every mode but [`Mode::Train`] it is the folder's own.
    pub scenario: Scenario,
    /// What to do.
    pub mode: Mode,
    /// The run's folder.
    pub folder: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Listen there although others can reach it and nothing protects it.
    pub insecure: bool,
    /// Print the summary as one JSON object instead of a table.
    pub json: bool,
    /// How long nodes may take to join and to get ready.
    pub patience: Duration,
}

/// What a coordinator is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A fresh run in a fresh folder, or over an old one if `force`.
    Train {
        /// Empty an existing folder.
        force: bool,
    },
    /// Go on from the folder's last checkpoint.
    Resume,
    /// Evaluate the folder's last checkpoint.
    Evaluate,
}
