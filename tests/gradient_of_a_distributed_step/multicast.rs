//! Features that know no receiver: one for all that are granted it, and its rate once.

use std::collections::BTreeMap;

use proto::v1::Features;

use crate::played_round::{PlayedRound, Start, granted_by, on_one_thread, ticks_of};
use crate::support::local_network::Setup;
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TWO_BY_TWO, agrees_with, features, toy};

/// By transmitter, modality and tick, to how many receivers a feature is sent.
type Recipients = BTreeMap<(usize, usize, usize), usize>;

#[test]
fn of_features_that_all_who_chose_them_are_sent() {
    let more: [&[&str]; 4] = [
        &[],
        &["train.rate_estimator=joint"],
        &["train.gamma=0.3", "train.sparse_term=global"],
        &["train.baseline=leave-one-out", "network.mask=true", "network.joint_map=shared"],
    ];
    for scenario in [TWO_BY_TWO, THREE_BY_TWO] {
        for more in more {
            assert_shared(&plays(&multicast(scenario, more)));
        }
    }
}

#[test]
fn of_multicast_features_by_every_method() {
    for method in ["tadib", "vddib", "dlsc"] {
        let recipients = plays(&multicast(TWO_BY_TWO, &[&format!("train.method={method}")]));
        assert!(recipients.values().all(|&count| count == 2), "{recipients:?}");
    }
    for scenario in [TWO_BY_TWO, TIGHTLY_CAPPED] {
        plays(&multicast(scenario, &["train.method=rs-dib"]));
    }
}

/// E_k = 1 counts features: two receivers may both be served, and of two modalities one goes to all its recipients.
#[test]
fn of_multicast_features_under_a_tight_cap_in_a_round_of_several_parts() {
    let ticks = format!("train.ticks_per_round={}", scenario::GRADIENT_BLOCK_TICKS + 2);
    let recipients = plays(&multicast(TIGHTLY_CAPPED, &[&ticks, "train.ticks_per_part=10"]));
    assert_shared(&recipients);
    for (k, tick) in recipients.keys().map(|&(k, _, tick)| (k, tick)) {
        let sent = recipients.keys().filter(|&&(of, _, at)| (of, at) == (k, tick)).count();
        assert_eq!(sent, 1, "features of transmitter {k} at tick {tick}");
    }
}

#[test]
fn of_multicast_features_of_encoders_with_trunks() {
    let networks = [
        "network.encoder.hidden=[9,7]",
        r#"network.encoder.wide={kind="sequential",outputs=3,layers=["linear 4","gelu"],head={hidden=[9]}}"#,
        "train.beta=0.1",
    ];
    assert_shared(&plays(&multicast(THREE_BY_TWO, &networks)));
}

/// A rate over the round is over the ticks at which the feature was sent to at least one receiver.
#[test]
fn of_multicast_features_of_single_samples() {
    for estimator in ["train.rate_estimator=per-dimension", "train.rate_estimator=joint"] {
        let single = ["train.samples_per_tick=1", "train.ticks_per_round=5", estimator];
        assert_shared(&plays(&multicast(TWO_BY_TWO, &single)));
    }
}

fn multicast(scenario: &str, more: &[&str]) -> Setup {
    let multicast = ["network.multicast=true", "train.credit=shared", "train.beta=0.5"];
    toy(scenario, &[&multicast, more].concat())
}

fn assert_shared(recipients: &Recipients) {
    let is_shared = recipients.values().any(|&count| count > 1);
    assert!(is_shared, "no feature has two recipients: the test has lost its point");
}

/// Lets the machines play a round, compares what the recipients of a feature are sent with each other, and all of it
/// with the oracle's evaluation.
fn plays(setup: &Setup) -> Recipients {
    let played = on_one_thread(|| PlayedRound::play(setup, Start::Unsettled));
    let mut copies = BTreeMap::<_, Vec<(&[u8], f64)>>::new();
    for (k, _, features) in features(&played) {
        let entries = granted_by(setup, k, features);
        let first = ticks_of(setup, features).start;
        for (place, &(tick, m)) in entries.iter().enumerate() {
            copies.entry((k, m, first + tick)).or_default().push(copy(features, place, entries.len()));
        }
    }
    for (feature, copies) in &copies {
        assert!(copies.iter().all(|copy| *copy == copies[0]), "(k, m, tick) {feature:?} differs by receiver");
    }
    let recipients = copies.into_iter().map(|(feature, copies)| (feature, copies.len())).collect();
    agrees_with(setup, played);
    recipients
}

/// Values and rate of one of a message's entries; of values that are coded, none.
fn copy(features: &Features, place: usize, entries: usize) -> (&[u8], f64) {
    let values = features.z.as_ref().map_or(&[][..], |z| &z.data[..]);
    let size = values.len() / entries;
    (&values[place * size..(place + 1) * size], features.rates[place])
}
