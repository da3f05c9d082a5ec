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

mod bench_command;
mod bench_loss;
mod bench_run;
mod bench_scale;
mod certs_command;
mod chart;
mod check_command;
mod cli;
mod complain;
mod compose_command;
mod data_command;
mod data_notes;
mod doctor_command;
mod evaluate_snr;
mod export;
mod figures;
mod flops;
mod folder;
mod growth_plot;
mod heat_map;
mod in_process;
mod init_command;
mod logged;
mod loopback;
mod mmfi_run;
mod model_command;
mod node_watch;
mod origin;
mod peak;
mod picture;
mod plot;
mod predict;
mod processes;
mod program;
mod records;
mod report;
mod reproduce;
mod run_command;
mod run_log;
mod size_figures;
mod slow;
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
