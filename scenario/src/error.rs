use std::path::PathBuf;

/// What can be wrong with a scenario. Each message is one line that names the culprit and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{path}: {error}; give the path of a scenario file", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The text is no TOML, or has an unknown key or a value of the wrong type.
    #[error("{origin}: {message}")]
    Malformed {
        /// The file, or the override.
        origin: String,
        /// What is wrong, on one line.
        message: String,
    },
    /// A key's value cannot be used.
    #[error("scenario: {key} {message}")]
    Invalid {
        /// The key at fault.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl ScenarioError {
    /// A value that cannot be used: which key, and why.
    pub fn invalid(key: impl Into<String>, message: impl Into<String>) -> Self {
        ScenarioError::Invalid { key: key.into(), message: message.into() }
    }
}
