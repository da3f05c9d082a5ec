//! A program with a coding of its own: a uniform scalar quantiser. (tests/processes/own_coding.rs runs it.)
//!
//! cargo run --release --example own_coding -- run --set train.coding=uniform --set train.coding_parameters.levels=8
use std::{process::ExitCode, sync::Arc};

use pom2dib::dib::coding::{CodeError, Decoder, Encoder, Share, TOTAL};
use pom2dib::dib::{CodedRows, Coding, Result};
use pom2dib::{Program, WantedCoding};

/// It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the coding.
fn main() -> ExitCode {
    Program::new().coding("uniform", |wanted| Ok(Arc::new(Uniform::new(wanted)?))).run()
}

/// z is the nearest to tanh(mu) of so many levels, evenly from -1 to 1, where mu is what the encoder puts out. The
/// numbers of levels travel, log2(levels) bits each.
struct Uniform {
    levels: u32,
    /// Values in a feature.
    d: usize,
}

impl Uniform {
    fn new(wanted: &WantedCoding) -> std::result::Result<Self, String> {
        let levels = wanted.key("levels")?.unwrap_or(4);
        if !(2..=256).contains(&levels) {
            return Err(format!("levels is {levels}; it must be from 2 to 256"));
        }
        Ok(Uniform { levels, d: wanted.feature_dim })
    }

    /// What the entropy coder is told of a level: that all come equally often.
    fn share(&self, level: u32) -> Share {
        let start = level * TOTAL / self.levels;
        Share { start, count: (level + 1) * TOTAL / self.levels - start }
    }
}

impl Coding<f32> for Uniform {
    fn encode(&self, _: &CodedRows, outputs: &[f32], symbols: &mut Encoder) -> Result<()> {
        for &mu in outputs {
            // Of libm, which gives the same bits on all machines.
            let height = (libm::tanhf(mu) + 1.0) / 2.0;
            symbols.push(self.share((height * (self.levels - 1) as f32).round() as u32));
        }
        Ok(())
    }

    /// Receivers find z from the symbols alone, and so does the transmitter.
    fn decode(
        &self,
        _: &CodedRows,
        count: usize,
        symbols: &mut Decoder<'_>,
        z: &mut Vec<f32>,
    ) -> std::result::Result<(), CodeError> {
        for _ in 0..count {
            let level = ((symbols.peek() + 1) * self.levels).div_ceil(TOTAL) - 1;
            symbols.take(self.share(level))?;
            z.push(2.0 * level as f32 / (self.levels - 1) as f32 - 1.0);
        }
        Ok(())
    }

    /// As many bits for every row, in nats.
    fn rates(&self, _: &CodedRows, outputs: &[f32]) -> Vec<f64> {
        vec![self.d as f64 * libm::log(self.levels.into()); outputs.len() / self.d]
    }

    /// Straight through: the gradient of tanh(mu), as if nothing were rounded. The rate does not change with mu, so
    /// that its price changes nothing.
    fn pull_back(&self, _: &CodedRows, outputs: &[f32], gradient: &[f32], _: f64) -> Result<Vec<f32>> {
        let of = |(&mu, dz): (&f32, &f32)| dz * (1.0 - libm::tanhf(mu) * libm::tanhf(mu));
        Ok(outputs.iter().zip(gradient).map(of).collect())
    }
}
