//! Indices of code books on the wire: read with the vectors of their round, in any order and after any restart.

use bytes::Bytes;
use dib::coding::{CodeShape, CodeVectors, Decoder};
use proto::v1::{Coded, Features};
use randomness::{Purpose, Seed};

use crate::coded_features::{coded, failure, first, of_letter, shorten, tables};
use crate::refusals::{assert_blamed, lengthen};
use crate::rounds::{
    MODALITIES, RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train,
};
use crate::setup_with;
use crate::stragglers::Impatient;
use crate::support::local_network::{Node, Setup, Shuffled};

/// The test network's features have four values: two pieces of two.
const SHAPE: CodeShape = CodeShape { d: 4, groups: 2, bits: 3 };
const BOOK: [&str; 3] = ["train.coding=code-book", "train.code_bits=3", "train.code_groups=2"];

fn with_books(more: &[&str]) -> Setup {
    setup_with(&[&BOOK, more].concat())
}

#[test]
fn indices_travel_and_code_books_come_with_the_first_that_need_them() {
    let network = play(&with_books(&[]), None, &[train(ROUNDS), evaluate()], &mut Shuffled::new(0));
    let mut entries = 0;
    for (k, &modalities) in MODALITIES.iter().enumerate() {
        for t in 0..RECEIVERS {
            let link = network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t));
            let mut known: (u64, Vec<Option<CodeVectors>>) = (u64::MAX, vec![None; modalities]);
            for features in link.filter_map(of_letter) {
                entries += assert_told(k, features, &mut known);
            }
        }
    }
    assert!(entries > 0, "nothing was granted: the test has lost its point");
}

/// A message brings the code books that its indices are of and that have not come, and no others; it has as many bits
/// as its indices, but for the stream's end. Gives how many entries it has.
fn assert_told(k: usize, features: &Features, (number, has): &mut (u64, Vec<Option<CodeVectors>>)) -> usize {
    let stamp = features.stamp.as_ref().unwrap();
    assert!(features.z.is_none());
    let Coded { table, stream, rates } = features.coded.as_ref().unwrap();
    let entries = proto::granted(features, MODALITIES[k]);
    assert_eq!((stream.is_empty(), rates.len()), (entries.is_empty(), 0));
    assert_eq!(features.rates.len(), entries.len());
    let bits = (SHAPE.groups * SHAPE.bits as usize) as f64 * std::f64::consts::LN_2;
    assert!(features.rates.iter().all(|rate| (rate - bits).abs() < 1e-12), "{:?}", features.rates);
    let is_evaluation = stamp.phase() == proto::v1::Phase::Evaluate;
    let expected = if is_evaluation { 2 * ROUNDS + 1 } else { 2 * stamp.round };
    if *number != expected {
        has.fill(None);
        *number = expected;
    }
    if let Some(tables) = &features.tables {
        assert_eq!((tables.number, tables.entries.len()), (expected, MODALITIES[k]));
        for (m, bytes) in tables.entries.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            assert!(entries.iter().any(|&(_, of)| of == m), "{stamp:?}: nothing is coded by the book of {m}");
            assert!(has[m].is_none(), "{stamp:?}: the book of {m} came before");
            let vectors = CodeVectors::from_bytes(bytes, SHAPE).unwrap();
            assert_eq!(vectors.to_bytes(), bytes.to_vec());
            has[m] = Some(vectors);
        }
    }
    if entries.is_empty() {
        assert!(features.tables.is_none(), "{stamp:?}: a code book for nothing");
        return 0;
    }
    assert_eq!(*table, expected);
    let (mut decoder, mut values) = (Decoder::new(stream).unwrap(), Vec::new());
    // A piece has as many samples as a round.
    let samples = if is_evaluation { 15 } else { 3 };
    for &(_, m) in &entries {
        let vectors = has[m].as_ref().unwrap_or_else(|| panic!("{stamp:?}: the book of {m} is missing"));
        vectors.decode(samples, &mut decoder, &mut values).unwrap();
    }
    decoder.finish().unwrap();
    let indices = entries.len() * samples * SHAPE.groups;
    let least = (indices * SHAPE.bits as usize).div_ceil(8);
    assert!((least..=least + 3).contains(&stream.len()), "{} bytes for {indices} indices", stream.len());
    assert_eq!(values.len(), indices * SHAPE.width());
    entries.len()
}

#[test]
fn order_parts_and_a_new_start_in_between_change_no_bit() {
    let orders = [train(ROUNDS), save(ROUNDS)];
    let long = "train.ticks_per_round=13";
    let setup = with_books(&[long]);
    let expected = play(&setup, None, &orders, &mut Stubborn::First);
    for number in 0..2 {
        assert_same(&play(&setup, None, &orders, &mut Shuffled::new(number)), &expected);
    }
    let parts = with_books(&[long, "train.ticks_per_part=10"]);
    assert_same(&play(&parts, None, &orders, &mut Shuffled::new(2)), &expected);
    let before = play(&setup, None, &[train(4), save(4)], &mut Shuffled::new(3));
    let snapshot = Some(&before.snapshots[&4]);
    assert_same(&play(&setup, snapshot, &orders, &mut Shuffled::new(4)), &expected);
    // Behind an evaluation, whose code books have other numbers, training goes on as it would have.
    let orders = [train(4), save(4), evaluate(), train(ROUNDS), save(ROUNDS)];
    assert_same(&play(&setup, None, &orders, &mut Shuffled::new(5)), &expected);
}

#[test]
fn code_books_of_messages_that_come_too_late_do_no_harm() {
    for number in 0..4 {
        let setup = with_books(&["straggler.policy=skip"]);
        let stream = Seed::from_number(number).stream(Purpose::Test, &[], 0);
        let network = play(&setup, None, &[train(ROUNDS), save(ROUNDS), evaluate()], &mut Impatient(stream));
        assert_eq!(network.snapshots[&ROUNDS].len(), TRANSMITTERS + RECEIVERS, "some did not finish");
    }
}

/// The damage to a message, and words of the resulting error.
type Damage = (fn(&mut Features), &'static str);

#[test]
fn damaged_code_books_and_streams_are_refused_by_name() {
    let cases: [Damage; 11] = [
        (|features| features.coded = None, "no coded features"),
        (|features| features.z = Some(proto::v1::Tensor::default()), "z is there beside coded features"),
        (|features| coded(features).table += 1, "is coded with table 1, which has not come"),
        (|features| shorten(&mut coded(features).stream), "the stream of coded features ends before"),
        (|features| lengthen(&mut coded(features).stream), "the stream of coded features has 1 bytes after"),
        (|features| coded(features).rates.push(7), "tells rates beside features that are not dithered"),
        (|features| features.tables = None, "is coded with table 0, which has not come"),
        (|features| tables(features).fill(Bytes::new()), "is coded with table 0 of modality "),
        (|features| drop(tables(features).pop()), "tables has 2 entries, expected 3"),
        (|features| shorten(first(tables(features))), " ends before its last symbol"),
        (|features| spoil(first(tables(features))), " is damaged"),
    ];
    for (corrupt, complaint) in cases {
        let failure = failure(&with_books(&[]), corrupt);
        let reader = failure.as_ref().map_or(Node::Receiver(0), |failure| failure.node);
        assert_blamed(failure, reader, "transmitter 1", complaint);
    }
}

/// Its first number becomes infinite.
fn spoil(book: &mut Bytes) {
    *book = [&f32::INFINITY.to_le_bytes()[..], &book[4..]].concat().into();
}
