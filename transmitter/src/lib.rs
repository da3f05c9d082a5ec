//! A transmitter: observes modalities, encodes what is granted, learns from what receivers send back.

mod audit;
mod averages;
mod books;
mod coded;
mod disturbed;
mod dithered;
mod encode;
mod evaluate;
mod exchange;
mod gradient_feedback;
mod machine;
mod observed;
mod on_air;
mod own;
mod policy;
mod priors;
mod rates;
mod read_ahead;
mod requested;
mod returned;
mod round_groups;
mod selection;
mod sent;
mod serve;
mod served;
mod simulated;
mod spent;
mod tables;
mod trunk;

pub use gradient_feedback::check_gradients;
pub use machine::{Input, Output, TransmitterMachine};
pub use serve::{run, run_with};
