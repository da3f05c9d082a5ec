//! The audit record of a receiver: its draws of a round and the choices that it heard, where they are verified.

use bytes::Bytes;
use node::{NodeError, air_digest, batch_digest};
use proto::{
    encode_ticks,
    v1::{Features, ReceiverRound, View},
};

use crate::{
    ReceiverMachine,
    selection::{Requested, ticks_of},
};

/// The choices that the transmitters have sent in a round so far, for the audit record.
#[derive(Default)]
pub(crate) struct HeardChoices {
    /// By part, then transmitter.
    parts: Vec<Vec<Bytes>>,
}

impl HeardChoices {
    /// Records the choices that came with a part, of every transmitter.
    pub(crate) fn hear<'a>(&mut self, features: impl Iterator<Item = Option<&'a Features>>) {
        let choices = |features: Option<&Features>| features.map(|features| features.choices.clone());
        self.parts.push(features.map(|features| choices(features).unwrap_or_default()).collect());
    }
}

impl ReceiverMachine {
    /// Adds to the report of a round whom this receiver requested, the choices that it heard, and which samples it
    /// used.
    ///
    /// # Errors
    /// That of a channel of a user's program.
    pub(crate) fn record_audit(
        &mut self,
        report: &mut ReceiverRound,
        requested: &Requested,
        heard: HeardChoices,
    ) -> Result<(), NodeError> {
        let transmitters = self.context.scenario.transmitters();
        let view = |k: usize| {
            let choices = heard.parts.iter().map(|part| part[k].clone()).collect();
            View { requests: encode_ticks(&ticks_of(&requested.transmitters, k)), choices }
        };
        report.views = (0..transmitters).map(view).collect();
        let first = self.context.first_tick(report.round);
        let ticks = first..first + self.context.ticks() as u64;
        let samples = self.context.samples();
        let batches = &mut self.batches;
        let digest = batch_digest(ticks.flat_map(|tick| batches.positions(tick, samples)));
        report.batch = Bytes::copy_from_slice(&digest);
        let (scenario, t) = (&self.context.scenario, self.context.index);
        if scenario.channels().any(|(_, to, _)| to == t) {
            let digest = air_digest(scenario, self.context.seed, t, report.round)?;
            report.gains = Bytes::copy_from_slice(&digest);
        }
        Ok(())
    }
}
