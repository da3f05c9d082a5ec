//! The receiver by itself, for machines that run nothing else.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run one receiver of a pom2dib network: all it needs is the coordinator's address.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: node::Options,
}

fn main() -> ExitCode {
    node::log_to_stderr();
    if let Err(line) = link::raise_descriptor_limit() {
        node::complain(&format!("error: {line}"));
        return ExitCode::from(2);
    }
    node::main(node::parse::<Arguments>().options, pom2dib_receiver::run)
}
