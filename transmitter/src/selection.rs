//! What a transmitter's selector does: draw modalities for those who requested, and learn from what that cost.

use std::ops::Range;

use candle_core::Tensor;
use dib::{ChoiceGrid, Draw, Phase, RowAddresses, SelectorNode, selection_stream};
use node::{AirTime, Choice, Context, NodeError, Selector, Weighting};
use randomness::Stream;
use scenario::Credit;

use crate::{TransmitterMachine, gradient_feedback::GradientFeedback, requested::Requested, sent::Sent};

impl TransmitterMachine {
    /// Lets the selector v_k draw for those who requested.
    pub(crate) fn choose(&self, moments: &[u64], requested: &Requested) -> Result<Option<Choice>, NodeError> {
        let Some(selector) = &self.selector else { return Ok(None) };
        let input = self.selector_input(AirTime::of_training(moments[0]), moments, requested)?;
        let of_row = |row: usize| {
            let (tick, t): (usize, usize) = requested.rows[row];
            (moments[tick], t as u64)
        };
        let rows = RowAddresses { seed: self.context.seed, of_row: &of_row };
        let stream = |row| self.selection_stream(Phase::Train, moments, requested.rows[row]);
        selector.choose(input, rows, stream).map(Some)
    }

    fn selection_stream(&self, phase: Phase, moments: &[u64], (tick, receiver): (usize, usize)) -> Stream {
        let node = SelectorNode::Transmitter(self.context.index);
        selection_stream(self.context.seed, phase, node, receiver, moments[tick])
    }

    /// The choices of some ticks before the cap: what was drawn for those who requested, at that tick or once and for
    /// all; else everything.
    pub(crate) fn choices(
        &self,
        requested: &Requested,
        ticks: &Range<usize>,
        draws: Option<&[Draw]>,
    ) -> ChoiceGrid {
        let modalities = self.context.scenario.modalities(self.context.index);
        let mut choices = ChoiceGrid::new(ticks.len(), self.inbox.len(), modalities);
        for row in requested.rows_of(ticks) {
            let (tick, t) = requested.rows[row];
            let chosen = |m: usize| match (draws, &self.fixed) {
                (Some(draws), _) => draws[row].contains(m),
                (None, Some(fixed)) => fixed.grants(self.context.index, t, m),
                (None, None) => true,
            };
            (0..modalities).filter(|&m| chosen(m)).for_each(|m| choices.set(tick - ticks.start, t, m));
        }
        choices
    }

    /// Rows (u, embedding of t) for every tick at which receiver t requested, and beside them the gain of the link to
    /// it if this transmitter sees any; gains are those from a time on.
    fn selector_input(
        &self,
        first: AirTime,
        moments: &[u64],
        requested: &Requested,
    ) -> Result<Tensor, NodeError> {
        let (context, d) = (&self.context, self.context.feature_dim());
        let width = 2 * d + context.scenario.gains_at_transmitter_selector(context.index);
        let node = SelectorNode::Transmitter(context.index);
        let u: Vec<Vec<f32>> = moments.iter().map(|&moment| context.u(first.phase, node, moment)).collect();
        let mut rows = Vec::with_capacity(requested.rows.len() * width);
        for &(tick, t) in &requested.rows {
            rows.extend_from_slice(&u[tick]);
            rows.extend_from_slice(&self.embeddings[t]);
            rows.extend(context.gains_at_transmitter(context.index, t, first.later(tick)));
        }
        Ok(Tensor::from_vec(rows, (requested.rows.len(), width), &context.device)?)
    }

    /// The choices of an evaluation pass, at the ticks of a piece. `requests` has what each receiver requested, tick by
    /// tick. Where a draw holds for the pass (Algorithm 2), they are those of the only tick of its first piece.
    pub(crate) fn choices_of_piece(
        &self,
        pass: u64,
        piece: u64,
        requests: &[Vec<bool>],
    ) -> Result<ChoiceGrid, NodeError> {
        let requested = Requested::new(requests);
        let ticks = 0..requested.ticks;
        let first = self.context.selection_moment(pass, piece);
        let moments: Vec<u64> = (0..requested.ticks as u64).map(|tick| first.wrapping_add(tick)).collect();
        let time = AirTime { phase: Phase::Evaluate, pass, tick: self.context.first_group(piece) };
        let Some(selector) = &self.selector else {
            let chosen = self.choose_by_policy(time, &moments, &requested)?;
            return Ok(self.choices(&requested, &ticks, chosen.as_deref()));
        };
        if requested.rows.is_empty() {
            return Ok(self.choices(&requested, &ticks, Some(&[])));
        }
        let input = self.selector_input(time, &moments, &requested)?;
        let stream = |row: usize| self.selection_stream(Phase::Evaluate, &moments, requested.rows[row]);
        let draws = selector.draw(&input, stream)?;
        Ok(self.choices(&requested, &ticks, Some(&draws)))
    }

    /// One step of the selector along the score function: the receivers' costs weigh the choices made for them.
    pub(crate) fn learn_selection(
        &mut self,
        sent: &Sent,
        feedback: &[GradientFeedback],
    ) -> Result<f64, NodeError> {
        let (Some(selector), Some(choice)) = (self.selector.as_mut(), &sent.choice) else { return Ok(0.0) };
        if choice.draws.is_empty() {
            return Ok(0.0);
        }
        let counts = (&self.weighting, self.label_entropies.as_slice());
        let advantages = advantages(&self.context, selector, sent, choice, feedback, counts);
        Ok(selector.learn(&self.context, sent.round, choice, &advantages)? / sent.requested.ticks as f64)
    }
}

/// The advantage of each draw: its receiver's cost, times the factor of that receiver's weight, with the entropy bonus
/// of the draw itself, less the baseline; with shared credit also the costs of the other receivers that requested at
/// that tick, each times its factor and less its own baseline. With difference credit likewise: then what receivers tell
/// as their costs is less what the tick would have cost them without what this transmitter granted, which none of its
/// choices changes.
fn advantages(
    context: &Context,
    selector: &Selector,
    sent: &Sent,
    choice: &Choice,
    feedback: &[GradientFeedback],
    (weighting, label_entropies): (&Weighting, &[f64]),
) -> Vec<f64> {
    let train = &context.scenario.train;
    let requested = &sent.requested;
    let factors = weighting.factors(feedback.len());
    let weighed = |(feedback, factor): (&GradientFeedback, &f64)| {
        feedback.costs.iter().map(|cost| factor * cost).collect::<Vec<f64>>()
    };
    let costs: Vec<Vec<f64>> = feedback.iter().zip(&factors).map(weighed).collect();
    let mut own_costs = costs.clone();
    for (row, &(tick, t)) in requested.rows.iter().enumerate() {
        own_costs[t][tick] += selector.entropy_bonus(context, sent.round, choice, row);
    }
    let first = AirTime::of_training(context.first_tick(sent.round));
    let advantage_costs = |t: usize, costs: &[f64]| {
        let gains = |tick| context.gains_at_transmitter(context.index, t, first.later(tick));
        let label_entropy = factors[t] * label_entropies[t];
        let less_baseline = |costs: &[f64], took: &[bool]| {
            node::advantages(train.baseline, costs, took, label_entropy, gains)
        };
        let took = requested.ticks_of(t);
        match train.credit {
            Credit::Own | Credit::Shared => less_baseline(costs, &took),
            Credit::Difference => dib::advantages_of_differences(costs, &took, less_baseline),
        }
    };
    let own: Vec<Vec<f64>> = (0..feedback.len()).map(|t| advantage_costs(t, &own_costs[t])).collect();
    let bare: Vec<Vec<f64>> = (0..feedback.len()).map(|t| advantage_costs(t, &costs[t])).collect();
    let credit = |tick: usize, t: usize, of: usize| match (of == t, train.credit) {
        (true, _) => own[t][tick],
        (false, Credit::Shared | Credit::Difference) => bare[of][tick],
        (false, Credit::Own) => 0.0,
    };
    let of_row = |&(tick, t): &(usize, usize)| {
        let all = &requested.rows[requested.rows_of(&(tick..tick + 1))];
        all.iter().map(|&(_, of)| credit(tick, t, of)).sum()
    };
    requested.rows.iter().map(of_row).collect()
}
