//! The compute half of a transmitter: learn from the gradients of the last round, draw, cap, encode, answer.

use std::{collections::VecDeque, sync::Arc};

use data::{DataFile, Dataset, Split};
use dib::{BatchOrder, ChoiceGrid, Grants, Network, Phase, SelectorNode, receiver_embedding};
use node::{
    AirTime, Awaited, Context, FixedSelection, Machine, Next, NodeError, OwnPolicy, Profiler, ProfilerPhase,
    Role, Schedule, Selector, Weighting, capped,
};
use proto::{
    When, encode_granted,
    v1::{
        Evaluate, Features, Finished, Loaded, Spent, TransmitterPass, TransmitterRound, Turn, order::Order,
        report::Report,
    },
};
use scenario::{JointRateRows, Selection};

use crate::{
    coded::{Coded, Form, Packed},
    encode::Encoders,
    evaluate::Pass,
    gradient_feedback::GradientFeedback,
    requested::Requested,
    sent::{Sent, SentPart},
    served::Selected,
    spent,
    tables::Told,
};

/// What goes into a transmitter's machine.
#[derive(Debug)]
pub enum Input {
    /// The training-label entropies of all receivers, in nats.
    LabelEntropies(Vec<f64>),
    /// The coordinator's next order.
    Order(Order),
    /// A receiver's turn.
    Turn(usize, Turn),
    /// Its state at a version that batches will name.
    Reloaded(u64, Vec<u8>),
}

/// What comes out of a transmitter's machine.
#[derive(Debug)]
pub enum Output {
    /// The machine is built: what the coordinator must know before the start.
    Ready {
        /// Digest of the data that it reads.
        data: [u8; 32],
        /// The files that it alone may read.
        files: Vec<DataFile>,
        /// Whether its networks give the same bits in the same build alone.
        same_build: bool,
        /// Libraries beside this program that its networks compute with.
        libraries: Vec<String>,
        /// Values a sample, by modality.
        widths: Vec<usize>,
    },
    /// The answer to a receiver's turn.
    Features(usize, Features),
    /// A report for the coordinator. Socket bytes are for the async half to fill in.
    Report(Report),
    /// The state at a version, for the coordinator to keep.
    State(u64, Vec<u8>),
}

/// The compute half of transmitter k.
pub struct TransmitterMachine {
    pub(crate) context: Context,
    pub(crate) dataset: Arc<dyn Dataset>,
    pub(crate) selector: Option<Selector>,
    /// What selects in its place, if that is of a user's program.
    pub(crate) policy: Option<OwnPolicy>,
    /// The selection of the whole run, where it is drawn once.
    pub(crate) fixed: Option<FixedSelection>,
    pub(crate) encoders: Encoders,
    pub(crate) embeddings: Vec<Vec<f32>>,
    pub(crate) label_entropies: Vec<f64>,
    /// The weights of receivers.
    pub(crate) weighting: Weighting,
    pub(crate) batches: BatchOrder,
    schedule: Schedule,
    /// Steps that all parameters have taken.
    pub(crate) version: u64,
    /// Turns that have come and are not answered yet, per receiver.
    pub(crate) inbox: Vec<VecDeque<Turn>>,
    /// The round whose gradients are due.
    sent: Option<Sent>,
    /// The evaluation pass under way, once its selection is drawn.
    pass: Option<Pass>,
    /// In service, the selection under the draw of u that holds.
    pub(crate) selected: Option<Selected>,
    /// The state at a version that batches will name.
    pub(crate) reloaded: Option<(u64, Vec<u8>)>,
    /// How many passes of the evaluation under way are done.
    passes_done: u64,
    /// Which tables of dithered features the receivers have.
    pub(crate) told: Told,
    /// What features have come to since the last report.
    spent: Spent,
    pub(crate) profiler: Profiler,
}

/// A turn as far as it concerns this transmitter: one receiver's, checked.
pub(crate) struct Checked {
    feedback: Option<GradientFeedback>,
    pub(crate) requests: Option<Vec<bool>>,
}

impl TransmitterMachine {
    /// Builds the networks of transmitter k: from their initial weights, or from a checkpoint's state.
    ///
    /// # Errors
    ///
    /// If a network cannot be built from the scenario, the data set lacks a modality, or the state does not fit.
    pub fn new(context: Context, dataset: Arc<dyn Dataset>, state: Option<&[u8]>) -> Result<Self, NodeError> {
        let receivers = context.scenario.receivers();
        let d = context.feature_dim();
        let policy = OwnPolicy::of_node(&context, SelectorNode::Transmitter(context.index))?;
        let (selector, fixed) = match context.scenario.train.method.selection {
            Selection::Learned if policy.is_some() => (None, None),
            Selection::Learned => (Some(Selector::of_transmitter(&context, context.index)?), None),
            Selection::Fixed => (None, Some(FixedSelection::draw(&context)?)),
            Selection::Full => (None, None),
        };
        let embeddings: Vec<Vec<f32>> =
            (0..receivers).map(|t| receiver_embedding(context.seed, t, d)).collect();
        let mut machine = TransmitterMachine {
            encoders: Encoders::new(&context, dataset.clone())?,
            embeddings,
            label_entropies: vec![0.0; receivers],
            weighting: Weighting::new(&context, Role::Transmitter),
            batches: BatchOrder::new(context.seed, dataset.samples(Split::Train)),
            schedule: Schedule::default(),
            version: 0,
            inbox: vec![VecDeque::new(); receivers],
            sent: None,
            pass: None,
            selected: None,
            reloaded: None,
            passes_done: 0,
            told: Told::nothing(receivers, context.scenario.modalities(context.index)),
            spent: Spent::default(),
            profiler: Profiler::default(),
            selector,
            policy,
            fixed,
            context,
            dataset,
        };
        if let Some(state) = state {
            machine.restore(state)?;
        }
        Ok(machine)
    }

    /// What passes over validation rows encode.
    pub fn validate_on(&mut self, validation: Option<Arc<dyn Dataset>>) {
        self.encoders.validate_on(validation);
    }

    /// All networks of this transmitter.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.selector.iter().map(Selector::network).chain(self.encoders.networks())
    }

    /// Values a sample, by modality.
    pub fn widths(&self) -> &[usize] {
        self.encoders.widths()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), NodeError> {
        self.restore_networks(state)?;
        self.schedule = Schedule::at(self.version);
        Ok(())
    }

    /// Takes parameters from a state.
    pub(crate) fn restore_networks(&mut self, state: &[u8]) -> Result<(), NodeError> {
        let selector = self.selector.iter_mut().map(Selector::network_mut);
        let networks = selector.chain(self.encoders.networks_mut());
        self.version = node::restore(state, &self.context.device, networks)?;
        self.weighting.restore(state)?;
        self.policy.as_mut().map_or(Ok(()), |policy| policy.restore(state))?;
        self.encoders.restore_means(state)
    }

    // ------------------------------------------------------------------------------------------------- turns

    /// Does all that the orders and turns so far allow.
    fn advance(&mut self, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        loop {
            if let Some(sent) = self.unsettled() {
                let (when, is_last) =
                    (When::Round { round: sent.round, part: sent.due as u64 + 1 }, sent.is_last_due());
                if !self.turns_are_in() {
                    return Ok(());
                }
                match is_last {
                    true => self.settle(when, emit)?,
                    false => self.learn_part(when)?,
                }
                continue;
            }
            // Rounds that have been answered: one more than the steps taken while gradients are out.
            let answered = self.version + u64::from(self.sent.is_some());
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

    /// The round whose due gradients come in a turn of their own: those of every part but the last, which come with the
    /// next requests; under the objective `worst` also those of the last.
    fn unsettled(&self) -> Option<&Sent> {
        let settles = self.context.scenario.train.tells_costs();
        self.sent.as_ref().filter(|sent| settles || !sent.is_last_due())
    }

    pub(crate) fn turns_are_in(&self) -> bool {
        self.inbox.iter().all(|turns| !turns.is_empty())
    }

    /// Carries the current order out as far as it goes; false if it has to wait or was the last.
    fn carry_out_order(&mut self, emit: &mut dyn FnMut(Output)) -> Result<bool, NodeError> {
        match self.schedule.current(self.version).cloned() {
            Some(Order::Save(save)) => {
                let others =
                    [self.encoders.means()?, self.weighting.tensors()?, self.policy_tensors()?].concat();
                emit(Output::State(
                    save.version,
                    node::save(self.networks(), &self.dataset.kept(), others, self.version)?,
                ));
                self.schedule.done();
                Ok(true)
            }
            Some(Order::Evaluate(evaluate)) => {
                if !self.turns_are_in() {
                    return Ok(false);
                }
                self.evaluate_piece(evaluate, emit)?;
                Ok(true)
            }
            Some(Order::Batch(batch)) => {
                let is_done = self.serve(&batch, emit)?;
                if is_done {
                    self.schedule.done();
                }
                Ok(is_done)
            }
            Some(Order::Stop(_)) => {
                self.schedule.done();
                emit(Output::Report(Report::Finished(Finished {})));
                Ok(false)
            }
            Some(other) => Err(NodeError::unexpected(&other, "out of place")),
            None => Ok(false),
        }
    }

    /// Takes the turns of all receivers, checked against the moment and against what was sent.
    pub(crate) fn take_turns(&mut self, when: When) -> Result<Vec<Checked>, NodeError> {
        let ticks = match when {
            When::Round { .. } => self.context.ticks(),
            When::Piece { pass, piece } => {
                let samples = self.encoders.evaluated(pass)?.samples(Split::Test);
                self.context.ticks_of_piece(self.context.piece(piece as usize, samples).len())
            }
            When::Served(_) => 1,
        };
        let mut checked = Vec::with_capacity(self.inbox.len());
        for t in 0..self.inbox.len() {
            let turn = self.inbox[t].pop_front().expect("all turns are in");
            let turn = self.check(t, turn, when, ticks);
            checked.push(turn.map_err(NodeError::message(format!("turn of receiver {t}")))?);
        }
        Ok(checked)
    }

    fn check(&self, t: usize, turn: Turn, when: When, ticks: usize) -> Result<Checked, proto::WireError> {
        self.context.link(self.context.index, t).check(turn.stamp.as_ref(), when)?;
        let feedback = match (&self.sent, &turn.gradients) {
            (Some(sent), gradients) => {
                let granted = sent.parts[sent.due].grants.for_receiver(t);
                let cost_ticks =
                    sent.is_last_due().then(|| self.context.told_costs(&sent.requested.ticks_of(t)));
                let (cost_ticks, gradients) = (cost_ticks.as_deref(), gradients.as_ref());
                Some(GradientFeedback::check(&self.context, &granted, cost_ticks, gradients)?)
            }
            (None, None) => None,
            (None, Some(_)) => return Err(proto::WireError::Missing("round that its gradients belong to")),
        };
        let requests =
            turn.requests.map(|requests| proto::decode_ticks(&requests.ticks, ticks)).transpose()?;
        Ok(Checked { feedback, requests })
    }

    // ------------------------------------------------------------------------------------------------- training

    /// One round: step on the gradients of the round before, then draw, cap, encode and answer.
    fn train(&mut self, round: u64, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Pack);
        let turns = self.take_turns(When::round(round))?;
        let mut feedback = Vec::with_capacity(turns.len());
        let mut requests = Vec::with_capacity(turns.len());
        for (t, turn) in turns.into_iter().enumerate() {
            let missing =
                || NodeError::protocol(format!("receiver {t}"), "sent a closing turn in mid-stretch");
            feedback.extend(turn.feedback);
            requests.push(turn.requests.ok_or_else(missing)?);
        }
        self.learn(&feedback, emit)?;
        self.answer(round, &requests, emit)
    }

    /// The end of a stretch: step on the last gradients.
    fn close(&mut self, round: u64, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        let feedback = self.take_gradients(When::round(round), "requests where a closing turn is due")?;
        self.told.forget();
        self.learn(&feedback, emit)
    }

    /// The gradients of turns that must not request.
    fn take_gradients(&mut self, when: When, complaint: &str) -> Result<Vec<GradientFeedback>, NodeError> {
        let turns = self.take_turns(when)?;
        match turns.iter().position(|turn| turn.requests.is_some()) {
            Some(t) => Err(NodeError::protocol(format!("receiver {t}"), complaint)),
            None => Ok(turns.into_iter().filter_map(|turn| turn.feedback).collect()),
        }
    }

    /// The end of a round under the objective `worst`: tells every receiver the costs of all receivers, and steps on
    /// the last gradients.
    fn settle(&mut self, when: When, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Pack);
        let feedback = self.take_gradients(when, "requests where costs are due")?;
        let costs: Vec<f64> = feedback.iter().flat_map(|feedback| feedback.costs.iter().copied()).collect();
        // Receivers wait for this message, so it goes out before the step.
        for t in 0..self.inbox.len() {
            let stamp = Some(self.context.link(self.context.index, t).stamp(when));
            emit(Output::Features(t, Features { stamp, costs: costs.clone(), ..Features::default() }));
        }
        self.learn(&feedback, emit)
    }

    /// The backward pass of a part that is not its round's last.
    fn learn_part(&mut self, when: When) -> Result<(), NodeError> {
        self.profiler.turn_to(ProfilerPhase::Pack);
        let feedback = self.take_gradients(when, "requests in mid-round")?;
        self.backward(&feedback)
    }

    /// The backward pass of the part that is due.
    fn backward(&mut self, feedback: &[GradientFeedback]) -> Result<(), NodeError> {
        let sent = self.sent.as_mut().expect("gradients are only taken for what was sent");
        let beta = self.context.scenario.train.beta_at(sent.round);
        // The cost of a nat of rate, by receiver.
        let mut betas = self.weighting.factors(self.inbox.len());
        betas.iter_mut().for_each(|factor| *factor *= beta);
        let part = &sent.parts[sent.due];
        self.encoders.backward(
            &self.context,
            &part.coded,
            &part.grants,
            feedback,
            &betas,
            &mut self.profiler,
        )?;
        sent.due += 1;
        Ok(())
    }

    /// Draws modalities for all who requested, caps, encodes every granted entry of the round, answers every receiver.
    fn answer(
        &mut self,
        round: u64,
        requests: &[Vec<bool>],
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        self.make_tables(round)?;
        let first_tick = self.context.first_tick(round);
        let moments: Vec<u64> = (first_tick..first_tick + self.context.ticks() as u64).collect();
        let requested = Requested::new(requests);
        self.profiler.turn_to(ProfilerPhase::Select);
        let choice = self.choose(&moments, &requested)?;
        let chosen = self.choose_by_policy(AirTime::of_training(first_tick), &moments, &requested)?;
        let mut parts = Vec::with_capacity(self.context.parts());
        for part in 0..self.context.parts() {
            let ticks = self.context.part(part);
            let requests: Vec<&[bool]> = requests.iter().map(|of| &of[ticks.clone()]).collect();
            let draws = choice.as_ref().map(|choice| choice.draws.as_slice()).or(chosen.as_deref());
            let choices = self.choices(&requested, &ticks, draws);
            let when = When::Round { round, part: part as u64 };
            parts.push(self.send_part(when, &moments[ticks], (choices, requests.as_slice()), emit)?);
        }
        let sent = Sent { round, requested, choice, chosen, parts, due: 0 };
        self.read_ahead_of_round(&sent);
        self.sent = Some(sent);
        Ok(())
    }

    /// Caps and encodes the choices of a part, and sends every receiver its entries. `requests` has, by receiver,
    /// whether it requested at each tick of the part.
    fn send_part(
        &mut self,
        when: When,
        moments: &[u64],
        (choices, requests): (ChoiceGrid, &[impl AsRef<[bool]>]),
        emit: &mut dyn FnMut(Output),
    ) -> Result<SentPart, NodeError> {
        self.profiler.turn_to(ProfilerPhase::Select);
        let grants = self.grant(Phase::Train, moments[0], &choices);
        let samples: Vec<_> =
            moments.iter().map(|&tick| self.batches.positions(tick, self.context.samples())).collect();
        let coded = self.encoders.encode(&self.context, moments[0], &samples, &grants, &mut self.profiler)?;
        self.profiler.turn_to(ProfilerPhase::Pack);
        self.send(when, (&choices, requests), &grants, (&coded, self.context.samples()), emit)?;
        Ok(SentPart { choices, grants, coded })
    }

    /// Answers every receiver with the choices before the cap at the ticks of which it [is told](Context::told_ticks),
    /// and with its granted entries of `samples` samples each. `requests` has, by receiver, whether it requested at
    /// each tick. Gives the sum of all rates in nats, in which a feature with several recipients counts once.
    pub(crate) fn send(
        &mut self,
        when: When,
        (choices, requests): (&ChoiceGrid, &[impl AsRef<[bool]>]),
        grants: &Grants,
        (coded, samples): (&Coded, usize),
        emit: &mut dyn FnMut(Output),
    ) -> Result<f64, NodeError> {
        let entries: Vec<Vec<(usize, usize)>> =
            (0..self.inbox.len()).map(|t| grants.for_receiver(t)).collect();
        let (k, phase) = (self.context.index, phase_of(when));
        let counts = |t| !matches!(when, When::Served(_)) && self.context.counts_received(k, t, phase);
        let form = Form::of(&self.context, phase, samples);
        let packed = coded.pack(&entries, &form, counts)?;
        let (ticks, modalities) = (grants.ticks().len(), self.context.scenario.modalities(k));
        let mut sum = 0.0;
        for (t, (entries, packed)) in entries.into_iter().zip(packed).enumerate() {
            let Packed { z, coded, rates, received_rates, bits, sum: own } = packed;
            sum += match self.context.scenario.network.multicast {
                true => {
                    rates.iter().zip(&entries).map(|(&rate, &entry)| grants.share(rate, entry)).sum::<f64>()
                }
                false => own,
            };
            if let (Phase::Train, Some(priors)) = (phase, &mut self.encoders.priors) {
                bits.into_iter().try_for_each(|(m, bits)| priors.count((m, t), bits))?;
            }
            let told = self.context.told_ticks(requests[t].as_ref());
            let features = Features {
                stamp: Some(self.context.link(self.context.index, t).stamp(when)),
                choices: choices.at_ticks(&told).into_bytes().into(),
                granted: encode_granted(&entries, ticks, modalities),
                z,
                rates,
                received_rates,
                coded,
                tables: self.tables_for(t, phase, &entries),
                ..Features::default()
            };
            spent::add_message(&mut self.spent, &features);
            emit(Output::Features(t, features));
        }
        Ok(sum)
    }

    /// The kernel P(A | A') of section VII-A.
    pub(crate) fn grant(&self, phase: Phase, first_tick: u64, choices: &ChoiceGrid) -> Grants {
        let Context { scenario, seed, index, .. } = &self.context;
        capped(scenario, *seed, *index, phase, first_tick, choices)
    }

    /// The last backward pass and the step of the round whose gradients have come.
    fn learn(
        &mut self,
        feedback: &[GradientFeedback],
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        if self.sent.is_none() {
            return Ok(());
        }
        self.backward(feedback)?;
        self.profiler.turn_to(ProfilerPhase::Optimize);
        let sent = self.sent.take().expect("its gradients have just been taken");
        self.encoders.learn_power(&self.context, sent.parts.iter().map(|part| &part.coded));
        self.encoders.step(&self.context, sent.round)?;
        self.profiler.turn_to(ProfilerPhase::Select);
        let log_likelihood = self.learn_selection(&sent, feedback)?;
        self.teach_policy(&sent, feedback)?;
        self.weighting.learn(feedback.iter().map(|feedback| feedback.costs.as_slice()));
        let probabilities = self
            .selector
            .as_ref()
            .zip(sent.choice.as_ref())
            .map_or_else(Vec::new, |(selector, choice)| selector.first_probabilities(choice));
        self.version += 1;
        let spent = std::mem::take(&mut self.spent);
        let has_tables = self.encoders.priors.is_some() || self.encoders.books.is_some();
        let mut report = TransmitterRound {
            round: sent.round,
            log_likelihood,
            most_entries: sent.most_entries(self.context.scenario.network.multicast),
            wire_bytes: 0,
            work: self.profiler.take(),
            encoded: sent.encoded(self.context.scenario.modalities(self.context.index)),
            requested: sent.requested.rows.len() as u32,
            spent: has_tables.then_some(spent),
            probabilities,
            ..TransmitterRound::default()
        };
        if self.context.verify {
            self.record_audit(&mut report, &sent);
        }
        emit(Output::Report(Report::TransmitterRound(report)));
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- evaluation

    /// Encodes what the large-sample joint rate of the first pass is over, where that is training rows. Draws are
    /// addressed as those of a pass behind all others, of so many pieces.
    fn keep_training_rows(&mut self, pass: &mut Pass, (behind, pieces): (u64, u64)) -> Result<(), NodeError> {
        let wanted = self.context.scenario.evaluation.joint_rate_samples;
        let all = self.dataset.samples(Split::Train);
        // Evenly over the set, whatever its order; none twice.
        let count = wanted.min(all);
        let rows: Vec<usize> = (0..count).map(|at| at * all / count).collect();
        let at_once = self.context.ticks() * self.context.samples();
        if !pass.is_first() {
            return Ok(());
        }
        let grants = pass.all_grants(&self.context);
        for (piece, rows) in rows.chunks(at_once).enumerate() {
            let moment = self.context.feature_moment(behind, piece as u64, pieces);
            let coded = self.encoders.encode_training_rows(
                &self.context,
                moment,
                rows,
                &grants,
                &mut self.profiler,
            )?;
            pass.keep(&self.context, &coded)?;
        }
        Ok(())
    }

    /// Answers the turns of one piece of an evaluation pass; the first piece of a pass draws its selection.
    fn evaluate_piece(
        &mut self,
        Evaluate { passes, validation }: Evaluate,
        emit: &mut dyn FnMut(Output),
    ) -> Result<(), NodeError> {
        let number = node::first_pass(validation) + self.passes_done;
        let test_samples = self.encoders.evaluated(number)?.samples(Split::Test);
        let piece = self.pass.as_ref().map_or(0, |pass| pass.piece);
        let when = When::Piece { pass: number, piece };
        let turns = self.take_turns(when)?;
        let mut requested = Vec::with_capacity(turns.len());
        for (t, turn) in turns.into_iter().enumerate() {
            let missing =
                || NodeError::protocol(format!("receiver {t}"), "sent an evaluation turn without requests");
            requested.push(turn.requests.ok_or_else(missing)?);
        }
        if piece == 0 && self.passes_done == 0 {
            self.make_tables_of_evaluation()?;
        }
        let by_tick = self.context.scenario.evaluates_by_tick();
        if piece == 0 || by_tick {
            let choices = self.choices_of_piece(number, piece, &requested)?;
            let first = self.context.selection_moment(number, piece);
            let grants = self.grant(Phase::Evaluate, first, &choices);
            match &mut self.pass {
                Some(pass) => pass.go_on(requested.clone(), choices, grants),
                None => self.pass = Some(Pass::new(number, requested.clone(), choices, grants)),
            }
        }
        let mut pass = self.pass.take().expect("the first piece has begun it");
        if let Some(t) = (0..requested.len()).find(|&t| pass.requested[t] != requested[t]) {
            return Err(NodeError::protocol(format!("receiver {t}"), "changed its requests in mid-pass"));
        }
        let samples = self.context.piece(piece as usize, test_samples);
        let of_tick = samples.len() / self.context.ticks_of_piece(samples.len()).max(1);
        let pieces = self.context.pieces(test_samples) as u64;
        let address = self.context.feature_moment(number, piece, pieces);
        self.read_ahead_of_piece(&pass)?;
        let coded = self.encoders.encode_piece(
            &self.context,
            (number, piece),
            address,
            samples.clone(),
            &pass.grants,
            &mut self.profiler,
        )?;
        let choices = (&pass.choices, requested.as_slice());
        let rates = self.send(when, choices, &pass.grants, (&coded, of_tick), emit)?;
        self.spent.samples += samples.len() as u64;
        spent::add_rates(&mut self.spent, &self.context, &coded, of_tick, rates)?;
        if self.context.scenario.evaluation.joint_rate_rows == JointRateRows::Test {
            pass.keep(&self.context, &coded)?;
        }
        if piece + 1 < pieces {
            pass.piece += 1;
            self.pass = Some(pass);
            return Ok(());
        }
        if self.context.scenario.evaluation.joint_rate_rows == JointRateRows::Train {
            self.keep_training_rows(&mut pass, (passes, pieces))?;
        }
        let report =
            TransmitterPass { spent: Some(std::mem::take(&mut self.spent)), ..pass.report(&self.context)? };
        emit(Output::Report(Report::TransmitterPass(report)));
        self.passes_done = (self.passes_done + 1) % passes;
        if self.passes_done == 0 {
            self.schedule.done();
            // The tables that receivers have now are those of the evaluation.
            self.told.forget();
        }
        Ok(())
    }
}

/// The phase of a moment.
fn phase_of(when: When) -> Phase {
    match when {
        When::Round { .. } => Phase::Train,
        When::Piece { .. } | When::Served(_) => Phase::Evaluate,
    }
}

impl Machine for TransmitterMachine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, emit: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        match input {
            Input::LabelEntropies(entropies) => self.label_entropies = entropies,
            Input::Order(order) => self.schedule.push(order),
            Input::Reloaded(version, state) => {
                self.reloaded = Some((version, state));
                emit(Output::Report(Report::Loaded(Loaded { version })));
            }
            Input::Turn(t, turn) => {
                self.inbox[t].push_back(turn);
                // Gradients of all parts while the others are awaited, the last with a closing turn, the first of what
                // follows, and as much again as a receiver need not wait for: nobody has cause to send more ahead.
                if self.inbox[t].len() > self.context.parts() + 1 + self.context.most_given_up() {
                    return Err(NodeError::protocol(format!("receiver {t}"), "sends turns without waiting"));
                }
            }
        }
        let outcome = self.advance(emit);
        self.profiler.turn_to(ProfilerPhase::Wait);
        outcome
    }

    fn awaited(&self) -> Awaited {
        let answered = self.version + u64::from(self.sent.is_some());
        let turns_are_due = self.unsettled().is_some()
            || match self.schedule.next(answered) {
                Next::Round(_) => true,
                Next::Close => {
                    let order = self.schedule.current(self.version);
                    let is_awaited = match order {
                        Some(Order::Evaluate(_)) => true,
                        Some(Order::Batch(batch)) => self.begins_draw(batch),
                        _ => false,
                    };
                    self.sent.is_some() || is_awaited
                }
                Next::Wait => false,
            };
        let missing = (0..self.inbox.len()).filter(|&t| turns_are_due && self.inbox[t].is_empty());
        Awaited { version: self.version, peers: missing.collect() }
    }
}
