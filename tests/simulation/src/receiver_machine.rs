//! A receiver's compute half that follows the real protocol, with a trivial computation.

use std::collections::VecDeque;

use bytes::Bytes;
use node::{Awaited, Context, Machine, Next, NodeError, Role, Schedule};
use proto::{
    When,
    v1::{
        Cluster, Confusion, Features, Finished, Gradients, ReceiverPass, ReceiverRound, Requests, Turn, View,
        order::Order, report::Report,
    },
};
use receiver::{Input, Output};

use crate::{
    arithmetic::{Weights, figure, mix, number, tensor},
    draws,
    ledger::{Host, Ledger},
    serving::{Serving, ServingReceiver},
};

pub(crate) struct ReceiverMachine {
    context: Context,
    ledger: Ledger,
    weights: Weights,
    schedule: Schedule,
    inbox: Vec<VecDeque<Features>>,
    /// By transmitter, the answers still owed that this receiver does without.
    given_up: Vec<VecDeque<When>>,
    /// Whether a transmitter's answer to the current turn is among them.
    excused: Vec<bool>,
    /// The last moment reported as incomplete.
    incomplete: Option<When>,
    stage: Stage,
    /// By transmitter, its choices in the round as told, part by part.
    told: Vec<Vec<Bytes>>,
    serving: ServingReceiver,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Waits for an order, perhaps with the last gradient of a round not sent yet.
    Idle { unsent: Option<u64> },
    /// Waits for the features of a part of a round; `sum` combines those so far.
    Training { round: u64, part: usize, sum: u64 },
    /// Waits for the features of an evaluation pass.
    Evaluating { pass: u64, passes: u64 },
    /// Waits for the features of a batch in service.
    Serving(Serving),
}

impl ReceiverMachine {
    pub(crate) fn new(context: Context, state: Option<&[u8]>, ledger: Ledger) -> Result<Self, NodeError> {
        let host = Host::node(Role::Receiver, context.index);
        let name = host.to_string();
        let weights = match state {
            Some(state) => Weights::restore(&name, state)?,
            None => Weights::initial(&name),
        };
        ledger.began(host, context.incarnation, weights);
        ledger.knows(host, &context);
        Ok(ReceiverMachine {
            inbox: vec![VecDeque::new(); context.scenario.transmitters()],
            given_up: vec![VecDeque::new(); context.scenario.transmitters()],
            excused: vec![false; context.scenario.transmitters()],
            incomplete: None,
            schedule: Schedule::at(weights.version),
            stage: Stage::Idle { unsent: None },
            told: vec![Vec::new(); context.scenario.transmitters()],
            serving: ServingReceiver::of(context.scenario.transmitters()),
            context,
            ledger,
            weights,
        })
    }

    fn host(&self) -> Host {
        Host::node(Role::Receiver, self.context.index)
    }

    /// Does everything that the orders so far allow.
    fn advance(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        while let Stage::Idle { unsent } = self.stage {
            match self.schedule.next(self.weights.version) {
                Next::Round(round) => {
                    self.send(When::round(round), unsent, true, emit);
                    self.stage = Stage::Training { round, part: 0, sum: 0 };
                }
                Next::Close => {
                    if unsent.is_some() {
                        self.send(When::round(self.weights.version), unsent, false, emit);
                        self.stage = Stage::Idle { unsent: None };
                    }
                    if !self.carry_out_order(emit)? {
                        return Ok(());
                    }
                }
                Next::Wait => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends every transmitter a turn.
    fn send(&self, when: When, gradient: Option<u64>, requests: bool, emit: &mut dyn FnMut(Output)) {
        let requested = match when {
            When::Round { round, .. } => draws::requests(&self.context, round),
            When::Piece { .. } | When::Served(_) => vec![Bytes::from_static(&[1]); self.inbox.len()],
        };
        for (k, requested) in requested.into_iter().enumerate() {
            let gradients = gradient.map(|gradient| {
                let z = Some(tensor(mix(gradient, k as u64)));
                Gradients { z, ..Gradients::default() }
            });
            let stamp = Some(self.context.link(k, self.context.index).stamp(when));
            let requests = requests.then_some(Requests { ticks: requested });
            emit(Output::Turn(k, Turn { stamp, gradients, requests, ..Turn::default() }));
        }
    }

    fn carry_out_order(&mut self, emit: &mut dyn FnMut(Output)) -> Result<bool, NodeError> {
        match self.schedule.current(self.weights.version).cloned() {
            Some(Order::Save(save)) => {
                emit(Output::State(save.version, self.weights.save(&self.host().to_string())?));
                self.schedule.done();
                Ok(true)
            }
            Some(Order::Evaluate(evaluate)) => {
                self.begin_pass(0, evaluate.passes, emit);
                Ok(true)
            }
            Some(Order::Batch(batch)) => {
                self.stage = Stage::Serving(self.serving.begin(&self.context, &batch, emit)?);
                Ok(true)
            }
            Some(Order::Stop(_)) => {
                emit(Output::Report(Report::Finished(Finished {})));
                Ok(false)
            }
            other => Err(NodeError::protocol("the coordinator", format!("sent {other:?} out of place"))),
        }
    }

    fn begin_pass(&mut self, pass: u64, passes: u64, emit: &mut dyn FnMut(Output)) {
        self.send(When::Piece { pass, piece: 0 }, None, true, emit);
        self.stage = Stage::Evaluating { pass, passes };
    }

    /// The combination of all transmitters' features, in index order.
    fn receive(&mut self, when: When) -> Result<u64, NodeError> {
        let mut sum = 0;
        for k in 0..self.inbox.len() {
            if std::mem::take(&mut self.excused[k]) {
                // It tells this with its gradient, which is that of another sum.
                sum = mix(sum, u64::MAX);
                self.told[k].push(Bytes::new());
                continue;
            }
            let features = self.inbox[k].pop_front().expect("all others have answered");
            let link = self.context.link(k, self.context.index);
            let checked = link.check(features.stamp.as_ref(), when);
            checked.map_err(NodeError::message(format!("features of transmitter {k}")))?;
            sum = mix(sum, number(features.z.as_ref()).unwrap_or_default());
            self.told[k].push(features.choices);
        }
        Ok(sum)
    }

    /// The moment of the features that are due.
    fn due(&self) -> Option<When> {
        match self.stage {
            Stage::Idle { .. } => None,
            Stage::Training { round, part, .. } => Some(When::Round { round, part: part as u64 }),
            Stage::Evaluating { pass, .. } => Some(When::Piece { pass, piece: 0 }),
            Stage::Serving(serving) => Some(serving.when()),
        }
    }

    fn is_awaited(&self, k: usize) -> bool {
        self.inbox[k].is_empty() && !self.excused[k] && !self.serving.gone[k]
    }

    /// Continues without the transmitters that have not answered, except those that owe too much already.
    fn give_up(&mut self, when: When) {
        for k in 0..self.inbox.len() {
            if self.is_awaited(k) && self.given_up[k].len() < self.context.most_given_up() {
                self.given_up[k].push_back(when);
                self.excused[k] = true;
            }
        }
    }

    /// Does everything that the features so far allow.
    fn go_on(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        while self.due().is_some() && (0..self.inbox.len()).all(|k| !self.is_awaited(k)) {
            self.incomplete = None;
            self.complete(emit)?;
        }
        let Some(when) = self.due() else { return Ok(()) };
        let some_are_here = self.inbox.iter().any(|features| !features.is_empty());
        if self.context.scenario.skips() && some_are_here && self.incomplete != Some(when) {
            self.incomplete = Some(when);
            emit(Output::Incomplete(when));
        }
        Ok(())
    }

    /// All transmitters have answered: continues with their first features.
    fn complete(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        match self.stage {
            Stage::Idle { .. } => Ok(()),
            Stage::Training { round, part, sum } => {
                let sum = mix(sum, self.receive(When::Round { round, part: part as u64 })?);
                let part = part + 1;
                let gradient = mix(self.weights.value, sum);
                if part < self.context.parts() {
                    self.send(When::Round { round, part: part as u64 }, Some(gradient), false, emit);
                    self.stage = Stage::Training { round, part, sum };
                    return Ok(());
                }
                self.weights.step(sum);
                self.ledger.stepped(self.host(), self.context.incarnation, self.weights);
                let report = self.report(round)?;
                emit(Output::Report(Report::ReceiverRound(report)));
                self.stage = Stage::Idle { unsent: Some(gradient) };
                self.advance(emit)
            }
            Stage::Serving(serving) => {
                let answers = self.serving.answer(&self.context, serving, &mut self.inbox)?;
                emit(Output::Report(answers));
                self.stage = Stage::Idle { unsent: None };
                self.schedule.done();
                self.advance(emit)
            }
            Stage::Evaluating { pass, passes } => {
                let found = mix(self.weights.value, self.receive(When::Piece { pass, piece: 0 })?);
                self.told.iter_mut().for_each(Vec::clear);
                let right = (found % 2) as f64;
                let cross_entropy = figure(found);
                let clusters = vec![Cluster { id: 0, samples: 1, scores: vec![right], cross_entropy }];
                let metrics = vec!["top1".into()];
                let answer = (found % 2) as u32;
                let confusion = vec![Confusion { label: 1, answer, samples: 1 }];
                let report = ReceiverPass {
                    pass,
                    clusters,
                    metrics,
                    classes: 2,
                    confusion,
                    ..ReceiverPass::default()
                };
                emit(Output::Report(Report::ReceiverPass(report)));
                self.ledger.judged(self.host(), pass);
                if pass + 1 < passes {
                    self.begin_pass(pass + 1, passes, emit);
                    return Ok(());
                }
                self.stage = Stage::Idle { unsent: None };
                self.schedule.done();
                self.advance(emit)
            }
        }
    }

    fn report(&mut self, round: u64) -> Result<ReceiverRound, NodeError> {
        let told: Vec<Vec<Bytes>> = self.told.iter_mut().map(std::mem::take).collect();
        let mut granted = Vec::with_capacity(told.len());
        for (k, parts) in told.iter().enumerate() {
            let grants = draws::granted(&self.context, k, round, &draws::told(&self.context, parts)?);
            let own = grants.iter().map(|part| part.for_receiver(self.context.index).len());
            granted.push(own.sum::<usize>() as u32);
        }
        let part = |number| figure(mix(self.weights.value, number));
        let mut report = ReceiverRound {
            round,
            cross_entropy: part(0),
            objective: part(1),
            rate: part(2),
            log_likelihood: part(3),
            granted,
            feature_bytes: 8 * told.iter().flatten().filter(|part| !part.is_empty()).count() as u64,
            ..ReceiverRound::default()
        };
        if self.context.verify {
            let requests = draws::requests(&self.context, round);
            report.views = requests
                .into_iter()
                .zip(told)
                .map(|(requests, choices)| View { requests, choices })
                .collect();
            report.batch = draws::BATCH;
        }
        Ok(report)
    }
}

impl Machine for ReceiverMachine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        if self.ledger.speaks_out_of_turn(self.host()) {
            emit(Output::Report(Report::ReceiverPass(ReceiverPass { pass: 99, ..ReceiverPass::default() })));
        }
        match input {
            Input::Order(order) => {
                self.schedule.push(order);
                self.advance(emit)?;
                // In service a transmitter may have heard of a batch before.
                self.go_on(emit)
            }
            Input::Features(k, features) => {
                self.ledger.heard(self.host(), self.context.incarnation, features.stamp.as_ref());
                if let Some(when) = self.given_up[k].pop_front() {
                    // It must be the one that is owed.
                    let link = self.context.link(k, self.context.index);
                    let checked = link.check(features.stamp.as_ref(), when);
                    return checked.map_err(NodeError::message(format!("features of transmitter {k}")));
                }
                if matches!(self.stage, Stage::Idle { .. }) && !self.serving.has_begun() {
                    let peer = format!("transmitter {k}");
                    return Err(NodeError::protocol(peer, "sent features that nobody asked for"));
                }
                self.inbox[k].push_back(features);
                self.go_on(emit)
            }
            Input::Overdue(when) => {
                if self.due() == Some(when) {
                    self.give_up(when);
                }
                self.go_on(emit)
            }
            Input::Gone(gone) => {
                gone.into_iter().for_each(|k| self.serving.gone[k] = true);
                Ok(())
            }
            // No service takes newer checkpoints here.
            Input::Reloaded(..) => Ok(()),
        }
    }

    fn awaited(&self) -> Awaited {
        let waits = !matches!(self.stage, Stage::Idle { .. });
        let missing = (0..self.inbox.len()).filter(|&k| waits && self.is_awaited(k));
        Awaited { version: self.weights.version, peers: missing.collect() }
    }
}
