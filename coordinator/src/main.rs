//! The coordinator as a program of its own, for machines that run nothing else.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run the coordinator of a pom2dib network: it waits for its transmitters and receivers, then conducts the run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: pom2dib_coordinator::Arguments,
}

fn main() -> ExitCode {
    node::log_to_stderr();
    if let Err(line) = link::raise_descriptor_limit() {
        node::complain(&format!("error: {line}"));
        return ExitCode::from(2);
    }
    pom2dib_coordinator::main(node::parse::<Arguments>().options)
}
