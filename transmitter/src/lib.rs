//! A transmitter: observes modalities, encodes what is granted, learns from what receivers send back.

mod asked;
mod encode;
mod evaluate;
mod exchange;
mod learned;
mod machine;
mod selection;
mod sent;
mod serve;

pub use machine::{Input, Output, TransmitterMachine};
pub use serve::run;
