use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{Arc, OnceLock},
};

use data::Source;
use dib::Module;
use node::{Build, Wanted, register_kind};

use crate::cli;

/// The program `pom2dib` with all its commands, and what you add to it.
///
/// `run` starts the coordinator, the transmitters and the receivers of a network as processes of the same executable, each in a
/// role of its own: whatever program calls [`Program::run`] is also what its nodes are, and so its nodes know what it adds. A
/// program that lives in another one, such as a Python module in its interpreter, says with [`Program::started_by`] how it is started.
///
/// A program chooses its own allocator. The command `pom2dib` sets mimalloc, with which a round is faster.
#[derive(Default)]
pub struct Program {
    data: Vec<(&'static str, Arc<dyn Source>)>,
    arguments: Option<Vec<OsString>>,
    start: Option<Start>,
    models: Vec<(&'static str, Arc<Build>)>,
}

/// How a program is started that is no executable of its own.
struct Start {
    command: Vec<OsString>,
    file: PathBuf,
}

/// That of this process, if its program has said so.
static START: OnceLock<Start> = OnceLock::new();

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

    /// Takes these words behind the program's name for the command line, instead of those of this process.
    pub fn arguments(mut self, words: impl IntoIterator<Item = OsString>) -> Self {
        self.arguments = Some(words.into_iter().collect());
        self
    }

    /// Says which command starts this program again, for nodes and runs of its own; what it is to do comes behind. Without this it is
    /// the executable of this process. `file` is what has the program in it: by its contents, builds are told apart.
    pub fn started_by(mut self, command: impl IntoIterator<Item = OsString>, file: PathBuf) -> Self {
        self.start = Some(Start { command: command.into_iter().collect(), file });
        self
    }

    /// Adds a kind of network, which scenarios then name in `network.joint.kind` and its like; `examples/own_model.rs` is one. `build`
    /// makes one, or says in a line what is wrong with its keys. The name is of letters, digits, hyphens and underscores. A node of
    /// a program that lacks it is refused.
    pub fn model(
        mut self,
        name: &'static str,
        build: impl Fn(&Wanted<'_>) -> Result<Box<dyn Module>, String> + Send + Sync + 'static,
    ) -> Self {
        self.models.push((name, Arc::new(build)));
        self
    }

    /// Does what the command line says, and gives the exit status: 0 if that was done, 1 if it failed, 2 if something in the input is
    /// wrong. To be called once, first thing in `main`, with no other thread running. What is wrong with the command line ends the
    /// process here.
    pub fn run(self) -> ExitCode {
        node::log_to_stderr();
        let added = self.data.into_iter().try_for_each(|(name, source)| data::register(name, source));
        let added = added
            .and_then(|()| self.models.into_iter().try_for_each(|(name, build)| register_kind(name, build)));
        if let Err(line) =
            added.and_then(|()| link::raise_descriptor_limit().map_err(|line| line.to_string()))
        {
            eprintln!("error: {line}");
            return ExitCode::from(2);
        }
        if let Some(start) = self.start {
            // A second program of one process would be the same one.
            let _ = START.set(start);
        }
        let words =
            self.arguments.map(|words| [OsString::from("pom2dib")].into_iter().chain(words).collect());
        cli::run(words.unwrap_or_else(|| std::env::args_os().collect()))
    }
}

/// A command that starts this program again; what it is to do comes behind. The only place that knows how that is done.
pub(crate) fn again() -> std::io::Result<Command> {
    let Some((first, others)) = START.get().and_then(|start| start.command.split_first()) else {
        return Ok(Command::new(executable()?));
    };
    let mut command = Command::new(first);
    command.args(others);
    Ok(command)
}

/// The file that this program is.
pub(crate) fn executable() -> std::io::Result<PathBuf> {
    START.get().map_or_else(std::env::current_exe, |start| Ok(start.file.clone()))
}
