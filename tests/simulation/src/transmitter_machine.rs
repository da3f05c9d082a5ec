//! A transmitter's compute half that follows the real protocol, with a trivial computation.

use std::collections::VecDeque;

use bytes::Bytes;
use dib::{ChoiceGrid, Grants};
use node::{Awaited, Context, Machine, Next, NodeError, Role, Schedule};
use proto::{
    When,
    v1::{Features, Finished, TransmitterPass, TransmitterRound, Turn, View, order::Order, report::Report},
};
use transmitter::{Input, Output};

use crate::{
    arithmetic::{Weights, figure, mix, number, tensor},
    draws,
    ledger::{Host, Ledger},
    serving::ServingTransmitter,
};

pub(crate) struct TransmitterMachine {
    context: Context,
    ledger: Ledger,
    weights: Weights,
    schedule: Schedule,
    inbox: Vec<VecDeque<Turn>>,
    /// The round and part whose gradients are due, and the combination of the gradients so far.
    sent: Option<(u64, usize, u64)>,
    /// The choices of that round, part by part.
    choices: Vec<ChoiceGrid>,
    pass: u64,
    serving: ServingTransmitter,
}

impl TransmitterMachine {
    pub(crate) fn new(context: Context, state: Option<&[u8]>, ledger: Ledger) -> Result<Self, NodeError> {
        let host = Host::node(Role::Transmitter, context.index);
        let name = host.to_string();
        let weights = match state {
            Some(state) => Weights::restore(&name, state)?,
            None => Weights::initial(&name),
        };
        ledger.began(host, context.incarnation, weights);
        ledger.knows(host, &context);
        Ok(TransmitterMachine {
            inbox: vec![VecDeque::new(); context.scenario.receivers()],
            schedule: Schedule::at(weights.version),
            sent: None,
            choices: Vec::new(),
            pass: 0,
            serving: ServingTransmitter::default(),
            context,
            ledger,
            weights,
        })
    }

    fn host(&self) -> Host {
        Host::node(Role::Transmitter, self.context.index)
    }

    /// Does everything that the orders and turns so far allow.
    fn advance(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        loop {
            if let Some((round, part, sum)) = self.sent.filter(|(_, part, _)| part + 1 < self.context.parts())
            {
                if !self.turns_are_in() {
                    return Ok(());
                }
                let gradients = self.take_turns(When::Round { round, part: part as u64 + 1 }, false)?;
                self.sent = Some((round, part + 1, mix(sum, gradients)));
                continue;
            }
            let answered = self.weights.version + u64::from(self.sent.is_some());
            let progress = match self.schedule.next(answered) {
                Next::Round(round) => self.turns_are_in() && self.train(round, emit).map(|()| true)?,
                Next::Close if self.sent.is_some() => {
                    self.turns_are_in() && self.close(answered, emit).map(|()| true)?
                }
                Next::Close => self.carry_out_order(emit)?,
                Next::Wait => false,
            };
            if !progress {
                return Ok(());
            }
        }
    }

    fn turns_are_in(&self) -> bool {
        self.inbox.iter().all(|turns| !turns.is_empty())
    }

    /// The combination of all receivers' gradients or requests, in index order.
    fn take_turns(&mut self, when: When, requests: bool) -> Result<u64, NodeError> {
        let mut sum = 0;
        for t in 0..self.inbox.len() {
            let turn = self.inbox[t].pop_front().expect("all turns are in");
            let peer = format!("turn of receiver {t}");
            let link = self.context.link(self.context.index, t);
            link.check(turn.stamp.as_ref(), when).map_err(NodeError::message(peer.clone()))?;
            if turn.requests.is_some() != requests {
                return Err(NodeError::protocol(
                    peer,
                    "requests where it should not, or does not where it should",
                ));
            }
            let gradients = turn.gradients.as_ref().and_then(|gradients| number(gradients.z.as_ref()));
            sum = mix(sum, gradients.unwrap_or_default());
        }
        Ok(sum)
    }

    fn train(&mut self, round: u64, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        let requests: Vec<Bytes> = self.inbox.iter().map(|turns| requests_of(turns.front())).collect();
        let gradients = self.take_turns(When::round(round), true)?;
        self.learn(gradients, emit);
        self.choices = draws::choices(&self.context, &requests)?;
        for part in 0..self.context.parts() {
            let choices = self.choices[part].to_bytes().into();
            self.answer(When::Round { round, part: part as u64 }, choices, emit);
        }
        self.sent = Some((round, 0, 0));
        Ok(())
    }

    fn close(&mut self, round: u64, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        let gradients = self.take_turns(When::round(round), false)?;
        self.learn(gradients, emit);
        Ok(())
    }

    fn learn(&mut self, gradients: u64, emit: &mut dyn FnMut(Output)) {
        let Some((round, _, sum)) = self.sent.take() else { return };
        self.weights.step(mix(sum, gradients));
        self.ledger.stepped(self.host(), self.context.incarnation, self.weights);
        let granted = draws::granted(&self.context, self.context.index, round, &self.choices);
        let encoded = granted.iter().flat_map(Grants::ticks).filter(|granted| !granted.is_empty()).count();
        let mut report = TransmitterRound {
            round,
            log_likelihood: figure(self.weights.value),
            encoded: vec![encoded as u32],
            ..TransmitterRound::default()
        };
        if self.context.verify {
            let choices = self.choices.iter().map(|grid| grid.to_bytes().into()).collect();
            (report.view, report.batch) = (Some(View { requests: Bytes::new(), choices }), draws::BATCH);
        }
        emit(Output::Report(Report::TransmitterRound(report)));
    }

    fn answer(&self, when: When, choices: Bytes, emit: &mut dyn FnMut(Output)) {
        for t in 0..self.inbox.len() {
            let stamp = Some(self.context.link(self.context.index, t).stamp(when));
            let z = Some(tensor(mix(self.weights.value, t as u64)));
            let choices = choices.clone();
            emit(Output::Features(t, Features { stamp, choices, z, ..Features::default() }));
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
                if !self.turns_are_in() {
                    return Ok(false);
                }
                let when = When::Piece { pass: self.pass, piece: 0 };
                self.take_turns(when, true)?;
                self.answer(when, Bytes::from_static(&[1]), emit);
                let report = TransmitterPass { pass: self.pass, samples: 1, ..TransmitterPass::default() };
                emit(Output::Report(Report::TransmitterPass(report)));
                self.ledger.judged(self.host(), self.pass);
                self.pass = (self.pass + 1) % evaluate.passes;
                if self.pass == 0 {
                    self.schedule.done();
                }
                Ok(true)
            }
            Some(Order::Batch(batch)) => {
                let is_served = self.serving.serve(&self.context, &batch, &mut self.inbox, emit)?;
                if is_served {
                    self.schedule.done();
                }
                Ok(is_served)
            }
            Some(Order::Stop(_)) => {
                self.schedule.done();
                emit(Output::Report(Report::Finished(Finished {})));
                Ok(false)
            }
            Some(other) => {
                Err(NodeError::protocol("the coordinator", format!("sent {other:?} out of place")))
            }
            None => Ok(false),
        }
    }
}

fn requests_of(turn: Option<&Turn>) -> Bytes {
    turn.and_then(|turn| turn.requests.as_ref()).map(|requests| requests.ticks.clone()).unwrap_or_default()
}

impl Machine for TransmitterMachine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        if self.ledger.speaks_out_of_turn(self.host()) {
            let report = TransmitterPass { pass: 99, ..TransmitterPass::default() };
            emit(Output::Report(Report::TransmitterPass(report)));
        }
        match input {
            // No service takes newer checkpoints here.
            Input::LabelEntropies(_) | Input::Reloaded(..) => {}
            Input::Order(order) => self.schedule.push(order),
            Input::Turn(t, turn) => {
                self.ledger.heard(self.host(), self.context.incarnation, turn.stamp.as_ref());
                self.inbox[t].push_back(turn);
            }
        }
        self.advance(emit)
    }

    fn awaited(&self) -> Awaited {
        let missing = (0..self.inbox.len()).filter(|&t| self.inbox[t].is_empty());
        Awaited { version: self.weights.version, peers: missing.collect() }
    }
}
