//! The coordinator: lets nodes in, grants sync ticks, keeps checkpoints and the run's folder, and sums up.
//!
//! It is not on the path of features and gradients. Its control stream is one totally ordered list of orders.

mod arguments;
mod check;
mod conduct;
mod error;
mod folder;
mod interval;
mod judge;
mod members;
mod names;
mod options;
mod progress;
mod rounds;
mod service;
mod summary;
mod table;

pub use arguments::{Arguments, ScenarioArguments, main, print_summary};
pub use conduct::run;
pub use error::CoordinatorError;
pub use folder::RunFolder;
pub use names::check_names;
pub use options::{Mode, Options};
pub use summary::{Summary, TaskResult, Test, Timing, Wire};
pub(crate) use table::render;
