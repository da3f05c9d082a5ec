//! A run continues only with its own settings: edits in its folder are named, damage is reported and does not
//! invalidate whole checkpoints, and the summary over all rounds stays right.

use std::{fs, process::Command};

use harness::{Outcome, Place};
use serde_json::{Value, json};

use crate::PROGRAM;

#[test]
fn a_scenario_that_was_edited_is_refused_by_its_key() {
    let cut = Cut::new();
    let scenario = cut.place.run_folder("cut").text("scenario.toml");
    let third = "[[receiver]]\ntask = \"digit\"\n";
    for (from, to, key) in [
        ("seed = 1", "seed = 2", "seed is 2, and is 1 in what was trained to round 4"),
        ("samples_per_tick = 20", "samples_per_tick = 10", "train.samples_per_tick is 10"),
        ("task = \"parity\"", "task = \"digit\"", "receiver[0].task is \"digit\", and is \"parity\""),
        ("[[receiver]]\n", &format!("{third}[[receiver]]\n"), "receiver["),
        // The entropy bonus falls over all rounds.
        (
            "\nrounds = 6\n",
            "\nrounds = 8\n",
            "train.rounds is 8, and 6 rounds were given to what was trained",
        ),
    ] {
        assert!(scenario.contains(from), "{from} in {scenario}");
        cut.place.write("cut/scenario.toml", scenario.replacen(from, to, 1));
        for words in ["run --resume cut", "run --resume cut --in-process", "evaluate cut --in-process"] {
            cut.place.run(words).failed(2, &["cut/scenario.toml", key, "put it back"]);
        }
    }
    // Settings that do not affect training may change.
    let free = scenario.replace("name = \"tiny\"", "name = \"other\"").replace("passes = 1", "passes = 2");
    cut.place.write("cut/scenario.toml", free);
    let again = cut.place.run("run --resume cut --in-process --json").done();
    assert_eq!(again.json()["fingerprint"], cut.whole["fingerprint"]);
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
}

#[test]
fn logs_that_were_damaged_are_said_and_cost_nothing_that_the_summary_says() {
    let cut = Cut::new();
    let metrics = fs::read(cut.place.path("cut/metrics.jsonl")).unwrap();
    let flipped = |position: usize, bit: u8| {
        let mut text = metrics.clone();
        text[position] ^= 1 << bit;
        text
    };
    let second = metrics.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let bytes =
        String::from_utf8(metrics.clone()).unwrap().find("\"feature\":").unwrap() + "\"feature\":".len();
    cut.copy("undamaged");
    let undamaged = cut.go_on("undamaged");
    assert!(!undamaged.stderr.contains("warning"), "{}", undamaged.stderr);
    for (name, damaged) in [
        ("lost", metrics[second..].to_vec()),
        ("digit", flipped(bytes, 0)),
        ("no-text", flipped(bytes, 7)),
        ("no-line", flipped(second - 1, 1)),
        ("short", metrics[..second + 5].to_vec()),
        ("empty", Vec::new()),
    ] {
        cut.copy(name);
        cut.place.write(&format!("{name}/metrics.jsonl"), damaged);
        let outcome = cut.go_on(name);
        let warnings = outcome.stderr.lines().filter(|line| line.contains("warning")).collect::<Vec<_>>();
        let [warning] = warnings[..] else { panic!("{name}: {}", outcome.stderr) };
        assert!(
            warning.contains(&format!("{name}/metrics.jsonl")) && warning.contains("round 4"),
            "{warning}"
        );
        let lines = cut.place.run_folder(name).lines("metrics.jsonl");
        let rounds: Vec<u64> = lines.iter().map(|line| line["round"].as_u64().unwrap()).collect();
        assert!(rounds.ends_with(&[4, 5]) && rounds.is_sorted(), "{name}: {rounds:?}");
        cut.remove(name);
    }
    cut.copy("gone");
    fs::remove_file(cut.place.path("gone/selection.jsonl")).unwrap();
    assert!(cut.go_on("gone").stderr.contains("gone/selection.jsonl"));
}

#[test]
fn a_manifest_that_does_not_name_every_member_makes_no_checkpoint() {
    let cut = Cut::new();
    let manifest = |round: u64| format!("cut/checkpoints/round-{round:06}/manifest.json");
    cut.place.run("run --resume cut --in-process").done();
    let (text, older) =
        (fs::read(cut.place.path(&manifest(6))).unwrap(), fs::read(cut.place.path(&manifest(4))).unwrap());
    let old = old_manifest(&text);
    let without = |key: &str| {
        let mut manifest = old.clone();
        let files = manifest["files"].as_object_mut().unwrap();
        files.retain(|file, _| !file.starts_with(key));
        manifest.to_string().into_bytes()
    };
    let mut flipped = text.clone();
    let last_digit = text.iter().rposition(u8::is_ascii_digit).unwrap();
    flipped[last_digit] ^= 1;
    let damages =
        [Vec::new(), b"{}".to_vec(), without(""), without("receiver-1"), without("transmitter-0"), flipped];
    for damaged in &damages {
        cut.place.write(&manifest(6), damaged);
        let again = cut.place.run("run --resume cut --in-process --json").done();
        assert_eq!(again.json()["fingerprint"], cut.whole["fingerprint"]);
        assert!(again.stderr.contains("round-000006/manifest.json"), "it is passed over: {}", again.stderr);
        assert_eq!(cut.place.run_folder("cut").rounds(), 6);
    }
    // The round was trained again from the earlier checkpoint, which still exists.
    assert_eq!(fs::read(cut.place.path(&manifest(4))).unwrap(), older);
    for damaged in &damages {
        cut.place.write(&manifest(6), damaged);
        cut.place.write(&manifest(4), damaged);
        cut.place
            .run("run --resume cut --in-process")
            .failed(2, &["round-000006/manifest.json", "restore it"]);
    }
}

#[test]
fn a_folder_of_the_first_versions_goes_on_with_one_warning() {
    let cut = Cut::new();
    cut.copy("old");
    let folder = "old/checkpoints/round-000004";
    let manifest = old_manifest(&fs::read(cut.place.path(&format!("{folder}/manifest.json"))).unwrap());
    let mut files = serde_json::Map::new();
    for (file, hash) in manifest["files"].as_object().unwrap() {
        let bare = format!("{}.safetensors", file.split('.').next().unwrap());
        let path = |file: &str| cut.place.path(&format!("{folder}/{file}"));
        fs::rename(path(file), path(&bare)).unwrap();
        files.insert(bare, hash.clone());
    }
    let old = json!({ "round": 4, "program": "0.2.0", "numerics": manifest["numerics"], "files": files });
    cut.place.write(&format!("{folder}/manifest.json"), old.to_string());

    let evaluation = cut.place.run("evaluate old --in-process --json").done();
    assert_eq!(evaluation.json()["rounds"], 4);
    let outcome = cut.go_on("old");
    assert_eq!(outcome.stderr.matches("warning").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("earlier version"), "{}", outcome.stderr);
}

#[test]
fn an_incarnation_that_cannot_be_read_or_incremented_is_reported_with_advice() {
    let cut = Cut::new();
    for (number, damaged) in
        ["", "seven", "-1", "18446744073709551615", "99999999999999999999", "\u{1b}[31m"].iter().enumerate()
    {
        let name = format!("run-{number}");
        cut.copy(&name);
        let file = format!("{name}/incarnation");
        cut.place.write(&file, damaged);
        let refused = cut.place.run(&format!("run --resume {name} --in-process"));
        refused.failed(2, &[&file, "write ", " into it"]);
        assert!(!refused.stderr.contains('\u{1b}'));
        let remedy = refused.stderr.split("write ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        cut.place.write(&file, remedy);
        cut.go_on(&name);
        cut.remove(&name);
    }
}

/// A place with a run that was killed after round 4 of 6, and the summary of the complete run.
struct Cut {
    place: Place,
    whole: Value,
}

impl Cut {
    fn new() -> Self {
        let place = Place::new(PROGRAM);
        let words = "run tiny.toml --in-process --json --set checkpoint.every=2 --out cut";
        let whole = place.run(words).done().json();
        let cut = Cut { place, whole };
        fs::remove_dir_all(cut.place.path("cut/checkpoints/round-000006")).unwrap();
        fs::remove_file(cut.place.path("cut/summary.json")).unwrap();
        cut
    }

    /// The cut run, under another name.
    fn copy(&self, name: &str) {
        let copied =
            Command::new("cp").arg("-r").args([self.place.path("cut"), self.place.path(name)]).status();
        assert!(copied.unwrap().success());
    }

    /// Removes a run's folder. A checkpoint takes some 50 MB: all copies of a test together would take gigabytes.
    fn remove(&self, name: &str) {
        fs::remove_dir_all(self.place.path(name)).unwrap();
    }

    /// Continues a run to its end, which must equal that of the complete one, including wire and selection.
    fn go_on(&self, name: &str) -> Outcome {
        let outcome = self.place.run(&format!("run --resume {name} --in-process --json")).done();
        let bare = |summary: &Value| {
            let mut summary = summary.clone();
            let fields = summary.as_object_mut().unwrap();
            fields.remove("timing");
            // Framing of connections that were opened twice.
            fields["wire"].as_object_mut().unwrap().remove("total_bytes");
            fields["rates"].as_object_mut().unwrap().remove("socket_bytes");
            summary
        };
        let summary = outcome.json();
        assert_eq!(bare(&summary), bare(&self.whole), "{name}: {}", outcome.stderr);
        let total = |summary: &Value| summary["wire"]["total_bytes"].as_u64().unwrap();
        let (all, now) = (total(&self.whole), total(&summary));
        assert!(now > all - all / 10 && now < 2 * all, "{name}: {now} of {all} bytes");
        outcome
    }
}

/// A manifest of the first version, converted from one of this version.
fn old_manifest(text: &[u8]) -> Value {
    let mut manifest: Value = serde_json::from_slice(text).unwrap();
    let fields = manifest.as_object_mut().unwrap();
    for key in ["sha256", "run"] {
        assert!(fields.remove(key).is_some(), "{key}");
    }
    manifest
}
