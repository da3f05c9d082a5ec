use std::path::PathBuf;

/// Why a run ended early. One line each, naming the cause.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Scenario(#[from] scenario::ScenarioError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Link(#[from] link::LinkError),
    /// The user's input cannot be used.
    #[error("{0}")]
    Input(String),
    /// A file of the run's folder cannot be read or written.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The store of checkpoints cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// A node failed, left, or broke the protocol.
    #[error("{0}")]
    Run(String),
}

impl CoordinatorError {
    /// Names the file that an error is about.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| CoordinatorError::File { path, error }
    }

    /// Makes an error that names the node which sent a message.
    pub(crate) fn blame(node: String) -> impl FnOnce(proto::WireError) -> Self {
        move |error| CoordinatorError::Run(format!("{node}: {error}"))
    }

    /// The same error where the scenario's file is known: then the message names it.
    #[must_use]
    pub fn of(self, file: &str) -> Self {
        match self {
            CoordinatorError::Scenario(error) => CoordinatorError::Scenario(error.of(file)),
            other => other,
        }
    }

    /// Whether the user's input (exit status 2) rather than the run (1) is at fault.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            CoordinatorError::Scenario(_)
                | CoordinatorError::Link(_)
                | CoordinatorError::Input(_)
                | CoordinatorError::Store(store::StoreError::Open { .. })
        )
    }
}
