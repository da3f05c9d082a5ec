use std::sync::Arc;

use bytes::Bytes;
use candle_core::Device;
use dib::{Phase, SelectorNode};
use proto::{Secret, Served};
use randomness::Seed;
use scenario::{GRADIENT_BLOCK_TICKS, Scenario};

use crate::WeightFiles;

/// Rounds by which a receiver may be ahead of a transmitter.
const ROUNDS_GIVEN_UP: usize = 4;

/// Batches of a stream that are under way at once: while receivers decode one, transmitters encode the next.
pub const BATCHES_UNDER_WAY: usize = 4;

/// Bytes of a number that is not coded.
const F32_BYTES: usize = 4;

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
    /// What its networks begin with.
    pub weights: WeightFiles,
    /// Where it computes.
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
    /// first of what follows, and those that a receiver does not wait for; in service, those of a few batches. A peer
    /// that follows the protocol never exceeds it.
    pub fn messages_under_way(&self) -> usize {
        (self.parts() + 2).max(BATCHES_UNDER_WAY + 2) + self.most_given_up()
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

    /// The input u of a node's selector at a tick of training, or at the [moment](Self::selection_moment) of an
    /// evaluation's draws.
    pub fn u(&self, phase: Phase, node: SelectorNode, moment: u64) -> Vec<f32> {
        let kind = crate::common_randomness(self.scenario.train.common_randomness);
        kind.draw(self.seed, phase, node, moment, self.feature_dim())
    }

    /// Where u, the selection and the cap's draws of an evaluation are addressed: those of a pass, or where they are
    /// drawn for every group of samples, those of a piece's first. Passes over validation rows are numbered from 2^32
    /// on; no test set has 2^24 groups.
    pub fn selection_moment(&self, pass: u64, piece: u64) -> u64 {
        match self.scenario.evaluates_by_tick() {
            true => pass.wrapping_mul(1 << 24).wrapping_add(self.first_group(piece)),
            false => pass,
        }
    }

    /// Where what is drawn for the features of a piece's first tick is addressed, in a pass of so many pieces.
    pub fn feature_moment(&self, pass: u64, piece: u64, pieces: u64) -> u64 {
        match self.scenario.evaluates_by_tick() {
            true => self.selection_moment(pass, piece),
            false => pass.wrapping_mul(pieces).wrapping_add(piece),
        }
    }

    /// Ticks of a piece of so many test samples: where a selection holds for a pass, the whole piece is one.
    pub fn ticks_of_piece(&self, samples: usize) -> usize {
        if self.scenario.evaluates_by_tick() { samples.div_ceil(self.samples()) } else { 1 }
    }

    /// The ticks at which a transmitter tells a receiver the choices for all receivers: those at which the receiver
    /// requested it, since the grants at a tick depend on all choices at this tick. All ticks if the receiver's costs
    /// count the grants of all receivers, or if the coordinator verifies the choices.
    pub fn told_ticks(&self, requested: &[bool]) -> Vec<bool> {
        let all = self.verify || self.scenario.train.counts_all_grants();
        requested.iter().map(|requested| all || *requested).collect()
    }

    /// The ticks of which a receiver tells a transmitter its costs: those at which it requested the transmitter, which
    /// chooses nothing for it at the others. All ticks if all nodes learn all costs, under the objective `worst`.
    pub fn told_costs(&self, requested: &[bool]) -> Vec<bool> {
        let all = self.scenario.train.tells_costs();
        requested.iter().map(|requested| all || *requested).collect()
    }

    /// The position of entry (k, m) among a receiver's possible entries, in (k, m) order.
    pub fn entry(&self, k: usize, m: usize) -> usize {
        (0..k).map(|earlier| self.scenario.modalities(earlier)).sum::<usize>() + m
    }

    /// How many pieces cover the test set: each travels in one message.
    pub fn pieces(&self, test_samples: usize) -> usize {
        let even = self.even_samples(test_samples);
        even.div_ceil(self.scenario.piece_samples()) + usize::from(even < test_samples)
    }

    /// The test samples of a piece.
    pub fn piece(&self, piece: usize, test_samples: usize) -> std::ops::Range<usize> {
        let (size, even) = (self.scenario.piece_samples(), self.even_samples(test_samples));
        if piece >= even.div_ceil(size) {
            return if piece < self.pieces(test_samples) {
                even..test_samples
            } else {
                test_samples..test_samples
            };
        }
        piece * size..((piece + 1) * size).min(even)
    }

    /// The test samples whose pieces are cut as they come. Where a piece has several ticks, all of them have as many
    /// samples: a last group of fewer is a piece by itself.
    fn even_samples(&self, test_samples: usize) -> usize {
        match self.scenario.evaluates_by_tick() {
            true => test_samples - test_samples % self.samples(),
            false => test_samples,
        }
    }

    /// Where a batch of a stream lies among the rows of a test set of so many, counted through again and again: none if
    /// it is empty, or not of one piece.
    pub fn served(&self, first: u64, samples: u64, draw: u64, test_samples: usize) -> Option<Served> {
        let all = (test_samples as u64).max(1);
        let (pass, row) = (first / all, first % all);
        let size = self.scenario.piece_samples() as u64;
        let (piece, offset) = (row / size, row % size);
        let whole = self.piece(piece as usize, test_samples).len() as u64;
        let fits = samples > 0 && offset.checked_add(samples).is_some_and(|end| end <= whole);
        fits.then_some(Served { draw, pass, piece, offset, samples })
    }

    /// The group of a tick's samples in which a batch begins, within the test set; how many samples of that group lie
    /// before it; and how many of its own belong to each group.
    pub fn served_groups(&self, served: Served) -> (u64, usize, Vec<usize>) {
        let size = self.samples();
        let (offset, samples) = (served.offset as usize, served.samples as usize);
        let before = offset % size;
        let first = self.first_group(served.piece).wrapping_add((offset / size) as u64);
        let mut groups = groups(before + samples, size);
        groups[0] -= before;
        (first, before, groups)
    }

    /// The number within the test set of a piece's first group of a tick's samples.
    pub fn first_group(&self, piece: u64) -> u64 {
        piece.wrapping_mul((self.scenario.piece_samples() / self.samples()) as u64)
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

    /// The largest message in bytes on a link of transmitter k, in either direction: all its modalities granted at
    /// every tick.
    pub fn largest_message(&self, k: usize) -> usize {
        let entries = self.ticks() * self.scenario.modalities(k);
        // In evaluation there is one tick, of a whole piece.
        let rows =
            (entries * self.samples()).max(self.scenario.modalities(k) * self.scenario.piece_samples());
        let d = self.feature_dim();
        // An escaped dithered value takes at most 14 and 67 bits; a dimension's table has at most 2^14 counts at 2^14
        // edges.
        let (of_value, tables) = match self.scenario.train.coding() {
            scenario::Coding::Dithered => (11, self.scenario.modalities(k) * d * (1 << 14)),
            // An index has at most 12 bits, and stands for a value or more.
            scenario::Coding::CodeBook => {
                let [vectors, width] = self.scenario.code_book_size();
                (2, self.scenario.modalities(k) * vectors * width * F32_BYTES)
            }
            // Those of a user's program are held to 32 bits for a value, and 3 bytes end a stream.
            scenario::Coding::Own => (5, 0),
            // A simulated value has a number of at most 34 bits, a dimension of its prior nine numbers.
            _ if self.scenario.train.simulates() => (5, self.scenario.modalities(k) * d * 36),
            _ => (F32_BYTES, 0),
        };
        // Gradients come back as f32, however the features were coded.
        let z = rows * d * of_value.max(F32_BYTES) + tables;
        // A granted entry costs at most 12 bytes of indices or of a scale, and 9 of each rate; choices are one bit
        // each; costs 8 bytes.
        let choices = entries * self.scenario.receivers() / 8;
        let told =
            if self.scenario.train.tells_costs() { 8 * self.ticks() * self.scenario.receivers() } else { 0 };
        z + 33 * entries + choices + told + 16 * self.ticks() + proto::ENVELOPE_BYTES
    }
}

/// Splits `samples` into groups of `size`, of which the last may be smaller.
fn groups(samples: usize, size: usize) -> Vec<usize> {
    (0..samples).step_by(size).map(|first| size.min(samples - first)).collect()
}
