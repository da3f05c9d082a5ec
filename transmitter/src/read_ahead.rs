//! Telling the data set what will be read next, while others compute.
//!
//! Which samples come next is known from the seed; which modalities will be granted is not, but it changes slowly.

use data::Split;
use node::NodeError;

use crate::{evaluate::Pass, machine::TransmitterMachine, sent::Sent};

impl TransmitterMachine {
    /// The next round's samples, of the modalities that were granted at half of this one's ticks or more. What is
    /// granted more rarely is cheaper to read when it is.
    pub(crate) fn read_ahead_of_round(&mut self, sent: &Sent) {
        let next = sent.round + 1;
        if next == self.context.scenario.train.rounds {
            return;
        }
        let first = self.context.first_tick(next);
        let ticks = first..first + self.context.ticks() as u64;
        let samples: Vec<(usize, u64)> = ticks
            .flat_map(|tick| self.batches.positions(tick, self.context.samples()))
            .map(|at| (at.sample, at.epoch))
            .collect();
        let names = &self.context.scenario.transmitter[self.context.index].modalities;
        for (name, encoded) in names.iter().zip(sent.encoded(names.len())) {
            let is_common = 2 * encoded as usize >= self.context.ticks();
            self.dataset.read_ahead(name, Split::Train, if is_common { &samples } else { &[] });
        }
    }

    /// The samples of the pass's next piece, of the modalities that it grants.
    pub(crate) fn read_ahead_of_piece(&self, pass: &Pass) -> Result<(), NodeError> {
        let dataset = self.encoders.evaluated(pass.number)?;
        let piece = self.context.piece(pass.piece as usize + 1, dataset.samples(Split::Test));
        let shown = |sample| (self.encoders.shown_row(pass.number, sample), 0);
        let samples: Vec<(usize, u64)> = piece.map(shown).collect();
        let granted = || pass.grants.ticks().flatten();
        for (m, name) in self.context.scenario.transmitter[self.context.index].modalities.iter().enumerate() {
            if granted().any(|&(_, of)| of == m) {
                dataset.read_ahead(name, Split::Test, &samples);
            }
        }
        Ok(())
    }
}
