//! Lost, late and absent features in networks of processes: under `wait` the results are the same bit for bit, under
//! `skip` receivers continue.

use std::time::Duration;

use harness::{Place, Proxy, free_port};
use serde_json::Value;

use crate::PROGRAM;

/// 30 ms each way and a fifth of all entries lost.
const POOR: &str = "--set link=[{loss=0.2,delay=0.03,jitter=0.01}]";

#[test]
fn poor_links_cost_time_but_change_no_bit_under_wait() {
    let place = Place::for_longer_runs(PROGRAM);
    let plain = place.run("run tiny.toml --out plain --json").done().json();
    let poor = place.run(&format!("run tiny.toml {POOR} --out poor --json")).done().json();
    assert_eq!(poor["fingerprint"], plain["fingerprint"]);
    assert_eq!(poor["test"], plain["test"]);
    let seconds = poor["timing"]["seconds"].as_f64().unwrap();
    assert!(seconds > 6.0 * 0.06, "six round trips of 60 ms took {seconds} s");
    assert_eq!(plain.get("missing"), None);
}

#[test]
fn what_links_lose_is_the_same_however_the_nodes_are_run_and_is_counted() {
    let place = Place::for_longer_runs(PROGRAM);
    let words = "--set straggler.policy=skip --set link=[{loss=0.2}] --json";
    let processes = place.run(&format!("run tiny.toml {words} --verify --out processes")).done().json();
    let in_one = place.run(&format!("run tiny.toml {words} --in-process --out in-one")).done().json();
    let plain = place.run("run tiny.toml --in-process --out plain --json").done().json();
    assert_eq!(in_one["fingerprint"], processes["fingerprint"]);
    assert_eq!(in_one["test"], processes["test"]);
    assert_ne!(plain["fingerprint"], processes["fingerprint"]);
    for missing in [&processes["missing"], &processes["test"]["missing"]] {
        assert!(missing["lost"].as_u64() > Some(0) && missing["used"].as_u64() > Some(0), "{missing}");
        assert_eq!((&missing["late"], &missing["absent"]), (&Value::from(0), &Value::from(0)));
    }
}

#[test]
fn a_trained_network_can_be_judged_over_other_links() {
    let place = Place::for_longer_runs(PROGRAM);
    let trained = place.run("run tiny.toml --out a --json").done().json();
    let judge = |words: &str| place.run(&format!("evaluate a {words} --json")).done().json();
    let all = judge("--set straggler.policy=skip");
    assert_eq!(all["test"]["tasks"], trained["test"]["tasks"]);
    let few = judge("--set straggler.policy=skip --set link=[{loss=0.99}]");
    assert_eq!(few["fingerprint"], trained["fingerprint"]);
    assert!(few["test"]["missing"]["lost"].as_u64() > few["test"]["missing"]["used"].as_u64());
    let rate = |summary: &Value| summary["test"]["sum_rate"].as_f64().unwrap();
    assert!(rate(&few) < 0.1 * rate(&all), "{} and {} nats", rate(&few), rate(&all));
    let refused = place.run("evaluate a --set train.rounds=9");
    refused.failed(2, &["--set train.rounds=9", "evaluation, straggler, link and channel"]);
}

/// One transmitter whose two sensors are both asked for at every tick.
const TWO_SENSORS: &str = "[network]\nfeature_dim = 4\nlimits = false\n[network.encoder]\nhidden = [16]\n\
                           [network.joint]\nhidden = [16]\n[network.local]\nhidden = [16]\n\
                           [train]\nmethod = \"tadib\"\nrounds = 30\nticks_per_round = 3\ncoding_lr = 1e-2\n\
                           [evaluation]\npasses = 1\njoint_rate_samples = 60\n\
                           [[transmitter]]\nmodalities = [\"fft\", \"mel\"]\n[[receiver]]\ntask = \"digit\"\n";

#[test]
fn a_grid_evaluates_a_network_with_sensors_off_or_noisy_and_with_lost_entries() {
    let place = Place::new(PROGRAM);
    place.write("two.toml", TWO_SENSORS);
    let trained = place.run("run two.toml --in-process --out a --json").done().json();
    let told = place.run("evaluate a --in-process --grid --json").done().json();
    let rows = told["rows"].as_array().unwrap();
    let of = |name: &str| {
        let found = rows.iter().find(|row| row["condition"] == name);
        &found.unwrap_or_else(|| panic!("no {name} in {told}"))["test"]
    };
    let score = |name: &str| of(name)["tasks"][0]["value"].as_f64().unwrap();
    assert_eq!(of("as trained"), &trained["test"]);
    // Undisturbed it knows something, and without anything it guesses.
    let trained = score("as trained");
    assert!(trained > 0.3, "{trained}");
    for blind in ["without 0/fft, 0/mel", "without transmitter 0"] {
        assert!(score(blind) < 0.15, "{blind}: {}", score(blind));
        assert_eq!(of(blind)["missing"]["used"], 0, "{blind}");
    }
    for part in ["without 0/fft", "without 0/mel"] {
        let missing = &of(part)["missing"];
        assert_eq!(missing["lost"], missing["used"], "{part}: one of two sensors");
        assert_ne!(of(part)["tasks"], of("as trained")["tasks"]);
    }
    assert!(score("sensor noise 3") < score("sensor noise 0.1"), "{told}");
    assert!(score("90 % lost") < score("10 % lost"), "{told}");
    let families: Vec<&Value> =
        told["areas"].as_array().unwrap().iter().map(|area| &area["family"]).collect();
    assert_eq!(families, ["sensors off", "transmitter leaves", "sensor noise", "lost entries"]);
    let lines = std::fs::read_to_string(place.path("a/grid.csv")).unwrap().lines().count();
    assert_eq!(lines, 1 + rows.len());
    for file in ["grid.json", "grid.svg", "grid.png"] {
        assert!(place.path("a").join(file).is_file(), "{file}");
    }
    // One condition alone is the same; what is no sensor is refused.
    let alone = place.run("evaluate a --in-process --set evaluation.off=[\"0/mel\"] --json").done().json();
    assert_eq!(&alone["test"], of("without 0/mel"));
    place
        .run("evaluate a --set evaluation.off=[\"1\"]")
        .failed(2, &["evaluation.off names \"1\"", "0/fft, 0/mel"]);
    place.run("evaluate a --grid --snr-db 3").failed(2, &["--grid", "--snr-db"]);
}

#[test]
fn a_transmitter_that_is_too_slow_is_passed_over_until_it_would_be_left_behind() {
    let place = Place::for_longer_runs(PROGRAM);
    let port = free_port();
    let far = Proxy::late(([127, 0, 0, 1], port).into(), Duration::from_millis(200));
    let skip = "--set straggler.policy=skip --set straggler.deadline=0.0 --set straggler.patience=0.01";
    let coordinator =
        place.start(&format!("coordinator tiny.toml {skip} --verify --out a --listen 127.0.0.1:0 --json"));
    let address = place.address("a");
    let seen = far.address();
    let nodes = [
        format!("transmitter --index 0 --tcp-only --listen 127.0.0.1:{port} --advertise {seen}"),
        "transmitter --index 1".into(),
        "receiver --index 0".into(),
        "receiver --index 1".into(),
    ]
    .map(|words| place.start(&format!("{words} --coordinator {address}")));
    let summary = coordinator.finish().done().json();
    for node in nodes {
        node.finish().done();
    }
    assert_eq!(summary["rounds"], 6);
    let absent = summary["missing"]["absent"].as_u64().unwrap();
    // Of six rounds, receivers continue without four answers each; then they wait for one.
    assert!((2..=12).contains(&absent), "{absent} messages were given up");
}
