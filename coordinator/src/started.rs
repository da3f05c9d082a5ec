//! A record of every start of a run: command, machine and time.

use std::{fs::File, io::Write};

use serde::{Deserialize, Serialize};

use crate::{
    CoordinatorError, RunFolder,
    lock::{host, now},
};

/// The file of this record, a line of JSON for each start.
pub(crate) const STARTS: &str = "starts.jsonl";

/// A start of a run's coordinator, to train.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Time of the start, in UTC.
    pub at: String,
    /// The machine's name.
    pub host: String,
    /// The command, quoted for a shell.
    pub command: String,
    /// Version of the program.
    pub program: String,
}

impl Started {
    /// Records that this process starts the run in a folder.
    pub(crate) fn write(folder: &RunFolder, command: &str) -> Result<(), CoordinatorError> {
        let (at, command, program) = (now(), command.to_owned(), proto::VERSION.into());
        let started = Started { at, host: host(), command, program };
        let line = serde_json::to_string(&started).expect("it has only strings") + "\n";
        let path = folder.file(STARTS);
        let file = File::options().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(CoordinatorError::file(&path))
    }

    /// All starts of the run in a folder, in order; none for runs of earlier versions.
    pub fn all(folder: &RunFolder) -> Vec<Self> {
        let text = std::fs::read_to_string(folder.file(STARTS)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// This process's command line, quoted for a shell; the program by its name alone.
pub fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words: Vec<String> = std::iter::once(name).chain(words).map(|word| node::shell_word(&word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(directory.path());
        assert_eq!(Started::all(&folder), []);
        for command in ["pom2dib run", "pom2dib run --resume a"] {
            Started::write(&folder, command).unwrap();
        }
        let commands: Vec<String> = Started::all(&folder).into_iter().map(|start| start.command).collect();
        assert_eq!(commands, ["pom2dib run", "pom2dib run --resume a"]);
    }
}
