//! Dithered features on the wire: streams that are read with tables, in any order and after any restart.

use bytes::Bytes;
use dib::coding::EntryTable;
use proto::v1::{Coded, Features, Spent, TransmitterPass, report::Report};
use randomness::{Purpose, Seed};

use crate::coded_features::{coded, failure, first, of_letter, shorten, tables};
use crate::refusals::{Tampering, assert_blamed, lengthen};
use crate::rounds::{
    MODALITIES, RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train,
};
use crate::setup_with;
use crate::stragglers::Impatient;
use crate::support::local_network::{Letter, LocalNetwork, Message, Node, Setup, Shuffled};

const DITHERED: [&str; 3] = ["train.coding=dithered", "train.rate_estimator=prior", "train.table_every=3"];

fn dithered(more: &[&str]) -> Setup {
    setup_with(&[&DITHERED, more].concat())
}

#[test]
fn integers_travel_and_tables_come_before_they_are_needed() {
    let network = play(&dithered(&[]), None, &[train(ROUNDS), evaluate()], &mut Shuffled::new(0));
    for (k, &modalities) in MODALITIES.iter().enumerate() {
        for t in 0..RECEIVERS {
            let link = network.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t));
            let mut known = (u64::MAX, vec![false; modalities]);
            for features in link.filter_map(of_letter) {
                assert_told(k, features, &mut known);
            }
        }
    }
}

/// A message brings the tables that it is coded with and that have not come, and no others. `known` are the number of
/// the last tables and the modalities of which one has come.
fn assert_told(k: usize, features: &Features, (number, has): &mut (u64, Vec<bool>)) {
    let stamp = features.stamp.as_ref().unwrap();
    assert!(features.z.is_none());
    let Coded { table, stream, rates } = features.coded.as_ref().unwrap();
    let entries = proto::granted(features, MODALITIES[k]);
    assert_eq!(
        (stream.is_empty(), rates.len(), features.rates.len()),
        (entries.is_empty(), entries.len(), 0)
    );
    let is_evaluation = stamp.phase() == proto::v1::Phase::Evaluate;
    let expected = if is_evaluation { 2 * ROUNDS + 1 } else { 2 * (stamp.round / 3 * 3) };
    assert!(stream.is_empty() || *table == expected, "table {table} in round {}", stamp.round);
    let is_new = *number != expected;
    if is_evaluation && is_new {
        has.fill(false);
    }
    let Some(tables) = &features.tables else {
        assert!(!is_new && entries.iter().all(|&(_, m)| has[m]), "{stamp:?}: tables are missing");
        return;
    };
    assert_eq!((tables.number, tables.entries.len()), (expected, MODALITIES[k]));
    *number = expected;
    for (m, bytes) in tables.entries.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
        assert!(entries.iter().any(|&(_, of)| of == m), "{stamp:?}: nothing is coded with the table of {m}");
        let table = EntryTable::from_bytes(bytes, 4).unwrap();
        assert_eq!((table.len(), table.to_bytes()), (4, bytes.to_vec()));
        has[m] = true;
    }
    assert!(entries.iter().all(|&(_, m)| has[m]), "{stamp:?}: a table is missing");
}

/// A round that ends with all costs has no closing turn, and is no stretch by itself.
#[test]
fn tables_come_once_where_rounds_end_with_costs() {
    let setup = dithered(&["train.objective=worst", "train.credit=own"]);
    let whole = play(&setup, None, &[train(ROUNDS), save(ROUNDS)], &mut Shuffled::new(0));
    for (k, t) in (0..TRANSMITTERS).flat_map(|k| (0..RECEIVERS).map(move |t| (k, t))) {
        let link = whole.letters.iter().filter(|letter| (letter.k, letter.t) == (k, t));
        let mut came = std::collections::BTreeSet::new();
        for tables in link.filter_map(of_letter).filter_map(|features| features.tables.as_ref()) {
            for (m, _) in tables.entries.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
                assert!(came.insert((tables.number, m)), "table {} of modality {m} twice", tables.number);
            }
        }
    }
    // Behind an evaluation, whose tables are others, training has its own again.
    let orders = [train(4), save(4), evaluate(), train(ROUNDS), save(ROUNDS)];
    let expected = play(&setup, None, &orders, &mut Stubborn::First);
    assert_same(&whole, &expected);
}

/// Tables are made anew only when ten times their bytes have been coded with them: they stay a tenth of all, but for
/// those that a stretch began with and the last.
#[test]
fn tables_take_a_tenth_of_what_is_coded_with_them() {
    let setup = dithered(&["train.table_every=1", "train.samples_per_tick=40", "train.rounds=120"]);
    let network = play(&setup, None, &[train(120), save(120)], &mut Shuffled::new(0));
    let (mut coded, mut tables, mut renewals) = (0, 0, 0);
    for features in network.letters.iter().filter_map(of_letter) {
        coded += features.coded.as_ref().unwrap().stream.len();
        let entries =
            features.tables.iter().flat_map(|tables| &tables.entries).filter(|bytes| !bytes.is_empty());
        for bytes in entries {
            tables += bytes.len();
            renewals += 1;
        }
    }
    let entries = MODALITIES.iter().sum::<usize>() * RECEIVERS;
    assert!(renewals > 2 * entries, "{renewals} tables: the test has lost its point");
    assert!(tables * 10 < coded * 13, "{tables} bytes of tables for {coded} coded");
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

#[test]
fn simulated_features_travel_as_numbers_in_evaluations_alone() {
    let simulated = ["train.coding=simulated", "train.rate_estimator=prior"];
    let orders = [train(2), save(2), evaluate()];
    let network = play(&setup_with(&simulated), None, &orders, &mut Shuffled::new(0));
    let mut entries = 0;
    for features in network.letters.iter().filter_map(of_letter) {
        let is_evaluation = features.stamp.as_ref().unwrap().phase() == proto::v1::Phase::Evaluate;
        assert_eq!((features.coded.is_some(), features.z.is_some()), (is_evaluation, !is_evaluation));
        let granted = proto::set_bits(&features.granted).count();
        assert_eq!(features.rates.len(), granted);
        if let Some(Coded { table, stream, rates }) = &features.coded {
            assert!(rates.is_empty() && stream.is_empty() == (granted == 0));
            assert!(granted == 0 || *table == 5);
            entries += granted;
        }
    }
    assert!(entries > 0, "nothing was granted: the test has lost its point");
    // It trains as Gaussian features do.
    let gaussian = play(&setup_with(&simulated[1..]), None, &orders[..2], &mut Shuffled::new(1));
    assert_eq!(network.snapshots[&2], gaussian.snapshots[&2]);
    let again = play(&setup_with(&simulated), None, &orders, &mut Shuffled::new(2));
    assert_eq!(passes(&again), passes(&network));
}

/// What all nodes report of evaluation passes.
fn passes(network: &LocalNetwork) -> Vec<Report> {
    let is_pass = |report: &&Report| matches!(report, Report::ReceiverPass(_) | Report::TransmitterPass(_));
    network.reports.values().flatten().filter(is_pass).cloned().collect()
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

/// Gives transmitter 1 the largest gradients that are finite.
fn overwhelm(mut letter: Letter) -> Vec<Letter> {
    if let (1, Message::Turn(turn)) = (letter.k, &mut letter.message)
        && let Some(z) = turn.gradients.as_mut().and_then(|gradients| gradients.z.as_mut())
    {
        z.data = f32::MAX.to_le_bytes().repeat(z.data.len() / 4).into();
    }
    vec![letter]
}

/// NaN has no integer code, and nothing is nearest to it: the run ends with each coding.
#[test]
fn an_encoder_that_puts_out_no_number_ends_the_run_with_a_line_that_names_its_entry() {
    let book = ["train.coding=code-book", "train.code_groups=2"];
    for setup in [dithered(&[]), setup_with(&["train.method=vddib"]), setup_with(&book)] {
        let mut network = LocalNetwork::new(&setup, 0, None).unwrap();
        network.order(&train(ROUNDS));
        let failure = network.run(&mut Tampering(overwhelm)).err();
        let complaint = ": its encoder puts out NaN; try a smaller";
        let error = assert_blamed(failure, Node::Transmitter(1), "transmitter 1, ", complaint);
        assert!(error.contains(" for receiver "), "{error}");
    }
}

/// The damage to a message, and words of the resulting error.
type Damage = (fn(&mut Features), &'static str);

#[test]
fn damaged_tables_and_streams_are_refused_by_name() {
    let cases: [Damage; 11] = [
        (|features| features.coded = None, "no coded features"),
        (|features| features.z = Some(proto::v1::Tensor::default()), "z is there beside coded features"),
        (|features| coded(features).table += 1, "is coded with table 1, which has not come"),
        (|features| shorten(&mut coded(features).stream), "the stream of coded features "),
        (|features| lengthen(&mut coded(features).stream), "the stream of coded features has 1 bytes after"),
        (|features| features.tables = None, "is coded with table 0, which has not come"),
        (|features| tables(features).fill(Bytes::new()), "is coded with table 0 of modality "),
        (|features| coded(features).rates.truncate(0), "coded rates has 0 values, expected"),
        (|features| drop(tables(features).pop()), "tables has 2 entries, expected 3"),
        (|features| shorten(first(tables(features))), " ends before its last symbol"),
        (|features| *first(tables(features)) = Bytes::from_static(&[0; 40]), " has a step of 0"),
    ];
    for (corrupt, complaint) in cases {
        let failure =
            failure(&dithered(&[]), corrupt).unwrap_or_else(|| panic!("nobody noticed: {complaint}"));
        let error = failure.error.to_string();
        assert!(
            error.contains("transmitter 1") && error.contains(complaint),
            "{error} instead of {complaint}"
        );
        assert!(!error.contains('\n'), "{error} is more than a line");
    }
}
