//! Evaluation of the network on validation rows, between two rounds of training.

use std::ops::ControlFlow;

use proto::v1::{Evaluate, order::Order};

use super::Conductor;
use crate::{
    evaluation::Evaluation,
    interruption::Interruption,
    page::PassClock,
    progress::Progress,
    rounds::Rounds,
    validation::{Best, Validation},
};

impl Conductor {
    /// Evaluates a version on the validation rows and logs its scores. Returns whether it is the best so far.
    pub(super) async fn validate(
        &mut self,
        rounds: &mut Rounds,
        version: u64,
        progress: &mut Progress,
    ) -> Result<bool, Interruption> {
        self.shared_status.phase("validating");
        let passes = self.scenario.evaluation.validation_passes;
        self.order(Order::Evaluate(Evaluate { passes, validation: true }))?;
        let mut judge = Evaluation::of_validation(&self.scenario);
        let mut clock = PassClock::new();
        while !judge.is_complete() || rounds.whole() < version {
            if let ControlFlow::Break(event) = judge.take(self.next_event().await?)? {
                self.take_round(rounds, event, progress)?;
            }
            clock.reported(&judge, &self.feed);
        }
        let mut validated = judge.validated();
        let best = Best::after(self.best, version, validated.n_ce);
        validated.best = best.round == version;
        self.best = Some(best);
        let metrics = rounds.validated(validated, judge.wire_bytes())?;
        progress.validated(&metrics, best.round);
        if best.round == version {
            self.note("best", &format!("best on validation rows so far: N-CE {:.3}", best.n_ce));
        }
        Ok(best.round == version)
    }

    /// Whether training ends because no version beat the best within the configured patience.
    pub(super) fn is_out_of_patience(&self) -> bool {
        let patience = self.scenario.evaluation.patience;
        patience > 0 && self.best.is_some_and(|best| best.since >= patience)
    }

    /// The summary's part on evaluation with validation rows.
    pub(super) fn validation(&self, version: u64) -> Option<Validation> {
        let best = self.best?;
        let stopped_early = self.is_out_of_patience() && version < self.scenario.train.rounds;
        Some(Validation { best_round: best.round, best_n_ce: best.n_ce, stopped_early })
    }
}
