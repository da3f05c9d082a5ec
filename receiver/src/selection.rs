//! What a receiver's selector does: draw whom to request, and learn from what that cost.

use candle_core::Tensor;
use dib::{Draw, Phase, RowAddresses, SelectorNode, selection_stream};
use node::{AirTime, Choice, NodeError};
use randomness::Stream;
use scenario::{Credit, Requests};

use crate::{ReceiverMachine, difference::Difference};

/// Whom this receiver requested at the ticks of a round, and what its selector needs to learn from it.
pub(crate) struct Requested {
    /// For every tick, which transmitters.
    pub(crate) transmitters: Vec<Vec<bool>>,
    pub(crate) choice: Option<Choice>,
    /// What its policy chose, if it has one.
    pub(crate) chosen: Option<Vec<Draw>>,
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

/// For every tick, whether transmitter k is requested. `requested` has, for every tick, which transmitters are.
pub(crate) fn ticks_of(requested: &[Vec<bool>], k: usize) -> Vec<bool> {
    requested.iter().map(|requested| requested[k]).collect()
}

/// Which of all transmitters a draw requests.
fn requested(draw: &Draw, transmitters: usize) -> Vec<bool> {
    (0..transmitters).map(|k| draw.contains(k)).collect()
}

impl ReceiverMachine {
    /// Draws whom to request at every tick of a round: selector v_t on u_n, and on the gains that it sees.
    pub(crate) fn request(&self, round: u64) -> Result<Requested, NodeError> {
        let (ticks, transmitters) = (self.context.ticks(), self.context.scenario.transmitters());
        let first = self.context.first_tick(round);
        let time = AirTime::of_training(first);
        let Some(selector) = &self.selector else {
            let chosen = self.choose_by_policy((time, first), ticks)?;
            let transmitters = self.requested_without_selector(chosen.as_deref(), time, ticks);
            return Ok(Requested { transmitters, choice: None, chosen });
        };
        let moments: Vec<u64> = (first..first + ticks as u64).collect();
        let rows = RowAddresses { seed: self.context.seed, of_row: &|row| (moments[row], 0) };
        let choice = selector.choose(self.selector_input(&moments, time)?, rows, |row| {
            self.selection_stream(Phase::Train, moments[row])
        })?;
        let requested = choice.draws.iter().map(|draw| requested(draw, transmitters)).collect();
        Ok(Requested { transmitters: requested, choice: Some(choice), chosen: None })
    }

    /// Whom to request at so many ticks of an evaluation pass, from those of a piece on. Where a draw holds for a pass
    /// (Algorithm 2), it is the only tick of its first piece.
    pub(crate) fn request_for_piece(
        &self,
        pass: u64,
        piece: u64,
        ticks: usize,
    ) -> Result<Vec<Vec<bool>>, NodeError> {
        let transmitters = self.context.scenario.transmitters();
        let time = AirTime { phase: Phase::Evaluate, pass, tick: self.context.first_group(piece) };
        let first = self.context.selection_moment(pass, piece);
        let Some(selector) = &self.selector else {
            let chosen = self.choose_by_policy((time, first), ticks)?;
            return Ok(self.requested_without_selector(chosen.as_deref(), time, ticks));
        };
        let moments: Vec<u64> = (0..ticks as u64).map(|tick| first.wrapping_add(tick)).collect();
        let draws = selector.draw(&self.selector_input(&moments, time)?, |row| {
            self.selection_stream(Phase::Evaluate, moments[row])
        })?;
        Ok(draws.iter().map(|draw| requested(draw, transmitters)).collect())
    }

    /// Whom this receiver requests without a selector: what its policy chose, if it has one; those whose links are the
    /// strongest, if it goes by that; else everybody, unless it was drawn once and for all.
    fn requested_without_selector(
        &self,
        chosen: Option<&[Draw]>,
        first: AirTime,
        ticks: usize,
    ) -> Vec<Vec<bool>> {
        let (scenario, t) = (&self.context.scenario, self.context.index);
        if let Some(draws) = chosen {
            return draws.iter().map(|draw| requested(draw, scenario.transmitters())).collect();
        }
        if scenario.train.requests == Requests::Strongest {
            return (0..ticks).map(|tick| self.context.strongest(t, first.later(tick))).collect();
        }
        let always = match &self.fixed {
            Some(fixed) => fixed.requests(t),
            None => vec![true; scenario.transmitters()],
        };
        vec![always; ticks]
    }

    /// u at some ticks (or of a pass), a row each, and beside it the gains that the selector sees, from a time on.
    fn selector_input(&self, moments: &[u64], first: AirTime) -> Result<Tensor, NodeError> {
        let (context, t) = (&self.context, self.context.index);
        let width = context.feature_dim() + context.scenario.gains_at_receiver_selector(t);
        let mut rows = Vec::with_capacity(moments.len() * width);
        for (tick, &moment) in moments.iter().enumerate() {
            rows.extend(context.u(first.phase, SelectorNode::Receiver(t), moment));
            rows.extend(context.gains_at_receiver(t, first.later(tick)));
        }
        Ok(Tensor::from_vec(rows, (moments.len(), width), &context.device)?)
    }

    fn selection_stream(&self, phase: Phase, moment: u64) -> Stream {
        let t = self.context.index;
        selection_stream(self.context.seed, phase, SelectorNode::Receiver(t), t, moment)
    }

    /// One step of the selector along the score function (21), given this receiver's costs, those of all where they are
    /// told, and the differences if these are credited. Gives log-probability x advantage, mean over ticks.
    pub(crate) fn learn_selection(
        &mut self,
        round: u64,
        choice: Option<&Choice>,
        (own, all, differences): (&[f64], &[Vec<f64>], &[Difference]),
    ) -> Result<f64, NodeError> {
        if !differences.is_empty() {
            return self.learn_from_differences(round, choice, differences);
        }
        let judging = self.judging(own, all);
        let (Some(selector), Some(choice)) = (self.selector.as_mut(), choice) else { return Ok(0.0) };
        let baseline = self.context.scenario.train.baseline;
        let bonus = |row| selector.entropy_bonus(&self.context, round, choice, row);
        let costs: Vec<f64> = judging.iter().enumerate().map(|(row, cost)| cost + bonus(row)).collect();
        let took_part = vec![true; costs.len()];
        let first = AirTime::of_training(self.context.first_tick(round));
        let gains = |tick| self.context.gains_at_receiver(self.context.index, first.later(tick));
        let label_entropy = self.weighting.factor(self.context.index) * self.task.label_entropy();
        let advantages = node::advantages(baseline, &costs, &took_part, label_entropy, gains);
        Ok(selector.learn(&self.context, round, choice, &advantages)? / costs.len() as f64)
    }

    /// The same with difference credit: each term of the log-probability of a drawn sequence has its own advantage, what
    /// the tick cost less what it would have cost had the draw ended before this term ([`dib::credit`]), with the
    /// entropy bonus of the whole draw, less the baseline over the ticks that have such a term.
    fn learn_from_differences(
        &mut self,
        round: u64,
        choice: Option<&Choice>,
        differences: &[Difference],
    ) -> Result<f64, NodeError> {
        let (Some(selector), Some(choice)) = (self.selector.as_mut(), choice) else { return Ok(0.0) };
        let with_bonus = |(row, difference): (usize, &Difference)| {
            let bonus = selector.entropy_bonus(&self.context, round, choice, row);
            difference.of_steps.iter().map(|difference| difference + bonus).collect::<Vec<f64>>()
        };
        let judged: Vec<Vec<f64>> = differences.iter().enumerate().map(with_bonus).collect();
        let baseline = self.context.scenario.train.baseline;
        let first = AirTime::of_training(self.context.first_tick(round));
        let gains = |tick| self.context.gains_at_receiver(self.context.index, first.later(tick));
        // Label entropies are no baseline of differences, and refused.
        let less_baseline =
            |costs: &[f64], took: &[bool]| node::advantages(baseline, costs, took, 0.0, gains);
        let advantages = dib::advantages_of_terms(&judged, less_baseline);
        Ok(selector.learn_terms(&self.context, round, choice, &advantages)? / differences.len() as f64)
    }

    /// The cost that judges its requests at every tick: its own, times the factor of its weight. With the costs of all
    /// receivers and shared credit, the sum of all, each times its factor: a request can take an entry from another
    /// receiver.
    pub(crate) fn judging(&self, own: &[f64], all: &[Vec<f64>]) -> Vec<f64> {
        if all.is_empty() || self.context.scenario.train.credit == Credit::Own {
            let factor = self.weighting.factor(self.context.index);
            return own.iter().map(|cost| factor * cost).collect();
        }
        let factors = self.weighting.factors(all.len());
        let at =
            |tick: usize| factors.iter().zip(all).map(|(factor, costs)| factor * costs[tick]).sum::<f64>();
        (0..own.len()).map(at).collect()
    }
}
