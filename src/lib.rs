//! `pom2dib`: distributed, task-oriented semantic communication, simulated with real processes.
//!
//! The command is a thin `main` over [`Program`], and so may be a program of one's own:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     pom2dib::Program::new().run()
//! }
//! ```

// Standard output and error may be closed or full: its `println` and `eprintln` do not panic then.
#[macro_use]
extern crate node;

mod bench;
mod cli;
mod draw;
mod export;
mod predict;
mod program;
mod records;
mod report;
mod reproduce;
mod run;
mod statistics;
mod sweep;

pub use program::Program;

/// The tensors that networks compute with.
pub use candle_core as candle;
/// What a network of your own is made of: `dib::nn::Module`.
pub use dib;
/// What a network of your own is to be.
pub use node::Wanted;

/// What a data set of your own is made of: `Source`, `Dataset`.
pub use data;
/// Draws that every node makes for itself and alike: `Seed`, `Purpose`.
pub use randomness;
