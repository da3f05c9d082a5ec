//! Bytes on the wire: features and gradients of exactly the granted entries, and little else.

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

/// The default sizes of a scenario.
const TICKS: f64 = 20.0;
const SAMPLES: u64 = 20;
const FEATURE_DIM: u64 = 24;

#[test]
fn the_payload_is_what_the_granted_entries_need_and_the_rest_is_small() {
    let place = Place::new(PROGRAM);

    let summary = place.run("run --rounds 10 --set evaluation.passes=1 --out a --json").done().json();

    let payload =
        granted_entries(&place.run_folder("a").lines("selection.jsonl")) * SAMPLES * FEATURE_DIM * 4;
    let [features, gradients, total] = ["feature_bytes", "gradient_bytes", "total_bytes"]
        .map(|key| summary["wire"][key].as_u64().expect("bytes are counted"));
    assert!(payload > 0);
    assert_eq!(features, payload);
    assert_eq!(gradients, payload);
    assert!(total > features + gradients);
    let overhead = total as f64 / (features + gradients) as f64 - 1.0;
    println!("overhead: {:.2} % of {} payload bytes", 100.0 * overhead, features + gradients);
    assert!(overhead < 0.05, "{overhead}");
}

/// The number of granted (entry, tick) pairs, from their shares of each round's ticks.
fn granted_entries(selection: &[Value]) -> u64 {
    let shares = selection.iter().flat_map(|line| line["granted"].as_array().expect("a list a receiver"));
    let shares = shares.flat_map(|receiver| receiver.as_array().expect("a share an entry"));
    shares.map(|share| (share.as_f64().expect("a share is a number") * TICKS).round() as u64).sum()
}
