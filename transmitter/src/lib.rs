//! A transmitter: observes modalities, encodes what is granted, learns from what receivers send back.

mod asked;
mod coded;
mod dithered;
mod encode;
mod evaluate;
mod exchange;
mod learned;
mod machine;
mod on_air;
mod priors;
mod rates;
mod read_ahead;
mod round_groups;
mod selection;
mod sent;
mod serve;
mod spent;
mod tables;
mod trunk;
mod witness;

pub use learned::check_gradients;
pub use machine::{Input, Output, TransmitterMachine};
pub use serve::{run, run_with};
