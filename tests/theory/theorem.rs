//! Theorem 2, the last equality of (24): a deterministic policy costs what its selection costs, (P0), and no policy
//! costs less than the best of these.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use proto::v1::report::Report;

use crate::oracle::{Oracle, selection::Selection};
use crate::outcomes::{Outcome, outcomes, probabilities};
use crate::played_round::{PlayedRound, Start, on_one_thread, owner};
use crate::reports::assert_close;
use crate::support::local_network::{Node, Setup, Shuffled, Snapshot};
use crate::support::toy_data::toy_setup;
use crate::{NETWORK, ONE_RECEIVER};

/// How far a logit is above the others if its choice is practically certain: probability e^-60 remains for them.
const CERTAIN: f32 = 60.0;

/// The draw of every selector, for any u.
struct Policy {
    /// `[t]`: the transmitters that receiver t requests, in drawn order.
    requests: Vec<Vec<usize>>,
    /// `[k]`: the choices of transmitter k for a receiver that requests it, in drawn order.
    choices: Vec<Vec<usize>>,
}

impl Policy {
    /// The entries (k, m) of receiver t, where no cap binds.
    fn entries(&self, t: usize) -> Vec<(usize, usize)> {
        let of = |k: usize| self.choices[k].iter().map(move |&m| (k, m));
        let mut entries: Vec<_> = self.requests[t].iter().flat_map(|&k| of(k)).collect();
        entries.sort_unstable();
        entries
    }

    /// The last biases of a node's selector, whose weights are 0.
    fn logits(&self, setup: &Setup, node: Node) -> Vec<f32> {
        let scenario = &setup.scenario;
        let (counts, items, drawn) = match node {
            Node::Receiver(t) => (scenario.receiver_limit(), scenario.transmitters(), &self.requests[t]),
            Node::Transmitter(k) => {
                let modalities = scenario.modalities(k);
                (scenario.transmitter_limit(k).min(modalities), modalities, &self.choices[k])
            }
        };
        let count = |count: usize| if count + 1 == drawn.len() { CERTAIN } else { 0.0 };
        let item = |item: usize| {
            let place = drawn.iter().position(|&other| other == item);
            place.map_or(0.0, |place| CERTAIN * (drawn.len() - place) as f32)
        };
        (0..counts).map(count).chain((0..items).map(item)).collect()
    }

    /// The value of a parameter under this policy: only selectors differ from before.
    fn parameter(&self, setup: &Setup, name: &str, before: &Tensor) -> Tensor {
        match name.split_once("/selector/") {
            Some((_, "linear.w")) => before.zeros_like().unwrap(),
            Some((_, "linear.b")) => {
                let logits = Tensor::new(self.logits(setup, owner(name)), &Device::Cpu).unwrap();
                logits.to_dtype(before.dtype()).unwrap()
            }
            _ => before.clone(),
        }
    }
}

#[test]
fn a_certain_policy_costs_in_expectation_what_its_selection_costs_and_no_policy_costs_less() {
    on_one_thread(|| {
        let setup = toy_setup(ONE_RECEIVER, &["train.beta=0.2"]);
        let played = PlayedRound::play(&setup, Start::Unsettled);
        let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
        let outcomes = outcomes(&setup);
        let objectives: Vec<f64> =
            outcomes.iter().map(|outcome| objective(&oracle, &outcome.selection)).collect();
        let least = objectives.iter().copied().fold(f64::INFINITY, f64::min);

        let undecided = expected(&setup, &oracle, &outcomes, &objectives);
        assert!(
            undecided > least + 1e-3,
            "{undecided} of an undecided policy, {least} of the best selection"
        );
        let mut least_of_policies = f64::INFINITY;
        for (outcome, objective) in outcomes.iter().zip(&objectives) {
            decide(&setup, &oracle, &policy(&setup, &outcome.selection));
            let expected = expected(&setup, &oracle, &outcomes, &objectives);
            assert!((expected - objective).abs() < 1e-12, "{expected}, of the selection {objective}");
            least_of_policies = expected.min(least_of_policies);
        }
        assert!((least_of_policies - least).abs() < 1e-12, "{least_of_policies}, of selections {least}");
    });
}

#[test]
fn machines_whose_policy_is_certain_compute_the_objective_of_its_selection() {
    let policy = Policy { requests: vec![vec![1, 0], vec![0]], choices: vec![vec![1], vec![1, 0]] };
    let setup = toy_setup(NETWORK, &["train.beta=0.2"]);
    on_one_thread(|| {
        let played = play(&setup, &policy);
        let ticks = setup.scenario.train.ticks_per_round;
        for (t, granted) in played.granted(&setup).into_iter().enumerate() {
            assert_eq!(granted, vec![policy.entries(t); ticks], "receiver {t}");
        }
        let oracle = Oracle::new(&setup, played.round, &played.before).unwrap();
        for t in 0..setup.scenario.receivers() {
            let [Report::ReceiverRound(report)] = played.network.reports[&Node::Receiver(t)].as_slice()
            else {
                panic!("receiver {t} reports one round");
            };
            let of = |tick| {
                oracle.judge(t, tick, &policy.entries(t)).unwrap().objective.to_scalar::<f64>().unwrap()
            };
            assert_close("objective", report.objective, (0..ticks).map(of).sum::<f64>() / ticks as f64);
        }
    });
}

/// The objective of the one receiver at the one tick.
fn objective(oracle: &Oracle, selection: &Selection) -> f64 {
    oracle.judge(0, 0, &selection.granted[0][0]).unwrap().objective.to_scalar().unwrap()
}

/// (20), by enumeration.
fn expected(setup: &Setup, oracle: &Oracle, outcomes: &[Outcome], objectives: &[f64]) -> f64 {
    let probabilities = probabilities(setup, oracle, outcomes).unwrap();
    probabilities.iter().zip(objectives).map(|(probability, objective)| probability * objective).sum()
}

/// The policy that draws a selection; transmitters that are not requested may have any choice.
fn policy(setup: &Setup, selection: &Selection) -> Policy {
    let choices = |k: usize| match selection.choices[k][0][0].as_slice() {
        [] => vec![0],
        drawn => drawn.to_vec(),
    };
    Policy {
        requests: vec![selection.requests[0][0].clone()],
        choices: (0..setup.scenario.transmitters()).map(choices).collect(),
    }
}

fn decide(setup: &Setup, oracle: &Oracle, policy: &Policy) {
    let selectors = oracle.variables.iter().filter(|(name, _)| name.contains("/selector/linear."));
    for (name, variable) in selectors {
        variable.set(&policy.parameter(setup, name, variable.as_tensor())).unwrap();
    }
}

/// A round of machines with such selectors, and everything else as before.
fn play(setup: &Setup, policy: &Policy) -> PlayedRound {
    let PlayedRound { round, before, .. } = PlayedRound::play(setup, Start::Unsettled);
    let mut states = BTreeMap::<Node, Vec<(String, Tensor)>>::new();
    for (name, tensor) in before.into_iter().filter(|(name, _)| name != "version") {
        let decided = policy.parameter(setup, &name, &tensor);
        assert!(decided.dtype() != DType::F64);
        states.entry(owner(&name)).or_default().push((name, decided));
    }
    let packed =
        |(of, tensors): (Node, Vec<_>)| (of, node::pack_state(tensors.into_iter().collect(), round).unwrap());
    let snapshot: Snapshot = states.into_iter().map(packed).collect();
    PlayedRound::play_from(setup, round, &snapshot, &mut Shuffled::new(2))
}
