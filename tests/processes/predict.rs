//! A trained run answers single rows: with the bits of an evaluation, with or without labels, and as the page's numpy
//! code computes it.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

const PAGE: &str = include_str!("../../docs/predict.md");

/// The scenario of the page's commands; docs/your-own-data.md has it with 300 rounds.
const SCENARIO: &str = r#"
    name = "halves"
    [data]
    source = "arrays"
    path = "halves"
    noise_width = 5
    [network]
    feature_dim = 6
    receiver_limit = 2
    transmitter_limit = 2
    [train]
    rounds = 30
    ticks_per_round = 4
    samples_per_tick = 4
    coding_lr = 2e-3
    [evaluation]
    passes = 3
    [[transmitter]]
    modalities = ["left", "noise-1"]
    [[transmitter]]
    modalities = ["right"]
    [[receiver]]
    task = "digit"
    [[receiver]]
    task = "ink"
"#;

/// A place with the scenario, its arrays, and the run "trained" with further words.
fn trained(words: &str) -> (Place, Value) {
    let place = Place::new(PROGRAM);
    place.write("halves.toml", SCENARIO);
    write_arrays(&place, "halves", 50);
    let summary = place.run(&format!("run halves.toml --out trained --json {words}")).done().json();
    (place, summary)
}

/// The lines of a file, by (pass, row, receiver).
fn lines(place: &Place, file: &str) -> BTreeMap<(u64, u64, u64), Value> {
    let text = std::fs::read_to_string(place.path(file)).expect("it was written");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("an object a line");
        let number = |key: &str| line[key].as_u64().expect("a number");
        ((number("pass"), number("row"), number("receiver")), line)
    };
    text.lines().map(line).collect()
}

#[test]
fn answers_are_those_of_an_evaluation_in_every_pass() {
    for words in [
        "",
        "--method dlsc",
        "--method vddib",
        "--method rs-dib",
        "--set train.samples_per_tick=1",
        "--set straggler.policy=skip --set link=[{loss=0.3}]",
    ] {
        let (place, summary) = trained(words);
        let told = place.run("predict trained --out a.jsonl --passes 3 --json").done().json();
        assert_eq!((&told["rows"], &told["passes"], &told["round"]), (&50.into(), &3.into(), &30.into()));
        let [digit, ink] = [0, 1].map(|at| summary["test"]["tasks"][at].clone());
        assert_eq!(told["tasks"][0]["top1"], digit["value"], "{words}");
        let lines = lines(&place, "a.jsonl");
        assert_eq!(lines.len(), 2 * 3 * 50);
        let number = |value: &Value| value.as_f64().expect("a number");
        let (mut loss, mut error, mut entries) = (0.0, 0.0, [0; 2]);
        for ((_, _, receiver), line) in &lines {
            entries[*receiver as usize] += line["entries"].as_array().unwrap().len();
            match receiver {
                0 => {
                    let label = line["label"].as_u64().unwrap() as usize;
                    loss -= number(&line["probabilities"][label]).ln();
                    let sum: f64 = line["probabilities"].as_array().unwrap().iter().map(number).sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{line}");
                }
                _ => error += (number(&line["answer"][0]) - number(&line["label"][0])).powi(2),
            }
        }
        assert!(
            (loss / 150.0 - number(&digit["ce"])).abs() < 1e-5,
            "{words}: {} beside {digit}",
            loss / 150.0
        );
        let scale = number(&ink["value"]).max(1.0);
        assert!(
            (error / 150.0 - number(&ink["value"])).abs() < 1e-4 * scale,
            "{words}: {} beside {ink}",
            error / 150.0
        );
        if !words.contains("loss") {
            let granted = number(&summary["test"]["selected_entries"]);
            assert!((entries.iter().sum::<usize>() as f64 / 150.0 - granted).abs() < 1e-9, "{words}");
        }
    }
}

#[test]
fn rows_need_no_labels_and_no_training_files() {
    let (place, _) = trained("");
    for array in ["left", "right"] {
        let name = format!("{array}.test.npy");
        let content = std::fs::read(place.path("halves").join(&name)).unwrap();
        place.write(&format!("field/{name}"), content);
    }
    place.run("predict trained --out own.jsonl --z").done();
    let said = place.run("predict trained --data field --out field.jsonl --z --threads 1").done();
    assert!(said.stdout.contains("receiver 0 digit: 0 rows with labels\n"), "{said}");
    let (own, field) = (lines(&place, "own.jsonl"), lines(&place, "field.jsonl"));
    assert_eq!(own.len(), field.len());
    for (key, line) in &field {
        let mut expected = own[key].clone();
        assert!(!expected["label"].is_null());
        expected["label"] = Value::Null;
        assert_eq!(*line, expected);
        let names = |value: &Value| {
            value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let features = line["z"].as_object().unwrap();
        assert_eq!(features.len(), names(&line["entries"]).len());
        assert!(features.values().all(|z| z.as_array().unwrap().len() == 6), "{line}");
    }
    // Other rows, in another number, with labels that the network does not know.
    write_arrays(&place, "other", 7);
    let told = place.run("predict trained --data other --out other.csv --json").done().json();
    assert_eq!((&told["rows"], &told["tasks"][1]["labelled"]), (&7.into(), &7.into()));
    place.write("other/digit.test.npy", npy("|u1", "(7,)", &[9; 7]));
    place.run("predict trained --data other --out b.csv").failed(
        2,
        &["digit.test.npy: row 0 is of class 9, and the network knows 0 to 2", "leave the file out"],
    );
    assert!(!place.path("b.csv").exists());
    let rows = place.run("predict trained --split train --out train.csv --json").done().json();
    assert_eq!(rows["rows"], 60);
}

#[test]
fn rows_are_taken_as_they_were_observed_whatever_an_evaluation_does_to_sensors() {
    let place = Place::new(PROGRAM);
    place.write("halves.toml", SCENARIO);
    write_arrays(&place, "halves", 50);
    place.write("halves/time.test.npy", npy("<f4", "(50,)", &floats(50, |row| (row / 10) as f32)));
    let run = "run halves.toml --rounds 4 --in-process";
    place.run(&format!("{run} --out plain")).done();
    let late = "--set evaluation.stale=2 --set evaluation.recordings=time";
    let poor = "--set evaluation.blur=1.5 --set evaluation.sensor_noise=0.5 --set evaluation.off=[\"1\"]";
    place.run(&format!("{run} --out disturbed {late} {poor}")).done();
    let answers = |run: &str| {
        place.run(&format!("predict {run} --out {run}.jsonl")).done();
        lines(&place, &format!("{run}.jsonl"))
    };
    assert_eq!(answers("disturbed"), answers("plain"));
    // The other rows have no recordings; the lag must not be applied to them.
    write_arrays(&place, "other", 7);
    place.run("predict disturbed --data other --out other.csv").done();
}

#[test]
fn a_csv_has_a_head_and_a_line_for_every_row_and_receiver() {
    let (place, _) = trained("--set receiver=[{task=\"digit\"},{task=\"ink\"},{task=\"animal\"}]");
    place.run("predict trained --out a.csv --z --passes 2").done();
    place.run("predict trained --out a.jsonl --passes 2").done();
    let text = std::fs::read_to_string(place.path("a.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 1 + 2 * 50 * 3);
    let head = &rows[0];
    assert_eq!(head[..11].join(","), "pass,row,receiver,task,answer,label,entries,p0,p1,p2,z:0:left:0");
    assert_eq!(head.len(), 10 + 3 * 6);
    assert!(rows.iter().all(|row| row.len() == head.len()));
    let lines = lines(&place, "a.jsonl");
    for row in &rows[1..] {
        let [pass, number, receiver] = [0, 1, 2].map(|at| row[at].parse().unwrap());
        let line = &lines[&(pass, number, receiver)];
        let entries: Vec<&str> =
            line["entries"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(row[6], entries.join(" "));
        match receiver {
            0 => assert_eq!(row[4], line["answer"].to_string()),
            1 => assert_eq!(row[4].parse::<f64>().unwrap(), line["answer"][0].as_f64().unwrap()),
            _ => {
                assert_eq!(
                    (row[4], row[5]),
                    (line["answer"].as_str().unwrap(), line["label"].as_str().unwrap())
                );
                assert!(["a cat", "dog"].contains(&row[4]) && row[9].is_empty(), "{row:?}");
            }
        }
    }
}

#[test]
fn one_hot_labels_are_evaluated_resumed_and_predicted() {
    let place = Place::new(PROGRAM);
    place.write("halves.toml", SCENARIO);
    write_arrays(&place, "halves", 50);
    for (split, rows) in [("train", 60), ("test", 50)] {
        let hot = (0..rows).flat_map(|row| (0..3).map(move |class| u8::from(class == row % 3)));
        let content = npy("|u1", &format!("({rows}, 3)"), &hot.collect::<Vec<u8>>());
        place.write(&format!("halves/digit.{split}.npy"), content);
    }
    let summary = place.run("run halves.toml --rounds 4 --in-process --out trained --json").done().json();
    let again = place.run("evaluate trained --in-process --json").done().json();
    assert_eq!(again["test"]["tasks"], summary["test"]["tasks"]);
    let told = place.run("predict trained --out a.csv --passes 3 --json").done().json();
    assert_eq!(told["tasks"][0]["top1"], summary["test"]["tasks"][0]["value"]);
    place.run("run --resume trained --rounds 6 --in-process").done();
}

#[test]
fn digits_are_predicted_from_both_splits() {
    let place = Place::new(PROGRAM);
    let words =
        "--set train.ticks_per_round=10 --set evaluation.passes=1 --set evaluation.joint_rate_samples=100";
    let summary = place.run(&format!("run --rounds 3 --out a --json {words}")).done().json();
    let told = place.run("predict a --out a.npz --json").done().json();
    for t in 0..3 {
        assert_eq!(told["tasks"][t]["top1"], summary["test"]["tasks"][t]["value"]);
    }
    let content = std::fs::read(place.path("a.npz")).unwrap();
    let shape = data::parse_array("npz", &content, "receiver2.probabilities").unwrap();
    assert_eq!(shape, [1, 4000, 10]);
    assert_eq!(data::parse_array("npz", &content, "receiver0.used").unwrap(), [1, 4000, 9]);
    let train = place.run("predict a --split train --out b.npz --json").done().json();
    assert_eq!(train["rows"], 20_000);
}

#[test]
fn what_cannot_be_predicted_is_named() {
    let (place, _) = trained("--rounds 2");
    place.run("predict trained --out a.txt").failed(2, &["--out a.txt", ".csv, .jsonl or .npz"]);
    place.run("predict nothing --out a.csv").failed(2, &["nothing holds no run"]);
    assert!(!place.path("nothing").exists());
    place.write("a.csv", "mine");
    place.run("predict trained --out a.csv").failed(2, &["a.csv is there already", "--force"]);
    place.run("predict trained --out a.csv --force").done();
    place.run("predict trained --out nowhere/a.csv").failed(2, &["nowhere/a.csv"]);
    place.run("predict trained --data nowhere --out b.csv").failed(2, &["nowhere is missing"]);
    write_arrays(&place, "other", 7);
    place.write("other/left.test.npy", npy("<f4", "(7, 3)", &floats(21, |at| at as f32)));
    place
        .run("predict trained --data other --out b.csv")
        .failed(2, &["left.test.npy: has 3 values a row, and the network was trained on 4"]);
    std::fs::remove_file(place.path("other/left.test.npy")).unwrap();
    place.run("predict trained --data other --out b.csv").failed(2, &["left.test.npy is missing"]);
    write_arrays(&place, "other", 7);
    place.write("other/right.test.npy", npy("<f4", "(8, 3)", &floats(24, |at| at as f32)));
    place.run("predict trained --data other --out b.csv").failed(2, &["right.test.npy: has 8 rows"]);
}

#[test]
fn the_networks_are_rebuilt_in_numpy_as_the_page_says() {
    let Some(python) = python() else {
        eprintln!("skipped: no python3 with numpy; POM2DIB_PYTHON may name one");
        return;
    };
    let blocks = |language: &str| {
        let opened = PAGE.split("```").skip(1).step_by(2);
        opened.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect::<Vec<&str>>()
    };
    let (command, script) = blocks("sh")[0].split_once('\n').unwrap();
    assert_eq!(script.trim(), "python3 rebuild.py");
    for words in ["", "--method dlsc", "--method vddib --set train.bits=3", "--seed 18446744073709551615"] {
        let (place, _) = trained(words);
        // With several passes, and pieces of 16 rows of 50.
        place.run(&format!("{} --passes 2", command.strip_prefix("pom2dib ").unwrap())).done();
        place.write("rebuild.py", blocks("python")[0]);
        let run = Command::new(&python).arg("rebuild.py").current_dir(place.path("")).output();
        let output = run.expect("Python starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said.lines().count(), 4, "{said}");
        eprintln!("{words}\n{said}");
    }
}

/// A Python with numpy, if there is one.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("POM2DIB_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| "python3".into());
    let words = ["-c", "import sys, numpy; print(sys.executable)"];
    let output = Command::new(&python).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).expect("a path").trim().into())
}

/// Sixty training rows, and `test_rows` test rows.
fn write_arrays(place: &Place, folder: &str, test_rows: usize) {
    for (split, rows) in [("train", 60), ("test", test_rows)] {
        let write =
            |name: &str, content: Vec<u8>| place.write(&format!("{folder}/{name}.{split}.npy"), content);
        let wave = |at: usize| (at as f32).sin();
        write("left", npy("<f4", &format!("({rows}, 2, 2)"), &floats(4 * rows, wave)));
        write("right", npy("<f4", &format!("({rows}, 3)"), &floats(3 * rows, |at| 100.0 * wave(at + 7))));
        let digits = (0..rows).map(|row| (row % 3) as u8).collect::<Vec<_>>();
        write("digit", npy("|u1", &format!("({rows},)"), &digits));
        write("ink", npy("<f4", &format!("({rows},)"), &floats(rows, |row| 50.0 + 3.0 * wave(4 * row))));
        let animal =
            (0..rows).flat_map(|row| [b"dog\0\0", b"a cat"][row % 2].map(|letter| [letter, 0, 0, 0]));
        let animal = animal.flatten().collect::<Vec<u8>>();
        write("animal", npy("<U5", &format!("({rows},)"), &animal));
    }
}

/// A .npy file of version 1.0.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

fn floats(count: usize, value: impl Fn(usize) -> f32) -> Vec<u8> {
    (0..count).flat_map(|at| value(at).to_le_bytes()).collect()
}
