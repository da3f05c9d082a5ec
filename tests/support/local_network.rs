//! The machines of all nodes of a network on one thread, with every message delivered by the test.
//!
//! Messages between two nodes arrive in the order of sending, as on a stream; the test chooses which stream moves next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use candle_core::Device;
use data::Dataset;
use node::{Context, Machine, NodeError};
use proto::{
    Secret, When,
    v1::{Features, Turn, order::Order, report::Report},
};
use randomness::{Purpose, Seed, Stream};
use receiver::{ReceiverMachine, TaskData};
use scenario::Scenario;
use transmitter::TransmitterMachine;

/// The common data of all nodes of a run.
pub(crate) struct Setup {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) seed: Seed,
    pub(crate) dataset: Arc<dyn Dataset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Transmitter(usize),
    Receiver(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Turn(Turn),
    Features(Features),
}

/// A message between transmitter k and receiver t.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) k: usize,
    pub(crate) t: usize,
    pub(crate) message: Message,
    /// Length of the longest causal chain of messages that ends with this one.
    pub(crate) depth: usize,
}

/// The states of all nodes at a version.
pub(crate) type Snapshot = BTreeMap<Node, Vec<u8>>;

/// The carrier of all messages.
pub(crate) trait Delivery {
    /// Which of `streams` nonempty streams moves next.
    fn choose(&mut self, streams: usize) -> usize;

    /// What arrives of a letter.
    fn pass(&mut self, letter: Letter) -> Vec<Letter> {
        vec![letter]
    }

    /// Whether a receiver's patience ends now, if it could.
    fn ends_patience(&mut self) -> bool {
        false
    }
}

/// Any stream may be next, by the draw.
pub(crate) struct Shuffled(Stream);

/// A node gave up.
pub(crate) struct Failure {
    pub(crate) node: Node,
    pub(crate) error: NodeError,
}

pub(crate) struct LocalNetwork {
    transmitters: Vec<TransmitterMachine>,
    receivers: Vec<ReceiverMachine>,
    /// Messages under way, by sender (none is the coordinator; to itself, a receiver's patience) and addressee.
    streams: BTreeMap<(Option<Node>, Node), VecDeque<Parcel>>,
    /// The depth of the deepest letter that has reached each node.
    depths: BTreeMap<Node, usize>,
    /// Every letter, in the order of sending.
    pub(crate) letters: Vec<Letter>,
    /// The reports of each node, in order, without their times.
    pub(crate) reports: BTreeMap<Node, Vec<Report>>,
    /// The nodes' saved states, by version.
    pub(crate) snapshots: BTreeMap<u64, Snapshot>,
    /// Seconds in each profiler phase, all nodes together.
    pub(crate) work: Vec<f64>,
}

enum Parcel {
    Order(Order),
    Letter(Box<Letter>),
    Overdue(When),
}

enum Output {
    Letter(usize, Message),
    Incomplete(When),
    Report(Report),
    State(u64, Vec<u8>),
}

impl Shuffled {
    pub(crate) fn new(number: u64) -> Self {
        Shuffled(Seed::from_number(number).stream(Purpose::Test, &[], 0))
    }
}

impl Delivery for Shuffled {
    fn choose(&mut self, streams: usize) -> usize {
        self.0.below(streams as u64) as usize
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} gave up: {}", self.node, self.error)
    }
}

impl Setup {
    fn context(&self, incarnation: u64, index: usize) -> Context {
        Context {
            scenario: self.scenario.clone(),
            seed: self.seed,
            run: Bytes::from_static(b"a run of the net"),
            incarnation,
            index,
            secret: Secret::new([0; 32]),
            weights: node::WeightFiles::default(),
            device: Device::Cpu,
            verify: false,
        }
    }
}

impl LocalNetwork {
    /// All machines, from their initial weights or from a snapshot.
    pub(crate) fn new(
        setup: &Setup,
        incarnation: u64,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, NodeError> {
        let state = |node| snapshot.map(|snapshot| snapshot[&node].as_slice());
        let tasks = (setup.scenario.receiver.iter())
            .map(|receiver| TaskData::new(setup.dataset.as_ref(), &receiver.task))
            .collect::<Result<Vec<_>, _>>()?;
        let entropies: Vec<f64> = tasks.iter().map(TaskData::label_entropy).collect();
        let transmitters = (0..setup.scenario.transmitters())
            .map(|k| {
                let context = setup.context(incarnation, k);
                let state = state(Node::Transmitter(k));
                let mut machine = TransmitterMachine::new(context, setup.dataset.clone(), state)?;
                let entropies = transmitter::Input::LabelEntropies(entropies.clone());
                machine.handle(entropies, &mut |output| panic!("{output:?} before any order"))?;
                Ok(machine)
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        let receivers = (tasks.into_iter().enumerate())
            .map(|(t, task)| {
                ReceiverMachine::new(setup.context(incarnation, t), task, state(Node::Receiver(t)))
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        Ok(LocalNetwork {
            transmitters,
            receivers,
            streams: BTreeMap::new(),
            depths: BTreeMap::new(),
            letters: Vec::new(),
            reports: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            work: Vec::new(),
        })
    }

    /// Sends every node an order.
    pub(crate) fn order(&mut self, order: &Order) {
        let transmitters = (0..self.transmitters.len()).map(Node::Transmitter);
        for node in transmitters.chain((0..self.receivers.len()).map(Node::Receiver)) {
            self.streams.entry((None, node)).or_default().push_back(Parcel::Order(order.clone()));
        }
    }

    /// Delivers until nothing is under way.
    pub(crate) fn run(&mut self, delivery: &mut dyn Delivery) -> Result<(), Failure> {
        loop {
            let waiting: Vec<_> = self.streams.keys().copied().collect();
            if waiting.is_empty() {
                return Ok(());
            }
            let (from, to) = waiting[delivery.choose(waiting.len())];
            match self.take((from, to)) {
                Parcel::Order(order) => self.obey(to, order)?,
                Parcel::Letter(letter) => {
                    for letter in delivery.pass(*letter) {
                        self.read(to, letter)?;
                    }
                }
                Parcel::Overdue(when) => {
                    if let (Node::Receiver(t), true) = (to, delivery.ends_patience()) {
                        self.receive(t, receiver::Input::Overdue(when))?;
                    }
                }
            }
        }
    }

    /// Takes the first parcel of a stream; empty streams are removed.
    fn take(&mut self, stream: (Option<Node>, Node)) -> Parcel {
        let parcels = self.streams.get_mut(&stream).expect("a stream with something under way");
        let parcel = parcels.pop_front().expect("empty streams are not kept");
        if parcels.is_empty() {
            self.streams.remove(&stream);
        }
        parcel
    }

    fn obey(&mut self, node: Node, order: Order) -> Result<(), Failure> {
        match node {
            Node::Transmitter(k) => self.transmit(k, transmitter::Input::Order(order)),
            Node::Receiver(t) => self.receive(t, receiver::Input::Order(order)),
        }
    }

    fn read(&mut self, node: Node, letter: Letter) -> Result<(), Failure> {
        let depth = self.depths.entry(node).or_default();
        *depth = letter.depth.max(*depth);
        match letter.message {
            Message::Turn(turn) => self.transmit(letter.k, transmitter::Input::Turn(letter.t, turn)),
            Message::Features(features) => {
                self.receive(letter.t, receiver::Input::Features(letter.k, features))
            }
        }
    }

    fn transmit(&mut self, k: usize, input: transmitter::Input) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        let outcome = self.transmitters[k].handle(input, &mut |output| {
            outputs.extend(match output {
                transmitter::Output::Features(t, features) => {
                    Some(Output::Letter(t, Message::Features(features)))
                }
                transmitter::Output::Report(report) => Some(Output::Report(report)),
                transmitter::Output::State(version, state) => Some(Output::State(version, state)),
                transmitter::Output::Ready { .. } => None,
            });
        });
        self.collect(Node::Transmitter(k), outputs, outcome)
    }

    fn receive(&mut self, t: usize, input: receiver::Input) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        let outcome = self.receivers[t].handle(input, &mut |output| {
            outputs.extend(match output {
                receiver::Output::Turn(k, turn) => Some(Output::Letter(k, Message::Turn(turn))),
                receiver::Output::Report(report) => Some(Output::Report(report)),
                receiver::Output::State(version, state) => Some(Output::State(version, state)),
                receiver::Output::Incomplete(when) => Some(Output::Incomplete(when)),
                receiver::Output::Ready { .. } | receiver::Output::Answers(_) => None,
            });
        });
        self.collect(Node::Receiver(t), outputs, outcome)
    }

    fn collect(
        &mut self,
        node: Node,
        outputs: Vec<Output>,
        outcome: Result<(), NodeError>,
    ) -> Result<(), Failure> {
        for output in outputs {
            match output {
                Output::Letter(peer, message) => self.post(node, peer, message),
                Output::Incomplete(when) => {
                    self.streams.entry((Some(node), node)).or_default().push_back(Parcel::Overdue(when));
                }
                Output::Report(mut report) => {
                    self.add_work(&take_work(&mut report));
                    self.reports.entry(node).or_default().push(report);
                }
                Output::State(version, state) => {
                    self.snapshots.entry(version).or_default().insert(node, state);
                }
            }
        }
        outcome.map_err(|error| Failure { node, error })
    }

    fn add_work(&mut self, work: &[f64]) {
        self.work.resize(work.len().max(self.work.len()), 0.0);
        for (sum, seconds) in self.work.iter_mut().zip(work) {
            *sum += seconds;
        }
    }

    fn post(&mut self, from: Node, peer: usize, message: Message) {
        let (k, t, to) = match from {
            Node::Transmitter(k) => (k, peer, Node::Receiver(peer)),
            Node::Receiver(t) => (peer, t, Node::Transmitter(peer)),
        };
        let depth = 1 + self.depths.get(&from).copied().unwrap_or_default();
        let letter = Letter { k, t, message, depth };
        self.letters.push(letter.clone());
        self.streams.entry((Some(from), to)).or_default().push_back(Parcel::Letter(Box::new(letter)));
    }
}

/// Removes from a report the times, which differ in every run.
fn take_work(report: &mut Report) -> Vec<f64> {
    match report {
        Report::ReceiverRound(round) => std::mem::take(&mut round.work),
        Report::TransmitterRound(round) => std::mem::take(&mut round.work),
        _ => Vec::new(),
    }
}
