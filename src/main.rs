//! `pom2dib`: distributed, task-oriented semantic communication, simulated with real processes.

mod bench_command;
mod bench_run;
mod bench_scale;
mod data_command;
mod flops;
mod folder;
mod growth_plot;
mod in_process;
mod logged;
mod node_watch;
mod peak;
mod processes;
mod run_command;
mod size_figures;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A network of transmitters and receivers that learns what to send to whom.
///
/// K transmitters each observe several modalities, T receivers each solve one task. They train together over gRPC:
/// features forward, gradients back. Start with `pom2dib run`.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train and judge a whole network on this machine
    Run(run_command::Arguments),
    /// Judge a trained run again on the whole test set
    Evaluate(run_command::EvaluateArguments),
    /// Measure how fast a round is, how fast this machine could be, and where the time goes; or how costs grow
    Bench(bench_command::Arguments),
    /// Fetch, check or describe a data set
    Data(data_command::Arguments),
    /// Run the coordinator of a network whose nodes are started by hand
    Coordinator(coordinator::Arguments),
    /// Run one transmitter: all it needs is the coordinator's address
    Transmitter(node::Options),
    /// Run one receiver: all it needs is the coordinator's address
    Receiver(node::Options),
}

fn main() -> ExitCode {
    node::log_to_stderr();
    match node::parse::<Cli>().command {
        Command::Run(arguments) => run_command::run(&arguments),
        Command::Evaluate(arguments) => run_command::evaluate(&arguments),
        Command::Bench(arguments) => bench_command::run(&arguments),
        Command::Data(arguments) => data_command::run(&arguments),
        Command::Coordinator(arguments) => coordinator::main(arguments),
        Command::Transmitter(options) => node::main(options, transmitter::run),
        Command::Receiver(options) => node::main(options, receiver::run),
    }
}
