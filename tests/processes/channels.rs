//! Features over the air in networks of processes: what is drawn there follows from the seed, whatever happens to processes.

use std::time::Duration;

use harness::{Place, Signal};
use serde_json::Value;

use crate::PROGRAM;

/// All that networks can see, and a mean that checkpoints keep.
const RAYLEIGH: &str = "--set channel=[{kind=\"rayleigh\",snr_db=[0,10],csi=\"both\",power=\"average\"}] \
                        --set network.see_channel=true --set train.baseline=gains --set evaluation.draw=tick";

#[test]
fn a_channel_draws_the_same_however_the_nodes_are_run_and_whoever_is_killed() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = format!("tiny.toml {RAYLEIGH} --rounds 30 --set checkpoint.every=2 --json");
    let processes = place.run(&format!("run {run} --verify --out processes")).done().json();
    let in_one = place.run(&format!("run {run} --in-process --out in-one")).done().json();
    assert_eq!(in_one["fingerprint"], processes["fingerprint"]);
    assert_eq!((&in_one["test"], &in_one["channel"]), (&processes["test"], &processes["channel"]));
    assert_eq!(in_one["strengths"], processes["strengths"]);
    let clear = in_one["strengths"]["clear"].as_u64().unwrap();
    assert!(clear > 0, "{}", in_one["strengths"]);

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
    let place = Place::for_longer_runs(PROGRAM);
    let plain = place.run("run tiny.toml --in-process --out plain --json").done().json();
    let ideal = "run tiny.toml --set channel=[{kind=\"ideal\"}] --in-process --out ideal --json";
    let ideal = place.run(ideal).done().json();
    assert_eq!(ideal["fingerprint"], plain["fingerprint"]);
    assert_eq!((ideal.get("channel"), plain.get("channel")), (None, None));

    let awgn = "run tiny.toml --set channel=[{kind=\"awgn\",snr_db=10}] --in-process --out awgn --json";
    let awgn = place.run(awgn).done().json();
    assert_ne!(awgn["fingerprint"], plain["fingerprint"]);
    assert!(
        place.run_folder("ideal").lines("metrics.jsonl").iter().all(|line| line.get("link_snr_db").is_none())
    );
    for (line, selection) in place
        .run_folder("awgn")
        .lines("metrics.jsonl")
        .iter()
        .zip(place.run_folder("awgn").lines("selection.jsonl"))
    {
        // Two transmitters, with three modalities and two: a link that was used has 10 dB.
        for t in 0..2 {
            for (k, entries) in [(0, 0..3), (1, 3..5)] {
                let used = entries.clone().any(|entry| selection["granted"][t][entry] != 0.0);
                let snr = &line["link_snr_db"][t][k];
                assert_eq!(
                    *snr,
                    if used { serde_json::json!(10.0) } else { Value::Null },
                    "{line} {selection}"
                );
            }
        }
    }
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
    let place = Place::for_longer_runs(PROGRAM);
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

#[test]
fn gains_of_a_file_are_replayed_and_what_is_wrong_with_them_is_said_before_the_first_round() {
    let place = Place::for_longer_runs(PROGRAM);
    let write = |name: &str, shape: &[usize], values: data::Values| {
        let array = data::NewArray { name: "gains".into(), shape: shape.into(), values };
        data::write_npz(std::fs::File::create(place.path(name)).unwrap(), &[array]).unwrap();
    };
    let set = |file: &str, more: &str| {
        format!(
            "run tiny.toml --set channel=[{{kind=\"trace\",snr_db=10,trace=\"{file}\"}}] --in-process --json {more}"
        )
    };
    place.run(&set("none.npz", "--out a")).failed(2, &["channel 0: trace", "none.npz"]);
    // Two transmitters, two receivers.
    let (shape, count) = ([3, 2, 2], 12);
    write("short.npz", &[3, 1], data::Values::Complex(vec![[1.0, 0.0]; 3]));
    place
        .run(&set("short.npz", "--out a"))
        .failed(2, &["short.npz", "has the shape [3, 1]", "times x transmitters"]);
    let mut odd = vec![[1.0, 0.0]; count];
    odd[1] = [f64::INFINITY, 0.0];
    write("odd.npz", &shape, data::Values::Complex(odd));
    place
        .run(&set("odd.npz", "--out a"))
        .failed(2, &["odd.npz", "at time 0 from transmitter 0", "must be finite"]);
    write("real.npz", &shape, data::Values::Doubles(vec![1.0; count]));
    place.run(&set("real.npz", "--out a")).failed(2, &["real.npz", "complex64 or complex128"]);

    write("ones.npz", &shape, data::Values::Complex(vec![[1.0, 0.0]; count]));
    let ones = place.run(&set("ones.npz", "--out ones")).done().json();
    let awgn = "run tiny.toml --set channel=[{kind=\"awgn\",snr_db=10}] --in-process --out awgn --json";
    let awgn = place.run(awgn).done().json();
    assert_eq!(ones["fingerprint"], awgn["fingerprint"], "gains of 1 are no gains");
}

/// Features as bits.
const DITHERED: &str = "--set train.coding=dithered --set train.rate_estimator=prior";

#[test]
fn bits_over_the_air_arrive_whole_or_not_at_all() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = |name: &str, channel: &str, more: &str| {
        let words = format!("run tiny.toml {DITHERED} --set channel=[{channel}] {more} --out {name} --json");
        place.run(&words).done().json()
    };
    let digital = |kind: &str| format!("{{kind={kind},transport=\"digital\"}}");
    let plain = run("plain", "", "--in-process");
    // All blocks arrive: nothing differs but what is counted.
    let clear = run("clear", &digital("\"awgn\",snr_db=60"), "--in-process");
    assert_eq!(
        (&clear["fingerprint"], &clear["test"]["accuracy"]),
        (&plain["fingerprint"], &plain["test"]["accuracy"])
    );
    assert_eq!(clear["test"]["missing"]["lost"], 0);
    assert!((clear["channel"]["snr_db"].as_f64().unwrap() - 60.0).abs() < 1e-9, "{}", clear["channel"]);
    assert!(clear["channel"]["rate_received"].is_null(), "{}", clear["channel"]);
    // None does.
    let silent = run("silent", &digital("\"awgn\",snr_db=-40"), "--in-process");
    assert_eq!(silent["test"]["missing"]["used"], 0, "{}", silent["test"]);

    let words = digital("\"rayleigh\",snr_db=12,modulation=\"16-qam\",code_rate=0.5,csi=\"both\"");
    let more = "--rounds 30 --set network.see_channel=true --set checkpoint.every=2";
    let in_one = run("in-one", &words, &format!("{more} --in-process"));
    let processes = run("processes", &words, &format!("{more} --verify"));
    let of =
        |summary: &Value| [&summary["fingerprint"], &summary["test"], &summary["channel"]].map(Clone::clone);
    assert_eq!(of(&in_one), of(&processes));
    let count = |key: &str| in_one["test"]["missing"][key].as_u64().unwrap();
    assert!(count("lost") > 0 && count("used") > 0, "{}", in_one["test"]["missing"]);
    let refused = place.run("serve in-one --rate 10");
    refused.failed(2, &["transport = \"digital\"", "--set channel=[]"]);
}
