use std::sync::Arc;

use bytes::Bytes;
use candle_core::Device;
use proto::Secret;
use randomness::Seed;
use scenario::{GRADIENT_BLOCK_TICKS, Scenario};

/// Rounds by which a receiver may be ahead of a transmitter.
const ROUNDS_GIVEN_UP: usize = 4;

/// The run in which a node takes part, as the node sees it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The resolved scenario from the coordinator.
    pub scenario: Arc<Scenario>,
    /// The seed of all draws.
    pub seed: Seed,
    /// The run's 16 bytes.
    pub run: Bytes,
    /// Incremented at every rollback.
    pub incarnation: u64,
    /// This node's index within its role.
    pub index: usize,
    /// Proves this node's identity until it joins again. The secrets of a transmitter's pairs are derived from its own.
    pub secret: Secret,
    /// The device on which it computes.
    pub device: Device,
    /// Whether its reports include the draws that it saw.
    pub verify: bool,
}

impl Context {
    /// The link between transmitter k and receiver t.
    pub fn link(&self, k: usize, t: usize) -> proto::Link {
        proto::Link {
            run: self.run.clone(),
            incarnation: self.incarnation,
            transmitter: k as u32,
            receiver: t as u32,
        }
    }

    /// d: values in a feature, in u and in an embedding.
    pub fn feature_dim(&self) -> usize {
        self.scenario.network.feature_dim
    }

    /// Ticks in a round.
    pub fn ticks(&self) -> usize {
        self.scenario.train.ticks_per_round
    }

    /// Samples in a tick.
    pub fn samples(&self) -> usize {
        self.scenario.train.samples_per_tick
    }

    /// The number of parts in which a round travels.
    pub fn parts(&self) -> usize {
        self.ticks().div_ceil(self.scenario.ticks_per_part())
    }

    /// The ticks of a part, within their round.
    pub fn part(&self, part: usize) -> std::ops::Range<usize> {
        let size = self.scenario.ticks_per_part();
        (part * size).min(self.ticks())..((part + 1).saturating_mul(size)).min(self.ticks())
    }

    /// Upper limit on messages under way from one peer to another: those of all parts of a round, a closing turn, the
    /// first of what follows, and those that a receiver does not wait for. A peer that follows the protocol never
    /// exceeds it.
    pub fn messages_under_way(&self) -> usize {
        self.parts() + 2 + self.most_given_up()
    }

    /// How many answers a transmitter may owe a receiver that continues without them: those of a few rounds, so that
    /// receivers stay close to a transmitter that is always slow. None if receivers wait.
    pub fn most_given_up(&self) -> usize {
        if self.scenario.skips() { ROUNDS_GIVEN_UP * self.parts() } else { 0 }
    }

    /// The first tick of a round.
    pub fn first_tick(&self, round: u64) -> u64 {
        round * self.ticks() as u64
    }

    /// The position of entry (k, m) among a receiver's possible entries, in (k, m) order.
    pub fn entry(&self, k: usize, m: usize) -> usize {
        (0..k).map(|earlier| self.scenario.modalities(earlier)).sum::<usize>() + m
    }

    /// How many pieces of a round's size cover the test set.
    pub fn pieces(&self, test_samples: usize) -> usize {
        test_samples.div_ceil(self.ticks() * self.samples())
    }

    /// The test samples of a piece.
    pub fn piece(&self, piece: usize, test_samples: usize) -> std::ops::Range<usize> {
        let size = self.ticks() * self.samples();
        (piece * size).min(test_samples)..((piece + 1) * size).min(test_samples)
    }

    /// How many of `samples` consecutive samples belong to each tick: the unit that is sent or lost together.
    pub fn groups(&self, samples: usize) -> Vec<usize> {
        groups(samples, self.samples())
    }

    /// The sizes of the groups over which the rate of `samples` consecutive samples is estimated: those of a tick or,
    /// if a tick has one sample, those of a round.
    pub fn rate_groups(&self, samples: usize) -> Vec<usize> {
        groups(samples, self.scenario.rate_samples())
    }

    /// How many of `rows_of_tick` fall into each gradient block of a round, or of a part.
    pub fn gradient_blocks(&self, rows_of_tick: &[usize]) -> Vec<usize> {
        // Ticks of one sample never travel in parts, and blocks of ten rows would be slow.
        let ticks = if self.scenario.rates_over_rounds() { 20 } else { 1 } * GRADIENT_BLOCK_TICKS;
        rows_of_tick.chunks(ticks).map(|block| block.iter().sum()).filter(|rows| *rows > 0).collect()
    }

    /// The largest message in bytes on a link of transmitter k: all its modalities granted at every tick.
    pub fn largest_message(&self, k: usize) -> usize {
        let entries = self.ticks() * self.scenario.modalities(k);
        let d = self.feature_dim();
        // An escaped dithered value takes at most 14 and 67 bits; a dimension's table has at most 2^14 counts at 2^14
        // edges.
        let (of_value, tables) = match self.scenario.train.coding() {
            scenario::Coding::Dithered => (11, self.scenario.modalities(k) * d * (1 << 14)),
            _ => (4, 0),
        };
        let z = entries * self.samples() * d * of_value + tables;
        // A granted entry costs at most 12 bytes of indices and 9 of each rate; choices are one bit each; costs 8
        // bytes.
        let choices = entries * self.scenario.receivers() / 8;
        z + 33 * entries + choices + 16 * self.ticks() + proto::ENVELOPE_BYTES
    }
}

/// Splits `samples` into groups of `size`, of which the last may be smaller.
fn groups(samples: usize, size: usize) -> Vec<usize> {
    (0..samples).step_by(size).map(|first| size.min(samples - first)).collect()
}
