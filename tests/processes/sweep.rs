//! A sweep runs every point, survives failed points, and continues after an interruption.

use harness::{Browser, PATIENCE, Place, Signal, wait_until};
use serde_json::Value;

use crate::PROGRAM;

#[test]
fn every_point_is_a_run_and_nothing_is_run_twice() {
    let place = Place::new(PROGRAM);
    let words =
        "sweep tiny.toml --set train.beta=0,1e-3 --set seed=1..2 --rounds 3 --in-process --out s --json";
    let first = place.run(words).done();
    assert!(first.stderr.contains("4 points in s: 0 done already"), "{first}");
    let table = first.json();
    let names =
        ["train.beta=0,seed=1", "train.beta=0,seed=2", "train.beta=0.001,seed=1", "train.beta=0.001,seed=2"];
    assert_eq!(all(&table["points"], "point"), names);
    assert_eq!(all(&table["points"], "status"), ["done"; 4]);

    // Each point equals a run by `run`.
    let alone =
        place.run("run tiny.toml --rounds 3 --seed 2 --set train.beta=1e-3 --in-process --out r --json");
    let alone = alone.done().json();
    assert_eq!(table["points"][3]["fingerprint"], alone["fingerprint"]);
    assert_eq!(table["points"][3]["figures"]["n_ce"], alone["test"]["n_ce"]);
    assert_eq!(place.run_folder("s/train.beta=0.001,seed=2").json("summary.json")["test"], alone["test"]);

    // The means are over the two seeds.
    let n_ce = |point: usize| table["points"][point]["figures"]["n_ce"].as_f64().unwrap();
    let mean = &table["over_seeds"][0]["figures"]["n_ce"];
    assert!((mean["mean"].as_f64().unwrap() - (n_ce(0) + n_ce(1)) / 2.0).abs() < 1e-12, "{mean}");
    let half = 12.706_204_736_174_7 * (n_ce(0) - n_ce(1)).abs() / 2.0;
    assert!((mean["half_width"].as_f64().unwrap() - half).abs() < 1e-9 * half.max(1.0), "{mean}");
    let csv = place.run_folder("s").text("sweep.csv");
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.contains(alone["fingerprint"].as_str().unwrap()), "{csv}");
    assert_eq!(place.run_folder("s").text("sweep-seeds.csv").lines().count(), 3);
    assert_eq!(place.run_folder("s").json("sweep.json"), table);

    let again = place.run(words).done();
    assert!(again.stderr.contains("4 points in s: 4 done already"), "{again}");
    assert_eq!(again.json(), table);

    // Seeds can be added to an existing sweep; other runs cannot.
    let more = place.run(&words.replace("seed=1..2", "seed=1..3")).done();
    assert!(
        more.stderr.contains("6 points in s: 4 done already, 0 to go on from a checkpoint, 2 to begin"),
        "{more}"
    );
    place.run(&words.replace("--rounds 3", "--rounds 4")).failed(
        2,
        &["s/train.beta=0,seed=1 holds a run of another scenario (train.rounds is 3 there, 4 here)", "--out"],
    );
}

#[test]
fn a_point_that_fails_is_listed_and_loses_no_other() {
    let place = Place::new(PROGRAM);
    place.write("s/seed=2", "in the way");
    let words = "sweep tiny.toml --seed 1..3 --rounds 2 --in-process --parallel 2 --out s";
    let outcome = place.run(words);
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    assert!(
        outcome.stderr.ends_with("error: 1 of 3 points failed; the same command tries them again\n"),
        "{outcome}"
    );
    assert!(outcome.stdout.contains("seed=2 failed: "), "{outcome}");
    let table = place.run_folder("s").json("sweep.json");
    assert_eq!(all(&table["points"], "status"), ["done", "failed", "done"]);
    assert_eq!(table["over_seeds"][0]["figures"]["n_ce"]["n"], 2);

    std::fs::remove_file(place.path("s/seed=2")).unwrap();
    let again = place.run(words).done();
    assert!(
        again.stderr.contains("3 points in s: 2 done already, 0 to go on from a checkpoint, 1 to begin"),
        "{again}"
    );
}

#[test]
fn a_run_that_fails_is_listed_with_its_last_word() {
    let place = Place::new(PROGRAM);
    let words =
        "sweep tiny.toml --method pom2dib,tadib --rounds 2 --in-process --device cuda:7 --out s --json";
    let outcome = place.run(words);
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    for point in outcome.json()["points"].as_array().unwrap() {
        assert!(point["status"] == "failed" && text(&point["error"]).contains("cuda:7"), "{point}");
    }
}

#[test]
fn an_interrupted_sweep_leaves_no_process_behind_and_resumes_to_the_same_end() {
    let place = Place::new(PROGRAM);
    let words =
        "sweep tiny.toml --method pom2dib,rs-dib --rounds 100 --set checkpoint.every=10 --out s --json";
    let sweep = place.start(words);
    let folder = place.run_folder("s/train.method=pom2dib");
    wait_until("a checkpoint", PATIENCE, || !folder.checkpoints().is_empty());
    sweep.signal(Signal::Terminate);
    let outcome = sweep.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let said = "error: interrupted: 0 of 2 points are done; the same command goes on from here\n";
    assert!(outcome.stderr.ends_with(said), "{outcome}");
    assert_eq!(all(&outcome.json()["points"], "status"), ["open", "open"]);
    place.assert_all_gone();
    assert!(folder.rounds() < 100 && !folder.has("summary.json"));

    let resumed = place.run(words).done();
    assert!(
        resumed.stderr.contains("2 points in s: 0 done already, 1 to go on from a checkpoint, 1 to begin"),
        "{resumed}"
    );
    let whole = place.run("run tiny.toml --rounds 100 --in-process --out whole --json").done().json();
    assert_eq!(resumed.json()["points"][0]["fingerprint"], whole["fingerprint"]);
}

#[test]
fn a_sweep_that_is_killed_takes_its_runs_along() {
    let place = Place::new(PROGRAM);
    let sweep = place.start("sweep tiny.toml --rounds 100000 --seed 1,2 --parallel 2 --out s");
    let running = |seed: &str| place.run_folder(&format!("s/seed={seed}")).rounds() > 0;
    wait_until("both to run", PATIENCE, || running("1") && running("2"));
    sweep.signal(Signal::Kill);
    sweep.finish().killed_by(Signal::Kill);
    place.assert_all_gone();
}

#[test]
fn fronts_are_of_coded_bits_and_of_snr_where_runs_have_them() {
    let place = Place::new(PROGRAM);
    let mut browser = Browser::open();
    let words = "sweep tiny.toml --rounds 2 --in-process --json";
    let coded = "--set train.coding=dithered --set train.rate_estimator=prior --set train.beta=0,1e-2,1";
    let air = "--seed 1,2 --set channel=[{kind=\"awgn\",snr_db=0}],[{kind=\"awgn\",snr_db=20}]";
    for (out, set, figure, axis, seeds) in [
        ("bits", coded, "coded_bits", "\"axis\":\"coded bits of a test sample\"", 1),
        ("air", air, "snr_db", "\"axis\":\"SNR, dB\"", 2),
    ] {
        let table = place.run(&format!("{words} {set} --out {out}")).done().json();
        let rows = table["over_seeds"].as_array().unwrap();
        let figure_of = |row: &Value, name: &str| row["figures"][name]["mean"].as_f64().unwrap();
        let beats = |other: &Value, row: &Value| {
            let gain = figure_of(other, "n_ce") - figure_of(row, "n_ce");
            let saving = figure_of(row, figure) - figure_of(other, figure);
            gain >= 0.0 && saving >= 0.0 && gain + saving > 0.0
        };
        for row in rows {
            let is_beaten = rows.iter().any(|other| beats(other, row));
            assert_eq!(row[format!("pareto.{figure}")], !is_beaten, "{row}");
        }
        let folder = place.run_folder(out);
        let head = |file: &str| folder.text(file).lines().next().unwrap().to_owned();
        assert!(head("sweep.csv").contains(&format!(",seconds,{figure},")), "{}", head("sweep.csv"));
        assert!(head("sweep-seeds.csv").ends_with(&format!(",pareto,pareto.{figure}")));
        let page = folder.text("sweep.html");
        assert!(page.contains(axis) && page.matches("data-picture=\"front\"").count() == 2, "{page}");
        let Some(browser) = browser.as_mut() else { continue };
        browser.visit(&format!("file://{}", place.path(out).join("sweep.html").display()));
        browser.wait_until(&format!("document.querySelectorAll('circle.dot').length === {}", 2 * rows.len()));
        let drawn = browser.evaluate(
            "[...document.querySelectorAll('circle.dot')].map((dot) => [Number(dot.dataset.x), Number(dot.dataset.y)])",
        );
        let both = ["sum_rate", figure].into_iter().flat_map(|name| rows.iter().map(move |row| (row, name)));
        for ((row, name), dot) in both.zip(drawn.as_array().unwrap()) {
            let near =
                |at: usize, name: &str| (dot[at].as_f64().unwrap() - figure_of(row, name)).abs() < 1e-9;
            assert!(near(0, name) && near(1, "n_ce"), "{name}: {dot} {row}");
        }
        // Means over several seeds have their intervals.
        let bars = browser.evaluate("document.querySelectorAll('line.bar').length");
        assert_eq!(bars, if seeds > 1 { 2 * rows.len() } else { 0 });
        assert_eq!(browser.complaints(), [""; 0]);
    }
    let rows = place.run_folder("air").json("sweep.json")["over_seeds"].clone();
    let snr = |row: usize| rows[row]["figures"]["snr_db"]["mean"].as_f64();
    assert!((snr(0).unwrap() - 0.0).abs() < 1e-9 && (snr(1).unwrap() - 20.0).abs() < 1e-9);
}

#[test]
fn errors_are_found_before_anything_runs() {
    let place = Place::new(PROGRAM);
    for (words, expected) in [
        ("--set train.beat=0,1", "tiny.toml: unknown field `beat`"),
        ("--set train.beta=0,-1", "train.beta=-1: tiny.toml: train.beta is -1; it must be 0 or more"),
        ("--method pom2dib,best", "train.method=best: tiny.toml: unknown variant `best`"),
        ("--seed 3..1", "--seed: the range 3..1 runs backwards"),
        ("--set seed=1 --seed 2", "seed is given twice"),
        ("--set train.rounds=1,2 --rounds 3", "train.rounds is given twice"),
        ("--synthetic", "--synthetic is for MM-Fi"),
    ] {
        place.run(&format!("sweep tiny.toml --out s {words}")).failed(2, &[expected]);
    }
    assert!(!place.path("s").exists());
    place.run("sweep nowhere.toml").failed(2, &["nowhere.toml"]);
}

fn all<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| text(&row[key])).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A modality and a task over files that the test writes.
const ARRAYS: &str = r#"
    [data]
    source = "arrays"
    [network]
    receiver_limit = 1
    transmitter_limit = 1
    [train]
    rounds = 2
    ticks_per_round = 2
    samples_per_tick = 4
    [evaluation]
    passes = 1
    [[transmitter]]
    modalities = ["left"]
    [[receiver]]
    task = "kind"
"#;

/// Writes an array of bytes.
fn write_array(place: &Place, name: &str, shape: &str, values: impl Iterator<Item = u8>) {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").into_bytes());
    bytes.extend(values);
    place.write(&format!("all/{name}.npy"), bytes);
}

#[test]
fn what_was_made_of_other_data_or_numerics_is_refused_and_of_another_build_said() {
    let place = Place::new(PROGRAM);
    place.write("arrays.toml", ARRAYS);
    let left = |row: u8| row.wrapping_mul(37);
    let write_left =
        |left: &dyn Fn(u8) -> u8| write_array(&place, "left.train", "(40, 1)", (0..40).map(left));
    write_left(&left);
    write_array(&place, "left.test", "(8, 1)", (0..8).map(left));
    write_array(&place, "kind.train", "(40,)", (0..40).map(|row| row % 3));
    write_array(&place, "kind.test", "(8,)", (0..8).map(|row| row % 3));
    let words = "sweep arrays.toml --data all --in-process --out s --seed";
    let first = place.run(&format!("{words} 1,2")).done();
    assert!(!first.stderr.contains("build") && !first.stderr.contains("older"), "{first}");

    // One value of one row: only the content has changed.
    write_left(&|row| if row == 3 { 0 } else { left(row) });
    let refused = place.run(&format!("{words} 1..3"));
    refused.failed(
        2,
        &["s/seed=1: choose another --out, or go on with the data", "made of other data (SHA-256 "],
    );
    assert!(!place.path("s/seed=3").exists(), "found before anything runs");
    // With the original data, it continues.
    write_left(&left);
    place.run(&format!("{words} 1..3")).done();

    let origin = place.run_folder("s/seed=2").json("origin.json");
    let with = |key: &str, value: Value| {
        let mut origin = origin.clone();
        origin[key] = value;
        place.write("s/seed=2/origin.json", origin.to_string());
        place.run(&format!("{words} 1..3"))
    };
    with("numerics", Value::from(999)).failed(2, &["s/seed=2: ", "made with numerics 999"]);
    let other_build = with("build", "x".into()).done();
    let said = "warning: 1 of 3 points that are there were made by another build of this program\n";
    assert!(other_build.stderr.contains(said), "{other_build}");

    // An older program did not record a run's origin.
    std::fs::remove_file(place.path("s/seed=2/origin.json")).unwrap();
    let older = place.run(&format!("{words} 1..3")).done();
    assert!(older.stderr.contains("note: 1 of 3 points that are there do not say which data"), "{older}");
}
