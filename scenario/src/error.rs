use std::path::PathBuf;

/// Errors of a scenario. Each message is one line with the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{path}: {error}; give the path of a scenario file", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The text is not TOML, or has an unknown key or a value of the wrong type.
    #[error("{origin}: {message}")]
    Malformed {
        /// The file, or the override.
        origin: String,
        /// The problem, on one line.
        message: String,
    },
    /// A key's value cannot be used.
    #[error("scenario: {key} {message}")]
    Invalid {
        /// The key at fault.
        key: String,
        /// The problem and the remedy.
        message: String,
    },
}

impl ScenarioError {
    /// Makes an error for a value that cannot be used: the key, and the reason.
    pub fn invalid(key: impl Into<String>, message: impl Into<String>) -> Self {
        ScenarioError::Invalid { key: key.into(), message: message.into() }
    }
}
