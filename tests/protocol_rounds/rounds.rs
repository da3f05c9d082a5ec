//! The number and size of the nodes' messages; and that results do not depend on their order of arrival.

use crate::support::local_network::{
    Delivery, Letter, LocalNetwork, Message, Node, Setup, Shuffled, Snapshot,
};
use crate::{setup, setup_with};
use dib::{ChoiceGrid, Phase, grants};
use proto::{
    decode_ticks,
    v1::{
        self, Evaluate, Features, ReceiverRound, SaveState, Stop, Train, Turn, order::Order, report::Report,
    },
};

pub(crate) const TRANSMITTERS: usize = 3;
pub(crate) const RECEIVERS: usize = 2;
/// m(k).
pub(crate) const MODALITIES: [usize; 3] = [2, 3, 1];
pub(crate) const ROUNDS: u64 = 7;
const PASSES: u64 = 2;
/// The 30 test samples in pieces of a round's size.
const PIECES: u64 = 2;

/// The kind of a letter, as far as the protocol prescribes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Turn { round: u64, gradients: bool, requests: bool },
    Features { round: u64 },
    TurnOfPiece { pass: u64, piece: u64, gradients: bool, requests: bool },
    FeaturesOfPiece { pass: u64, piece: u64 },
}

/// Always the first stream, or always the last.
pub(crate) enum Stubborn {
    First,
    Last,
}

impl Delivery for Stubborn {
    fn choose(&mut self, streams: usize) -> usize {
        match self {
            Stubborn::First => 0,
            Stubborn::Last => streams - 1,
        }
    }
}

#[test]
fn a_round_is_one_turn_and_one_answer_on_every_link() {
    let network = trained_and_evaluated(&setup());
    let expected: Vec<Kind> = rounds().chain(pieces()).collect();
    for k in 0..TRANSMITTERS {
        for t in 0..RECEIVERS {
            let link = network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t));
            let kinds: Vec<Kind> = link.map(|letter| kind(&letter.message)).collect();
            assert_eq!(kinds, expected, "on the link of transmitter {k} and receiver {t}");
        }
    }
    for (node, reports) in &network.reports {
        assert!(matches!(reports.last(), Some(Report::Finished(_))), "{node:?} has not finished");
    }
}

#[test]
fn a_round_is_one_causal_round_trip() {
    let network = trained_and_evaluated(&setup());
    for letter in &network.letters {
        let expected = match kind(&letter.message) {
            Kind::Turn { round, .. } => 2 * round + 1,
            Kind::Features { round } => 2 * round + 2,
            // An evaluation need not wait for the step with the closing turns' gradients.
            Kind::TurnOfPiece { pass, piece, .. } => 2 * (ROUNDS + PIECES * pass + piece) + 1,
            Kind::FeaturesOfPiece { pass, piece } => 2 * (ROUNDS + PIECES * pass + piece) + 2,
        };
        assert_eq!(letter.depth as u64, expected, "causes of {:?}", kind(&letter.message));
    }
}

#[test]
fn payloads_have_the_size_of_the_granted_entries() {
    let setup = setup();
    let network = trained_and_evaluated(&setup);
    let (train, d) = (&setup.scenario.train, setup.scenario.network.feature_dim);
    for t in 0..RECEIVERS {
        for (round, report) in receiver_rounds(&network, t).enumerate() {
            let features = features_of_round(&network, round as u64).filter(|(_, to, _)| *to == t);
            let needs = |entries: usize| entries * train.samples_per_tick * d * 4;
            let (mut entries, mut links) = (0, [0; TRANSMITTERS]);
            for (k, _, features) in features {
                let count = granted(k, features).len();
                assert_eq!(payload(&features.z), needs(count));
                let gradients = turn(&network, k, t, round as u64 + 1).gradients.as_ref().unwrap();
                assert_eq!(payload(&gradients.z), needs(count));
                entries += count;
                links[k] += 2 * needs(count) as u64;
            }
            assert_eq!(report.granted.iter().sum::<u32>() as usize, entries);
            assert_eq!(report.feature_bytes as usize, needs(entries));
            assert_eq!(report.gradient_bytes as usize, needs(entries));
            assert_eq!((report.link_bytes.as_slice(), report.link_coded_bits.len()), (&links[..], 0));
            assert!(
                (report.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9
                    && report.probabilities.len() == TRANSMITTERS
            );
        }
    }
}

/// A receiver is told what was chosen for all at the ticks at which it requested, and nothing of others.
#[test]
fn limits_hold_and_receivers_can_recompute_their_grants_from_what_they_are_told() {
    let setup = setup();
    let network = trained_and_evaluated(&setup);
    let limit = setup.scenario.network.transmitter_limit;
    let (mut times_capped, mut untold) = (0, 0);
    for (k, &modalities) in MODALITIES.iter().enumerate() {
        for features in answers_of(&network, k) {
            let stamp = features[0].stamp.as_ref().unwrap();
            let (phase, first_tick, ticks) = match stamp.phase() {
                v1::Phase::Train => (Phase::Train, 5 * stamp.round, 5),
                v1::Phase::Evaluate => (Phase::Evaluate, stamp.pass, 1),
                v1::Phase::Serve => unreachable!("nothing is served"),
            };
            let mut known = vec![None; ticks];
            for (t, features) in features.iter().enumerate() {
                let requested = requested(&network, (k, t), stamp, ticks);
                let told = requested.iter().filter(|requested| **requested).count();
                untold += ticks - told;
                let choices = ChoiceGrid::from_bytes(told, RECEIVERS, modalities, &features.choices);
                let choices = choices.unwrap().spread(&requested);
                let expected = grants(setup.seed, k, phase, first_tick, &choices, limit);
                assert_eq!(granted(k, features), expected.for_receiver(t));
                for tick in (0..ticks).filter(|&tick| requested[tick]) {
                    let chosen = choices.choices_at(tick);
                    times_capped += usize::from(chosen.len() > limit);
                    let first = known[tick].get_or_insert_with(|| chosen.clone());
                    assert_eq!(*first, chosen, "transmitter {k} tells receivers different choices");
                }
            }
            for tick in 0..ticks {
                let granted = features.iter().map(|features| at(tick, k, features)).sum::<usize>();
                assert!(granted <= limit, "transmitter {k} granted {granted} at a tick");
            }
        }
    }
    assert!(times_capped > 0, "the cap never bound: the test has lost its point");
    assert!(untold > 0, "all requested always: the test has lost its point");
}

/// A transmitter is told what the ticks cost at which a receiver requested it, in one message a round, and nothing of
/// others.
#[test]
fn costs_travel_where_a_receiver_requested_and_nowhere_else() {
    let setup = setup();
    let network = trained_and_evaluated(&setup);
    let (mut told, mut untold) = (0, 0);
    for round in 0..ROUNDS {
        for (k, t, features) in features_of_round(&network, round) {
            let requested = requested(&network, (k, t), features.stamp.as_ref().unwrap(), 5);
            let count = requested.iter().filter(|requested| **requested).count();
            let costs = &turn(&network, k, t, round + 1).gradients.as_ref().unwrap().costs;
            assert_eq!(costs.len(), count, "receiver {t} to transmitter {k} in round {round}");
            told += count;
            untold += 5 - count;
        }
    }
    assert!(told > 0 && untold > 0, "{told} told, {untold} not: the test has lost its point");
}

/// Neither in training nor in evaluation does an answer say at length that nothing is granted.
#[test]
fn an_answer_that_grants_nothing_says_nothing() {
    let network = trained_and_evaluated(&setup());
    let mut silent = 0u64;
    for k in 0..TRANSMITTERS {
        for features in answers_of(&network, k).into_iter().flatten() {
            let is_empty = granted(k, features).is_empty();
            assert_eq!(features.granted.is_empty(), is_empty);
            if is_empty && features.choices.is_empty() {
                silent += 1;
                assert!(payload(&features.z) == 0 && features.rates.is_empty());
            }
        }
    }
    // At most two of three transmitters are requested in a pass.
    assert!(silent >= PASSES * PIECES, "{silent}: the test has lost its point");
}

/// With the global sparse term, a receiver is told the choices of all ticks: its selection learns from the oracle's
/// numbers (`of_a_sparse_term_that_counts_everybodys`).
#[test]
fn receivers_are_told_of_all_ticks_under_the_global_sparse_term() {
    let setup = setup_with(&["train.gamma=0.1", "train.sparse_term=global"]);
    let network = play(&setup, None, &[train(2), save(2)], &mut Shuffled::new(0));
    for (k, modalities) in MODALITIES.into_iter().enumerate() {
        for features in answers_of(&network, k) {
            assert_eq!(features[0].choices, features[1].choices);
            assert_eq!(features[0].choices.len(), (5 * RECEIVERS * modalities).div_ceil(8));
        }
    }
}

#[test]
fn receivers_ask_at_least_one_transmitter_and_at_most_their_limit() {
    let setup = setup();
    let network = trained_and_evaluated(&setup);
    for t in 0..RECEIVERS {
        for (round, report) in receiver_rounds(&network, t).enumerate() {
            let mut requests = [0; 5];
            for k in 0..TRANSMITTERS {
                let ticks = &turn(&network, k, t, round as u64).requests.as_ref().unwrap().ticks;
                for (count, requested) in requests.iter_mut().zip(decode_ticks(ticks, 5).unwrap()) {
                    *count += usize::from(requested);
                }
            }
            assert!(requests.iter().all(|count| (1..=setup.scenario.network.receiver_limit).contains(count)));
            assert_eq!(report.most_asks as usize, requests.into_iter().max().unwrap());
        }
    }
}

#[test]
fn what_is_learnt_and_reported_does_not_depend_on_the_order_of_arrival() {
    let setup = setup();
    let orders = [train(2), evaluate(), train(4), train(ROUNDS), save(ROUNDS), evaluate(), stop()];
    let carried_by = |delivery: &mut dyn Delivery| play(&setup, None, &orders, delivery);
    let expected = carried_by(&mut Stubborn::First);
    let mut others = vec![carried_by(&mut Stubborn::Last)];
    others.extend((0..6).map(|number| carried_by(&mut Shuffled::new(number))));
    for other in others {
        assert_same(&other, &expected);
        assert!(other.reports == expected.reports, "the nodes report something else");
    }
}

#[test]
fn what_is_learnt_does_not_depend_on_what_else_happens_between_rounds() {
    let setup = setup();
    let every_round = (1..=ROUNDS).flat_map(|round| [train(round), save(round)]);
    let with_evaluations = [train(1), evaluate(), train(2), train(3), evaluate(), save(3), train(ROUNDS)];
    let expected = play(&setup, None, &[train(ROUNDS), save(ROUNDS)], &mut Shuffled::new(0));
    for orders in [every_round.collect(), [with_evaluations.as_slice(), &[save(ROUNDS)]].concat()] {
        assert_same(&play(&setup, None, &orders, &mut Shuffled::new(1)), &expected);
    }
}

#[test]
fn a_resumed_network_goes_on_as_if_nothing_had_happened() {
    let setup = setup();
    let middle = 3;
    let orders = [train(middle), save(middle), train(ROUNDS), save(ROUNDS), evaluate()];
    let expected = play(&setup, None, &orders, &mut Shuffled::new(0));

    let resumed = play(&setup, Some(&expected.snapshots[&middle]), &orders[2..], &mut Shuffled::new(1));

    assert_same(&resumed, &expected);
    for (node, reports) in &resumed.reports {
        assert!(reports == &expected.reports[node][middle as usize..], "{node:?} reports something else");
    }
}

/// Trains for all rounds, evaluates and stops.
fn trained_and_evaluated(setup: &Setup) -> LocalNetwork {
    play(setup, None, &[train(ROUNDS), evaluate(), stop()], &mut Shuffled::new(0))
}

/// Carries out orders, from the start or from a snapshot (then in another incarnation).
pub(crate) fn play(
    setup: &Setup,
    snapshot: Option<&Snapshot>,
    orders: &[Order],
    delivery: &mut dyn Delivery,
) -> LocalNetwork {
    let mut network = LocalNetwork::new(setup, u64::from(snapshot.is_some()), snapshot).unwrap();
    orders.iter().for_each(|order| network.order(order));
    network.run(delivery).unwrap();
    network
}

pub(crate) fn train(to: u64) -> Order {
    Order::Train(Train { to })
}

pub(crate) fn save(version: u64) -> Order {
    Order::Save(SaveState { version })
}

pub(crate) fn evaluate() -> Order {
    Order::Evaluate(Evaluate { passes: PASSES, validation: false })
}

fn stop() -> Order {
    Order::Stop(Stop {})
}

/// Asserts equal values, moments, step counts and versions of all nodes after the last round, bit for bit.
pub(crate) fn assert_same(network: &LocalNetwork, expected: &LocalNetwork) {
    let (got, expected) = (&network.snapshots[&ROUNDS], &expected.snapshots[&ROUNDS]);
    assert_eq!(got.len(), TRANSMITTERS + RECEIVERS);
    for (node, state) in got {
        assert!(*state == expected[node], "the state of {node:?} differs");
    }
}

/// The letters of a link in training: the last turn closes the stretch.
fn rounds() -> impl Iterator<Item = Kind> {
    let round =
        |round| [Kind::Turn { round, gradients: round > 0, requests: true }, Kind::Features { round }];
    (0..ROUNDS).flat_map(round).chain([Kind::Turn { round: ROUNDS, gradients: true, requests: false }])
}

/// The letters of a link in an evaluation.
fn pieces() -> impl Iterator<Item = Kind> {
    let pieces = (0..PASSES).flat_map(|pass| (0..PIECES).map(move |piece| (pass, piece)));
    pieces.flat_map(|(pass, piece)| {
        [
            Kind::TurnOfPiece { pass, piece, gradients: false, requests: true },
            Kind::FeaturesOfPiece { pass, piece },
        ]
    })
}

fn kind(message: &Message) -> Kind {
    match message {
        Message::Turn(turn) => {
            let stamp = turn.stamp.as_ref().unwrap();
            let (gradients, requests) = (turn.gradients.is_some(), turn.requests.is_some());
            match stamp.phase() {
                v1::Phase::Train => Kind::Turn { round: stamp.round, gradients, requests },
                v1::Phase::Evaluate => {
                    Kind::TurnOfPiece { pass: stamp.pass, piece: stamp.round, gradients, requests }
                }
                v1::Phase::Serve => unreachable!("nothing is served"),
            }
        }
        Message::Features(features) => {
            let stamp = features.stamp.as_ref().unwrap();
            match stamp.phase() {
                v1::Phase::Train => Kind::Features { round: stamp.round },
                v1::Phase::Evaluate => Kind::FeaturesOfPiece { pass: stamp.pass, piece: stamp.round },
                v1::Phase::Serve => unreachable!("nothing is served"),
            }
        }
    }
}

/// Receiver t's turn of a training round to transmitter k.
fn turn(network: &LocalNetwork, k: usize, t: usize, round: u64) -> &Turn {
    let of_round = |letter: &&Letter| {
        (letter.k, letter.t) == (k, t)
            && matches!(kind(&letter.message), Kind::Turn { round: of, .. } if of == round)
    };
    match network.letters.iter().find(of_round).map(|letter| &letter.message) {
        Some(Message::Turn(turn)) => turn,
        _ => panic!("receiver {t} sent transmitter {k} no turn of round {round}"),
    }
}

/// All features of a training round, with their k and t.
fn features_of_round(network: &LocalNetwork, round: u64) -> impl Iterator<Item = (usize, usize, &Features)> {
    network.letters.iter().filter_map(move |letter| match &letter.message {
        Message::Features(features) if kind(&letter.message) == Kind::Features { round } => {
            Some((letter.k, letter.t, features))
        }
        _ => None,
    })
}

/// For each tick of a message, whether receiver t requested transmitter k.
fn requested(network: &LocalNetwork, (k, t): (usize, usize), of: &v1::Stamp, ticks: usize) -> Vec<bool> {
    let requests = network.letters.iter().find_map(|letter| match &letter.message {
        Message::Turn(turn) if (letter.k, letter.t) == (k, t) => {
            let stamp = turn.stamp.as_ref().unwrap();
            let is_it = (stamp.phase, stamp.pass, stamp.round) == (of.phase, of.pass, of.round);
            turn.requests.as_ref().filter(|_| is_it)
        }
        _ => None,
    });
    decode_ticks(&requests.unwrap().ticks, ticks).unwrap()
}

/// The answers of transmitter k at each moment, by receiver.
fn answers_of(network: &LocalNetwork, k: usize) -> Vec<Vec<&Features>> {
    let answers_to = |t: usize| {
        network.letters.iter().filter_map(move |letter| match &letter.message {
            Message::Features(features) if (letter.k, letter.t) == (k, t) => Some(features),
            _ => None,
        })
    };
    answers_to(0).zip(answers_to(1)).map(|(first, second)| vec![first, second]).collect()
}

fn receiver_rounds(network: &LocalNetwork, t: usize) -> impl Iterator<Item = &ReceiverRound> {
    network.reports[&Node::Receiver(t)].iter().filter_map(|report| match report {
        Report::ReceiverRound(report) => Some(report),
        _ => None,
    })
}

fn payload(tensor: &Option<v1::Tensor>) -> usize {
    tensor.as_ref().unwrap().data.len()
}

/// The granted entries (tick, modality) of a message.
fn granted(k: usize, features: &Features) -> Vec<(usize, usize)> {
    proto::granted(features, MODALITIES[k])
}

/// How many entries a message grants at a tick.
fn at(tick: usize, k: usize, features: &Features) -> usize {
    granted(k, features).into_iter().filter(|&(of, _)| of == tick).count()
}
