//! A receiver: solves one task with what it asks transmitters for, and sends gradients back.

mod air;
mod answers;
mod decode;
mod evaluate;
mod granted;
mod machine;
mod missing;
mod passage;
mod received;
mod selection;
mod serve;
mod tables;
mod task;
mod witness;

pub use answers::{Answers, UsedFeature};
pub use machine::{Input, Output, ReceiverMachine};
pub use received::check_features;
pub use serve::{run, run_with};
pub use task::TaskData;
