//! How this program is started again: nodes and runs are processes of it.

use std::{ffi::OsString, path::PathBuf, process::Command, sync::OnceLock};

/// How to start a program that has no executable of its own.
pub(crate) struct Start {
    pub(crate) command: Vec<OsString>,
    /// The file that contains the program.
    pub(crate) file: PathBuf,
}

/// The setting for this process, if its program made one.
static START: OnceLock<Start> = OnceLock::new();

/// Sets how this process's program is started again.
pub(crate) fn started_by(start: Start) {
    // A second program in one process would be the same one.
    let _ = START.set(start);
}

/// A command that starts this program again, without arguments. No other code knows how.
pub(crate) fn again() -> std::io::Result<Command> {
    let Some((first, others)) = START.get().and_then(|start| start.command.split_first()) else {
        return Ok(Command::new(executable()?));
    };
    let mut command = Command::new(first);
    command.args(others);
    Ok(command)
}

/// The file that contains this program.
pub(crate) fn executable() -> std::io::Result<PathBuf> {
    START.get().map_or_else(std::env::current_exe, |start| Ok(start.file.clone()))
}
