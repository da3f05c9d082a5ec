use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
};

use data::Source;

use crate::cli;

/// The program `pom2dib` with all its commands, and what you add to it.
///
/// `run` starts the coordinator, the transmitters and the receivers of a network as processes of the same executable, each in a
/// role of its own: whatever program calls [`Program::run`] is also what its nodes are, and so its nodes know what it adds.
///
/// A program chooses its own allocator. The command `pom2dib` sets mimalloc, with which a round is faster.
#[derive(Default)]
pub struct Program {
    data: Vec<(&'static str, Arc<dyn Source>)>,
}

impl Program {
    /// The program as it is.
    pub fn new() -> Self {
        Program::default()
    }

    /// Adds a data set, which scenarios then name in `data.source`; `examples/own_dataset.rs` is one. The name is of letters, digits,
    /// hyphens and underscores. A node of a program that lacks it is refused.
    pub fn data(mut self, name: &'static str, source: impl Source + 'static) -> Self {
        self.data.push((name, Arc::new(source)));
        self
    }

    /// Does what the command line says, and gives the exit status: 0 if that was done, 1 if it failed, 2 if something in the input is
    /// wrong. To be called once, first thing in `main`, with no other thread running. What is wrong with the command line ends the
    /// process here.
    pub fn run(self) -> ExitCode {
        node::log_to_stderr();
        let added = self.data.into_iter().try_for_each(|(name, source)| data::register(name, source));
        if let Err(line) =
            added.and_then(|()| link::raise_descriptor_limit().map_err(|line| line.to_string()))
        {
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
