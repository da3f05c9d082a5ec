//! A transmitter: observes modalities, encodes what is granted, learns from what receivers send back.

mod asked;
mod coded;
mod encode;
mod evaluate;
mod exchange;
mod learned;
mod machine;
mod on_air;
mod rates;
mod read_ahead;
mod round_groups;
mod selection;
mod sent;
mod serve;
mod trunk;
mod witness;

pub use learned::check_gradients;
pub use machine::{Input, Output, TransmitterMachine};
pub use serve::{run, run_with};
