//! What can be wrong with data, in one line each.

use std::path::{Path, PathBuf};

/// Why data could not be opened, fetched or verified. Every message is one line that names the culprit.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder that should be there is not.
    #[error("{} is missing: {remedy}", shown(path))]
    Missing {
        /// What was looked for.
        path: PathBuf,
        /// What would be right.
        remedy: String,
    },
    /// The system would not read or write a file.
    #[error("{}: {source}", shown(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read, but does not hold what it should.
    #[error("{}: {problem}", shown(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A scenario does not say what is to be read.
    #[error("{problem}")]
    Scenario {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A key of a scenario whose value cannot be used.
    #[error("scenario: {key} {problem}")]
    Key {
        /// The key at fault.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A modality that the data set does not have.
    #[error("no modality is called {name:?}: the names are {known}")]
    UnknownModality {
        /// What was asked for.
        name: String,
        /// What could have been asked for.
        known: String,
    },
    /// A task that the data set does not have.
    #[error("no task is called {name:?}: the names are {known}")]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// What could have been asked for.
        known: String,
    },
    /// No mirror gave a file.
    #[error("{name} could not be downloaded ({problem}); without a network, put it at {}", shown(path))]
    Download {
        /// The file.
        name: String,
        /// What the last mirror did wrong.
        problem: String,
        /// Where the file belongs.
        path: PathBuf,
    },
}

impl DataError {
    /// [`DataError::Io`] of a file.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        DataError::Io { path: path.into(), source }
    }

    /// [`DataError::Malformed`] of a file.
    pub fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        DataError::Malformed { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn missing(path: &Path, remedy: impl Into<String>) -> Self {
        DataError::Missing { path: path.into(), remedy: remedy.into() }
    }
}

/// A path on one line, whatever characters its name holds.
pub(crate) fn shown(path: &Path) -> String {
    match path.display().to_string() {
        name if name.is_empty() => "the empty path".into(),
        name => name.replace(char::is_control, "?"),
    }
}

/// Whether a file's name begins with a dot: desktops and archivers leave such files (AppleDouble's `._`, for one)
/// beside those that are meant.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
