//! Shared code of the process tests: real processes on this machine, observed and always cleaned up.
//!
//! A test works in a [`Place`] of its own, a temporary folder with a tiny scenario, and runs the program there as in a
//! terminal. Nothing here sleeps for a fixed time: tests wait for a condition, within a limit that only a broken
//! program reaches.

mod accounting;
mod browser;
mod engine;
mod fake_coordinator;
mod fake_transmitter;
mod machines;
mod place;
mod port;
mod process;
mod proxy;
mod run_folder;
mod signal;
mod slurm;
mod sweep;
mod table;
mod wait;
mod wire;

pub use browser::Browser;
pub use engine::{Container, Engine, Project};
pub use machines::Machines;
pub use place::Place;
pub use port::free_port;
pub use process::{Outcome, Process};
pub use proxy::Proxy;
pub use run_folder::{RunFolder, sha256};
pub use signal::Signal;
pub use slurm::Slurm;
pub use sweep::table_of_sweep;
pub use table::Running;
pub use tonic::{Code, Status};
pub use wait::{PATIENCE, wait_for, wait_until};
pub use wire::{FakeLink, FakeNode, Follower, Sensor, SilentCall, Wire, join};
