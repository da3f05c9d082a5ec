//! Training: stretches of rounds, the grants ahead of the slowest receiver, and checkpoints.

use std::{collections::BTreeMap, ops::ControlFlow};

use proto::v1::{SaveState, Train, order::Order};

use super::Conductor;
use crate::{
    interruption::Interruption, manifest::state_name, progress::Progress, rounds::Rounds, service::Event,
    summary::hex,
};

/// Rounds for which sync ticks are granted ahead of the slowest receiver: enough that no node waits for the grant.
const AHEAD: u64 = 8;

impl Conductor {
    /// Trains stretch by stretch; each ends with an evaluation on validation rows, a checkpoint, or both. Returns the
    /// version reached.
    pub(super) async fn train(&mut self, rounds: &mut Rounds, first: u64) -> Result<u64, Interruption> {
        let last = self.scenario.train.rounds;
        let every = self.scenario.checkpoint.every;
        let mut progress = self.progress("rounds", last, first);
        let mut version = first;
        while version < last && !self.is_out_of_patience() {
            self.shared_status.phase("training");
            let boundary =
                next_multiple(version, every).min(next_multiple(version, self.scenario.evaluation.every));
            let boundary = boundary.min(last).min(self.stop_after.unwrap_or(last).max(version));
            let reached = self.train_to(rounds, version, boundary, &mut progress).await?;
            if self.stop_after.is_some_and(|stop| reached >= stop) {
                // Transmitters step and report when the next order lets them: a checkpoint does.
                self.save(rounds, reached, &mut progress).await?;
                progress.end();
                self.dismiss().await;
                return Err(Interruption::Stopped(reached));
            }
            let mut is_best = false;
            if reached > version && self.scenario.validates_at(reached) {
                is_best = self.validate(rounds, reached, &mut progress).await?;
            }
            // A checkpoint that is neither due nor the best may be skipped.
            let is_due = reached == next_multiple(version, every) || reached == last;
            let ends = self.stopping || self.leaving.is_some() || self.is_out_of_patience();
            if (is_due || is_best || ends) && self.setup.saved != Some(reached) {
                self.save(rounds, reached, &mut progress).await?;
            }
            version = reached;
            if self.stopping {
                self.dismiss().await;
                return Err(Interruption::Stopped(version));
            }
            if let Some(member) = self.leaving {
                return Err(Interruption::left(member, "it was told to end"));
            }
        }
        progress.end();
        if version < last
            && let Some(best) = self.best
        {
            eprintln!(
                "training ends early, after round {version} of {last}: {} evaluations on validation rows were no better than that \
                 of round {}",
                best.since, best.round
            );
        }
        Ok(version)
    }

    /// Grants rounds a few ahead of the slowest receiver until `boundary`, or until the run or a node must stop.
    /// Returns the version reached.
    async fn train_to(
        &mut self,
        rounds: &mut Rounds,
        first: u64,
        boundary: u64,
        progress: &mut Progress,
    ) -> Result<u64, Interruption> {
        let mut granted = first;
        loop {
            let finished = rounds.finished_by_receivers();
            // Granted rounds are always computed: the next version lies at their end.
            let ends = self.stopping || self.leaving.is_some();
            let boundary = if ends { granted } else { boundary };
            if finished >= boundary {
                return Ok(boundary);
            }
            let horizon = (finished + AHEAD).min(boundary);
            if horizon > granted && !self.paused {
                granted = horizon;
                self.order(Order::Train(Train { to: granted }))?;
            }
            let event = self.next_event().await?;
            self.take_round(rounds, event, progress)?;
        }
    }

    /// Orders a checkpoint, waits for every state and commits it.
    async fn save(
        &mut self,
        rounds: &mut Rounds,
        version: u64,
        progress: &mut Progress,
    ) -> Result<(), Interruption> {
        self.shared_status.phase("saving a checkpoint");
        self.ordered.begin(self.setup.incarnation, version, self.members.all());
        self.order(Order::Save(SaveState { version }))?;
        let mut files = BTreeMap::new();
        while files.len() < self.members.total() || rounds.whole() < version {
            match self.next_event().await? {
                Event::Saved { member, version: saved, sha256, .. } if saved == version => {
                    files.insert(state_name(member, self.setup.incarnation), hex(&sha256));
                }
                event => self.take_round(rounds, event, progress)?,
            }
        }
        self.ordered.end();
        self.setup.commit(version, files, rounds.commit()?, self.best).await?;
        self.shared_status.checkpoint(version);
        self.note("checkpoint", &format!("checkpoint of round {version}"));
        tracing::info!(version, "checkpoint committed");
        Ok(())
    }

    pub(super) fn take_round(
        &mut self,
        rounds: &mut Rounds,
        event: Event,
        progress: &mut Progress,
    ) -> Result<(), Interruption> {
        let whole = match rounds.take(event)? {
            ControlFlow::Continue(whole) => whole,
            ControlFlow::Break(Event::Told(_) | Event::Tick) => None,
            ControlFlow::Break(event) => return Err(self.out_of_turn(&event)),
        };
        if let Some(metrics) = whole {
            self.failing_since = None;
            self.shared_status.rounds_done(rounds.whole());
            progress.round(&metrics);
        }
        Ok(())
    }
}

/// The next multiple of a number of rounds after `version`; the largest number if `every` is 0.
fn next_multiple(version: u64, every: u64) -> u64 {
    version.checked_div(every).map_or(u64::MAX, |whole| (whole + 1).saturating_mul(every))
}
