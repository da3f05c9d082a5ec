//! A program that adds a coding (`examples/own_coding.rs`) runs networks of processes, and a program without the coding
//! is refused.

use harness::Place;
use serde_json::Value;

use crate::{
    PROGRAM, assert_same, assert_same_everywhere, example,
    own_parts::{assert_commands_are_accepted, assert_refused_without},
};

/// Four levels, of two bits, for each of the four values of a feature.
const UNIFORM: &str = "--set train.coding=uniform --set train.coding_parameters.levels=4";
const BITS: f64 = 8.0;

#[test]
fn its_nodes_know_the_coding_and_come_to_the_same_as_tasks_of_one() {
    let place = Place::new(example("own_coding"));
    let processes = assert_same_everywhere(&place, UNIFORM);
    let in_parts = format!(
        "run tiny.toml --set train.entropy_bonus=0 {UNIFORM} --tcp-only --threads 3 --out tcp --json"
    );
    assert_same(&place.run(&in_parts).done().json(), &processes);
    let evaluated = place.run("evaluate in-one --in-process --json").done().json();
    assert_eq!(evaluated["test"], processes["test"]);

    // What is counted are the bits that travel, which a message's stream exceeds by three bytes at most.
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(processes["test"]["rate_estimator"], "bits");
    let entries = number(&processes["test"]["selected_entries"]);
    let rate = number(&processes["test"]["sum_rate"]) / std::f64::consts::LN_2;
    assert!(entries > 0.5 && (rate - BITS * entries).abs() < 1e-6, "{rate} bits for {entries} entries");
    let coded = number(&processes["rates"]["coded_bits"]);
    assert!((rate..1.5 * rate).contains(&coded), "{coded} bits for {rate}");
    assert_eq!(processes["wire"]["table_bytes"].as_u64().unwrap_or(0), 0, "{}", processes["wire"]);

    // More levels are another coding.
    let finer = format!("run tiny.toml {UNIFORM} --set train.coding_parameters.levels=16 --in-process");
    let finer = place.run(&format!("{finer} --out finer --json")).done().json();
    assert_ne!(finer["fingerprint"], processes["fingerprint"]);
    let finer = number(&finer["test"]["sum_rate"]) / number(&finer["test"]["selected_entries"]);
    assert!((finer / std::f64::consts::LN_2 - 2.0 * BITS).abs() < 1e-6, "{finer} nats an entry");
}

#[test]
fn rounds_of_single_samples_and_entries_that_are_lost_do_with_it() {
    let place = Place::new(example("own_coding"));
    let words = format!("run tiny.toml --set train.entropy_bonus=0 {UNIFORM}");
    for (name, more) in [
        ("single", "--set train.samples_per_tick=1 --set train.ticks_per_round=30"),
        ("rounded", "--set train.gradient_coding=int8 --set train.modality_dropout=0.2"),
    ] {
        let processes = place.run(&format!("{words} {more} --out {name} --json")).done().json();
        let tasks = place.run(&format!("{words} {more} --in-process --out {name}-in-one --json"));
        assert_same(&tasks.done().json(), &processes);
    }
    let lossy = "--set straggler.policy=skip --set link=[{loss=0.3}] --in-process --out lossy --json";
    let lossy = place.run(&format!("{words} {lossy}")).done().json();
    assert!(lossy["test"]["missing"]["lost"].as_u64().unwrap() > 0, "{}", lossy["test"]);
}

#[test]
fn it_serves_and_predicts_and_exports_no_network_without_it() {
    let place = Place::new(example("own_coding"));
    place.run(&format!("run tiny.toml {UNIFORM} --in-process --out trained")).done();
    let served = place.run("serve trained --in-process --limit 60 --batch-up-to 7").done();
    assert!(served.stdout.contains("60 samples answered"), "{served}");
    place.run("predict trained --out answers.jsonl").done();
    let refused = "train.coding: encoders whose features a program of your own codes cannot be exported";
    let exported = place.run("export trained --out networks");
    exported.failed(2, &[refused]);
    assert!(!place.path("networks").exists());
}

#[test]
fn what_is_wrong_with_its_keys_is_said_before_the_first_round() {
    let place = Place::new(example("own_coding"));
    for (set, expected) in [
        (
            "train.coding_parameters.levels=1",
            "train.coding_parameters: levels is 1; it must be from 2 to 256",
        ),
        (
            "train.coding_parameters.levels=many",
            "train.coding_parameters: levels is \"many\": invalid type: string",
        ),
        ("train.coding_parameters.level=4", "train.coding_parameters: level is unknown: the kind has levels"),
        (
            "train.coding=uniformly",
            "train.coding is \"uniformly\", which is no coding of this program: it has `gaussian`, `dithered`, \
             `simulated`, `code-book`, `uniform`",
        ),
        ("train.coding=gaussian", "train.coding_parameters is for a coding that a program of your own adds"),
        (
            "channel=[{kind=\"awgn\",snr_db=5}]",
            "train.coding is \"uniform\", whose symbols arrive or do not, but a channel",
        ),
        ("network.multicast=true", "train.coding is \"uniform\", which codes for each receiver alone"),
        (
            "train.rate_estimator=prior",
            "train.rate_estimator is \"prior\", but with train.coding = \"uniform\" the rate is what the coding says",
        ),
    ] {
        place.run(&format!("run tiny.toml {UNIFORM} --set {set} --out a")).failed(2, &[expected]);
        place.run(&format!("check tiny.toml {UNIFORM} --set {set}")).failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

#[test]
fn a_program_without_it_is_refused_by_name() {
    let (own, plain) = (Place::new(example("own_coding")), Place::new(PROGRAM));
    let missing = "train.coding is \"uniform\", which is no coding of this program";
    let words = format!("tiny.toml {UNIFORM}");
    assert_refused_without(&own, &plain, &words, "receiver", [missing, "`code-book`"]);
}

#[test]
fn the_page_s_commands_are_accepted() {
    let page = include_str!("../../docs/rates.md");
    let own = ("own_coding", include_str!("../../examples/own_coding.rs"), 100);
    assert_commands_are_accepted(&Place::new(example("own_coding")), page, 1, own);
}
