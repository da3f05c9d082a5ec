use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{ArrayTask, error::DataError};

/// What a scenario says of its data, and of who reads what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The name of the data set: `data.source`.
    pub source: String,
    /// Its folder, if one is given.
    pub folder: Option<PathBuf>,
    /// The keys of `[data]`, but for `source` and `path`. (The one called `mmfi` has those of that section.)
    pub keys: Map<String, Value>,
    /// What each transmitter of the run observes, in index order; none where there is no run.
    pub transmitters: Vec<Vec<String>>,
    /// What each receiver of the run infers, in index order; none where there is no run.
    pub tasks: Vec<ArrayTask>,
}

impl Settings {
    /// Those of a data set in a folder, with all keys at their defaults, and no run.
    pub fn new(source: &str, folder: Option<PathBuf>) -> Self {
        Settings { source: source.into(), folder, ..Settings::default() }
    }

    /// The same with a key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.into(), value.into());
        self
    }

    /// The value of a key, if the scenario sets it.
    ///
    /// # Errors
    /// The key, if its value is of another type.
    pub fn key<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DataError> {
        let Some(value) = self.keys.get(key) else { return Ok(None) };
        let wrong = |error| self.invalid(key, format!("is {value}: {error}"));
        serde_json::from_value(value.clone()).map(Some).map_err(wrong)
    }

    /// What is wrong with a key of `[data]`, as an error: `problem` follows the key, "must be above 0" for example.
    pub fn invalid(&self, key: &str, problem: impl Into<String>) -> DataError {
        DataError::Key { key: format!("data.{key}"), problem: problem.into() }
    }

    /// The folder of a data set that consists of files.
    ///
    /// # Errors
    /// That none was given.
    pub fn files(&self) -> Result<&Path, DataError> {
        self.files_or("")
    }

    /// The same with one more way out, as it ends the line.
    pub(crate) fn files_or(&self, remedy: &str) -> Result<&Path, DataError> {
        self.folder.as_deref().ok_or_else(|| {
            let name = &self.source;
            let problem =
                format!("scenario \"{name}\" reads files: say where with --data DIR or data.path{remedy}");
            DataError::Scenario { problem }
        })
    }

    /// What any transmitter observes.
    pub fn modalities(&self) -> Vec<String> {
        self.transmitters.concat()
    }

    /// What any receiver infers.
    pub fn task_names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.name.clone()).collect()
    }

    /// Whether there is a run whose nodes read the data.
    pub fn has_nodes(&self) -> bool {
        !self.transmitters.is_empty() || !self.tasks.is_empty()
    }
}
