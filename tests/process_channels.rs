//! Features over the air in networks of processes: what is drawn there follows from the seed, whatever happens to processes.

use std::time::Duration;

use harness::{Place, Signal};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

const RAYLEIGH: &str = "--set channel=[{kind=\"rayleigh\",snr_db=[0,10],csi=\"both\"}]";

#[test]
fn a_channel_draws_the_same_however_the_nodes_are_run_and_whoever_is_killed() {
    let place = Place::new(PROGRAM);
    let run = format!("tiny.toml {RAYLEIGH} --rounds 30 --set checkpoint.every=2 --json");
    let processes = place.run(&format!("run {run} --verify --out processes")).done().json();
    let in_one = place.run(&format!("run {run} --in-process --out in-one")).done().json();
    assert_eq!(in_one["fingerprint"], processes["fingerprint"]);
    assert_eq!((&in_one["test"], &in_one["channel"]), (&processes["test"], &processes["channel"]));

    let killed = place.start(&format!("run {run} --restarts 1000 --out killed"));
    let mut kills = 0;
    for number in 0_u64..60 {
        std::thread::sleep(Duration::from_millis(100 + 61 * number % 300));
        let nodes: Vec<_> = place.running().into_iter().filter(|process| process.role != "run").collect();
        if let Some(node) = nodes.get(number as usize % nodes.len().max(1)) {
            node.signal(Signal::Kill);
            kills += 1;
        }
        if kills == 10 {
            break;
        }
    }
    let killed = killed.finish().done().json();
    assert!(kills > 0, "nobody was killed: the test has lost its point");
    assert_eq!(killed["fingerprint"], processes["fingerprint"], "after {kills} kills");
    assert_eq!((&killed["test"], &killed["channel"]), (&processes["test"], &processes["channel"]));
}

#[test]
fn what_is_spent_in_the_air_is_counted_and_an_ideal_channel_changes_nothing() {
    let place = Place::new(PROGRAM);
    let plain = place.run("run tiny.toml --in-process --out plain --json").done().json();
    let ideal = "run tiny.toml --set channel=[{kind=\"ideal\"}] --in-process --out ideal --json";
    let ideal = place.run(ideal).done().json();
    assert_eq!(ideal["fingerprint"], plain["fingerprint"]);
    assert_eq!((ideal.get("channel"), plain.get("channel")), (None, None));

    let awgn = "run tiny.toml --set channel=[{kind=\"awgn\",snr_db=10}] --in-process --out awgn --json";
    let awgn = place.run(awgn).done().json();
    assert_ne!(awgn["fingerprint"], plain["fingerprint"]);
    let channel = &awgn["channel"];
    let of = |key: &str| channel[key].as_f64().unwrap_or_else(|| panic!("{key}: {channel}"));
    // Four values are two symbols.
    let entries = awgn["test"]["selected_entries"].as_f64().unwrap();
    assert!((of("uses") - 2.0 * entries).abs() < 1e-9, "{channel}");
    assert!((of("snr_db") - 10.0).abs() < 1e-9);
    assert!((of("capacity") - of("uses") * 11f64.ln()).abs() < 1e-9);
    assert!((of("rate_sent") - awgn["test"]["sum_rate"].as_f64().unwrap()).abs() < 1e-9);
    assert!(of("rate_received") > 0.0 && of("rate_received") < of("rate_sent"), "{channel}");
    for line in place.run_folder("awgn").lines("metrics.jsonl") {
        assert!(line["channel"]["uses"].as_f64().unwrap() > 0.0, "{line}");
    }
    let table = place.run("evaluate awgn --in-process").done();
    assert!(table.stdout.contains("uses a sample at 10.0 dB"), "{}", table.stdout);
}

#[test]
fn a_checkpoint_is_judged_at_several_snrs() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --out a --json").done();
    let refused = place.run("evaluate a --snr-db -6,0");
    refused.failed(2, &["--snr-db", "no channel of a has noise", "awgn"]);
    let refused = place.run("evaluate a --set channel=[{kind=\"awgn\",snr_db=0}] --snr-db 0,nan");
    refused.failed(2, &["snr_db is NaN", "-200 to 200"]);
    let words = "evaluate a --set channel=[{kind=\"awgn\",snr_db=0}] --snr-db 40,-20 --in-process";
    let table = place.run(&format!("{words} --json")).done().json();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["snr_db"].as_f64()).collect::<Vec<_>>(), [Some(-20.0), Some(40.0)]);
    assert!((rows[0]["channel"]["snr_db"].as_f64().unwrap() + 20.0).abs() < 1e-9, "{table}");
    let arrives = |row: &Value| row["channel"]["rate_received"].as_f64().unwrap();
    assert!(arrives(&rows[0]) < 0.5 * arrives(&rows[1]), "{table}");
    for name in ["snr.json", "snr.svg", "snr.png"] {
        assert!(place.path("a").join(name).exists(), "{name}");
    }
    assert_eq!(place.run(words).done().stdout.lines().count(), 3);
}
