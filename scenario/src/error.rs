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
    #[error("{origin}: {key} {message}")]
    Invalid {
        /// The scenario's file, if [`ScenarioError::of`] has set it; else "scenario".
        origin: String,
        /// The key at fault.
        key: String,
        /// The problem and the remedy.
        message: String,
    },
}

impl ScenarioError {
    /// Makes an error for a value that cannot be used: the key, and the reason.
    pub fn invalid(key: impl Into<String>, message: impl Into<String>) -> Self {
        ScenarioError::Invalid { origin: "scenario".into(), key: key.into(), message: message.into() }
    }

    /// The same error with the scenario's file as its origin.
    #[must_use]
    pub fn of(self, file: &str) -> Self {
        match self {
            ScenarioError::Invalid { key, message, .. } => {
                ScenarioError::Invalid { origin: file.into(), key, message }
            }
            other => other,
        }
    }
}
