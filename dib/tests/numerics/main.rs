//! The numerical half against finite differences, against candle's tape and against plain code.

mod encoder;
mod input;
mod loss;
mod module;
mod network;
mod optimizer;
mod oracle;
mod pose;
mod rate;
mod support;
