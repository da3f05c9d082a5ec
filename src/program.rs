use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::cli;

/// The program `pom2dib` with all its commands.
///
/// `run` starts the coordinator, the transmitters and the receivers of a network as processes of the same executable, each in a
/// role of its own: whatever program calls [`Program::run`] is also what its nodes are.
///
/// A program chooses its own allocator. The command `pom2dib` sets mimalloc, with which a round is faster.
#[derive(Debug, Default)]
pub struct Program {
    _private: (),
}

impl Program {
    /// The program as it is.
    pub fn new() -> Self {
        Program::default()
    }

    /// Does what the command line says, and gives the exit status: 0 if that was done, 1 if it failed, 2 if something in the input is
    /// wrong. To be called once, first thing in `main`, with no other thread running. What is wrong with the command line ends the
    /// process here.
    pub fn run(self) -> ExitCode {
        node::log_to_stderr();
        if let Err(line) = link::raise_descriptor_limit() {
            eprintln!("error: {line}");
            return ExitCode::from(2);
        }
        cli::run()
    }
}

/// A command that starts this program again; what it is to do comes behind. The only place that knows how that is done.
pub(crate) fn again() -> std::io::Result<Command> {
    Ok(Command::new(executable()?))
}

/// The file that this program is.
pub(crate) fn executable() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}
