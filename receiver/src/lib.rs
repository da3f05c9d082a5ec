//! A receiver: solves one task with what the requested transmitters send, and sends gradients back.

mod air;
mod answers;
mod audit;
mod claims;
mod decode;
mod difference;
mod emulation;
mod evaluate;
mod granted;
mod mac;
mod machine;
mod missing;
mod policy;
mod probabilities;
mod received;
mod returned;
mod selection;
mod serve;
mod strengths;
mod tables;
mod task;
mod told_costs;
mod values;

pub use answers::{Answers, UsedFeature};
pub use machine::{Input, Output, ReceiverMachine};
pub use probabilities::{largest, probabilities};
pub use received::check_features;
pub use serve::{run, run_with};
pub use task::TaskData;
