//! A program with a kind of channel of its own: now and then an impulse hits a value, as beside power lines and motors
//! (Bernoulli-Gaussian noise). (tests/processes/own_channel.rs runs it.)
//!
//! cargo run --release --example own_channel -- run --set
//! 'channel=[{kind="impulses",parameters={probability=0.05,power=10}}]'
use std::{process::ExitCode, sync::Arc};

use pom2dib::dib::{Channel, Crossing, Result};
use pom2dib::{Program, WantedChannel, randomness::Seed};

/// It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the kind.
fn main() -> ExitCode {
    Program::new().channel("impulses", |wanted| Ok(Arc::new(Impulses::new(wanted)?))).run()
}

/// y = z + n b, where n is normal with this power and b is 1 with this probability, else 0.
struct Impulses {
    seed: Seed,
    probability: f64,
    power: f64,
}

impl Impulses {
    fn new(wanted: &WantedChannel) -> std::result::Result<Self, String> {
        let probability = wanted.key("probability")?.unwrap_or(0.01);
        if !(0.0..=1.0).contains(&probability) {
            return Err(format!("probability is {probability}; it must be from 0 to 1"));
        }
        let power: f64 = wanted.key("power")?.unwrap_or(10.0);
        if !(0.0..=1e6).contains(&power) {
            return Err(format!("power is {power}; it must be from 0 to 1000000"));
        }
        Ok(Impulses { seed: wanted.seed, probability, power })
    }
}

impl Channel<f32> for Impulses {
    /// The draws follow from the crossing alone: transmitter, receiver, modality and tick.
    fn send(&self, crossing: &Crossing, features: &mut [f32]) -> Result<()> {
        let mut draws = crossing.draws(self.seed);
        for value in features {
            let (chance, height) = (draws.uniform(), draws.normal());
            if chance < self.probability {
                *value += (self.power.sqrt() * height) as f32;
            }
        }
        Ok(())
    }

    /// What is added does not depend on what was sent: the derivative is 1.
    fn pull_back(&self, _: &Crossing, _: &[f32], _: &mut [f32]) -> Result<()> {
        Ok(())
    }
}
