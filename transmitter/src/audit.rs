//! The audit record of a transmitter: its draws of a round, where they are verified.

use bytes::Bytes;
use node::batch_digest;
use proto::v1::{TransmitterRound, View};

use crate::{TransmitterMachine, sent::Sent};

impl TransmitterMachine {
    /// Adds to the report of a round the choices that all receivers were told, and which samples were encoded.
    pub(crate) fn record_audit(&mut self, report: &mut TransmitterRound, sent: &Sent) {
        let choices = sent.parts.iter().map(|part| Bytes::from(part.choices.to_bytes())).collect();
        report.view = Some(View { requests: Bytes::new(), choices });
        let first = self.context.first_tick(sent.round);
        let ticks = first..first + self.context.ticks() as u64;
        let samples = self.context.samples();
        let batches = &mut self.batches;
        let digest = batch_digest(ticks.flat_map(|tick| batches.positions(tick, samples)));
        report.batch = Bytes::copy_from_slice(&digest);
    }
}
