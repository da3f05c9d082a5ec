//! Features that know no receiver: the same bits everywhere, kept or dropped for all their recipients, paid for once.

use harness::Place;
use serde_json::Value;

use crate::{PROGRAM, assert_same_everywhere};

const MULTICAST: &str = "--set network.multicast=true";

#[test]
fn a_network_whose_features_know_no_receiver_is_the_same_in_processes_and_in_one_and_after_a_resumption() {
    let place = Place::new(PROGRAM);
    let processes = assert_same_everywhere(&place, MULTICAST);
    assert!((1..=2).contains(&processes["most_entries"].as_u64().unwrap()), "{processes}");
    assert_capped(&place.run_folder("processes").lines("draws.jsonl"));

    let recorded = place.run("replay processes --tick 13 --json").done().json();
    let again = place.run("replay in-one --tick 13 --json").done().json();
    for key in ["requests", "choices", "grants", "capped"] {
        assert_eq!(again[key], recorded[key], "{key}");
    }

    // Its encoders have a task input of zeros, which other programs would have to know.
    place.run("export in-one --out networks").failed(2, &["network.multicast", "cannot be exported"]);
    place.run("serve in-one --in-process --json").failed(2, &["network.multicast", "cannot be served"]);
}

/// E_k = 2 counts features; of more a transmitter sends two, each to all for whom it was chosen.
fn assert_capped(rounds: &[Value]) {
    let pairs = |of: &Value| -> Vec<(u64, u64)> {
        let pair = |pair: &Value| (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap());
        of.as_array().unwrap().iter().map(pair).collect()
    };
    let features = |pairs: &[(u64, u64)]| {
        let mut features: Vec<u64> = pairs.iter().map(|(_, m)| *m).collect();
        features.sort_unstable();
        features.dedup();
        features
    };
    let (mut shared, mut capped) = (0, 0);
    for tick in rounds.iter().flat_map(|round| round["ticks"].as_array().unwrap()) {
        for k in 0..2_usize {
            let (choices, grants) = (pairs(&tick["choices"][k]), pairs(&tick["grants"][k]));
            let kept = features(&grants);
            assert_eq!(kept.len(), features(&choices).len().min(2), "{tick}");
            let of_kept: Vec<(u64, u64)> =
                choices.iter().copied().filter(|(_, m)| kept.contains(m)).collect();
            assert_eq!(grants, of_kept, "{tick}");
            shared += usize::from(grants.len() > kept.len());
            capped += usize::from(grants.len() < choices.len());
        }
    }
    assert!(shared > 0 && capped > 0, "{shared} shared, {capped} capped: the test has lost its point");
}

#[test]
fn a_rate_counts_once_however_many_receivers_share_it_and_bytes_as_often_as_they_are_sent() {
    let place = Place::new(PROGRAM);
    let summary = |words: &str| {
        place.run(&format!("run tiny.toml --method tadib {words} --json --in-process")).done().json()
    };
    let multicast = summary(&format!("{MULTICAST} --out multicast"));
    let unicast = summary("--out unicast");
    let test = &multicast["test"];
    let number = |value: &Value| value.as_f64().unwrap();
    let mut sum = 0.0;
    for (k, modalities) in [3_usize, 2].into_iter().enumerate() {
        for m in 0..modalities {
            let [one, other] = [0_usize, 1].map(|t| &test["entry_rates"][t][k][m]);
            assert_eq!(one, other, "both pay half of ({k}, {m})");
            sum += number(one) + number(other);
        }
    }
    let near = |one: f64, other: f64| (one - other).abs() <= 1e-6 * other.abs();
    assert!(near(number(&test["sum_rate"]), sum), "{test}");
    assert!(near(number(&multicast["rates"]["estimate_nats"]), sum), "{multicast}");
    // All five features instead of ten: each has the same ceiling as one of a single receiver.
    let ceiling = |summary: &Value| number(&summary["test"]["joint_ceiling"]);
    assert!(near(2.0 * ceiling(&multicast), ceiling(&unicast)), "{test}");
    assert_eq!(multicast["wire"]["feature_bytes"], unicast["wire"]["feature_bytes"]);
    assert_eq!([&multicast["most_entries"], &unicast["most_entries"]], [3, 6]);
}

#[test]
fn settings_that_multicast_excludes_are_refused_before_anything_starts() {
    let place = Place::new(PROGRAM);
    for (set, key) in [
        ("train.task_input=output", "train.task_input is \"output\""),
        ("train.rate_estimator=prior", "train.rate_estimator is \"prior\""),
        ("train.objective=worst", "train.objective is \"worst\""),
        ("train.credit=own", "train.credit is \"own\""),
    ] {
        let words = format!("run tiny.toml {MULTICAST} --set {set} --out refused");
        place.run(&words).failed(2, &[key, "network.multicast"]);
    }
    assert!(!place.path("refused").exists());
}
