//! A transmitter: observes modalities, encodes what is granted, learns from what receivers send back.

mod encode;
mod evaluate;
mod exchange;
mod learned;
mod machine;
mod serve;

pub use machine::{Input, Output, TransmitterMachine};
pub use serve::run;
