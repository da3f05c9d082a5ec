//! Every message from a link is checked before it is used: an invalid message ends its reader with an error that names
//! the sender and the problem.

use bytes::Bytes;
use dib::ChoiceGrid;
use proto::{
    encode_ticks,
    v1::{self, Evaluate, Features, Gradients, Requests, Stamp, Tensor, Train, Turn, Used, order::Order},
};

use crate::support::local_network::{Delivery, Failure, Letter, LocalNetwork, Message, Node, Setup};
use crate::{setup, setup_with};

/// The round whose turn and features are corrupted in transit; the turn brings gradients.
const ROUND: u64 = 2;
const TURN: Link = Link { k: 0, t: 1 };
const FEATURES: Link = Link { k: 1, t: 1 };

const TICKS: usize = 5;
const RECEIVERS: usize = 2;
const MODALITIES_OF_1: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Link {
    k: usize,
    t: usize,
}

/// The first stream always moves first; letters are altered in transit.
pub(crate) struct Tampering<F>(pub(crate) F);

impl<F: FnMut(Letter) -> Vec<Letter>> Delivery for Tampering<F> {
    fn choose(&mut self, _streams: usize) -> usize {
        0
    }

    fn pass(&mut self, letter: Letter) -> Vec<Letter> {
        (self.0)(letter)
    }
}

/// The damage to a message, and words of the resulting error.
type Damage<M> = (fn(&mut M), &'static str);

#[test]
fn a_turn_that_does_not_fit_is_refused() {
    let cases: [Damage<Turn>; 22] = [
        (|turn| turn.stamp = None, "no stamp"),
        (|turn| stamp(&mut turn.stamp).run = Bytes::from_static(b"other"), "of another run"),
        (|turn| stamp(&mut turn.stamp).incarnation = 3, "of incarnation 3, expected 0"),
        (|turn| stamp(&mut turn.stamp).transmitter = 2, "of transmitter 2, expected 0"),
        (|turn| stamp(&mut turn.stamp).receiver = 0, "of receiver 0, expected 1"),
        (|turn| stamp(&mut turn.stamp).round = 1, "of moment round 1, expected round 2"),
        (|turn| stamp(&mut turn.stamp).phase = 1, "of moment piece 2 of evaluation pass 0, expected round 2"),
        (|turn| stamp(&mut turn.stamp).phase = 7, "of phase 7, expected 0, 1 or 2"),
        (|turn| turn.gradients = None, "no gradients"),
        (|turn| gradients(turn).z = None, "no gradient of z"),
        (|turn| z(&mut gradients(turn).z).element = 9, "gradient of z has element type 9, expected f32"),
        (|turn| z(&mut gradients(turn).z).shape.swap(0, 2), "gradient of z has shape [4, 3, "),
        (|turn| z(&mut gradients(turn).z).shape.clear(), "gradient of z has shape [], expected"),
        (|turn| shorten(z(&mut gradients(turn).z)), "gradient of z has 4 bytes, expected"),
        (|turn| poison(z(&mut gradients(turn).z)), "gradient of z holds NaN at position 0"),
        // One of a tick at which it did not request is one too many.
        (|turn| gradients(turn).costs.push(0.5), "costs has "),
        (|turn| gradients(turn).costs.clear(), "costs has 0 values, expected "),
        (|turn| gradients(turn).costs[0] = f64::INFINITY, "costs holds inf at position 0"),
        (|turn| turn.requests = None, "sent a closing turn in mid-stretch"),
        (|turn| turn.requests = Some(Requests { ticks: Bytes::new() }), "requests has 0 bytes, expected 1"),
        (
            |turn| turn.requests = Some(Requests { ticks: Bytes::from_static(&[0, 0]) }),
            "requests has 2 bytes, expected 1",
        ),
        (
            |turn| turn.requests = Some(Requests { ticks: encode_ticks(&[true; 6]) }),
            "requests names 5, but there are only 5",
        ),
    ];
    refuses_turns(&setup(), 0, &cases);
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let cases: [Damage<Features>; 24] = [
        (|features| features.stamp = None, "no stamp"),
        (|features| stamp(&mut features.stamp).run = Bytes::new(), "of another run"),
        (|features| stamp(&mut features.stamp).incarnation = 3, "of incarnation 3, expected 0"),
        (|features| stamp(&mut features.stamp).transmitter = 2, "of transmitter 2, expected 1"),
        (|features| stamp(&mut features.stamp).receiver = 0, "of receiver 0, expected 1"),
        (|features| stamp(&mut features.stamp).round = 3, "of moment round 3, expected round 2"),
        (|features| stamp(&mut features.stamp).phase = 1, "of moment piece 2 of evaluation pass 0, expected"),
        (|features| features.choices = Bytes::new(), "no well-formed choices"),
        (|features| lengthen(&mut features.choices), "no well-formed choices"),
        (pass_over, "of choices 0 for this receiver at tick"),
        (|features| features.granted = Bytes::new(), "(tick, modality) none, expected ("),
        (|features| features.granted = Bytes::from_static(&[1]), "granted has 1 bytes, expected 2"),
        (|features| flip(&mut features.granted, 15), "granted names 15, but there are only 15"),
        (|features| features.granted = Bytes::from_static(&[0; 2]), "granted has 2 bytes, expected 0"),
        (|features| features.granted = Bytes::from_static(&[0xff, 0x7f]), "by the cap's draw"),
        (|features| features.coded = Some(v1::Coded::default()), "no coded features to expect"),
        (|features| features.z = None, "no z"),
        (|features| z(&mut features.z).element = 0, "z has element type 0, expected f32"),
        (|features| z(&mut features.z).shape[1] = 4, "z has shape ["),
        (|features| shorten(z(&mut features.z)), "z has 4 bytes, expected"),
        (|features| poison(z(&mut features.z)), "z holds NaN at position 0"),
        (|features| features.rates.push(0.0), "rates has"),
        (|features| features.rates[1] = f64::NAN, "rates holds NaN at position 1"),
        (|features| features.costs.push(0.5), "costs has 1 values, expected 0"),
    ];
    refuses_features(&setup(), 0, &cases);
}

#[test]
fn choices_of_all_ticks_that_do_not_fit_are_refused() {
    let cases: [Damage<Features>; 5] = [
        (|features| features.choices = Bytes::from_static(&[0; 3]), "no well-formed choices"),
        (|features| features.choices = Bytes::from_static(&[0; 5]), "no well-formed choices"),
        (|features| features.choices = Bytes::from_static(&[0, 0, 0, 128]), "no well-formed choices"),
        (|features| request(features, true), "for this receiver at tick"),
        (|features| request(features, false), "of choices 0 for this receiver at tick"),
    ];
    refuses_features(&setup_with(&["train.gamma=0.1", "train.sparse_term=global"]), 0, &cases);
}

#[test]
fn costs_of_all_receivers_that_do_not_fit_are_refused() {
    let setup = setup_with(&["train.objective=worst"]);
    let cases: [Damage<Features>; 7] = [
        (|features| stamp(&mut features.stamp).part = 0, "of moment round 2, expected part 1 of round 2"),
        (|features| features.costs.clear(), "costs has 0 values, expected 10"),
        (|features| features.costs.push(1.0), "costs has 11 values, expected 10"),
        (|features| features.costs[0] = f64::NAN, "costs holds NaN at position 0"),
        (|features| features.costs[FEATURES.t * TICKS] += 1.0, "no costs of this receiver as it sent them"),
        (|features| features.costs[0] += 1.0, "tells other costs of the receivers than transmitter 0"),
        (|features| features.rates.push(0.0), "no message of costs alone"),
    ];
    refuses_features(&setup, 1, &cases);
    let cases: [Damage<Turn>; 3] = [
        (
            |turn| {
                gradients(turn).costs.pop();
            },
            "costs has 4 values, expected 5",
        ),
        (|turn| turn.gradients = None, "no gradients"),
        (
            |turn| turn.requests = Some(Requests { ticks: encode_ticks(&[true; TICKS]) }),
            "requests where costs are due",
        ),
    ];
    refuses_turns(&setup, 1, &cases);
}

#[test]
fn gradients_of_no_round_are_refused() {
    let failure = failure(|mut letter| {
        if let (true, Message::Turn(turn)) = (is_at(&letter, TURN, 0), &mut letter.message) {
            turn.gradients = Some(Gradients::default());
        }
        vec![letter]
    });
    assert_blamed(failure, Node::Transmitter(TURN.k), "receiver 1", "no round that its gradients belong to");
}

#[test]
fn gradients_in_an_evaluation_are_refused() {
    let failure = failure(|mut letter| {
        if let Message::Turn(turn) = &mut letter.message
            && stamp(&mut turn.stamp).phase() == v1::Phase::Evaluate
        {
            turn.gradients = Some(Gradients::default());
        }
        vec![letter]
    });
    assert_blamed(failure, Node::Transmitter(0), "receiver 0", "no round that its gradients belong to");
}

#[test]
fn what_a_turn_says_of_the_entries_that_were_used_is_checked() {
    let skipping = setup_with(&["straggler.policy=skip"]);
    let used = |bytes: &'static [u8]| Some(Used { entries: Bytes::from_static(bytes) });
    for (setup, used, complaint) in [
        (&setup(), used(&[]), "no gradients of some entries, though straggler.policy is \"wait\""),
        // None was used, but gradients come; all and more; half a dozen of three to eight.
        (&skipping, used(&[]), "gradient of z has shape ["),
        (&skipping, used(&[255, 255, 255]), "used entries has 3 bytes, expected 1"),
        (&skipping, used(&[255]), "used entries names "),
    ] {
        let tamper = |mut letter: Letter| {
            if let (true, Message::Turn(turn)) = (is_at(&letter, TURN, ROUND), &mut letter.message) {
                gradients(turn).used.clone_from(&used);
            }
            vec![letter]
        };
        let failure = failure_in(setup, &mut Tampering(tamper));
        assert_blamed(failure, Node::Transmitter(TURN.k), "receiver 1", complaint);
    }
}

#[test]
fn an_answer_that_was_given_up_must_still_be_the_one_that_is_owed() {
    /// The last stream moves first, so that transmitter 0 is too late for all receivers.
    struct Late;

    impl Delivery for Late {
        fn choose(&mut self, streams: usize) -> usize {
            streams - 1
        }

        fn pass(&mut self, mut letter: Letter) -> Vec<Letter> {
            if let (true, Message::Features(features)) =
                (is_at(&letter, Link { k: 0, t: 0 }, ROUND), &mut letter.message)
            {
                stamp(&mut features.stamp).round += 1;
            }
            vec![letter]
        }

        fn ends_patience(&mut self) -> bool {
            true
        }
    }

    let failure = failure_in(&setup_with(&["straggler.policy=skip"]), &mut Late);
    assert_blamed(failure, Node::Receiver(0), "transmitter 0", "of moment round 3, expected round 2");
}

#[test]
fn turns_that_do_not_wait_for_an_answer_are_refused() {
    let failure = failure(|letter| match is_at(&letter, Link { k: 0, t: 0 }, 0) {
        true => vec![letter; 3],
        false => vec![letter],
    });
    assert_blamed(failure, Node::Transmitter(0), "receiver 0", "sends turns without waiting");
}

#[test]
fn features_that_come_twice_are_refused() {
    // Before the other transmitters have answered, and after: then the second comes for the next turn.
    for (k, complaint) in
        [(0, "sent features twice for one turn"), (2, "of moment round 2, expected round 3")]
    {
        let failure = failure(|letter| match (&letter.message, is_at(&letter, Link { k, t: 0 }, ROUND)) {
            (Message::Features(_), true) => vec![letter; 2],
            _ => vec![letter],
        });
        let peer = format!("transmitter {k}");
        assert_blamed(failure, Node::Receiver(0), &peer, complaint);
    }
}

/// Asserts that the reader refuses a turn of a round's part with any of these damages.
fn refuses_turns(setup: &Setup, part: u64, cases: &[Damage<Turn>]) {
    for (corrupt, complaint) in cases {
        let tamper = |mut letter: Letter| {
            if is_at(&letter, TURN, ROUND)
                && let Message::Turn(turn) = &mut letter.message
                && stamp(&mut turn.stamp).part == part
            {
                corrupt(turn);
            }
            vec![letter]
        };
        let failure = failure_in(setup, &mut Tampering(tamper));
        assert_blamed(failure, Node::Transmitter(TURN.k), "receiver 1", complaint);
    }
}

/// The same for features.
fn refuses_features(setup: &Setup, part: u64, cases: &[Damage<Features>]) {
    for (corrupt, complaint) in cases {
        let tamper = |mut letter: Letter| {
            if is_at(&letter, FEATURES, ROUND)
                && let Message::Features(features) = &mut letter.message
                && stamp(&mut features.stamp).part == part
            {
                corrupt(features);
            }
            vec![letter]
        };
        let failure = failure_in(setup, &mut Tampering(tamper));
        assert_blamed(failure, Node::Receiver(FEATURES.t), "transmitter 1", complaint);
    }
}

/// How a network ends when its letters are altered.
fn failure(tamper: impl FnMut(Letter) -> Vec<Letter>) -> Option<Failure> {
    failure_in(&setup(), &mut Tampering(tamper))
}

fn failure_in(setup: &Setup, delivery: &mut dyn Delivery) -> Option<Failure> {
    let mut network = LocalNetwork::new(setup, 0, None).unwrap();
    network.order(&Order::Train(Train { to: ROUND + 2 }));
    network.order(&Order::Evaluate(Evaluate { passes: 1, validation: false }));
    network.run(delivery).err()
}

/// Asserts who gave up and why; returns the error.
pub(crate) fn assert_blamed(failure: Option<Failure>, reader: Node, sender: &str, complaint: &str) -> String {
    let failure = failure.unwrap_or_else(|| panic!("nobody noticed: {complaint}"));
    let error = failure.error.to_string();
    assert_eq!(failure.node, reader, "{error}");
    assert!(error.contains(sender) && error.contains(complaint), "\"{error}\" instead of \"{complaint}\"");
    assert!(!error.contains('\n'), "\"{error}\" is more than a line");
    error
}

/// Whether a letter belongs to a link and to a training round.
fn is_at(letter: &Letter, link: Link, round: u64) -> bool {
    let stamp = match &letter.message {
        Message::Turn(turn) => turn.stamp.as_ref(),
        Message::Features(features) => features.stamp.as_ref(),
    };
    let is_of_round = |stamp: &Stamp| stamp.phase() == v1::Phase::Train && stamp.round == round;
    link == Link { k: letter.k, t: letter.t } && stamp.is_some_and(is_of_round)
}

fn stamp(stamp: &mut Option<Stamp>) -> &mut Stamp {
    stamp.as_mut().unwrap()
}

fn gradients(turn: &mut Turn) -> &mut Gradients {
    turn.gradients.as_mut().unwrap()
}

fn z(tensor: &mut Option<Tensor>) -> &mut Tensor {
    tensor.as_mut().unwrap()
}

/// Reduces a payload to one value.
fn shorten(tensor: &mut Tensor) {
    tensor.data = tensor.data.slice(..4);
}

/// Sets a payload's first value to NaN.
fn poison(tensor: &mut Tensor) {
    tensor.data = [&f32::NAN.to_le_bytes(), &tensor.data[4..]].concat().into();
}

fn flip(bits: &mut Bytes, place: usize) {
    let mut bytes = bits.to_vec();
    bytes[place / 8] ^= 1 << (place % 8);
    *bits = bytes.into();
}

pub(crate) fn lengthen(bytes: &mut Bytes) {
    *bytes = [&bytes[..], &[0]].concat().into();
}

/// Chooses nothing for the receiver at the first tick that it is told of: the bits behind receiver 0's.
fn pass_over(features: &mut Features) {
    let mut bytes = features.choices.to_vec();
    bytes[0] &= !(0b111 << (FEATURES.t * MODALITIES_OF_1));
    features.choices = bytes.into();
}

/// In choices of all ticks, claims one for the receiver at the first tick at which it did not request; or none at the
/// first at which it did.
fn request(features: &mut Features, claim: bool) {
    let before = ChoiceGrid::from_bytes(TICKS, RECEIVERS, MODALITIES_OF_1, &features.choices).unwrap();
    let chosen = |tick: usize| before.choices_at(tick).iter().any(|(t, _)| *t == FEATURES.t);
    let target =
        (0..TICKS).find(|&tick| chosen(tick) != claim).expect("it requests at some ticks and not at others");
    let mut after = ChoiceGrid::new(TICKS, RECEIVERS, MODALITIES_OF_1);
    for tick in 0..TICKS {
        for (t, m) in before.choices_at(tick) {
            if (tick, t) != (target, FEATURES.t) {
                after.set(tick, t, m);
            }
        }
    }
    if claim {
        after.set(target, FEATURES.t, 0);
    }
    features.choices = after.to_bytes().into();
}
