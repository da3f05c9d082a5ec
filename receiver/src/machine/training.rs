//! A receiver's part of a training round.

use std::{collections::VecDeque, ops::Range};

use dib::{AdamW, Phase};
use node::{AirTime, Next, NodeError, ProfilerPhase};
use proto::{
    When, encode_ticks,
    v1::{Gradients, ReceiverRound, Requests, Tensor, Turn, report::Report},
};
use scenario::Coding;

use super::{Awaiting, Output, ReceiverMachine};
use crate::{
    air::AirCount,
    audit::HeardChoices,
    difference::Difference,
    granted::Granted,
    missing::MissingCount,
    received::Received,
    selection::{Requested, ticks_of},
    told_costs,
};

/// A training round under way.
pub(super) struct Round {
    pub(super) round: u64,
    requested: Requested,
    /// The part that is due.
    pub(super) part: usize,
    // What the parts so far have brought, tick by tick.
    cross_entropies: Vec<f64>,
    objectives: Vec<f64>,
    costs: Vec<f64>,
    /// Empty unless differences are credited.
    differences: Vec<Difference>,
    rates: Vec<f64>,
    /// Ticks at which each (k, m) was granted.
    granted: Vec<u32>,
    feature_bytes: u64,
    gradient_bytes: u64,
    /// Of both, by transmitter: those of features, and all.
    link_bytes: Vec<(u64, u64)>,
    missing: MissingCount,
    air: AirCount,
    /// The same by transmitter.
    links: Vec<AirCount>,
    heard: HeardChoices,
}

impl ReceiverMachine {
    /// Opens a round: draws whom to request and sends every transmitter its turn, with the gradients of the round
    /// before.
    pub(super) fn open(
        &mut self,
        round: u64,
        gradients: Option<Vec<Gradients>>,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Select);
        let requested = self.request(round)?;
        self.profiler.turn_to(ProfilerPhase::Pack);
        let mut gradients = gradients.map(Vec::into_iter);
        for k in 0..self.context.scenario.transmitters() {
            let ticks = ticks_of(&requested.transmitters, k);
            let turn = Turn {
                stamp: Some(self.context.link(k, self.context.index).stamp(When::round(round))),
                gradients: gradients.as_mut().and_then(Iterator::next),
                requests: Some(Requests { ticks: encode_ticks(&ticks) }),
                ..Turn::default()
            };
            emit(Output::Turn(k, turn));
        }
        self.stage = Awaiting::Training(Box::new(Round {
            round,
            requested,
            part: 0,
            cross_entropies: Vec::new(),
            objectives: Vec::new(),
            costs: Vec::new(),
            differences: Vec::new(),
            rates: Vec::new(),
            granted: vec![0; self.context.scenario.entries_per_receiver()],
            feature_bytes: 0,
            gradient_bytes: 0,
            link_bytes: vec![(0, 0); self.context.scenario.transmitters()],
            missing: MissingCount::new(&self.context),
            air: AirCount::default(),
            links: vec![AirCount::default(); self.context.scenario.transmitters()],
            heard: HeardChoices::default(),
        }));
        Ok(())
    }

    /// Sends every transmitter its gradients in a turn without requests.
    pub(super) fn send_gradients(&self, when: When, gradients: Vec<Gradients>, emit: &mut dyn FnMut(Output)) {
        for (k, gradients) in gradients.into_iter().enumerate() {
            let stamp = Some(self.context.link(k, self.context.index).stamp(when));
            emit(Output::Turn(k, Turn { stamp, gradients: Some(gradients), ..Turn::default() }));
        }
    }

    /// Decodes a part of a round. Its gradients go back at once; those of the last part have the round's costs, and go
    /// back with the next requests, or under the objective `worst` at once too.
    pub(super) fn learn(
        &mut self,
        mut round: Box<Round>,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Pack);
        let part = round.part as u64;
        let ticks = self.context.part(round.part);
        if self.context.verify {
            round.heard.hear(self.inbox.iter().map(VecDeque::front));
        }
        let received = self.receive(
            When::Round { round: round.round, part },
            &round.requested.transmitters[ticks.clone()],
        )?;
        let first_tick = self.context.first_tick(round.round) + ticks.start as u64;
        let rows = self.batch_rows(first_tick..first_tick + ticks.len() as u64);
        let granted = Granted::new(&self.context, AirTime::of_training(first_tick), &received);
        let beta = self.context.scenario.train.beta_at(round.round);
        let weights = (beta, self.weighting.factor(self.context.index));
        let decoded =
            self.decoders.learn(&self.context, &self.task, &rows, &granted, weights, &mut self.profiler)?;
        let requested = &round.requested.transmitters[ticks.clone()];
        let costs = self.costs(requested, &received, &granted, &decoded.objectives)?;
        if self.context.scenario.train.credits_differences() {
            self.profiler.turn_to(ProfilerPhase::Decode);
            let draws = round.requested.choice.as_ref().map(|choice| &choice.draws[ticks]);
            let requested = (requested, draws);
            let differences = self.differences(requested, &granted, &decoded, (&rows, beta), &costs)?;
            round.differences.extend(differences);
            self.profiler.turn_to(ProfilerPhase::Pack);
        }
        round.costs.extend(costs);
        round.cross_entropies.extend(decoded.cross_entropies);
        round.objectives.extend(decoded.objectives);
        round.rates.extend(granted.rates_of_ticks());
        granted.count(&mut round.granted);
        round.feature_bytes += received.iter().map(|received| received.feature_bytes).sum::<u64>();
        round.gradient_bytes += decoded.gradients.iter().map(payload).sum::<u64>();
        for (link, (received, gradient)) in
            round.link_bytes.iter_mut().zip(received.iter().zip(&decoded.gradients))
        {
            link.0 += received.feature_bytes;
            link.1 += received.feature_bytes + payload(gradient);
        }
        round.missing.add(&self.context, &received);
        for (link, received) in round.links.iter_mut().zip(&received) {
            link.add(&received.air);
            round.air.add(&received.air);
        }
        round.part += 1;
        let of = |(z, received): (_, &Received)| Gradients {
            z: Some(z),
            costs: Vec::new(),
            used: received.used.clone(),
        };
        let mut gradients: Vec<Gradients> = decoded.gradients.into_iter().zip(&received).map(of).collect();
        let is_last = round.part == self.context.parts();
        if is_last {
            for (k, gradients) in gradients.iter_mut().enumerate() {
                gradients.costs = self.costs_for(k, &round);
            }
            if !self.context.scenario.train.tells_costs() {
                return self.complete_round(*round, Some(gradients), &[], emit);
            }
        }
        self.send_gradients(When::Round { round: round.round, part: round.part as u64 }, gradients, emit);
        self.stage = if is_last { Awaiting::Costs(round) } else { Awaiting::Training(round) };
        Ok(())
    }

    /// Takes the costs of all receivers, which must be the same from every transmitter, and completes the round.
    pub(super) fn settle(&mut self, round: Round, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Pack);
        let when = When::Round { round: round.round, part: round.part as u64 };
        let mut all: Option<Vec<Vec<f64>>> = None;
        for k in 0..self.inbox.len() {
            let features = self.inbox[k].pop_front().expect("all have answered");
            let told = told_costs::check(&self.context, k, when, &round.costs, &features)
                .map_err(NodeError::message(format!("costs from transmitter {k}")))?;
            if all.as_ref().is_some_and(|all| *all != told) {
                let what = "tells other costs of the receivers than transmitter 0";
                return Err(NodeError::protocol(format!("transmitter {k}"), what));
            }
            all = Some(told);
        }
        self.complete_round(round, None, &all.unwrap_or_default(), emit)
    }

    /// Steps the selector, sends the next turn as early as possible, and only then steps the decoders. That turn has
    /// the round's last `gradients`, unless they are sent already. `all` has the costs of all receivers, by receiver
    /// and tick, under the objective `worst`; else it is empty.
    fn complete_round(
        &mut self,
        round: Round,
        gradients: Option<Vec<Gradients>>,
        all: &[Vec<f64>],
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Select);
        let choice = round.requested.choice.as_ref();
        let judges = (round.costs.as_slice(), all, round.differences.as_slice());
        let log_likelihood = self.learn_selection(round.round, choice, judges)?;
        self.teach_policy(round.round, &round.requested, (round.costs.as_slice(), all))?;
        let samples = self.context.ticks() * self.context.samples();
        let mut report = ReceiverRound {
            round: round.round,
            cross_entropy: mean(&round.cross_entropies),
            objective: mean(&round.objectives),
            rate: mean(&round.rates),
            log_likelihood,
            granted: round.granted,
            most_asks: round.requested.most(),
            feature_bytes: round.feature_bytes,
            gradient_bytes: round.gradient_bytes,
            seconds: 0.0,
            work: self.profiler.take(),
            missing: round.missing.report(&self.context, Phase::Train),
            air: round.air.report(&self.context, samples),
            entry_uses: round.air.entry_uses(&self.context, samples),
            links: round.links.iter().filter_map(|air| air.report(&self.context, samples)).collect(),
            link_bytes: round.link_bytes.iter().map(|(_, all)| *all).collect(),
            link_coded_bits: match self.context.scenario.travels_as() {
                Coding::Dithered | Coding::Quantised | Coding::CodeBook | Coding::Own => {
                    round.link_bytes.iter().map(|(features, _)| 8 * features).collect()
                }
                Coding::Gaussian | Coding::Deterministic => Vec::new(),
            },
            probabilities: self
                .selector
                .as_ref()
                .zip(round.requested.choice.as_ref())
                .map_or_else(Vec::new, |(selector, choice)| selector.first_probabilities(choice)),
            weight: self.weighting.probability(self.context.index),
            ..ReceiverRound::default()
        };
        self.profiler.turn_to(ProfilerPhase::Pack);
        self.weighting.learn(all.iter().map(Vec::as_slice));
        if self.context.verify {
            self.record_audit(&mut report, &round.requested, round.heard)?;
        }
        self.stage = Awaiting::Idle { unsent: gradients };
        // The decoders' own step is not on the transmitters' way: the next turn goes out first if it may.
        self.version += 1;
        self.advance_before_step(emit)?;
        self.profiler.turn_to(ProfilerPhase::Optimize);
        self.decoders.step(&self.coding_optimizer(round.round))?;
        self.profiler.turn_to(ProfilerPhase::Pack);
        emit(Output::Report(Report::ReceiverRound(report)));
        self.advance(emit)
    }

    /// Opens the next round if it is granted already. Nothing else may happen before the decoders have stepped.
    fn advance_before_step(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        if let (Awaiting::Idle { unsent }, Next::Round(round)) =
            (&mut self.stage, self.schedule.next(self.version))
        {
            let unsent = unsent.take();
            self.open(round, unsent, emit)?;
        }
        Ok(())
    }

    /// The training samples of some ticks: every tick's, in order, as rows of the labels.
    fn batch_rows(&mut self, ticks: Range<u64>) -> Vec<usize> {
        let samples = self.context.samples();
        ticks.flat_map(|tick| self.batches.positions(tick, samples)).map(|position| position.sample).collect()
    }

    /// The costs of some ticks: objective, penalty for a receiver without a granted entry, sparse term.
    fn costs(
        &self,
        requested: &[Vec<bool>],
        received: &[Received],
        granted: &Granted<'_>,
        objectives: &[f64],
    ) -> Result<Vec<f64>, NodeError> {
        let train = &self.context.scenario.train;
        let costs: Vec<f64> = (0..requested.len())
            .map(|tick| {
                let own = granted.entries_at(tick);
                let requests = requested[tick].iter().filter(|requested| **requested).count();
                let all = received.iter().map(|received| received.all_granted[tick]).sum();
                dib::cost(
                    objectives[tick],
                    own,
                    requests,
                    all,
                    train.empty_penalty,
                    (train.gamma, node::sparse_term(train.sparse_term)),
                )
            })
            .collect();
        self.finite(costs)
    }

    /// These costs, unless the objective has diverged.
    pub(crate) fn finite(&self, costs: Vec<f64>) -> Result<Vec<f64>, NodeError> {
        match costs.iter().all(|cost| cost.is_finite()) {
            true => Ok(costs),
            false => Err(NodeError::Diverged(format!(
                "receiver {}: its objective is not finite",
                self.context.index
            ))),
        }
    }

    /// The costs of a round that transmitter k [is told](node::Context::told_costs). With difference credit they are
    /// less what the ticks would have cost without what this transmitter granted: it cannot know that itself.
    fn costs_for(&self, k: usize, round: &Round) -> Vec<f64> {
        let told = self.context.told_costs(&ticks_of(&round.requested.transmitters, k));
        let cost = |tick: usize| match round.differences.get(tick) {
            Some(difference) => difference.of_transmitters[k],
            None => round.costs[tick],
        };
        told.into_iter().enumerate().filter(|(_, told)| *told).map(|(tick, _)| cost(tick)).collect()
    }

    fn coding_optimizer(&self, round: u64) -> AdamW {
        let train = &self.context.scenario.train;
        node::adamw(train.coding_lr_at(round), train.weight_decay)
    }
}

/// Bytes of the values of a message, with their scales.
fn payload(tensor: &Tensor) -> u64 {
    (tensor.data.len() + tensor.scales.len()) as u64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
