//! One training round of the machines, with everything that an oracle must know about it.

use std::{collections::HashMap, ops::Range};

use candle_core::{Device, Tensor};
use proto::{
    decode_bits,
    v1::{Features, SaveState, Stamp, Train, order::Order},
};
use randomness::{Purpose, Seed};

use crate::support::local_network::{
    Delivery, Letter, LocalNetwork, Message, Node, Setup, Shuffled, Snapshot,
};

/// The state of the machines before the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Initial weights, round 0.
    Initial,
    /// A checkpoint at a later round, in general position: biases are not zero, gains are not one, and encoders'
    /// standard deviations are comparable to the spread of their features, so that rates are far from their bounds.
    Unsettled,
}

/// The round that [`Start::Unsettled`] begins with: beyond the toy data's first epoch.
const LATER: u64 = 5;

pub(crate) struct PlayedRound {
    pub(crate) round: u64,
    /// All nodes' tensors before the round.
    pub(crate) before: HashMap<String, Tensor>,
    /// The network after the round, with its saved state.
    pub(crate) network: LocalNetwork,
}

/// Runs a test's arithmetic on a thread of its own: candle would distribute many small products over all cores, which
/// takes far longer on a busy machine than the products do.
pub(crate) fn on_one_thread<R: Send>(test: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread").install(test)
}

/// The node that a parameter or a network belongs to, by its name.
pub(crate) fn owner(name: &str) -> Node {
    let (node, _) = name.split_once('/').expect("a name starts with its node's");
    let index = |digits: &str| digits.parse().expect("a node's name ends with its index");
    match (node.strip_prefix("transmitter"), node.strip_prefix("receiver")) {
        (Some(k), _) => Node::Transmitter(index(k)),
        (_, Some(t)) => Node::Receiver(index(t)),
        _ => panic!("{node} is neither a transmitter nor a receiver"),
    }
}

impl PlayedRound {
    pub(crate) fn play(setup: &Setup, start: Start) -> Self {
        PlayedRound::play_by(setup, start, &mut Shuffled::new(1))
    }

    /// The same with `delivery` for the round's messages.
    pub(crate) fn play_by(setup: &Setup, start: Start, delivery: &mut dyn Delivery) -> Self {
        let initial = save(&mut LocalNetwork::new(setup, 0, None).unwrap(), 0);
        let (round, snapshot) = match start {
            Start::Initial => (0, initial),
            Start::Unsettled => (LATER, unsettle(&initial)),
        };
        PlayedRound::play_from(setup, round, &snapshot, delivery)
    }

    /// The same from the states of all nodes at a round.
    pub(crate) fn play_from(
        setup: &Setup,
        round: u64,
        snapshot: &Snapshot,
        delivery: &mut dyn Delivery,
    ) -> Self {
        let mut network = LocalNetwork::new(setup, 0, Some(snapshot)).unwrap();
        network.order(&Order::Train(Train { to: round + 1 }));
        network.run(delivery).unwrap();
        save(&mut network, round + 1);
        PlayedRound { round, before: tensors(snapshot), network }
    }

    /// `[t][tick]`: the entries (k, m) granted to receiver t, by the features, and used, by its turns.
    pub(crate) fn granted(&self, setup: &Setup) -> Vec<Vec<Vec<(usize, usize)>>> {
        self.entries(setup, |letter, features| self.used(setup, (letter.k, letter.t), features))
    }

    /// The same entries, used or not.
    pub(crate) fn sent(&self, setup: &Setup) -> Vec<Vec<Vec<(usize, usize)>>> {
        self.entries(setup, |letter, features| vec![true; granted_by(setup, letter.k, features).len()])
    }

    fn entries(
        &self,
        setup: &Setup,
        counted: impl Fn(&Letter, &Features) -> Vec<bool>,
    ) -> Vec<Vec<Vec<(usize, usize)>>> {
        let ticks = setup.scenario.train.ticks_per_round;
        let mut granted = vec![vec![Vec::new(); ticks]; setup.scenario.receivers()];
        for letter in &self.network.letters {
            let Message::Features(features) = &letter.message else { continue };
            // What a round cost all receivers, where that is told, grants nothing.
            if !features.costs.is_empty() {
                continue;
            }
            let first_tick = ticks_of(setup, features).start;
            let counted = counted(letter, features);
            let entries = granted_by(setup, letter.k, features).into_iter().zip(counted);
            for ((tick, m), _) in entries.filter(|(_, counted)| *counted) {
                granted[letter.t][first_tick + tick].push((letter.k, m));
            }
        }
        granted.iter_mut().flatten().for_each(|entries| entries.sort_unstable());
        granted
    }

    /// Which of the entries in features receiver t used: it says so with their gradients, in the turn after the one
    /// that they answer.
    fn used(&self, setup: &Setup, (k, t): (usize, usize), features: &Features) -> Vec<bool> {
        let count = granted_by(setup, k, features).len();
        let link = self.network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t));
        let turns = link.filter_map(|letter| match &letter.message {
            Message::Turn(turn) => Some(turn),
            Message::Features(_) => None,
        });
        let moment = |stamp: &Option<Stamp>| stamp.as_ref().map(|stamp| (stamp.round, stamp.part));
        let next = turns.skip_while(|turn| moment(&turn.stamp) != moment(&features.stamp)).nth(1);
        let gradients = next.and_then(|turn| turn.gradients.as_ref()).expect("gradients go back");
        match &gradients.used {
            None => vec![true; count],
            Some(used) if used.entries.is_empty() => vec![false; count],
            Some(used) => decode_bits("used", &used.entries, count).unwrap(),
        }
    }
}

/// The entries (tick, modality) that transmitter k's message grants.
pub(crate) fn granted_by(setup: &Setup, k: usize, features: &Features) -> Vec<(usize, usize)> {
    proto::granted(features, setup.scenario.modalities(k))
}

/// The ticks of its round that a message is about.
pub(crate) fn ticks_of(setup: &Setup, features: &Features) -> Range<usize> {
    let size = setup.scenario.ticks_per_part();
    let first = features.stamp.as_ref().map_or(0, |stamp| stamp.part as usize) * size;
    first..(first + size).min(setup.scenario.train.ticks_per_round)
}

/// The states of all nodes at a version that they reach without another order.
fn save(network: &mut LocalNetwork, version: u64) -> Snapshot {
    network.order(&Order::Save(SaveState { version }));
    network.run(&mut Shuffled::new(version)).unwrap();
    network.snapshots[&version].clone()
}

/// The tensors of all nodes, by name.
pub(crate) fn tensors(snapshot: &Snapshot) -> HashMap<String, Tensor> {
    snapshot.values().flat_map(|state| node::unpack_state(state, &Device::Cpu).unwrap()).collect()
}

fn unsettle(snapshot: &Snapshot) -> Snapshot {
    let unsettled = |state: &Vec<u8>| {
        let tensors = node::unpack_state(state, &Device::Cpu).unwrap().into_iter();
        let parameters_and_moments = tensors.filter(|(name, _)| name != "version");
        let moved = parameters_and_moments.map(|(name, tensor)| {
            let tensor = if node::is_parameter(&name) { moved(&name, &tensor) } else { tensor };
            // As if the receivers had paid differently so far: the first counts most.
            let tensor = match name.ends_with("/objective.log-weights") {
                true => {
                    let logs = (0..tensor.elem_count()).map(|t| -0.7 * t as f64).collect::<Vec<f64>>();
                    Tensor::from_vec(logs, tensor.shape(), &Device::Cpu).unwrap()
                }
                false => tensor,
            };
            // As if features had had that power so far.
            let tensor = if name.ends_with("/power.mean") { (tensor + 1.7).unwrap() } else { tensor };
            (name, tensor)
        });
        node::pack_state(moved.collect(), LATER).unwrap()
    };
    snapshot.iter().map(|(node, state)| (*node, unsettled(state))).collect()
}

/// A parameter with noise added. An encoder's outputs are moved closer together, and its raw deviations raised, so that
/// all its standard deviations, softplus(raw - 5), are near log 2.
fn moved(name: &str, parameter: &Tensor) -> Tensor {
    let mut stream = Seed::from_number(0).named_stream(Purpose::Test, name, &[], 0);
    let noise: Vec<f32> = (0..parameter.elem_count()).map(|_| (0.05 * stream.normal()) as f32).collect();
    let noise = Tensor::from_vec(noise, parameter.shape(), &Device::Cpu).unwrap();
    let moved = (parameter + noise).unwrap();
    match name.split_once("/encoder").map(|(_, part)| part.rsplit('/').next()) {
        Some(Some("linear.w")) => (moved * 0.3).unwrap(),
        Some(Some("linear.b")) => {
            let outputs = moved.elem_count();
            let raised = (0..outputs).map(|output| if output < outputs / 2 { 0f32 } else { 5.0 }).collect();
            (moved + Tensor::from_vec(raised, outputs, &Device::Cpu).unwrap()).unwrap()
        }
        _ => moved,
    }
}
