use dib::Phase;
use node::{Context, PacketOutcome};
use proto::v1::Missing;

use crate::received::Received;

/// Counts what a receiver goes on without, in a round or a pass.
#[derive(Default)]
pub(crate) struct MissingCount {
    counts: Missing,
}

impl MissingCount {
    pub(crate) fn new(context: &Context) -> Self {
        let none = vec![0; context.scenario.entries_per_receiver()];
        MissingCount { counts: Missing { lost: none.clone(), late: none, ..Missing::default() } }
    }

    /// Adds what has not come of the messages of all transmitters.
    pub(crate) fn add(&mut self, context: &Context, received: &[Received]) {
        for (k, received) in received.iter().enumerate() {
            self.counts.absent += u32::from(received.is_absent());
            self.counts.used += (received.packets - received.missing.len()) as u64;
            for &(modality, outcome) in &received.missing {
                let counts = if outcome == PacketOutcome::Lost {
                    &mut self.counts.lost
                } else {
                    &mut self.counts.late
                };
                counts[context.entry(k, modality)] += 1;
            }
        }
    }

    /// For a report of that phase, where there can be anything to report.
    pub(crate) fn report(self, context: &Context, phase: Phase) -> Option<Missing> {
        let may_lose = match phase {
            Phase::Train => context.scenario.may_lose(),
            Phase::Evaluate => context.scenario.may_lose_in_evaluation(),
        };
        may_lose.then_some(self.counts)
    }
}
