//! Features over the air in networks of processes: what is drawn there follows from the seed, whatever happens to
//! processes.

use std::time::Duration;

use harness::{Browser, Outcome, Place, Process, Signal};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::Value;

use crate::{PROGRAM, numbers};

/// All that networks can see, and a mean that checkpoints keep.
const RAYLEIGH: &str = "--set channel=[{kind=\"rayleigh\",snr_db=[0,10],csi=\"both\",power=\"average\"}] \
                        --set network.see_channel=true --set train.baseline=gains --set evaluation.draw=tick";

#[test]
fn a_channel_draws_the_same_however_the_nodes_are_run_and_whoever_is_killed() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = format!("tiny.toml {RAYLEIGH} {TO_BE_KILLED} --json");
    let processes = place.run(&format!("run {run} --verify --out processes")).done().json();
    let in_one = place.run(&format!("run {run} --in-process --out in-one")).done().json();
    assert_eq!(in_one["fingerprint"], processes["fingerprint"]);
    assert_eq!((&in_one["test"], &in_one["channel"]), (&processes["test"], &processes["channel"]));
    assert_eq!(in_one["strengths"], processes["strengths"]);
    let clear = in_one["strengths"]["clear"].as_u64().unwrap();
    assert!(clear > 0, "{}", in_one["strengths"]);

    let killed = place.start(&format!("run {run} --restarts 1000 --out killed"));
    let killed = kill_ten(&place, "killed", killed).done().json();
    assert_eq!(killed["fingerprint"], processes["fingerprint"]);
    assert_eq!((&killed["test"], &killed["channel"]), (&processes["test"], &processes["channel"]));
}

/// Enough rounds for ten kills, and a checkpoint after every other.
const TO_BE_KILLED: &str = "--rounds 60 --set checkpoint.every=2";

/// The next kill waits for up to this many rounds more than the one before.
const ROUNDS_A_KILL: u32 = 4;

/// Kills ten processes of a run, one after the other, each at a moment after the run has got some rounds further; they
/// are started again. `POM2DIB_BASE` chooses other moments.
fn kill_ten(place: &Place, name: &str, mut run: Process) -> Outcome {
    let base =
        std::env::var("POM2DIB_BASE").map_or(17, |text| text.parse().expect("POM2DIB_BASE is a number"));
    println!("base {base}: POM2DIB_BASE={base} tries the same moments");
    let mut random = ChaCha8Rng::seed_from_u64(base);
    let mut below = |bound: u32| random.next_u32() % bound;
    let mut kills = 0;
    while kills < 10 && !run.has_ended() {
        let round = ROUNDS_A_KILL * (kills + 1) + below(ROUNDS_A_KILL);
        while place.run_folder(name).rounds() < round as usize && !run.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(below(50).into()));
        let nodes: Vec<_> = place.running().into_iter().filter(|process| process.role != "run").collect();
        if !nodes.is_empty() {
            nodes[below(nodes.len() as u32) as usize].signal(Signal::Kill);
            kills += 1;
        }
    }
    let outcome = run.finish();
    assert_eq!(kills, 10, "the run ended before the last kill: {outcome}");
    outcome
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

    // Of every entry: two uses where it is granted, in the summary, in the log and in the report.
    let (uses, granted) = (numbers(&awgn["test"]["entry_uses"]), numbers(&awgn["test"]["selection"]));
    assert_eq!(uses, granted.iter().map(|share| 2.0 * share).collect::<Vec<_>>());
    assert_eq!(uses.len(), 10);
    let folder = place.run_folder("awgn");
    for (line, selection) in folder.lines("metrics.jsonl").iter().zip(folder.lines("selection.jsonl")) {
        let (uses, granted) = (numbers(&line["entry_uses"]), numbers(&selection["granted"]));
        assert_eq!(uses.len(), granted.len());
        let close = |(uses, share): (&f64, &f64)| (uses - 2.0 * share).abs() < 1e-3;
        assert!(uses.iter().zip(&granted).all(close), "{line} {selection}");
    }
    place.run("report awgn").done();
    let page = place.run_folder("awgn").text("report.html");
    assert!(page.contains("2.000 uses</span>") && page.contains("Channel uses are those of a test sample"));
}

#[test]
fn a_rate_before_the_limit_of_power_is_marked_as_an_estimate() {
    let place = Place::new(PROGRAM);
    let run = |name: &str, more: &str| {
        let channel = format!("channel=[{{kind=\"awgn\",snr_db=10{more}}}]");
        place.run(&format!("run tiny.toml --set {channel} --in-process --out {name} --json")).done().json()
    };
    assert_eq!(run("sample", "")["channel"].get("rate_sent_is_estimate"), None);
    let realised = run("realised", ",power=\"realised\"");
    assert_eq!(realised["channel"]["rate_sent_is_estimate"], true);
    assert_eq!(run("peak", ",peak=1.5")["channel"]["rate_sent_is_estimate"], true);
    let table = place.run("evaluate realised --in-process").done().stdout;
    assert!(table.contains("nats sent (estimated before the limit of power)"), "{table}");
    place.run("report realised").done();
    let page = place.run_folder("realised").text("report.html");
    assert!(page.contains(", estimated before the limit of power</td>"));
}

#[test]
fn entries_that_are_heard_together_share_slots_however_the_nodes_are_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = "run tiny.toml --set channel=[{kind=\"mac\",snr_db=10}] --set evaluation.draw=tick --json";
    let in_one = place.run(&format!("{run} --in-process --out in-one")).done().json();
    let processes = place.run(&format!("{run} --verify --out processes")).done().json();
    assert_eq!(in_one["fingerprint"], processes["fingerprint"]);
    let (test, channel) = (&in_one["test"], &in_one["channel"]);
    assert_eq!((test, channel), (&processes["test"], &processes["channel"]));
    let of = |key: &str| channel[key].as_f64().unwrap_or_else(|| panic!("{key}: {channel}"));
    // Two uses of each entry alone.
    let alone = 2.0 * test["selected_entries"].as_f64().unwrap();
    assert!(of("uses") > 0.0 && of("uses") < alone - 1e-6, "{channel}, {alone} alone");
    assert!((of("uses_ratio") - of("uses") / alone).abs() < 1e-9, "{channel}, {alone} alone");
    assert!((numbers(&test["entry_uses"]).iter().sum::<f64>() - of("uses")).abs() < 1e-9, "{test}");
    assert!(channel["rate_received"].is_null(), "{channel}");
    for line in place.run_folder("processes").lines("metrics.jsonl") {
        assert!(line["channel"]["rate_received"].is_null(), "{line}");
        let sum: f64 = numbers(&line["entry_uses"]).iter().sum();
        assert!((sum - line["channel"]["uses"].as_f64().unwrap()).abs() < 1e-2, "{line}");
    }
}

#[test]
fn a_selection_that_is_drawn_for_every_tick_goes_by_the_gains_of_that_tick() {
    let place = Place::new(PROGRAM);
    let run = |name: &str, more: &str| {
        let rayleigh = "--set channel=[{kind=\"rayleigh\",snr_db=5}] --set network.receiver_limit=1";
        let words = format!("run tiny.toml {rayleigh} {more} --in-process --out {name} --json");
        place.run(&words).done().json()
    };
    let by_tick = run("tick", "--set evaluation.draw=tick --set train.requests=strongest");
    let strengths = &by_tick["strengths"];
    assert!(strengths["clear"].as_u64().unwrap() > 20, "{strengths}");
    assert_eq!(strengths["strongest_requested"], 1.0, "{strengths}");
    // Granted at some ticks and not at others, where one draw for a pass grants for all of it or not at all.
    let is_whole = |share: &f64| *share == 0.0 || *share == 1.0;
    assert!(!numbers(&by_tick["test"]["selection"]).iter().all(is_whole), "{}", by_tick["test"]);
    let by_pass = run("pass", "");
    assert!(numbers(&by_pass["test"]["selection"]).iter().all(is_whole), "{}", by_pass["test"]);
    let missed = by_pass["strengths"]["strongest_requested"].as_f64().unwrap();
    assert!(missed < 0.95, "one request for all ticks cannot always be right: {missed}");
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
    assert!(!place.run_folder("a").has("evaluation.json"), "that of a single SNR");
    assert_eq!(place.run(words).done().stdout.lines().count(), 3);

    // The report has them as numbers, and draws a point for each task and N-CE at each SNR.
    place.run("report a").done();
    let page = place.run_folder("a").text("report.html");
    let number = format!("{:.2}", 100.0 * rows[1]["test"]["tasks"][0]["value"].as_f64().unwrap());
    assert!(
        page.contains("Over the SNR of the channels") && page.contains(&format!("<td>{number} ")),
        "{number}"
    );
    let Some(mut browser) = Browser::open() else { return };
    browser.visit(&format!("file://{}", place.path("a/report.html").display()));
    let dots = "[...document.querySelectorAll('[data-picture=snr] .dot')].map((dot) => [dot.dataset.x, dot.dataset.y].map(Number))";
    browser.wait_until(&format!("{dots}.length > 0"));
    let mut expected = Vec::new();
    for task in 0..2 {
        expected.extend(
            rows.iter()
                .map(|row| (&row["snr_db"], 100.0 * row["test"]["tasks"][task]["value"].as_f64().unwrap())),
        );
    }
    expected.extend(rows.iter().map(|row| (&row["snr_db"], row["test"]["n_ce"].as_f64().unwrap())));
    let drawn = browser.evaluate(dots);
    let drawn = drawn.as_array().unwrap();
    assert_eq!(drawn.len(), expected.len(), "{drawn:?}");
    for (dot, (snr_db, value)) in drawn.iter().zip(expected) {
        assert_eq!(dot[0].as_f64(), snr_db.as_f64());
        assert!((dot[1].as_f64().unwrap() - value).abs() < 1e-9, "{dot} {value}");
    }
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
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
    // All uses are those of an entry, of lost blocks, too.
    let all = clear["channel"]["uses"].as_f64().unwrap();
    assert!((numbers(&clear["test"]["entry_uses"]).iter().sum::<f64>() - all).abs() < 1e-9, "{clear}");
    // None does.
    let silent = run("silent", &digital("\"awgn\",snr_db=-40"), "--in-process");
    assert_eq!(silent["test"]["missing"]["used"], 0, "{}", silent["test"]);
    let all = silent["channel"]["uses"].as_f64().unwrap();
    assert!((numbers(&silent["test"]["entry_uses"]).iter().sum::<f64>() - all).abs() < 1e-9, "{silent}");

    let words = digital("\"rayleigh\",snr_db=12,modulation=\"16-qam\",code_rate=0.5,csi=\"both\"");
    let more = format!("--set network.see_channel=true {TO_BE_KILLED}");
    let in_one = run("in-one", &words, &format!("{more} --in-process"));
    let processes = run("processes", &words, &format!("{more} --verify"));
    let of =
        |summary: &Value| [&summary["fingerprint"], &summary["test"], &summary["channel"]].map(Clone::clone);
    assert_eq!(of(&in_one), of(&processes));
    let count = |key: &str| in_one["test"]["missing"][key].as_u64().unwrap();
    assert!(count("lost") > 0 && count("used") > 0, "{}", in_one["test"]["missing"]);
    let words = format!(
        "run tiny.toml {DITHERED} --set channel=[{words}] {more} --restarts 1000 --out killed --json"
    );
    let killed = kill_ten(&place, "killed", place.start(&words));
    assert_eq!(of(&killed.done().json()), of(&processes));
    let refused = place.run("serve in-one --rate 10");
    refused.failed(2, &["transport = \"digital\"", "--set channel=[]"]);
}
