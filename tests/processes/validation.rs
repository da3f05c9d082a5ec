//! A validation curve: held-out rows are evaluated during training, which changes no other bit; the best checkpoint is
//! kept, and training ends when none is better any more.

use harness::{PATIENCE, Place, RunFolder, wait_until};
use serde_json::Value;

use crate::PROGRAM;

/// Learning rates at which a few rounds make a difference.
const FAST: &str =
    "--set train.coding_lr=3e-3 --set data.hold_out=0.005 --set evaluation.validation_passes=1";

/// The scores of each round's version on validation rows, by the number of rounds.
fn curve(folder: &RunFolder) -> Vec<(u64, Value)> {
    let judged = |line: Value| {
        let validation = line.get("validation")?.clone();
        Some((line["round"].as_u64().expect("a round has a number") + 1, validation))
    };
    folder.lines("metrics.jsonl").into_iter().filter_map(judged).collect()
}

/// The version with the largest N-CE, the first of several.
fn best(curve: &[(u64, Value)]) -> u64 {
    let n_ce = |(_, validation): &(u64, Value)| validation["n_ce"].as_f64().unwrap();
    let largest = curve.iter().map(n_ce).fold(f64::MIN, f64::max);
    curve.iter().find(|point| n_ce(point) == largest).unwrap().0
}

fn rounds_of_checkpoints(folder: &RunFolder) -> Vec<u64> {
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let round = |path| name(path).trim_start_matches("round-").parse().unwrap();
    folder.checkpoints().iter().map(round).collect()
}

#[test]
fn a_curve_is_drawn_over_rows_that_are_held_out_and_changes_no_other_bit() {
    let place = Place::new(PROGRAM);
    let plain = place.run("run tiny.toml --out plain --json").done().json();
    let held = place.run(&format!("run tiny.toml {FAST} --out held --json")).done().json();
    assert_ne!(held["fingerprint"], plain["fingerprint"], "it trains on other rows");
    assert!(held.get("validation").is_none() && curve(&place.run_folder("held")).is_empty());
    for way in ["", "--in-process"] {
        let words = format!("run tiny.toml {FAST} --set evaluation.every=2 --out a --force --json {way}");
        let judged = place.run(&words).done().json();
        for key in ["fingerprint", "test"] {
            assert_eq!(judged[key], held[key], "{key} {way}");
        }
        for key in ["feature_bytes", "gradient_bytes"] {
            assert_eq!(judged["wire"][key], held["wire"][key], "validation is not training");
        }
        let curve = curve(&place.run_folder("a"));
        assert_eq!(curve.iter().map(|(round, _)| *round).collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(judged["validation"]["best_round"], best(&curve));
        assert_eq!(judged["validation"]["stopped_early"], false);
        for (round, validation) in &curve {
            let ce: f64 = validation["ce"].as_array().unwrap().iter().map(|ce| ce.as_f64().unwrap()).sum();
            assert!((validation["n_ce"].as_f64().unwrap() + ce).abs() < 1e-9, "{round}");
            let scores = validation["scores"].as_array().unwrap();
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(&score.as_f64().unwrap())), "{scores:?}");
            assert_ne!(validation["n_ce"], judged["test"]["n_ce"], "those are other rows");
        }
        // The mean of all rounds of training, which are fewer than the averaging window.
        let lines = place.run_folder("a").lines("metrics.jsonl");
        let mean = lines.iter().map(|line| line["n_ce"].as_f64().unwrap()).sum::<f64>() / lines.len() as f64;
        let (_, last) = curve.last().unwrap();
        let gap = mean - last["n_ce"].as_f64().unwrap();
        assert!((last["gap"].as_f64().unwrap() - gap).abs() < 1e-8, "{last} {gap}");
    }
    // Sensors are blurred over the test rows alone.
    let blurred =
        format!("run tiny.toml {FAST} --set evaluation.every=2 --set evaluation.blur=2.0 --in-process");
    let blurred = place.run(&format!("{blurred} --out blurred --json")).done().json();
    assert_eq!(curve(&place.run_folder("blurred")), curve(&place.run_folder("a")));
    assert_ne!(blurred["test"]["n_ce"], held["test"]["n_ce"]);
    // By default, a tenth is held out.
    place.run("run tiny.toml --rounds 2 --set evaluation.every=2 --set evaluation.validation_passes=1 --out tenth").done();
    assert!(place.run_folder("tenth").text("scenario.toml").contains("hold_out = 0.1\n"));
}

#[test]
fn whatever_is_killed_the_curve_and_the_best_are_the_same() {
    let words = format!("tiny.toml {FAST} --rounds 24 --set evaluation.every=4 --set checkpoint.every=5");
    let place = Place::new(PROGRAM);
    let quiet = place.run(&format!("run {words} --out quiet --json")).done().json();
    let expected = curve(&place.run_folder("quiet"));
    assert_eq!(expected.len(), 6);
    for way in ["", "--in-process"] {
        let mut run = place.start(&format!("run {words} --out a --force --restarts 0 --json {way}"));
        for rounds in [6, 13] {
            wait_until("some rounds", PATIENCE, || place.run_folder("a").rounds() >= rounds);
            place.kill(run);
            run = place.start(&format!("run --resume a --restarts 0 --json {way}"));
        }
        let summary = run.finish().done().json();
        for key in ["fingerprint", "test", "validation"] {
            assert_eq!(summary[key], quiet[key], "{key} {way}");
        }
        assert_eq!(curve(&place.run_folder("a")), expected, "{way}");
    }
}

#[test]
fn the_best_checkpoint_outlives_later_ones_and_can_be_judged_and_used() {
    let place = Place::new(PROGRAM);
    // Without learning all versions score the same, and the first is the best.
    let words = "run tiny.toml --rounds 8 --set train.coding_lr=0 --set train.selection_lr=0 --set evaluation.every=2 \
                 --set data.hold_out=0.005 --set checkpoint.every=1 --out a --json";
    let summary = place.run(words).done().json();
    let folder = place.run_folder("a");
    let best = best(&curve(&folder));
    assert_eq!(summary["validation"]["best_round"], best);
    assert_eq!((best, rounds_of_checkpoints(&folder)), (2, vec![2, 7, 8]));
    folder.assert_nothing_partial_looks_whole();

    let last = place.run("evaluate a --json").done().json();
    assert_eq!((last["rounds"].as_u64(), &last["test"]), (Some(8), &summary["test"]));
    for way in ["", "--in-process"] {
        let judged = place.run(&format!("evaluate a --best --json {way}")).done().json();
        assert_eq!(judged["rounds"], best);
        let answers = format!("predict a --best --out answers{}.csv --json", way.len());
        let predicted = place.run(&answers).done().json();
        assert_eq!(predicted["round"], best);
        for (t, task) in predicted["tasks"].as_array().unwrap().iter().enumerate() {
            assert_eq!(task["top1"], judged["test"]["tasks"][t]["value"]);
        }
    }
    // A forked run has its own best version, or none.
    place.run("run --from a --out b --rounds 10 --set evaluation.every=0").done();
    place.run("evaluate b --best").failed(2, &["b has no best checkpoint", "evaluation.every", "--best"]);
}

#[test]
fn training_ends_when_no_version_is_better_for_as_long_as_it_is_said() {
    let place = Place::new(PROGRAM);
    // Without learning all versions score the same.
    let words = "run tiny.toml --rounds 50 --set data.hold_out=0.005 --set train.coding_lr=0 --set train.selection_lr=0 --set evaluation.every=3 \
                 --set evaluation.patience=2";
    for way in ["", "--in-process"] {
        let outcome = place.run(&format!("{words} --out a --force --json {way}")).done();
        let summary = outcome.json();
        assert!(outcome.stderr.contains("training ends early, after round 9 of 50"), "{outcome}");
        assert_eq!(summary["rounds"], 9);
        assert_eq!(summary["validation"]["best_round"], 3);
        assert_eq!(summary["validation"]["stopped_early"], true);
        let again = place.run(&format!("run --resume a --json {way}")).done().json();
        for key in ["rounds", "fingerprint", "test", "validation"] {
            assert_eq!(again[key], summary[key], "{key}: it has ended");
        }
        assert_eq!(place.run_folder("a").rounds(), 9);
    }
}

#[test]
fn invalid_values_are_named_by_their_keys() {
    let place = Place::new(PROGRAM);
    let refused = |set: &str, line: &[&str]| {
        place.run(&format!("run tiny.toml --set {set} --out a")).failed(2, line);
        assert!(!place.path("a").exists());
    };
    refused("evaluation.patience=3", &["evaluation.patience", "set evaluation.every"]);
    refused("data.hold_out=1", &["data.hold_out is 1", "from 0 to 0.9"]);
    refused("data.hold_out=-0.1", &["data.hold_out is -0.1"]);
    refused("evaluation.validation_passes=0", &["evaluation.validation_passes is 0"]);
    refused("data.groups=age --set data.hold_out=0.1", &["data.groups is \"age\"", "must be \"speaker\""]);
    refused(
        "data.groups=speaker --set data.source=mmfi --set data.hold_out=0.1",
        &["data.groups", "whole recordings"],
    );
    place.run("run tiny.toml --out a").done();
    place.run("evaluate a --best").failed(2, &["a has no best checkpoint"]);
    // Held-out rows affect training.
    let text = place.run_folder("a").text("scenario.toml").replace("hold_out = 0.0", "hold_out = 0.3");
    place.write("a/scenario.toml", text);
    place.run("run --resume a").failed(2, &["data.hold_out is 0.3, and is 0.0 in what was trained"]);
}
