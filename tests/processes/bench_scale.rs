//! The figures of `bench scale` for networks of several sizes agree with what such networks must send.

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

/// The sizes of `tiny.toml`.
const TICKS: f64 = 3.0;
const SAMPLES: f64 = 20.0;
const FEATURE_DIM: f64 = 4.0;
const TRANSMITTER_LIMIT: f64 = 2.0;
const RECEIVER_LIMIT: f64 = 2.0;

#[test]
fn the_figures_of_every_size_fit_what_its_network_must_send() {
    let place = Place::new(PROGRAM);

    let outcome = place.run("bench scale tiny.toml --sizes 2,3 --rounds 3 --json --out growth").done();

    let report = outcome.json();
    let sizes = report["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2);
    for (figures, nodes) in sizes.iter().zip([2.0, 3.0]) {
        assert_figures(figures, nodes);
        assert!(outcome.stderr.contains(&format!("{nodes}x{nodes}: 3 rounds")), "{outcome}");
    }
    assert_eq!(report["growth"]["from"], "2x2");
    assert_eq!(report["growth"]["to"], "3x3");
    let of = |at: usize| number(&sizes[at], "seconds_per_entry");
    assert_close(number(&report["growth"], "seconds"), of(1) / of(0));
    assert_eq!(place.run_folder("growth").text("growth.csv").lines().count(), 3);
    assert!(place.run_folder("growth").text("growth.svg").contains("3x3"));
    place.assert_all_gone();
}

/// The same bytes go over the same sockets; what a node takes of memory cannot be told apart.
#[test]
fn a_size_can_be_measured_in_one_process() {
    let place = Place::new(PROGRAM);

    let report = place.run("bench scale tiny.toml --sizes 2 --rounds 3 --in-process --json").done().json();

    assert_eq!(report["in_process"], true);
    let figures = &report["sizes"][0];
    assert_costs(figures, 2.0);
    if cfg!(target_os = "linux") {
        assert!(number(&figures["peak_memory"], "together") > 1e6, "{figures}");
        for role in ["transmitter", "receiver", "coordinator"] {
            assert_eq!(number(&figures["peak_memory"], role), 0.0, "{role}: {figures}");
        }
    }
    let told = place.run("bench scale tiny.toml --sizes 2 --rounds 3 --in-process").done().stdout;
    assert!(told.contains("all nodes") && !told.contains("transmitter"), "{told}");
    place.assert_all_gone();
}

#[test]
fn a_size_that_cannot_be_is_refused_before_anything_runs() {
    let place = Place::new(PROGRAM);
    place.run("bench scale tiny.toml --sizes 2,1").failed(2, &["size 1", "network.receiver_limit"]);
}

#[test]
fn a_run_that_fails_is_named_by_its_size() {
    let place = Place::new(PROGRAM);
    let outcome = place.run("bench scale tiny.toml --sizes 2 --rounds 3 --set train.coding_lr=1e30");
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let last = outcome.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: 2x2: the run failed"), "{outcome}");
}

fn assert_costs(figures: &Value, nodes: f64) {
    let entries = number(figures, "entries_per_round");
    assert!(entries > 0.0 && entries <= nodes * TICKS * TRANSMITTER_LIMIT, "{figures}");
    assert_close(number(figures, "seconds_per_entry"), number(figures, "round_seconds") / entries);

    // A feature and its gradient for every sample; a cost of eight bytes for every request, of which each receiver
    // makes one or two a tick.
    let bytes = &figures["bytes_per_entry"];
    assert_close(number(bytes, "payload"), 2.0 * SAMPLES * FEATURE_DIM * 4.0);
    let requests = number(bytes, "costs") * entries / 8.0;
    assert_close(requests, requests.round());
    assert!((nodes * TICKS..=RECEIVER_LIMIT * nodes * TICKS).contains(&requests.round()), "{figures}");
    assert!(number(bytes, "requests") > 0.0 && number(bytes, "rest") > 0.0, "{figures}");
}

fn assert_figures(figures: &Value, nodes: f64) {
    assert_costs(figures, nodes);
    for work in ["encoders", "local_decoders", "joint_decoders", "transmitter_selectors"] {
        assert!(number(&figures["operations_per_entry"], work) > 0.0, "{work}: {figures}");
    }
    if cfg!(target_os = "linux") {
        for role in ["transmitter", "receiver", "coordinator"] {
            assert!(number(&figures["peak_memory"], role) > 1e6, "{role}: {figures}");
        }
        assert_eq!(number(&figures["peak_memory"], "together"), 0.0, "{figures}");
    }
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// Equal except for the last digits, which decimal notation may cost.
fn assert_close(value: f64, expected: f64) {
    assert!((value / expected - 1.0).abs() < 1e-9, "{value}, expected {expected}");
}
