use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use data::Source;
use dib::{Channel, Coding, Module, Policy};
use node::{
    Build, BuildChannel, BuildCoding, BuildPolicy, Surroundings, Wanted, WantedChannel, WantedCoding,
    WantedPolicy, register_channel, register_coding, register_kind, register_policy,
};

use crate::{
    cli,
    program::{self, Start},
};

/// The program `pom2dib` with all its commands, and your additions.
///
/// `run` starts the coordinator, the transmitters and the receivers of a network as processes of the same executable in
/// different roles. So the nodes run the program that calls [`Program::run`], with all its additions. A program within
/// another one, such as a Python module in its interpreter, tells with [`Program::started_by`] how to start it.
///
/// A program chooses its own allocator. The command `pom2dib` sets mimalloc, with which a round is faster.
#[derive(Default)]
pub struct Program {
    data: Vec<(&'static str, Arc<dyn Source>)>,
    arguments: Option<Vec<OsString>>,
    start: Option<Start>,
    models: Vec<(&'static str, Arc<Build>)>,
    channels: Vec<(&'static str, Arc<BuildChannel>)>,
    codings: Vec<(&'static str, Arc<BuildCoding>)>,
    policies: Vec<(&'static str, Arc<BuildPolicy>)>,
    surroundings: Option<Box<Surroundings>>,
}

impl Program {
    /// The program without additions.
    pub fn new() -> Self {
        Program::default()
    }

    /// Adds a data set, which scenarios name in `data.source`; `examples/own_dataset.rs` is an example. The name
    /// consists of letters, digits, hyphens and underscores. Nodes of a program without it are refused.
    pub fn data(mut self, name: &'static str, source: impl Source + 'static) -> Self {
        self.data.push((name, Arc::new(source)));
        self
    }

    /// Sets the command line after the program's name, instead of that of this process.
    pub fn arguments(mut self, words: impl IntoIterator<Item = OsString>) -> Self {
        self.arguments = Some(words.into_iter().collect());
        self
    }

    /// Sets the command that starts this program again, for nodes and runs; the arguments are appended. The default is
    /// the executable of this process. `file` is the file that contains the program: its content distinguishes builds.
    pub fn started_by(mut self, command: impl IntoIterator<Item = OsString>, file: PathBuf) -> Self {
        self.start = Some(Start { command: command.into_iter().collect(), file });
        self
    }

    /// Adds a kind of network, which scenarios name in `network.joint.kind` and similar keys; `examples/own_model.rs`
    /// is an example. `build` makes a network, or returns a line on what is wrong with its keys. The name consists of
    /// letters, digits, hyphens and underscores. Nodes of a program without it are refused.
    pub fn model(
        mut self,
        name: &'static str,
        build: impl Fn(&Wanted<'_>) -> Result<Box<dyn Module>, String> + Send + Sync + 'static,
    ) -> Self {
        self.models.push((name, Arc::new(build)));
        self
    }

    /// Adds a kind of channel, which scenarios name in `channel.kind`; `examples/own_channel.rs` is an example. `build`
    /// makes the channel from a transmitter to a receiver, or returns a line on what is wrong with its `parameters`.
    /// The name consists of letters, digits, hyphens and underscores. Nodes of a program without it are refused.
    pub fn channel(
        mut self,
        name: &'static str,
        build: impl Fn(&WantedChannel) -> Result<Arc<dyn Channel<f32>>, String> + Send + Sync + 'static,
    ) -> Self {
        self.channels.push((name, Arc::new(build)));
        self
    }

    /// Adds a coding, which scenarios name in `train.coding`; `examples/own_coding.rs` is an example. `build` makes it,
    /// or returns a line on what is wrong with `train.coding_parameters`. The name consists of letters, digits, hyphens
    /// and underscores. Nodes of a program without it are refused.
    pub fn coding(
        mut self,
        name: &'static str,
        build: impl Fn(&WantedCoding) -> Result<Arc<dyn Coding<f32>>, String> + Send + Sync + 'static,
    ) -> Self {
        self.codings.push((name, Arc::new(build)));
        self
    }

    /// Adds a policy of selection, which scenarios name in `train.selection`; `examples/own_selection.rs` is an
    /// example. `build` makes the policy of a node, or returns a line on what is wrong with
    /// `train.selection_parameters`. The name consists of letters, digits, hyphens and underscores. Nodes of a program
    /// without it are refused.
    pub fn policy(
        mut self,
        name: &'static str,
        build: impl Fn(&WantedPolicy) -> Result<Box<dyn Policy>, String> + Send + Sync + 'static,
    ) -> Self {
        self.policies.push((name, Arc::new(build)));
        self
    }

    /// Lets every thread that computes networks do all of that within a function, which calls its argument once: for
    /// networks that need something which belongs to the thread, such as the state that an interpreter has of it.
    pub fn compute_within(
        mut self,
        surroundings: impl Fn(&mut (dyn FnMut() + Send)) + Send + Sync + 'static,
    ) -> Self {
        self.surroundings = Some(Box::new(surroundings));
        self
    }

    /// Declares that this process is the command `pom2dib`, with its allocator: it may replace itself by exec. Other
    /// programs may have started work before.
    #[doc(hidden)]
    pub fn alone(self) -> Self {
        program::set_alone();
        self
    }

    /// Runs the command line and returns the exit status: 0 done, 1 failed, 2 wrong input. Call it once, first thing in
    /// `main`, while no other thread runs. An invalid command line ends the process here.
    pub fn run(self) -> ExitCode {
        node::log_to_stderr();
        let added = self.data.into_iter().try_for_each(|(name, source)| data::register(name, source));
        let added = added
            .and_then(|()| self.models.into_iter().try_for_each(|(name, build)| register_kind(name, build)));
        let added = added.and_then(|()| {
            self.channels.into_iter().try_for_each(|(name, build)| register_channel(name, build))
        });
        let added = added.and_then(|()| {
            self.codings.into_iter().try_for_each(|(name, build)| register_coding(name, build))
        });
        let added = added.and_then(|()| {
            self.policies.into_iter().try_for_each(|(name, build)| register_policy(name, build))
        });
        if let Err(line) =
            added.and_then(|()| link::raise_descriptor_limit().map_err(|line| line.to_string()))
        {
            eprintln!("error: {line}");
            return ExitCode::from(2);
        }
        if let Some(surroundings) = self.surroundings {
            node::compute_within(surroundings);
        }
        if let Some(start) = self.start {
            program::started_by(start);
        }
        let words =
            self.arguments.map(|words| [OsString::from("pom2dib")].into_iter().chain(words).collect());
        cli::run(words.unwrap_or_else(|| std::env::args_os().collect()))
    }
}
