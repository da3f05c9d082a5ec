//! The compute half of a receiver: decode, evaluate, send gradients back, step, request again.

mod evaluation;
mod serving;
mod training;

use std::{collections::VecDeque, sync::Arc};

use data::DataFile;
use dib::{BatchOrder, Channel, Mac, Network, SelectorNode};
use node::{
    Awaited, BATCHES_UNDER_WAY, Context, DigitalLink, FixedSelection, Machine, Next, NodeError, OwnPolicy,
    Profiler, ProfilerPhase, Role, Schedule, Selector, Weighting,
};
use proto::{
    When,
    v1::{Evaluate, Finished, Gradients, Loaded, Turn, order::Order, report::Report},
};
use scenario::{Requests, Selection};

use self::{
    serving::{Drawn, Serving},
    training::Round,
};
use crate::{
    answers::Answers,
    decode::Decoders,
    emulation::groups,
    evaluate::Pass,
    mac,
    received::{Received, Through},
    selection::ticks_of,
    tables::Tables,
    task::TaskData,
};

/// What goes into a receiver's machine.
#[expect(clippy::large_enum_variant, reason = "nearly all inputs are features, which are moved once")]
#[derive(Debug)]
pub enum Input {
    /// The coordinator's next order.
    Order(Order),
    /// A transmitter's answer to this receiver's last turn.
    Features(usize, proto::v1::Features),
    /// Patience with those that have not answered what is due then is over.
    Overdue(When),
    /// The transmitters that are gone, before the first order: nothing will come of them.
    Gone(Vec<usize>),
    /// Its state at a version that batches will name.
    Reloaded(u64, Vec<u8>),
}

/// What comes out of a receiver's machine.
#[derive(Debug)]
pub enum Output {
    /// The machine is built: what the coordinator must know before the start.
    Ready {
        /// Digest of the data that it reads.
        data: [u8; 32],
        /// H(Y_t) of its training labels in nats.
        label_entropy: f64,
        /// The files that it alone may read.
        files: Vec<DataFile>,
        /// How many samples each class has, of a classification.
        balance: Option<data::Balance>,
        /// What a user should know of the task.
        about: data::About,
        /// Whether its networks give the same bits in the same build alone.
        same_build: bool,
        /// Libraries beside this program that its networks compute with.
        libraries: Vec<String>,
        /// How many rows the test set has.
        test_samples: usize,
    },
    /// A turn for a transmitter.
    Turn(usize, Turn),
    /// A report for the coordinator. Times and socket bytes are for the async half to fill in.
    Report(Report),
    /// Some transmitters have answered what is due, and others have not: patience with them begins.
    Incomplete(When),
    /// What it makes of the rows of a piece of an evaluation: of a machine that is to
    /// [tell](ReceiverMachine::tell_answers) alone.
    Answers(Answers),
    /// The state at a version, for the coordinator to keep.
    State(u64, Vec<u8>),
}

/// The compute half of receiver t.
pub struct ReceiverMachine {
    pub(crate) context: Context,
    pub(crate) task: TaskData,
    /// Its task on validation rows, where there are any.
    validation: Option<TaskData>,
    pub(crate) selector: Option<Selector>,
    /// What selects in its place, if that is of a user's program.
    pub(crate) policy: Option<OwnPolicy>,
    /// The selection of the whole run, where it is drawn once.
    pub(crate) fixed: Option<FixedSelection>,
    pub(crate) decoders: Decoders,
    /// The weights of receivers.
    pub(crate) weighting: Weighting,
    pub(crate) batches: BatchOrder,
    /// What the features of each transmitter come through.
    channels: Vec<Arc<dyn Channel<f32>>>,
    /// The links of those that send bits.
    digital: Vec<Option<DigitalLink>>,
    /// What those come through that are heard together.
    mac: Option<Mac>,
    /// What their dithered features are read with.
    tables: Tables,
    schedule: Schedule,
    /// Steps that all parameters have taken.
    version: u64,
    /// The features that have come and are not decoded yet, per transmitter.
    inbox: Vec<VecDeque<proto::v1::Features>>,
    /// The answers that are still owed and that this receiver goes on without, per transmitter.
    given_up: Vec<VecDeque<When>>,
    /// Whether a transmitter's answer to what is due is among them.
    excused: Vec<bool>,
    /// What was last said to be incomplete.
    incomplete: Option<When>,
    stage: Awaiting,
    /// Whether it tells what it makes of every row of an evaluation.
    tells: bool,
    profiler: Profiler,
    /// In service, whom it requests under the draw of u that holds.
    drawn: Option<Drawn>,
    /// The state at a version that batches will name.
    reloaded: Option<(u64, Vec<u8>)>,
    /// In service, which transmitters are gone.
    gone: Vec<bool>,
}

/// What the machine is waiting for.
enum Awaiting {
    /// An order.
    Idle {
        /// Gradients of the last round, not sent yet.
        unsent: Option<Vec<Gradients>>,
    },
    /// The features of a part of a training round.
    Training(Box<Round>),
    /// The costs of all receivers in a training round.
    Costs(Box<Round>),
    /// The features of a piece of an evaluation pass.
    Evaluating(Box<Pass>),
    /// The features of a batch of a stream.
    Serving(Serving),
}

impl ReceiverMachine {
    /// Builds the networks of receiver t: from their initial weights, or from a checkpoint's state.
    ///
    /// # Errors
    ///
    /// If a network cannot be built from the scenario, or the state does not fit it.
    pub fn new(context: Context, task: TaskData, state: Option<&[u8]>) -> Result<Self, NodeError> {
        let policy = OwnPolicy::of_node(&context, SelectorNode::Receiver(context.index))?;
        let (selector, fixed) = match context.scenario.train.method.selection {
            Selection::Learned if policy.is_some() => (None, None),
            Selection::Learned if context.scenario.train.requests == Requests::Strongest => (None, None),
            Selection::Learned => (Some(Selector::of_receiver(&context, context.index)?), None),
            Selection::Fixed => (None, Some(FixedSelection::draw(&context)?)),
            Selection::Full => (None, None),
        };
        let decoders = Decoders::new(&context, task.outputs())?;
        let batches = BatchOrder::new(context.seed, task.train_samples());
        let mut machine = ReceiverMachine {
            channels: (0..context.scenario.transmitters())
                .map(|k| context.channel(k, context.index))
                .collect::<Result<_, _>>()?,
            digital: (0..context.scenario.transmitters())
                .map(|k| DigitalLink::new(&context, k, context.index))
                .collect(),
            mac: context.mac(context.index),
            tables: Tables::new(&context, task.test_samples())?,
            weighting: Weighting::new(&context, Role::Receiver),
            inbox: vec![VecDeque::new(); context.scenario.transmitters()],
            given_up: vec![VecDeque::new(); context.scenario.transmitters()],
            excused: vec![false; context.scenario.transmitters()],
            incomplete: None,
            schedule: Schedule::default(),
            version: 0,
            stage: Awaiting::Idle { unsent: None },
            tells: false,
            profiler: Profiler::default(),
            drawn: None,
            reloaded: None,
            gone: vec![false; context.scenario.transmitters()],
            context,
            task,
            validation: None,
            selector,
            policy,
            fixed,
            decoders,
            batches,
        };
        if let Some(state) = state {
            machine.restore(state)?;
        }
        Ok(machine)
    }

    /// What it is evaluated on when passes over validation rows are ordered.
    pub fn validate_on(&mut self, validation: Option<TaskData>) {
        self.validation = validation;
    }

    /// The rows that a pass evaluates.
    pub(crate) fn evaluated(&self, pass: u64) -> &TaskData {
        match &self.validation {
            Some(validation) if node::is_validation(pass) => validation,
            _ => &self.task,
        }
    }

    /// From now on it tells what it makes of every row of an evaluation.
    pub fn tell_answers(&mut self) {
        self.tells = true;
    }

    /// All networks of this receiver.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.selector.iter().map(Selector::network).chain(self.decoders.networks())
    }

    /// What the features of every transmitter come through.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &dyn Channel<f32>> {
        self.channels.iter().map(AsRef::as_ref)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), NodeError> {
        self.restore_networks(state)?;
        self.schedule = Schedule::at(self.version);
        Ok(())
    }

    /// Takes parameters from a state.
    fn restore_networks(&mut self, state: &[u8]) -> Result<(), NodeError> {
        let selector = self.selector.iter_mut().map(Selector::network_mut);
        let networks = selector.chain(self.decoders.networks_mut());
        self.version = node::restore(state, &self.context.device, networks)?;
        self.weighting.restore(state)?;
        self.policy.as_mut().map_or(Ok(()), |policy| policy.restore(state))
    }

    // ------------------------------------------------------------------------------------------------- orders

    /// Does all that the orders so far allow.
    fn advance(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        while let Awaiting::Idle { unsent } = &mut self.stage {
            let unsent = unsent.take();
            match self.schedule.next(self.version) {
                Next::Round(round) => self.open(round, unsent, emit)?,
                Next::Close => {
                    // A turn without requests ends a stretch of rounds.
                    if let Some(gradients) = unsent {
                        self.send_gradients(When::round(self.version), gradients, emit);
                    }
                    if !self.carry_out_order(emit)? {
                        return Ok(());
                    }
                }
                Next::Wait => {
                    self.stage = Awaiting::Idle { unsent };
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Carries the current order out; false if it is the last.
    fn carry_out_order(&mut self, emit: &mut dyn FnMut(Output)) -> Result<bool, NodeError> {
        let order = self.schedule.current(self.version).cloned();
        match order {
            Some(Order::Save(save)) => {
                let mut others = self.weighting.tensors()?;
                others.extend(self.policy_tensors()?);
                emit(Output::State(
                    save.version,
                    node::save(self.networks(), self.task.kept(), others, self.version)?,
                ));
                self.schedule.done();
            }
            Some(Order::Evaluate(Evaluate { validation: true, .. })) if self.validation.is_none() => {
                return Err(NodeError::protocol(
                    "the coordinator",
                    "orders a validation, and no rows are held out",
                ));
            }
            Some(Order::Evaluate(Evaluate { passes, validation })) => {
                let first = node::first_pass(validation);
                self.begin_pass(first, first + passes, emit)?;
            }
            Some(Order::Batch(batch)) => self.begin_batch(&batch, emit)?,
            Some(Order::Stop(_)) => {
                emit(Output::Report(Report::Finished(Finished {})));
                return Ok(false);
            }
            Some(other) => return Err(NodeError::unexpected(&other, "out of place")),
            None => return Ok(false),
        }
        Ok(true)
    }

    // ------------------------------------------------------------------------------------------------- features

    /// Takes the features of all transmitters out of the inbox, checked.
    pub(crate) fn receive(
        &mut self,
        when: When,
        requested: &[Vec<bool>],
    ) -> Result<Vec<Received>, NodeError> {
        if let When::Piece { pass, .. } = when {
            let samples = self.evaluated(pass).test_samples();
            self.tables.evaluate_samples(&self.context, samples);
        }
        let mut received = Vec::with_capacity(self.inbox.len());
        for k in 0..self.inbox.len() {
            if std::mem::take(&mut self.excused[k]) || self.gone[k] || self.is_left_out(when, k) {
                received.push(Received::nothing(&self.context, k, when, requested.len()));
                continue;
            }
            let features = self.inbox[k].pop_front().expect("all others have answered");
            let requested = ticks_of(requested, k);
            let samples = self.samples_of(when);
            let through = Through {
                channel: self.channels[k].clone(),
                tables: &self.tables,
                digital: self.digital[k].as_mut(),
            };
            let checked = Received::check(&self.context, k, when, &requested, samples, &features, through);
            let mut of_k = checked.map_err(NodeError::message(format!("features of transmitter {k}")))?;
            of_k.cross(&groups(&self.context, when, samples), self.context.feature_dim())?;
            received.push(of_k);
        }
        if let Some(mac) = &self.mac {
            let groups = groups(&self.context, when, self.samples_of(when));
            let before = match when {
                When::Served(served) => self.context.served_groups(served).1,
                When::Round { .. } | When::Piece { .. } => 0,
            };
            mac::hear(&self.context, mac, &mut received, (before, &groups));
        }
        received.iter_mut().for_each(|received| received.drop_absent(self.context.feature_dim()));
        Ok(received)
    }

    /// Samples of an entry at a moment: a tick's in training, in evaluation a tick's of the piece, which may be the
    /// whole.
    fn samples_of(&self, when: When) -> usize {
        match when {
            When::Round { .. } => self.context.samples(),
            When::Piece { pass, piece } => {
                let samples = self.context.piece(piece as usize, self.evaluated(pass).test_samples()).len();
                samples / self.context.ticks_of_piece(samples).max(1)
            }
            When::Served(served) => served.samples as usize,
        }
    }

    /// All transmitters have answered: goes on with what they sent first.
    fn complete(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        self.incomplete = None;
        match std::mem::replace(&mut self.stage, Awaiting::Idle { unsent: None }) {
            Awaiting::Training(round) => self.learn(round, emit),
            Awaiting::Costs(round) => self.settle(*round, emit),
            Awaiting::Evaluating(pass) => self.evaluate_piece(*pass, emit),
            Awaiting::Serving(batch) => self.answer(batch, emit),
            Awaiting::Idle { .. } => {
                Err(NodeError::protocol("transmitters", "sent features that nobody asked for"))
            }
        }
    }
}

impl Machine for ReceiverMachine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        let outcome = self.take(input, emit);
        self.profiler.turn_to(ProfilerPhase::Wait);
        outcome
    }

    fn awaited(&self) -> Awaited {
        let peers = match self.stage {
            Awaiting::Idle { .. } => Vec::new(),
            _ => (0..self.inbox.len()).filter(|&k| self.is_awaited(k)).collect(),
        };
        Awaited { version: self.version, peers }
    }
}

impl ReceiverMachine {
    fn take(&mut self, input: Input, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        match input {
            Input::Order(order) => {
                self.schedule.push(order);
                self.advance(emit)?;
                // In service features may have come before their batch.
                if matches!(self.stage, Awaiting::Serving(_)) { self.go_on(emit) } else { Ok(()) }
            }
            Input::Features(k, features) => {
                // Also of a message that comes too late: later ones are coded with them.
                let taken = self.tables.take(&self.context, k, &features);
                taken.map_err(NodeError::message(format!("features of transmitter {k}")))?;
                if let Some(&when) = self.given_up[k].front() {
                    return self.forget(k, when, &features);
                }
                if matches!(self.stage, Awaiting::Idle { .. }) && self.drawn.is_none() {
                    return Err(NodeError::protocol(
                        format!("transmitter {k}"),
                        "sent features that nobody asked for",
                    ));
                }
                self.inbox[k].push_back(features);
                let most = if self.drawn.is_some() { BATCHES_UNDER_WAY } else { self.parts_due() };
                if self.inbox[k].len() > most {
                    return Err(NodeError::protocol(
                        format!("transmitter {k}"),
                        "sent features twice for one turn",
                    ));
                }
                self.go_on(emit)
            }
            Input::Gone(gone) => {
                gone.into_iter().for_each(|k| self.gone[k] = true);
                Ok(())
            }
            Input::Reloaded(version, state) => {
                self.reloaded = Some((version, state));
                emit(Output::Report(Report::Loaded(Loaded { version })));
                Ok(())
            }
            Input::Overdue(when) => {
                if self.due() == Some(when) {
                    self.give_up(when);
                }
                self.go_on(emit)
            }
        }
    }

    /// Does all that the features so far allow.
    fn go_on(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        while self.parts_due() > 0 && (0..self.inbox.len()).all(|k| !self.is_awaited(k)) {
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

    /// Whether transmitter k's answer to what is due has to come before it goes on.
    fn is_awaited(&self, k: usize) -> bool {
        let is_left_out = self.due().is_some_and(|when| self.is_left_out(when, k));
        self.inbox[k].is_empty() && !self.excused[k] && !self.gone[k] && !is_left_out
    }

    /// Goes on without those that have not answered what is due; not without one that owes too much already.
    fn give_up(&mut self, when: When) {
        for k in 0..self.inbox.len() {
            if self.is_awaited(k) && self.given_up[k].len() < self.context.most_given_up() {
                self.given_up[k].push_back(when);
                self.excused[k] = true;
            }
        }
    }

    /// Drops an answer that this receiver has gone on without. It must be the one that is owed.
    fn forget(&mut self, k: usize, when: When, features: &proto::v1::Features) -> Result<(), NodeError> {
        let link = self.context.link(k, self.context.index);
        let checked = link.check(features.stamp.as_ref(), when);
        checked.map_err(NodeError::message(format!("features of transmitter {k}")))?;
        self.given_up[k].pop_front();
        Ok(())
    }

    /// The moment of the features that are due.
    fn due(&self) -> Option<When> {
        match &self.stage {
            Awaiting::Idle { .. } => None,
            // Costs come as the answer to one part more than the round has.
            Awaiting::Training(round) | Awaiting::Costs(round) => {
                Some(When::Round { round: round.round, part: round.part as u64 })
            }
            Awaiting::Evaluating(pass) => Some(pass.when()),
            Awaiting::Serving(batch) => Some(batch.when()),
        }
    }

    /// How many messages each transmitter still owes this receiver.
    fn parts_due(&self) -> usize {
        match &self.stage {
            Awaiting::Idle { .. } => 0,
            Awaiting::Training(round) => self.context.parts() - round.part,
            Awaiting::Costs(_) | Awaiting::Evaluating(_) | Awaiting::Serving(_) => 1,
        }
    }
}
