//! The numerical code against finite differences, against candle's tape and against plain code.

#![allow(clippy::disallowed_methods, reason = "tests compare with functions that were written by others")]

mod attention;
mod channel;
mod code_book;
mod coding;
mod encoder;
mod input;
mod kinds;
mod layers;
mod loss;
mod module;
mod network;
mod optimizer;
mod oracle;
mod ordered;
mod points;
mod pose;
mod prior;
mod promises;
mod rate;
mod recurrent;
mod support;
