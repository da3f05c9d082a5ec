//! A round in several parts equals the round in one: the same bits, in one causal round trip.

use proto::v1::{Features, Phase, Turn};

use crate::rounds::{RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train};
use crate::setup_with;
use crate::support::local_network::{Delivery, LocalNetwork, Message, Setup, Shuffled};

/// Two whole gradient blocks and part of one.
const TICKS: &str = "train.ticks_per_round=25";
const PARTS: u64 = 3;

fn in_parts_of(ticks: usize) -> Setup {
    setup_with(&[TICKS, &format!("train.ticks_per_part={ticks}")])
}

fn played(setup: &Setup, delivery: &mut dyn Delivery) -> LocalNetwork {
    play(setup, None, &[train(3), evaluate(), train(ROUNDS), save(ROUNDS)], delivery)
}

#[test]
fn what_is_learnt_and_reported_does_not_depend_on_the_parts() {
    let expected = played(&in_parts_of(30), &mut Shuffled::new(0));
    let mut others = vec![played(&in_parts_of(10), &mut Stubborn::First)];
    others.push(played(&in_parts_of(10), &mut Stubborn::Last));
    others.push(played(&in_parts_of(20), &mut Shuffled::new(1)));
    others.extend((2..6).map(|number| played(&in_parts_of(10), &mut Shuffled::new(number))));
    for other in others {
        assert_same(&other, &expected);
        assert!(other.reports == expected.reports, "the nodes report something else");
    }
}

#[test]
fn a_round_in_parts_is_one_causal_round_trip_of_a_message_a_part_each_way() {
    let network = played(&in_parts_of(10), &mut Shuffled::new(0));
    for k in 0..TRANSMITTERS {
        for t in 0..RECEIVERS {
            let (mut turns, mut features) = (Vec::new(), Vec::new());
            for letter in network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t)) {
                let depth = letter.depth as u64;
                match &letter.message {
                    Message::Turn(turn) => turns.extend(of_training_turn(turn, depth)),
                    Message::Features(message) => features.extend(of_training(message, depth)),
                }
            }
            assert_eq!(
                features,
                parts().map(|(round, part)| (round, part, causes(round) + 1)).collect::<Vec<_>>()
            );
            // A turn follows the features of the part before its own; the first of a round carries the requests.
            let expected = parts()
                .map(|(round, part)| (round, part, causes(round) + 2 * u64::from(part > 0), part == 0));
            let (closing, requesting): (Vec<_>, Vec<_>) =
                turns.into_iter().partition(|turn| turn.1 == 0 && !turn.3);
            assert_eq!(requesting, expected.collect::<Vec<_>>());
            let rounds: Vec<u64> = closing.iter().map(|turn| turn.0).collect();
            assert_eq!(rounds, [3, ROUNDS], "closing turns");
        }
    }
}

fn parts() -> impl Iterator<Item = (u64, u64)> {
    (0..ROUNDS).flat_map(|round| (0..PARTS).map(move |part| (round, part)))
}

/// Length of the causal chain up to a round's first turn: an evaluation of two passes of a piece each lies between
/// rounds 2 and 3.
fn causes(round: u64) -> u64 {
    2 * round + 1 + if round >= 3 { 4 } else { 0 }
}

fn of_training_turn(turn: &Turn, depth: u64) -> Option<(u64, u64, u64, bool)> {
    let stamp = turn.stamp.as_ref().unwrap();
    (stamp.phase() == Phase::Train).then_some((stamp.round, stamp.part, depth, turn.requests.is_some()))
}

fn of_training(features: &Features, depth: u64) -> Option<(u64, u64, u64)> {
    let stamp = features.stamp.as_ref().unwrap();
    (stamp.phase() == Phase::Train).then_some((stamp.round, stamp.part, depth))
}
