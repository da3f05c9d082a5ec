//! Dithered features on the wire: streams that are read with tables, in any order and after any restart.

use bytes::Bytes;
use dib::coding::EntryTable;
use proto::v1::{Coded, Features, Spent, TransmitterPass, order::Order, report::Report};
use randomness::{Purpose, Seed, Stream};

use crate::rounds::{RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train};
use crate::setup_with;
use crate::support::local_network::{Delivery, Failure, Letter, LocalNetwork, Message, Setup, Shuffled};

const DITHERED: [&str; 3] = ["train.coding=dithered", "train.rate_estimator=prior", "train.table_every=3"];

fn dithered(more: &[&str]) -> Setup {
    setup_with(&[&DITHERED, more].concat())
}

fn features(network: &LocalNetwork) -> impl Iterator<Item = &Features> {
    network.letters.iter().filter_map(|letter| match &letter.message {
        Message::Features(features) => Some(features),
        Message::Turn(_) => None,
    })
}

#[test]
fn integers_travel_and_tables_come_before_they_are_needed() {
    let network = play(&dithered(&[]), None, &[train(ROUNDS), evaluate()], &mut Shuffled::new(0));
    let mut with_tables = 0;
    for features in features(&network) {
        let stamp = features.stamp.as_ref().unwrap();
        assert!(features.z.is_none());
        let Coded { table, stream } = features.coded.as_ref().unwrap();
        assert_eq!(stream.is_empty(), features.granted.is_empty());
        let is_evaluation = stamp.phase() == proto::v1::Phase::Evaluate;
        let expected = if is_evaluation { 2 * ROUNDS + 1 } else { 2 * (stamp.round / 3 * 3) };
        assert!(stream.is_empty() || *table == expected, "table {table} in round {}", stamp.round);
        let is_due =
            if is_evaluation { stamp.pass == 0 && stamp.round == 0 } else { stamp.round.is_multiple_of(3) };
        assert_eq!(features.tables.is_some(), is_due, "{stamp:?}");
        with_tables += usize::from(is_due);
    }
    assert_eq!(with_tables, 4 * TRANSMITTERS * RECEIVERS);
}

#[test]
fn order_parts_and_a_new_start_in_between_change_no_bit() {
    let orders = [train(ROUNDS), save(ROUNDS)];
    let long = ["train.ticks_per_round=13"];
    for coding in ["train.coding=dithered", "train.coding=gaussian"] {
        let setup = dithered(&[coding, long[0]]);
        let expected = play(&setup, None, &orders, &mut Stubborn::First);
        for number in 0..2 {
            assert_same(&play(&setup, None, &orders, &mut Shuffled::new(number)), &expected);
        }
        let parts = dithered(&[coding, long[0], "train.ticks_per_part=10"]);
        assert_same(&play(&parts, None, &orders, &mut Shuffled::new(2)), &expected);
        // At round 3 tables are due, at round 5 they are not.
        for middle in [3, 5] {
            let before = play(&setup, None, &[train(middle), save(middle)], &mut Shuffled::new(3));
            let snapshot = Some(&before.snapshots[&middle]);
            assert_same(&play(&setup, snapshot, &orders, &mut Shuffled::new(4)), &expected);
        }
    }
}

#[test]
fn a_pass_reports_the_rates_of_its_features() {
    let evaluated = |more: &[&str]| {
        let network = play(&setup_with(more), None, &[train(2), evaluate()], &mut Shuffled::new(0));
        let passes = network.reports.into_values().flatten().filter_map(|report| match report {
            Report::TransmitterPass(TransmitterPass { spent, .. }) => spent,
            _ => None,
        });
        passes.collect::<Vec<Spent>>()
    };
    let sum = |spent: &[Spent], of: fn(&Spent) -> Option<f64>| -> Option<f64> { spent.iter().map(of).sum() };
    let plain = evaluated(&[]);
    assert!(plain.iter().all(|spent| spent.samples == 30 && spent.message_bytes > 0));
    assert_eq!(sum(&plain, |spent| spent.coded_bits), None);
    let dithered = evaluated(&DITHERED);
    // For the entries of the first pass only, since a transmitter may grant none.
    let some: Vec<Spent> =
        dithered.into_iter().filter(|spent| spent.prior.is_some_and(|prior| prior > 0.0)).collect();
    let (prior, bits) =
        (sum(&some, |spent| spent.prior).unwrap(), sum(&some, |spent| spent.coded_bits).unwrap());
    let coded = bits * std::f64::consts::LN_2;
    // After two rounds many values are far from the prior, where escaping costs less than the prior says.
    assert!(coded > 0.8 * prior && coded < 1.15 * prior, "{coded} nats coded for {prior}");
    assert!(some.iter().all(|spent| 8.0 * spent.message_bytes as f64 > spent.coded_bits.unwrap()));
}

/// Any stream moves next, and any patience ends at once.
struct Impatient(Stream);

impl Delivery for Impatient {
    fn choose(&mut self, streams: usize) -> usize {
        self.0.below(streams as u64) as usize
    }

    fn ends_patience(&mut self) -> bool {
        true
    }
}

#[test]
fn tables_of_messages_that_come_too_late_are_kept() {
    for number in 0..6 {
        let setup = dithered(&["straggler.policy=skip", "train.table_every=2"]);
        let stream = Seed::from_number(number).stream(Purpose::Test, &[], 0);
        let network = play(&setup, None, &[train(ROUNDS), save(ROUNDS), evaluate()], &mut Impatient(stream));
        assert_eq!(network.snapshots[&ROUNDS].len(), TRANSMITTERS + RECEIVERS, "some did not finish");
    }
}

/// The damage to a message, and words of the resulting error.
type Damage = (fn(&mut Features), &'static str);

#[test]
fn damaged_tables_and_streams_are_refused_by_name() {
    let cases: [Damage; 9] = [
        (|features| features.coded = None, "no coded features"),
        (|features| features.z = Some(proto::v1::Tensor::default()), "z is there beside coded features"),
        (|features| coded(features).table += 1, "is coded with table 1, which has not come"),
        (|features| shorten(&mut coded(features).stream), "the stream of coded features "),
        (|features| lengthen(&mut coded(features).stream), "the stream of coded features has 1 bytes after"),
        (|features| features.tables = None, "is coded with table 0, which has not come"),
        (|features| drop(tables(features).pop()), "tables has 2 entries, expected 3"),
        (|features| shorten(&mut tables(features)[1]), "the table of modality 1 ends before its last symbol"),
        (
            |features| tables(features)[2] = Bytes::from_static(&[0; 40]),
            "the table of modality 2 has a step of 0",
        ),
    ];
    for (corrupt, complaint) in cases {
        let failure = failure(corrupt).unwrap_or_else(|| panic!("nobody noticed: {complaint}"));
        let error = failure.error.to_string();
        assert!(
            error.contains("transmitter 1") && error.contains(complaint),
            "{error} instead of {complaint}"
        );
        assert!(!error.contains('\n'), "{error} is more than a line");
    }
}

/// The result of damaging the first message with entries from transmitter 1 to any receiver.
fn failure(corrupt: fn(&mut Features)) -> Option<Failure> {
    struct Damaging(fn(&mut Features));
    impl Delivery for Damaging {
        fn choose(&mut self, _streams: usize) -> usize {
            0
        }
        fn pass(&mut self, mut letter: Letter) -> Vec<Letter> {
            if let (1, Message::Features(features)) = (letter.k, &mut letter.message)
                && !features.granted.is_empty()
            {
                (self.0)(features);
            }
            vec![letter]
        }
    }
    let mut network = LocalNetwork::new(&dithered(&[]), 0, None).unwrap();
    network.order(&train(1));
    network.order(&Order::Save(proto::v1::SaveState { version: 1 }));
    network.run(&mut Damaging(corrupt)).err()
}

fn coded(features: &mut Features) -> &mut Coded {
    features.coded.as_mut().unwrap()
}

fn tables(features: &mut Features) -> &mut Vec<Bytes> {
    &mut features.tables.as_mut().unwrap().entries
}

fn shorten(bytes: &mut Bytes) {
    bytes.truncate(bytes.len() - 1);
}

fn lengthen(bytes: &mut Bytes) {
    *bytes = [&bytes[..], &[0]].concat().into();
}

#[test]
fn a_table_from_the_wire_equals_the_original() {
    let network = play(&dithered(&[]), None, &[train(1), save(1)], &mut Shuffled::new(0));
    let tables = features(&network).flat_map(|features| &features.tables.as_ref().unwrap().entries);
    for bytes in tables {
        let table = EntryTable::from_bytes(bytes, 4).unwrap();
        assert_eq!((table.len(), table.to_bytes()), (4, bytes.to_vec()));
    }
}
