//! The files of a run's folder and its standard output, the treatment of existing folders, and the continuation of an
//! interrupted run.

use harness::{PATIENCE, Place, RunFolder, wait_until};
use serde_json::Value;

use crate::{PROGRAM, assert_same, numbers};

#[test]
fn a_run_says_one_json_object_and_leaves_a_whole_folder() {
    let place = Place::for_longer_runs(PROGRAM);

    let summary = place.run("run tiny.toml --out a --json --set checkpoint.every=4").done().json();

    assert_summary(&summary);
    let folder = place.run_folder("a");
    assert_eq!(folder.json("summary.json"), summary);
    assert_logs(&folder);
    let kept = ["a/checkpoints/round-000004", "a/checkpoints/round-000006"].map(|name| place.path(name));
    assert_eq!(folder.checkpoints(), kept);
    folder.assert_nothing_partial_looks_whole();
    let resolved = place.run("run a/scenario.toml --in-process --out again --json").done().json();
    assert_eq!(resolved["fingerprint"], summary["fingerprint"]);
}

#[test]
fn numbers_in_logs_are_as_short_as_they_read_back() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("run tiny.toml --in-process --out a").done();
    place.run("predict a --out a/answers.jsonl --passes 1").done();
    let folder = place.run_folder("a");
    let mut seen = 0;
    for name in ["metrics.jsonl", "selection.jsonl", "summary.json", "recordings.json", "answers.jsonl"] {
        let text = folder.text(name);
        let words = text.split(|letter: char| !(letter.is_ascii_digit() || "+-.eE".contains(letter)));
        for word in words.filter(|word| word.contains('.')) {
            // Versions have two dots.
            let Ok(value) = word.parse::<f64>() else { continue };
            let read: Value = serde_json::from_str(word).unwrap();
            assert_eq!(read.as_f64(), Some(value), "{name}: {word} is read back as it was");
            let shortest = [value.to_string(), format!("{value:?}"), format!("{:?}", value as f32)];
            let digits =
                |text: &str| text.split(['e', 'E']).next().unwrap().trim_start_matches(['-', '0', '.']).len();
            assert!(
                shortest[..2].iter().any(|short| digits(word) <= digits(short)),
                "{name}: {word} {value}"
            );
            // An f32 is written with nine digits, not with the seventeen of an f64. (A mean in f64 may be an f32 by
            // chance.)
            let is_single = name == "answers.jsonl" && f64::from(value as f32) == value;
            assert!(!is_single || digits(word) <= digits(&shortest[2]), "{name}: {word} {}", shortest[2]);
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
    let table = place.run("records a").done().stdout;
    for (round, line) in folder.lines("metrics.jsonl").iter().enumerate() {
        let row = format!(",train,{round},sum_rate,,,,,,{},,", line["sum_rate"]);
        assert!(table.contains(&row), "{row} in {table}");
    }
}

#[test]
fn evaluate_gives_the_scores_and_the_fingerprint_of_the_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = place.run("run tiny.toml --out a --json").done().json();

    let evaluation = place.run("evaluate a --json").done().json();
    for section in ["method", "seed", "rounds", "test", "fingerprint"] {
        assert_eq!(evaluation[section], run[section], "{section}");
    }
    assert_eq!(place.run_folder("a").json("summary.json"), run);

    let state = place.run_folder("a").state(6, "receiver-1");
    place.write(&format!("a/{state}"), "no longer what it was");
    for words in ["evaluate a", "run --resume a"] {
        place.run(words).failed(2, &[&state, "manifest"]);
    }
}

#[test]
fn a_run_of_other_numerics_is_judged_but_does_not_go_on() {
    let place = Place::for_longer_runs(PROGRAM);
    let run = place.run("run tiny.toml --out a --in-process --json").done().json();
    let manifest = place.run_folder("a").json("checkpoints/round-000006/manifest.json");
    let mut of_old = manifest.as_object().expect("a manifest is an object").clone();
    for key in ["numerics", "sha256", "run"] {
        assert!(of_old.remove(key).is_some(), "{key}");
    }
    place.write("a/checkpoints/round-000006/manifest.json", serde_json::to_string(&of_old).unwrap());

    place.run("run --resume a").failed(2, &["round-000006", "numerics version 1", "train anew"]);
    assert_eq!(place.run("evaluate a --in-process --json").done().json()["test"], run["test"]);
}

#[test]
fn a_run_is_never_overwritten_without_force() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("run tiny.toml --out a --in-process --rounds 1").done();
    let before = place.run_folder("a").text("summary.json");

    for refused in
        ["run tiny.toml --out a", "run tiny.toml --out a --in-process", "coordinator tiny.toml --out a"]
    {
        place.run(refused).failed(2, &["a holds a run already", "--force"]);
    }
    assert_eq!(place.run_folder("a").text("summary.json"), before);

    place.run("run tiny.toml --out a --force --in-process --rounds 2").done();
    assert_eq!(place.run_folder("a").json("summary.json")["rounds"], 2);
    assert_eq!(place.run_folder("a").rounds(), 2);
}

#[test]
fn a_run_that_never_began_does_not_stand_in_the_way() {
    let place = Place::for_longer_runs(PROGRAM);
    place.run("run tiny.toml --out a --device cuda:0").failed(2, &["cuda:0"]);
    place.run("run tiny.toml --out a --in-process --rounds 1").done();
}

#[test]
fn without_a_folder_a_run_takes_a_fresh_one_under_runs() {
    let place = Place::for_longer_runs(PROGRAM);
    place.write("runs/tiny-pom2dib-s1/notes.txt", "of another run");
    place.run("run tiny.toml --in-process --rounds 1").done();
    assert!(place.run_folder("runs/tiny-pom2dib-s1-2").has("summary.json"));
}

#[test]
fn a_run_cut_down_in_the_middle_goes_on_to_the_same_end() {
    let place = Place::for_longer_runs(PROGRAM);
    let whole = place.run("run tiny.toml --rounds 14 --out whole --in-process --json").done().json();

    let run = place.start("run tiny.toml --rounds 14 --out cut --set checkpoint.every=2");
    let folder = place.run_folder("cut");
    wait_until("a checkpoint and a round after it", PATIENCE, || {
        !folder.checkpoints().is_empty() && folder.rounds() > 4
    });
    place.kill(run);
    assert!(!folder.has("summary.json"));
    folder.assert_nothing_partial_looks_whole();

    assert_same(&place.run("run --resume cut --json").done().json(), &whole);
    for log in ["metrics.jsonl", "selection.jsonl"] {
        let rounds: Vec<u64> = folder.lines(log).iter().map(|line| line["round"].as_u64().unwrap()).collect();
        assert_eq!(rounds, (0..14).collect::<Vec<u64>>(), "{log}");
    }
}

/// The keys that other programs rely on.
fn assert_summary(summary: &Value) {
    assert_eq!(summary["method"], "pom2dib");
    assert_eq!(summary["seed"], 1);
    assert_eq!(summary["rounds"], 6);
    assert_eq!(summary["device"], "cpu");
    let test = &summary["test"];
    let tasks = test["tasks"].as_array().unwrap();
    assert_eq!(
        tasks.iter().map(|task| task["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["parity", "digit"]
    );
    for task in tasks {
        let [low, value, high] =
            [&task["ci95"][0], &task["value"], &task["ci95"][1]].map(|v| v.as_f64().unwrap());
        assert_eq!(task["metric"], "top1");
        assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{task}");
    }
    let ce: f64 = tasks.iter().map(|task| task["ce"].as_f64().unwrap()).sum();
    assert!((test["n_ce"].as_f64().unwrap() + ce).abs() < 1e-9);
    assert!(test["sum_rate"].as_f64().unwrap() > 0.0);
    let granted: f64 = numbers(&test["selection"]).iter().sum();
    assert!((test["selected_entries"].as_f64().unwrap() - granted).abs() < 1e-9);
    for key in ["feature_bytes", "gradient_bytes", "total_bytes"] {
        assert!(summary["wire"][key].as_u64().unwrap() > 0, "{key}");
    }
    for key in ["seconds", "rounds_per_second"] {
        assert!(summary["timing"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    let fingerprint = summary["fingerprint"].as_str().unwrap();
    assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

fn assert_logs(folder: &RunFolder) {
    let metrics = folder.lines("metrics.jsonl");
    assert_eq!(metrics.len(), 6);
    for (round, line) in metrics.iter().enumerate() {
        assert_eq!(line["round"], round);
        for key in ["sum_rate", "n_ce", "loss", "logl", "seconds"] {
            assert!(line[key].is_number(), "{key} in {line}");
        }
        assert_eq!(numbers(&line["ce"]).len(), 2);
        assert!(line["bytes"]["total"].as_u64().unwrap() > 0);
    }
    let selection = folder.lines("selection.jsonl");
    assert_eq!(selection.len(), 6);
    for line in selection {
        let shares = numbers(&line["granted"]);
        assert_eq!(shares.len(), 2 * 5);
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{line}");
        // An encoded entry is granted to one receiver or to both, and a receiver with a grant has requested it.
        let (encoded, asked) = (numbers(&line["encoded"]), numbers(&line["asked"]));
        assert_eq!((encoded.len(), asked.len()), (5, 2));
        for (entry, encoded) in encoded.into_iter().enumerate() {
            let (first, second) = (shares[entry], shares[5 + entry]);
            assert!(first.max(second) <= encoded && encoded <= first + second + 1e-9, "{line}");
        }
        assert!(asked.iter().sum::<f64>() >= 2.0 && asked.iter().all(|asked| *asked <= 2.0), "{line}");
    }
}
