//! The coordinator: admits nodes, grants sync ticks, keeps checkpoints and the run's folder, and writes the summary.
//!
//! It is not on the path of features and gradients. Its control stream is one totally ordered list of orders.

// Standard output and error may be closed or full: `println` and `eprintln` of `node` do not panic then.
#[macro_use]
extern crate node;

mod arguments;
mod check;
mod checkpoints;
mod conduct;
mod drawn;
mod draws;
mod error;
mod evaluation;
mod folder;
mod further;
mod grid;
mod incarnations;
mod interruption;
mod interval;
mod invited;
mod lock;
mod log;
mod manage;
mod manifest;
mod members;
mod missing;
mod on_air;
mod options;
mod ordered;
mod page;
mod program;
mod progress;
mod rates;
mod recordings;
mod rounds;
mod same_data;
mod scenario_arguments;
mod score;
mod screen;
mod service;
mod setup;
mod shared_status;
mod stall;
mod started;
mod stream;
mod strengths;
mod summary;
mod table;
mod tensorboard;
mod totals;
mod trained;
mod validation;
mod verify;

pub use arguments::Arguments;
pub use check::check_report;
pub use conduct::run;
pub use drawn::{Drawn, training_rows};
pub use draws::{OwnU, RoundDraws, TickDraws};
pub use error::CoordinatorError;
pub use folder::{RunFolder, SNR_FILE};
pub use further::{Extension, Fork, extend, fork, rewind};
pub use grid::Grid;
pub use lock::RunLock;
pub use manage::{Manage, ManageArguments, manage};
pub use manifest::{Binding, Manifest, ManifestError, Written};
pub use missing::Missing;
pub use on_air::OnAir;
pub use options::{Deadlines, Mode, Options, Outcome, ServeOptions};
pub use page::PageAddress;
pub use program::{main, print_outcome};
pub use rates::Rates;
pub use recordings::Recordings;
pub use scenario_arguments::{ScenarioArguments, built_in_scenario};
pub use started::{Started, command_line};
pub use stream::{AnswerSink, Redraw, SampleSource, StreamArguments, WhenFull, service_folder};
pub use strengths::Strengths;
pub use summary::{ClassCounts, Confusion, Summary, TaskResult, Test, Timing, Wire, at_ceiling};
pub(crate) use table::render;
pub use totals::{Totals, WireBytes};
pub use trained::Trained;
pub use validation::{Best, Validation};
