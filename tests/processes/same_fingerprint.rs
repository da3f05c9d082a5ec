//! The same seed gives the same network, bit for bit, wherever its nodes run and however slow their connections are.

use harness::{Outcome, Place, Process, Proxy, free_port};
use serde_json::Value;

use crate::{PROGRAM, assert_same, assert_same_everywhere};

#[test]
fn a_seed_gives_one_fingerprint_and_one_score_however_the_nodes_are_run() {
    let place = Place::new(PROGRAM);

    let processes = place.run("run tiny.toml --out processes --json").done().json();
    let in_one = place.run("run tiny.toml --out in-one --in-process --json").done().json();
    let tcp_only = place.run("run tiny.toml --out tcp-only --tcp-only --json").done().json();
    let threaded = place.run("run tiny.toml --out threaded --threads 3 --json").done().json();
    let in_parts = format!("run tiny.toml --out parts {PARTS} --set train.ticks_per_part=10 --json");
    let in_parts = place.run(&in_parts).done().json();
    let in_one_part = format!("run tiny.toml --out one {PARTS} --set train.ticks_per_part=30 --json");
    let in_one_part = place.run(&in_one_part).done().json();
    let by_hand = by_hand(&place).json();

    assert_eq!(fingerprint(&processes).len(), 64);
    for other in [&in_one, &tcp_only, &threaded, &by_hand] {
        assert_same(other, &processes);
    }
    assert_eq!(fingerprint(&in_parts), fingerprint(&in_one_part));
    assert_ne!(fingerprint(&in_parts), fingerprint(&processes));
}

#[test]
fn a_network_that_learns_from_single_samples_does_so_however_its_nodes_are_run() {
    let place = Place::new(PROGRAM);
    let single = "tiny.toml --set train.samples_per_tick=1 --set train.ticks_per_round=30";
    let whole = place.run(&format!("run {single} --rounds 6 --out whole --json")).done().json();
    // A rate is over a round, which travels in one part for any ticks_per_part.
    assert_eq!(whole["test"]["rate_samples"], 30);
    assert!(whole["test"]["sum_rate"].as_f64().unwrap() > 0.0, "{whole}");
    let in_one = format!(
        "run {single} --rounds 6 --set train.ticks_per_part=10 --out in-one --in-process --verify --json"
    );
    let in_one = place.run(&in_one).done().json();
    assert_same(&in_one, &whole);
    let evaluated = place.run("evaluate whole --in-process --json").done().json();
    assert_eq!(evaluated["test"], whole["test"]);
}

#[test]
fn a_network_whose_features_and_gradients_are_coded_is_the_same_however_its_nodes_are_run() {
    let place = Place::new(PROGRAM);
    let coded = "tiny.toml --rounds 6 --set train.coding=dithered --set train.rate_estimator=prior --set train.table_every=2";
    let expected =
        place.run(&format!("run {coded} --set train.gradient_coding=bf16 --out whole --json")).done().json();
    assert!(expected["rates"]["coded_bits"].as_f64().unwrap() > 0.0, "{expected}");
    for words in ["--out one --in-process", "--out tcp --tcp-only --threads 3"] {
        let words = format!("run {coded} --set train.gradient_coding=bf16 {words} --json");
        let other = place.run(&words).done().json();
        assert_same(&other, &expected);
        for key in ["estimate_nats", "prior_nats", "coded_bits", "message_bytes"] {
            assert_eq!(other["rates"][key], expected["rates"][key], "{key}");
        }
    }
    // More samples in a message surround them with fewer bytes, and change nothing that was learnt.
    let large = "--set evaluation.samples_per_message=1000 --out large --in-process --json";
    let large = place.run(&format!("run {coded} --set train.gradient_coding=bf16 {large}")).done().json();
    assert_eq!(fingerprint(&large), fingerprint(&expected));
    let around = |summary: &Value| {
        let rates = &summary["rates"];
        rates["message_bytes"].as_f64().unwrap() - rates["coded_bits"].as_f64().unwrap() / 8.0
    };
    assert!(around(&large) < around(&expected) / 2.0, "{} beside {}", large["rates"], expected["rates"]);
}

#[test]
fn a_network_with_code_books_is_the_same_in_processes_and_in_one_and_after_a_resumption() {
    let place = Place::new(PROGRAM);
    let (bits, groups) = (3, 2);
    let book =
        format!("--set train.coding=code-book --set train.code_bits={bits} --set train.code_groups={groups}");
    let processes = assert_same_everywhere(&place, &book);
    let in_parts =
        format!("run tiny.toml --set train.entropy_bonus=0 {book} --tcp-only --threads 3 --out tcp --json");
    assert_same(&place.run(&in_parts).done().json(), &processes);
    let evaluated = place.run("evaluate in-one --in-process --json").done().json();
    assert_eq!(evaluated["test"], processes["test"]);
    // What is counted are the bits that travel, which a message's stream exceeds by three bytes at most.
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(processes["test"]["rate_estimator"], "bits");
    let rate = number(&processes["test"]["sum_rate"]) / std::f64::consts::LN_2;
    let entries = rate / f64::from(bits * groups);
    assert!(entries > 0.5 && (entries - entries.round()).abs() < 1e-6, "{entries} entries");
    let coded = number(&processes["rates"]["coded_bits"]);
    assert!((rate..1.5 * rate).contains(&coded), "{coded} bits for {rate}");
    assert!(processes["wire"]["table_bytes"].as_u64().unwrap() > 0, "{processes}");
    // The gradients of many entries, which are f32, are far larger than their indices and code books.
    let large =
        "--set train.method=tadib --set train.samples_per_tick=400 --rounds 1 --in-process --out large";
    place.run(&format!("run tiny.toml {book} {large}")).done();
}

#[test]
fn another_seed_gives_another_fingerprint() {
    let place = Place::new(PROGRAM);
    let run = |seed: u64| {
        let words = format!("run tiny.toml --rounds 1 --seed {seed} --out seed-{seed} --in-process --json");
        fingerprint(&place.run(&words).done().json())
    };
    assert_ne!(run(1), run(2));
}

fn fingerprint(summary: &Value) -> String {
    summary["fingerprint"].as_str().expect("a summary has a fingerprint").into()
}

/// Rounds long enough for several parts.
const PARTS: &str = "--set train.ticks_per_round=25";

/// The same network started manually: nodes before the coordinator, the last index first, and a slow proxy before every
/// process.
fn by_hand(place: &Place) -> Outcome {
    let door = free_port();
    let receivers =
        [1, 0].map(|t| place.start(&format!("receiver --coordinator 127.0.0.1:{door} --index {t}")));
    let (transmitters, proxies): (Vec<Process>, Vec<Proxy>) =
        [1, 0].map(|k| slow_transmitter(place, door, k)).into_iter().unzip();

    // Its generated token is found by the coordinator's port, but the nodes dial a proxy's.
    let words = "coordinator tiny.toml --out by-hand --listen 127.0.0.1:0 --insecure --json";
    let coordinator = place.start(words);
    let control = Proxy::start(door, place.address("by-hand"), 7);

    let outcome = coordinator.finish().done();
    for node in receivers.into_iter().chain(transmitters) {
        node.finish().done();
    }
    for proxy in proxies.iter().chain([&control]) {
        assert!(proxy.pieces() > 0, "nothing went through the proxy");
    }
    outcome
}

fn slow_transmitter(place: &Place, door: u16, k: u16) -> (Process, Proxy) {
    let port = free_port();
    let proxy = Proxy::start(0, ([127, 0, 0, 1], port).into(), k.into());
    let (own, seen) = (format!("127.0.0.1:{port}"), proxy.address());
    // No shortcut past the proxy.
    let way = format!("--tcp-only --listen {own} --advertise {seen}");
    (place.start(&format!("transmitter --coordinator 127.0.0.1:{door} --index {k} {way}")), proxy)
}
