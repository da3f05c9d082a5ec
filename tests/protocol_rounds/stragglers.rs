//! Lost or late entries, and late transmitters: under `wait` the results do not change; under `skip` receivers
//! continue, but never far ahead of a transmitter.

use proto::v1::{Features, Missing, ReceiverRound, order::Order, report::Report};
use randomness::{Purpose, Seed, Stream};

use crate::rounds::{RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train};
use crate::setup_with;
use crate::support::local_network::{Delivery, Letter, LocalNetwork, Message, Node, Setup, Shuffled};

const SKIP: &str = "straggler.policy=skip";
const POOR_LINKS: &str = "link=[{loss=0.4, delay=0.2, jitter=0.5, bandwidth=1e3}]";

fn orders() -> [Order; 3] {
    [train(ROUNDS), save(ROUNDS), evaluate()]
}

fn played(setup: &Setup, delivery: &mut dyn Delivery) -> LocalNetwork {
    play(setup, None, &orders(), delivery)
}

#[test]
fn wait_learns_the_same_over_any_links() {
    let expected = played(&setup_with(&[]), &mut Shuffled::new(0));
    let other = played(&setup_with(&[POOR_LINKS]), &mut Shuffled::new(1));
    assert_same(&other, &expected);
    assert!(other.reports == expected.reports, "the nodes report something else");
}

#[test]
fn skip_learns_the_same_if_nothing_is_missing() {
    let expected = played(&setup_with(&[]), &mut Shuffled::new(0));
    let skipping = played(&setup_with(&[SKIP]), &mut Shuffled::new(1));
    assert_same(&skipping, &expected);
    assert!(missing(&skipping).all(|missing| absent_lost_late(&missing) == [0, 0, 0]));
}

#[test]
fn what_is_lost_or_late_does_not_depend_on_the_order_of_arrival_nor_on_the_parts() {
    let poor = |parts: &str| setup_with(&[SKIP, POOR_LINKS, "train.ticks_per_round=15", parts]);
    let whole = poor("train.ticks_per_part=20");
    let expected = played(&whole, &mut Stubborn::First);
    let [absent, lost, late] = missing(&expected).map(|missing| absent_lost_late(&missing)).fold([0; 3], add);
    assert!(absent == 0 && lost > 20 && late > 20, "{absent} absent, {lost} lost, {late} late");
    for number in 0..3 {
        let other = played(&whole, &mut Shuffled::new(number));
        assert_same(&other, &expected);
        assert!(other.reports == expected.reports, "the nodes report something else");
    }
    // A packet's waiting time depends on the packets sent with it; its loss does not.
    let lossy = |parts: &str| setup_with(&[SKIP, "link=[{loss=0.4}]", "train.ticks_per_round=15", parts]);
    let expected = played(&lossy("train.ticks_per_part=20"), &mut Shuffled::new(0));
    let in_parts = played(&lossy("train.ticks_per_part=10"), &mut Shuffled::new(1));
    assert_same(&in_parts, &expected);
    assert!(in_parts.reports == expected.reports, "the nodes report something else");
}

#[test]
fn late_answers_are_skipped_and_dropped() {
    for number in 0..6 {
        let setup = setup_with(&[SKIP, "train.ticks_per_round=15", "train.ticks_per_part=10"]);
        let network = played(&setup, &mut Impatient(stream(number)));
        assert_eq!(network.snapshots[&ROUNDS].len(), TRANSMITTERS + RECEIVERS, "some did not finish");
        let absent: u32 = missing(&network).map(|missing| missing.absent).sum();
        assert!(absent > 10, "{absent} messages were too late: the test has lost its point");
        for t in 0..RECEIVERS {
            let rounds = receiver_rounds(&network, t).map(|report| report.round).collect::<Vec<_>>();
            assert_eq!(rounds, (0..ROUNDS).collect::<Vec<_>>());
        }
    }
}

#[test]
fn receivers_stay_close_to_a_transmitter_that_is_always_late() {
    let setup = setup_with(&[SKIP, "train.rounds=40"]);
    let mut slow = SlowTransmitter::default();
    play(&setup, None, &[train(40), save(40)], &mut slow);
    // It answers only when nothing else moves: when the others wait for it.
    assert_eq!(slow.furthest, 5, "rounds between a receiver and the last answer of transmitter 0");
}

/// Any stream moves next, and any patience ends at once.
pub(crate) struct Impatient(pub(crate) Stream);

impl Delivery for Impatient {
    fn choose(&mut self, streams: usize) -> usize {
        self.0.below(streams as u64) as usize
    }

    fn ends_patience(&mut self) -> bool {
        true
    }
}

/// The streams from transmitter 0 come first in their order: they move last, and patience with them always ends.
#[derive(Default)]
struct SlowTransmitter {
    requested: u64,
    answered: u64,
    furthest: u64,
}

impl Delivery for SlowTransmitter {
    fn choose(&mut self, streams: usize) -> usize {
        streams - 1
    }

    fn pass(&mut self, letter: Letter) -> Vec<Letter> {
        match &letter.message {
            Message::Features(Features { stamp: Some(stamp), .. }) if letter.k == 0 => {
                self.answered = self.answered.max(stamp.round + 1);
            }
            Message::Features(Features { stamp: Some(stamp), .. }) => {
                self.requested = self.requested.max(stamp.round + 1);
                self.furthest = self.furthest.max(self.requested - self.answered);
            }
            _ => {}
        }
        vec![letter]
    }

    fn ends_patience(&mut self) -> bool {
        true
    }
}

fn stream(number: u64) -> Stream {
    Seed::from_number(number).stream(Purpose::Test, &[], 1)
}

fn receiver_rounds(network: &LocalNetwork, t: usize) -> impl Iterator<Item = &ReceiverRound> {
    network.reports[&Node::Receiver(t)].iter().filter_map(|report| match report {
        Report::ReceiverRound(report) => Some(report),
        _ => None,
    })
}

/// What all receivers report as missing, in training and evaluation.
fn missing(network: &LocalNetwork) -> impl Iterator<Item = Missing> {
    network.reports.values().flatten().filter_map(|report| match report {
        Report::ReceiverRound(report) => report.missing.clone(),
        Report::ReceiverPass(report) => report.missing.clone(),
        _ => None,
    })
}

fn absent_lost_late(missing: &Missing) -> [u32; 3] {
    [missing.absent, missing.lost.iter().sum(), missing.late.iter().sum()]
}

fn add(left: [u32; 3], right: [u32; 3]) -> [u32; 3] {
    std::array::from_fn(|at| left[at] + right[at])
}
