//! The command line: every command, and the module that runs it.

pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod complain;
pub(crate) mod compose;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod evaluate_grid;
pub(crate) mod evaluate_snr;
pub(crate) mod evaluated;
pub(crate) mod init;
pub(crate) mod kubernetes;
pub(crate) mod model;
pub(crate) mod page;
pub(crate) mod slow;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use coordinator::{Manage, ManageArguments, manage};
use node::HealthArguments;

use crate::{bench, export, predict, records, replay, report, reproduce, run, serve, sweep};

const BEGIN: &str = "\
To begin with:
  pom2dib run                     trains and evaluates a network on digits made by code, in about a minute
  pom2dib init mine.toml          writes a scenario file that explains every key
  pom2dib check mine.toml         looks whether it and its data would be accepted
  pom2dib model mine.toml         shows its networks, layer by layer
  pom2dib run mine.toml           runs it
  pom2dib report runs/NAME        writes a page about a run
  pom2dib predict runs/NAME --out answers.csv    writes its networks' answers to rows

Exit status: 0 done; 1 the run failed, or standard output cannot be written; 2 something in the input is wrong. Whoever stops reading
standard output, as `head` does, changes no status.";

/// A network of transmitters and receivers that learns which features to send to which receiver.
///
/// K transmitters each observe several modalities, T receivers each solve one task. They train together over gRPC:
/// features forward, gradients back. Start with `pom2dib run`.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = BEGIN)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train and evaluate a whole network on this machine
    Run(run::Arguments),
    Init(init::Arguments),
    Check(check::Arguments),
    /// Evaluate a trained run again on the whole test set
    Evaluate(run::EvaluateArguments),
    // Their help text is at their arguments.
    Model(model::Arguments),
    Predict(predict::Arguments),
    Serve(serve::Arguments),
    Export(export::Arguments),
    /// Write an HTML page of a run, or of several side by side.
    ///
    /// The page is self-contained: scores with their intervals, curves over the rounds, the grants, a drawing of the
    /// network, the rate of each entry, confusion matrices, measured bytes beside those that the rate implies, and the
    /// configuration; for several runs also their differences. For a run that has not ended the page shows, and says
    /// so, what exists so far.
    Report(report::Arguments),
    Page(page::Arguments),
    Replay(replay::Arguments),
    Records(records::Arguments),
    // The help texts of these two are longer, and are at their arguments.
    Sweep(sweep::Arguments),
    Point(sweep::PointArguments),
    Ask(sweep::AskArguments),
    Tell(sweep::TellArguments),
    Reproduce(reproduce::Arguments),
    /// Measure the time of a round, the peak of this machine, and where the time goes; or how costs grow
    Bench(bench::Arguments),
    /// Fetch, check or describe a data set
    Data(data::Arguments),
    /// Make the certificates or the token by which the nodes of a network authenticate each other
    Certs(certs::Arguments),
    /// Run the coordinator of a network whose nodes are started manually
    Coordinator(coordinator::Arguments),
    /// Show the status of a run under way and of each of its nodes
    Status(ManageArguments),
    /// Pause a run under way: no more rounds are granted
    Pause(ManageArguments),
    /// Continue a paused run
    Resume(ManageArguments),
    /// End a run under way with a checkpoint, from which it can be resumed
    Stop(ManageArguments),
    /// Find the fault in the connection to a coordinator or transmitter: name, port, TLS, version, speed
    Doctor(doctor::Arguments),
    /// Ask a process for its health, as containers do
    Health(HealthArguments),
    /// Write a compose file with a container for every node of a scenario
    Compose(compose::Arguments),
    Kubernetes(kubernetes::Arguments),
    /// Write a shell's completions of this program's commands and flags to standard output
    #[command(after_long_help = "Examples:
  pom2dib completions bash > ~/.local/share/bash-completion/completions/pom2dib
  pom2dib completions zsh > ~/.zfunc/_pom2dib")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run one transmitter: it only needs the coordinator's address
    Transmitter(node::Options),
    /// Run one receiver: it only needs the coordinator's address
    Receiver(node::Options),
}

/// Reads a command line, whose first word is the program, and runs the command.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    match node::parse_from::<Cli>(words).command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Evaluate(arguments) => run::evaluate(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Page(arguments) => page::run(&arguments),
        Command::Records(arguments) => records::run(&arguments),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Point(arguments) => sweep::run_point(&arguments),
        Command::Ask(arguments) => sweep::ask(&arguments),
        Command::Tell(arguments) => sweep::tell(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Coordinator(arguments) => coordinator::main(arguments),
        Command::Status(arguments) => manage(Manage::Status, &arguments),
        Command::Pause(arguments) => manage(Manage::Pause, &arguments),
        Command::Resume(arguments) => manage(Manage::Resume, &arguments),
        Command::Stop(arguments) => manage(Manage::Stop, &arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Health(arguments) => node::health(&arguments),
        Command::Compose(arguments) => compose::run(&arguments),
        Command::Kubernetes(arguments) => kubernetes::run(&arguments),
        Command::Completions { shell } => completions(shell),
        Command::Transmitter(options) => node::main(options, transmitter::run),
        Command::Receiver(options) => node::main(options, receiver::run),
    }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pom2dib", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}
