//! Where the worst receiver counts, a round ends with the costs of all receivers, and all nodes move the same weights.

use std::collections::BTreeMap;

use candle_core::Device;
use proto::v1::report::Report;

use crate::rounds::{RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train};
use crate::support::local_network::{LocalNetwork, Message, Node, Setup, Shuffled, Snapshot};
use crate::{setup, setup_with};

const TICKS: usize = 5;

fn worst() -> Setup {
    let baseline = "train.baseline=leave-one-out";
    setup_with(&["train.objective=worst", "train.worst_lr=0.5", "train.credit=shared", baseline])
}

fn trained(setup: &Setup) -> LocalNetwork {
    play(setup, None, &[train(ROUNDS), save(ROUNDS)], &mut Shuffled::new(0))
}

/// The logarithms of the weights that every node keeps.
fn log_weights(snapshot: &Snapshot) -> Vec<Vec<f64>> {
    let of = |state: &Vec<u8>| {
        let tensors = node::unpack_state(state, &Device::Cpu).unwrap();
        let (_, logs) = tensors.iter().find(|(name, _)| name.ends_with("/objective.log-weights")).unwrap();
        logs.to_vec1::<f64>().unwrap()
    };
    snapshot.values().map(of).collect()
}

/// The parameters of all nodes after the last round.
fn parameters(setup: &Setup) -> BTreeMap<String, Vec<f32>> {
    let network = trained(setup);
    let states = network.snapshots[&ROUNDS].values();
    let tensors = states.flat_map(|state| node::unpack_state(state, &Device::Cpu).unwrap());
    let parameters = tensors.filter(|(name, _)| node::is_parameter(name));
    parameters.map(|(name, tensor)| (name, tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())).collect()
}

#[test]
fn a_round_ends_with_what_it_cost_all_receivers_on_every_link() {
    let network = trained(&worst());
    for (k, t) in (0..TRANSMITTERS).flat_map(|k| (0..RECEIVERS).map(move |t| (k, t))) {
        let link: Vec<_> = network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t)).collect();
        assert_eq!(link.len() as u64, 4 * ROUNDS, "no closing turn: a round is closed by its costs");
        for (round, letters) in link.chunks(4).enumerate() {
            let depths: Vec<usize> = letters.iter().map(|letter| letter.depth).collect();
            assert_eq!(depths, [1, 2, 3, 4].map(|place| 4 * round + place), "two causal round trips");
            let messages: Vec<&Message> = letters.iter().map(|letter| &letter.message).collect();
            let [
                Message::Turn(asking),
                Message::Features(features),
                Message::Turn(paying),
                Message::Features(told),
            ] = messages.as_slice()
            else {
                panic!("another order of messages in round {round}");
            };
            assert!(asking.requests.is_some() && asking.gradients.is_none());
            assert!(features.costs.is_empty() && paying.requests.is_none());
            // All ticks, whomever it requested at them.
            let own = &paying.gradients.as_ref().unwrap().costs;
            assert_eq!((own.len(), told.costs.len()), (TICKS, RECEIVERS * TICKS));
            assert_eq!(&told.costs[t * TICKS..][..TICKS], own.as_slice());
        }
    }
}

#[test]
fn what_is_learnt_depends_neither_on_the_order_of_arrival_nor_on_what_happens_between_rounds() {
    let setup = worst();
    let orders = [train(3), save(3), evaluate(), train(ROUNDS), save(ROUNDS)];
    let expected = play(&setup, None, &orders, &mut Stubborn::First);
    assert_same(&play(&setup, None, &orders, &mut Stubborn::Last), &expected);
    for number in 0..4 {
        assert_same(&play(&setup, None, &orders, &mut Shuffled::new(number)), &expected);
    }
    assert_same(&trained(&setup), &expected);
    // From a checkpoint, whose weights are no longer uniform.
    let middle = &expected.snapshots[&3];
    assert!(log_weights(middle)[0].iter().any(|log| *log < -1e-3));
    assert_same(&play(&setup, Some(middle), &orders[2..], &mut Shuffled::new(5)), &expected);
}

#[test]
fn what_is_learnt_does_not_depend_on_the_parts_of_a_round() {
    let in_parts_of = |ticks: usize| {
        let parts = format!("train.ticks_per_part={ticks}");
        trained(&setup_with(&["train.objective=worst", "train.ticks_per_round=25", &parts]))
    };
    assert_same(&in_parts_of(10), &in_parts_of(30));
}

#[test]
fn all_nodes_keep_the_same_weights_and_receivers_report_them() {
    let network = trained(&worst());
    let all = log_weights(&network.snapshots[&ROUNDS]);
    assert_eq!(all.len(), TRANSMITTERS + RECEIVERS);
    assert!(all.iter().all(|logs| *logs == all[0]), "{all:?}");
    assert!(all[0].contains(&0.0) && all[0].iter().any(|log| *log < -1e-3), "{all:?}");

    let reported = |t: usize| -> Vec<f64> {
        let reports = network.reports[&Node::Receiver(t)].iter();
        let of_round = |report: &Report| match report {
            Report::ReceiverRound(round) => round.weight,
            _ => None,
        };
        reports.filter_map(of_round).collect()
    };
    let (one, other) = (reported(0), reported(1));
    assert_eq!((one.len() as u64, one[0], other[0]), (ROUNDS, 0.5, 0.5));
    assert!(one.iter().zip(&other).all(|(one, other)| (one + other - 1.0).abs() < 1e-12));
    assert!(one[1..].iter().all(|weight| *weight != 0.5));
}

#[test]
fn weights_that_do_not_move_are_those_of_the_sum() {
    let of_sum = parameters(&setup());
    assert!(parameters(&setup_with(&["train.objective=worst", "train.worst_lr=0"])) == of_sum);
    // The weights must have an effect at all.
    assert!(parameters(&setup_with(&["train.objective=worst", "train.worst_lr=0.5"])) != of_sum);
}

#[test]
fn a_checkpoint_without_weights_is_refused_by_name() {
    let middle = play(&setup(), None, &[train(3), save(3)], &mut Shuffled::new(0));
    let refused = LocalNetwork::new(&worst(), 1, Some(&middle.snapshots[&3])).err().unwrap().to_string();
    assert!(
        refused.contains("transmitter0/objective.log-weights") && refused.lines().count() == 1,
        "{refused}"
    );
}
