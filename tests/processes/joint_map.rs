//! Joint decoders whose entries share a map: the same bits everywhere, and a size that does not grow with K.

use harness::Place;

use crate::{PROGRAM, assert_same_everywhere};

const SHARED: &str = "--set network.joint_map=shared";

#[test]
fn a_network_whose_entries_share_a_map_is_the_same_in_processes_and_in_one_and_after_a_resumption() {
    let place = Place::new(PROGRAM);
    assert_same_everywhere(&place, SHARED);

    // Not what a run without it can go on with; and what other programs would have to make of the features first.
    let other = "run --from own --set network.joint_map=shared --rounds 8 --out other";
    place.run(other).failed(2, &["network.joint_map"]);
    place.run("export in-one --out networks").failed(2, &["network.joint_map", "cannot be exported"]);
}

/// A part of a round is how it travels; what several parts add to a shared map is added up in the same order.
#[test]
fn the_shared_map_does_not_depend_on_the_parts_of_a_round() {
    let place = Place::new(PROGRAM);
    let fingerprint = |ticks: usize| {
        let parts = format!("--set train.ticks_per_round=25 --set train.ticks_per_part={ticks}");
        let words = format!("run tiny.toml {SHARED} {parts} --set evaluation.passes=1 --rounds 2");
        let summary = place.run(&format!("{words} --in-process --json --out of-{ticks}")).done().json();
        summary["fingerprint"].clone()
    };
    let of_three = fingerprint(10);
    assert!(of_three.is_string());
    assert_eq!(of_three, fingerprint(20));
}

#[test]
fn the_joint_decoder_grows_with_the_kinds_of_entries_and_not_with_their_number() {
    let place = Place::new(PROGRAM);
    let inputs = |words: &str| {
        let told = place.run(&format!("model tiny.toml {words} --json")).done().json();
        let networks = told["networks"].as_array().unwrap();
        let joint = networks.iter().find(|network| network["key"] == "network.joint").unwrap();
        joint["shape"][0].as_u64().unwrap()
    };
    // Two transmitters observe three modalities and two; all four there are have 4 values each.
    assert_eq!([inputs(""), inputs("--set network.transmitters=40")], [5 * 4, 20 * 5 * 4]);
    let shared = ["", "--set network.transmitters=40"].map(|more| inputs(&format!("{SHARED} {more}")));
    assert_eq!(shared, [4 * 2 * 4; 2]);
}
