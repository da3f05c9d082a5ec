//! How this program is started again: nodes and runs are processes of it.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// What keeps mimalloc from returning freed memory to the system, if a process begins with it.
const KEEPS_FREED_MEMORY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// Set where this process is the command `pom2dib` and nothing else.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Says that this process is the command `pom2dib` and nothing else: it may begin anew.
pub(crate) fn set_alone() {
    ALONE.store(true, Ordering::Relaxed);
}

/// Replaces this process by itself (exec: same pid, arguments and open files) with `MIMALLOC_PURGE_DELAY` set, which
/// mimalloc reads at start. Page faults would take a tenth of a round. Does nothing if the variable is set, or in
/// another program. Call it first.
pub(crate) fn keep_freed_memory() {
    let (name, value) = KEEPS_FREED_MEMORY;
    if !ALONE.load(Ordering::Relaxed) || std::env::var_os(name).is_some() {
        return;
    }
    let Ok(file) = std::env::current_exe() else { return };
    let mut words = std::env::args_os();
    let mut command = Command::new(file);
    command.arg0(words.next().unwrap_or_default()).args(words).env(name, value);
    // It returns only if it cannot be done: then rounds take a little longer.
    let _ = command.exec();
}

/// A command that starts this program again, without arguments. No other code knows how. The process keeps freed
/// memory unless `MIMALLOC_PURGE_DELAY` is set.
pub(crate) fn again() -> std::io::Result<Command> {
    let mut command = match START.get().and_then(|start| start.command.split_first()) {
        Some((first, others)) => {
            let mut command = Command::new(first);
            command.args(others);
            command
        }
        None => Command::new(executable()?),
    };
    let (name, value) = KEEPS_FREED_MEMORY;
    if std::env::var_os(name).is_none() {
        command.env(name, value);
    }
    Ok(command)
}

/// The file that contains this program.
pub(crate) fn executable() -> std::io::Result<PathBuf> {
    START.get().map_or_else(std::env::current_exe, |start| Ok(start.file.clone()))
}
