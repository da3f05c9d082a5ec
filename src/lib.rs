//! `pom2dib`: distributed, task-oriented semantic communication, simulated with real processes.
//!
//! The command is a thin `main` over [`Program`], and a user's program can be the same:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     pom2dib::Program::new().run()
//! }
//! ```

// Standard output and error may be closed or full: `println` and `eprintln` of `node` do not panic then.
#[macro_use]
extern crate node;

mod bench;
mod cli;
mod draw;
mod export;
mod extended;
mod launch;
mod predict;
mod program;
mod records;
mod replay;
mod report;
mod reproduce;
mod run;
mod serve;
mod statistics;
mod sweep;

pub use extended::Program;

/// The tensors that networks compute with.
pub use candle_core as candle;
/// For user-defined networks, `dib::nn::Module`; for channels, `dib::Channel`; for codings, `dib::Coding`;
/// for policies of selection, `dib::Policy`.
pub use dib;
/// The descriptions of a user-defined network, channel, coding and policy.
pub use node::{Wanted, WantedChannel, WantedCoding, WantedPolicy};

/// For user-defined data sets: `Source`, `Dataset`.
pub use data;
/// Draws that every node computes identically: `Seed`, `Purpose`.
pub use randomness;
