//! What a receiver's selector does: draw whom to request, and learn from what that cost.

use candle_core::Tensor;
use dib::{Draw, Phase, RowAddresses, SelectorNode, common, selection_stream};
use node::{Choice, NodeError};
use randomness::Stream;

use crate::ReceiverMachine;

/// Whom this receiver requested at the ticks of a round, and what its selector needs to learn from it.
pub(crate) struct Requested {
    /// For every tick, which transmitters.
    pub(crate) transmitters: Vec<Vec<bool>>,
    pub(crate) choice: Option<Choice>,
}

impl Requested {
    /// The largest number of transmitters requested at a tick.
    pub(crate) fn most(&self) -> u32 {
        self.transmitters
            .iter()
            .map(|requested| requested.iter().filter(|requested| **requested).count() as u32)
            .max()
            .unwrap_or(0)
    }
}

/// Which of all transmitters a draw requests.
fn requested(draw: &Draw, transmitters: usize) -> Vec<bool> {
    (0..transmitters).map(|k| draw.contains(k)).collect()
}

impl ReceiverMachine {
    /// Draws whom to request at every tick of a round: selector v_t on u_n.
    pub(crate) fn request(&self, round: u64) -> Result<Requested, NodeError> {
        let (ticks, transmitters) = (self.context.ticks(), self.context.scenario.transmitters());
        let Some(selector) = &self.selector else {
            return Ok(Requested { transmitters: vec![self.always_requested(); ticks], choice: None });
        };
        let first = self.context.first_tick(round);
        let moments: Vec<u64> = (first..first + ticks as u64).collect();
        let rows = RowAddresses { seed: self.context.seed, of_row: &|row| (moments[row], 0) };
        let choice = selector.choose(self.common(Phase::Train, &moments)?, rows, |row| {
            self.selection_stream(Phase::Train, moments[row])
        })?;
        let requested = choice.draws.iter().map(|draw| requested(draw, transmitters)).collect();
        Ok(Requested { transmitters: requested, choice: Some(choice) })
    }

    /// Whom to request in an evaluation pass: one draw (Algorithm 2).
    pub(crate) fn ask_for_pass(&self, pass: u64) -> Result<Vec<bool>, NodeError> {
        let transmitters = self.context.scenario.transmitters();
        let Some(selector) = &self.selector else { return Ok(self.always_requested()) };
        let draws = selector.draw(&self.common(Phase::Evaluate, &[pass])?, |_| {
            self.selection_stream(Phase::Evaluate, pass)
        })?;
        Ok(draws.iter().flat_map(|draw| requested(draw, transmitters)).collect())
    }

    /// Whom this receiver requests if nothing is learnt about that: everybody, unless it was drawn once and for all.
    fn always_requested(&self) -> Vec<bool> {
        match &self.fixed {
            Some(fixed) => fixed.requests(self.context.index),
            None => vec![true; self.context.scenario.transmitters()],
        }
    }

    /// The common randomness of ticks (or passes), a row each.
    fn common(&self, phase: Phase, moments: &[u64]) -> Result<Tensor, NodeError> {
        let d = self.context.feature_dim();
        let rows: Vec<f32> =
            moments.iter().flat_map(|&moment| common(self.context.seed, phase, moment, d)).collect();
        Ok(Tensor::from_vec(rows, (moments.len(), d), &self.context.device)?)
    }

    fn selection_stream(&self, phase: Phase, moment: u64) -> Stream {
        let t = self.context.index;
        selection_stream(self.context.seed, phase, SelectorNode::Receiver(t), t, moment)
    }

    /// One step of the selector along the score function (21). Gives log-probability x advantage, mean over ticks.
    pub(crate) fn learn_selection(
        &mut self,
        round: u64,
        choice: Option<&Choice>,
        costs: &[f64],
    ) -> Result<f64, NodeError> {
        let (Some(selector), Some(choice)) = (self.selector.as_mut(), choice) else { return Ok(0.0) };
        let baseline = node::baseline(self.context.scenario.train.baseline);
        let bonus = |row| selector.entropy_bonus(&self.context, round, choice, row);
        let costs: Vec<f64> = costs.iter().enumerate().map(|(row, cost)| cost + bonus(row)).collect();
        let took_part = vec![true; costs.len()];
        let advantages = dib::advantages(baseline, &costs, &took_part, self.task.label_entropy());
        Ok(selector.learn(&self.context, round, choice, &advantages)? / costs.len() as f64)
    }
}
