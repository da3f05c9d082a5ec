//! Users' arrays: docs/your-own-data.md is right, nodes need their own files only, and inconsistent files are named
//! before round 0.

use std::{path::PathBuf, process::Command, time::Duration};

use harness::{Place, Process};
use serde_json::Value;

use crate::PROGRAM;

const PAGE: &str = include_str!("../../docs/your-own-data.md");

/// Time limit for any command of the page, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(600);

/// Two modalities and two tasks, over files that the tests write.
const SCENARIO: &str = r#"
    [data]
    source = "arrays"
    [network]
    receiver_limit = 1
    transmitter_limit = 2
    [train]
    rounds = 4
    ticks_per_round = 4
    samples_per_tick = 4
    [evaluation]
    passes = 2
    [checkpoint]
    every = 2
    [[transmitter]]
    modalities = ["left"]
    [[transmitter]]
    modalities = ["right", "noise-1"]
    [[receiver]]
    task = "kind"
    [[receiver]]
    task = "place"
"#;

/// The text of the page's code blocks in a language, in order; without those of its last section, which is about users'
/// programs (tests/processes/own_dataset.rs).
fn blocks(language: &str) -> Vec<&'static str> {
    let (arrays, _) = PAGE.split_once("\n## A data set of your own program\n").expect("it has that section");
    let opened = arrays.split("```").skip(1).step_by(2);
    opened.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// A Python with the packages of the page's example, if there is one.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("POM2DIB_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .args(["-c", "import sys, numpy, sklearn; print(sys.executable)"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).expect("a path").trim().into())
}

#[test]
fn the_page_goes_from_arrays_to_a_trained_network_in_ten_commands() {
    let Some(python) = python() else {
        eprintln!("skipped: no python3 with numpy and scikit-learn; POM2DIB_PYTHON may name one");
        return;
    };
    let place = Place::new(PROGRAM);
    for (language, file) in [("python", "halves.py"), ("toml", "halves.toml")] {
        let text = blocks(language)[0];
        assert!(text.starts_with(&format!("# {file}\n")), "{text}");
        place.write(file, text);
    }
    let commands: Vec<&str> = blocks("sh").iter().flat_map(|block| block.lines()).collect();
    assert!(commands.len() <= 10, "{commands:?}");
    for command in commands {
        let (program, words) = command.split_once(' ').expect("a program and what it is told");
        match program {
            // Done already, when this machine was set up.
            "python3" if words.contains("pip install") => {}
            "python3" => {
                let script = place.path(words);
                let run = Command::new(&python).arg(&script).current_dir(place.path("")).output();
                let output = run.expect("Python starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            _ => drop(place.start(words).finish_within(LONG).done()),
        }
    }
    let summary = place.run_folder("trained").json("summary.json");
    let [digit, ink] = [0, 1].map(|task| summary["test"]["tasks"][task].clone());
    assert_eq!([&digit["metric"], &ink["metric"]], ["top1", "mse"]);
    assert!(digit["value"].as_f64().unwrap() > 0.9, "{digit}");
    // The variance of the test rows is 0.28 in the units of the data.
    assert!(ink["value"].as_f64().unwrap() < 0.05, "{ink}");
    let again = place.run_folder("trained").json("evaluation.json");
    assert_eq!(again["test"]["tasks"], summary["test"]["tasks"]);
}

#[test]
fn nodes_with_only_their_own_files_learn_the_same_as_nodes_with_all_files() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    let together = place.run("run own.toml --data all --out together --json").done().json();

    for (folder, array) in [("t0", "left"), ("t1", "right"), ("r0", "kind"), ("r1", "place")] {
        for split in ["train", "test"] {
            let name = format!("{array}.{split}.npy");
            let content = std::fs::read(place.path("all").join(&name)).expect("it was written");
            place.write(&format!("{folder}/{name}"), content);
        }
    }
    let coordinator = place.start("coordinator own.toml --out apart --listen 127.0.0.1:0 --json");
    let nodes = start_nodes(&place, "apart");
    let apart = coordinator.finish().done().json();
    nodes.into_iter().for_each(|node| drop(node.finish().done()));
    for field in ["fingerprint", "test"] {
        assert_eq!(apart[field], together[field], "{field}");
    }
    assert_eq!(together["test"]["ci95_over"], "bootstrap over test rows and passes");

    let url = format!("file://{}", place.path("all").display());
    let copied = place.run(&format!("run own.toml --data {url} --out copied --json")).done().json();
    assert_eq!(copied["fingerprint"], together["fingerprint"], "from a store");
    assert!(place.path("data-cache/arrays").is_dir());
}

#[test]
fn nodes_judge_the_same_rows_whether_files_bring_them_or_training_rows_are_held_out() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    let plain = place.run("run own.toml --data all --out plain --json").done().json();
    place.write(
        "all/speaker.train.npy",
        npy("|u1", "(60,)", &(0..60).map(|row| row / 12).collect::<Vec<_>>()),
    );
    let apart = |name: &str, arrays: &[(&str, &[&str])], set: &str| {
        for (folder, names) in arrays {
            for name in *names {
                let content = std::fs::read(place.path(&format!("all/{name}.npy"))).expect("it was written");
                place.write(&format!("{folder}/{name}.npy"), content);
            }
        }
        let words = format!("coordinator own.toml {set} --out {name} --listen 127.0.0.1:0 --json");
        let coordinator = place.start(&words);
        let nodes = start_nodes(&place, name);
        (coordinator.finish(), nodes)
    };
    // Held out by group: every node knows the groups.
    let set = "--set evaluation.every=2 --set data.groups=speaker";
    let together = place.run(&format!("run own.toml --data all {set} --out groups --json")).done().json();
    assert_ne!(together["fingerprint"], plain["fingerprint"]);
    let files: Vec<(&str, Vec<String>)> = [("t0", "left"), ("t1", "right"), ("r0", "kind"), ("r1", "place")]
        .map(|(folder, array)| {
            (folder, vec![format!("{array}.train"), format!("{array}.test"), "speaker.train".into()])
        })
        .into();
    let borrowed: Vec<(&str, Vec<&str>)> =
        files.iter().map(|(folder, names)| (*folder, names.iter().map(String::as_str).collect())).collect();
    let all: Vec<(&str, &[&str])> =
        borrowed.iter().map(|(folder, names)| (*folder, names.as_slice())).collect();
    let (outcome, nodes) = apart("groups-apart", &all, set);
    let summary = outcome.done().json();
    nodes.into_iter().for_each(|node| drop(node.finish().done()));
    for field in ["fingerprint", "test", "validation"] {
        assert_eq!(summary[field], together[field], "{field}");
    }

    // With files of validation rows none is held out.
    for name in ["left", "right", "kind", "place"] {
        let content = std::fs::read(place.path(&format!("all/{name}.test.npy"))).expect("it was written");
        place.write(&format!("all/{name}.validation.npy"), content);
    }
    let set = "--set evaluation.every=2";
    let together = place.run(&format!("run own.toml --data all {set} --out files --json")).done().json();
    assert_eq!(together["fingerprint"], plain["fingerprint"]);
    assert!(together["validation"]["best_round"].is_u64());
    let brought: [(&str, &[&str]); 3] =
        [("t0", &["left.validation"]), ("t1", &["right.validation"]), ("r0", &["kind.validation"])];
    // One node lacks its file, and holds rows out.
    let (outcome, nodes) = apart("files-apart", &brought, set);
    outcome.failed(2, &["receiver 1", "reads other data", "validation rows"]);
    drop(nodes);
    let (outcome, nodes) = apart("files-whole", &[("r1", &["place.validation"])], set);
    let summary = outcome.done().json();
    nodes.into_iter().for_each(|node| drop(node.finish().done()));
    for field in ["fingerprint", "test", "validation"] {
        assert_eq!(summary[field], together[field], "{field}");
    }

    // A file missing in a shared folder is named.
    std::fs::remove_file(place.path("all/kind.validation.npy")).expect("it was written");
    place.run(&format!("run own.toml --data all {set} --out c")).failed(2, &["kind.validation.npy"]);
    let verified = place.run("data verify arrays --data all --scenario own.toml");
    assert!(verified.done().stdout.contains("left.validation.npy"), "nobody reads it");
}

/// The best version and the end of training do not depend on a test row.
#[test]
fn the_best_and_the_end_of_training_never_see_the_test_set() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    let set = "--rounds 40 --set train.coding_lr=3e-3 --set evaluation.every=1 --set evaluation.patience=2";
    let run = |out: &str| {
        let words = format!("run own.toml --data all {set} --in-process --out {out} --json");
        let summary = place.run(&words).done().json();
        let lines = place.run_folder(out).lines("metrics.jsonl");
        let curve: Vec<Value> = lines.iter().map(|line| line["validation"].clone()).collect();
        (summary, curve)
    };
    let (first, curve) = run("a");
    for (array, shape, width) in [("left", "(10, 2, 2)", 4), ("right", "(10, 3)", 3), ("place", "(10, 1)", 1)]
    {
        let content = npy("<f4", shape, &floats(10 * width, |at| 7.0 - at as f32));
        place.write(&format!("all/{array}.test.npy"), content);
    }
    place.write("all/kind.test.npy", npy("|u1", "(10,)", &[1; 10]));
    let (second, other) = run("b");
    assert_ne!(first["test"], second["test"], "those are other test rows");
    for key in ["rounds", "fingerprint", "validation"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert_eq!(curve, other);
    assert!(curve.iter().all(|validation| validation["n_ce"].is_f64()));
}

#[test]
fn layers_see_the_axes_that_arrays_have() {
    let place = Place::new(PROGRAM);
    write_arrays(&place, "all");
    let layers = |first: &str| {
        format!(
            "{SCENARIO}[network.encoder.left]\nkind = \"sequential\"\nlayers = [\"{first}\", \"relu\", \"flatten\"]\noutputs = 4\n"
        )
    };
    place.write("over-time.toml", layers("conv1d 3 2"));
    place.run("check over-time.toml --data all").done();
    let listed = place.run("model over-time.toml --data all").done().stdout;
    assert!(listed.contains("network.encoder.left, sequential"), "{listed}");
    place.run("run over-time.toml --data all --out over-time --json").done();
    place.write("over-images.toml", layers("conv2d 3 2x2"));
    for command in ["check", "run"] {
        let words = ["network.encoder.left.layers: layer 1 (conv2d) got 2 x 2"];
        place.run(&format!("{command} over-images.toml --data all")).failed(2, &words);
    }
}

#[test]
fn rows_that_do_not_fit_are_named_with_both_files_and_nodes_before_round_0() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    for folder in ["t0", "t1", "r0", "r1"] {
        write_arrays(&place, folder);
    }
    place.write("r1/place.test.npy", npy("<f4", "(9, 1)", &floats(9, |row| row as f32)));
    let coordinator = place.start("coordinator own.toml --out apart --listen 127.0.0.1:0");
    let nodes = start_nodes(&place, "apart");
    let words = ["receiver 1: place.test.npy has 9 rows", "left.test.npy of transmitter 0 has 10"];
    coordinator.finish().failed(2, &words);
    drop(nodes);
    assert_eq!(place.run_folder("apart").rounds(), 0);
}

#[test]
fn what_is_wrong_with_a_file_or_a_name_is_said_by_the_run() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    let refuse = |words: &str, line: &[&str]| {
        place.run(&format!("run own.toml {words}")).failed(2, line);
        place.assert_all_gone();
    };
    refuse("--out a", &["scenario \"arrays\" reads files", "--data DIR"]);
    refuse("--out a --data nowhere", &["nowhere is missing", "--data DIR"]);
    refuse("--out a --data s4://bucket/x", &["s4://bucket/x"]);
    let renamed = SCENARIO.replace("[\"left\"]", "[\"../left\"]");
    place.write("path.toml", renamed);
    place.run("run path.toml --data all --out a").failed(2, &["transmitter[0].modalities", "\"../left\""]);
    place.write("noise.toml", SCENARIO.replace("[\"left\"]", "[\"noise-3\"]"));
    place.run("run noise.toml --data all --out a").failed(2, &["transmitter[0].modalities", "noise only"]);
    place.write("task.toml", SCENARIO.replace("\"kind\"", "\"noise-3\""));
    place.run("run task.toml --data all --out a").failed(2, &["receiver[0].task", "noise-3"]);
    place.write("all/kind.test.npy", npy("|u1", "(10,)", &[7; 10]));
    refuse("--out a --data all", &["kind.test.npy: row 0 is of class 7", "kind.train.npy"]);
    std::fs::remove_file(place.path("all/kind.test.npy")).expect("it is there");
    refuse(
        "--out a --data all --in-process",
        &["kind.test.npy is missing", "save the array of \"kind\" there"],
    );
    place.run("data verify arrays --data nowhere").failed(2, &["nowhere"]);
    let verified = place.run("data verify arrays --data all");
    assert_eq!(verified.status.code(), Some(2), "{verified}");
    assert!(verified.stdout.contains("kind.test.npy is missing"), "{verified}");
}

#[test]
fn what_labels_are_taken_for_is_said_first_and_counted_in_the_summary() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO.replace("task = \"place\"", "task = \"animal\""));
    write_arrays(&place, "all");
    for (split, rows) in [("train", 60), ("test", 10)] {
        // Whole floats, most of them 0; and texts.
        let kind =
            (0..rows).flat_map(|row| [0.0f64, 1.0, 0.0, 2.0][row % 4].to_le_bytes()).collect::<Vec<u8>>();
        place.write(&format!("all/kind.{split}.npy"), npy("<f8", &format!("({rows},)"), &kind));
        let animal =
            (0..rows).flat_map(|row| [b"dog", b"cat"][row % 2].map(|letter| [letter, 0, 0, 0])).flatten();
        let animal = animal.collect::<Vec<u8>>();
        place.write(&format!("all/animal.{split}.npy"), npy("<U3", &format!("({rows},)"), &animal));
    }
    let outcome = place.run("run own.toml --data all --out a --json").done();
    let first: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
    assert!(
        first[0].contains("note: animal.train.npy: texts, learnt as 2 classes from 0: \"cat\", \"dog\""),
        "{outcome}"
    );
    assert!(
        first[1].contains("note: kind.train.npy: whole numbers 0 to 2 as float64, learnt as 3 classes"),
        "{outcome}"
    );
    let test = &outcome.json()["test"];
    let counts = &test["classes"];
    assert_eq!(counts[0]["train"].to_string(), "[30,15,15]");
    assert_eq!(counts[0]["test"].to_string(), "[5,3,2]");
    assert_eq!((&counts[0]["majority"], &counts[1]["names"][1]), (&0.5.into(), &"dog".into()));
    let kept = place.run_folder("a").json("classes.json");
    assert_eq!(&kept, counts);
    for (row, confusion) in
        test["tasks"].as_array().unwrap().iter().zip(test["confusion"].as_array().unwrap())
    {
        let counts = confusion["counts"].as_array().unwrap();
        let recall = |class: usize| {
            let of = counts[class].as_array().unwrap();
            let there: f64 = of.iter().map(|count| count.as_f64().unwrap()).sum();
            of[class].as_f64().unwrap() / there
        };
        let mean = (0..counts.len()).map(recall).sum::<f64>() / counts.len() as f64;
        assert!((row["balanced_accuracy"].as_f64().unwrap() - mean).abs() < 1e-12, "{row}");
        assert!((0.0..=1.0).contains(&row["macro_f1"].as_f64().unwrap()), "{row}");
    }
    let table = place.run("evaluate a").done().stdout;
    assert!(table.contains("majority baseline: kind 50.00 %, animal 50.00 %"), "{table}");
    // The page shows classes by name.
    place.run("report a").done();
    let page = place.run_folder("a").text("report.html");
    assert!(page.contains("<th scope=\"col\">cat</th><th scope=\"col\">dog</th>"), "{page}");
    assert!(["cat", "dog"].iter().all(|name| page.contains(&format!("<th scope=\"row\">{name}</th>"))));
}

#[test]
fn a_sample_whose_label_is_ignored_is_neither_learnt_nor_judged() {
    let place = Place::new(PROGRAM);
    write_arrays(&place, "all");
    let ignoring = SCENARIO.replace("task = \"kind\"", "task = \"kind\"\n    ignore = -1");
    place.write("own.toml", ignoring);
    let labels = |none: i8| {
        (0..60).map(|row| if row % 5 == 0 { none } else { (row % 3) as i8 } as u8).collect::<Vec<u8>>()
    };
    place.write("all/kind.train.npy", npy("|i1", "(60,)", &labels(-1)));
    place.write("all/kind.test.npy", npy("|i1", "(10,)", &labels(-1)[..10]));
    let test = place.run("run own.toml --data all --out a --json").done().json()["test"].clone();
    assert_eq!(test["samples"], 10, "the other receiver judges all of them");
    let judged: u64 = test["confusion"][0]["counts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(judged, 2 * 8, "two passes over the eight that have a label");
    let counted: u64 =
        test["classes"][0]["train"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted, 48);
    place.write("own.toml", SCENARIO);
    place
        .run("run own.toml --data all --out b")
        .failed(2, &["kind.train.npy: row 0 is of class -1", "ignore = -1"]);
}

#[test]
fn verify_with_a_scenario_refuses_what_its_run_refuses() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    place.write("all/spare.train.npy", "broken");
    let verify = "data verify arrays --data all --scenario own.toml";
    place.run(verify).done();
    assert_eq!(place.run("data verify arrays --data all").status.code(), Some(2));
    place.write("all/kind.test.npy", npy("|u1", "(10,)", &[7; 10]));
    let verified = place.run(verify);
    assert_eq!(verified.status.code(), Some(2), "{verified}");
    assert!(verified.stdout.contains("kind.test.npy: row 0 is of class 7"), "{verified}");
    let described = place.run("data info arrays --data all --scenario own.toml --json").done().json();
    assert_eq!(described["tasks"].as_array().unwrap().len(), 2, "{described}");
    place
        .run("data verify mmfi --data all --scenario own.toml")
        .failed(2, &["own.toml reads arrays, not mmfi"]);
}

/// Errors that appear only where nodes divide their rows or build their networks: `data verify`, `check` and the run
/// report the same.
#[test]
fn what_the_nodes_of_a_run_would_refuse_is_refused_before() {
    let place = Place::new(PROGRAM);
    write_arrays(&place, "all");
    place.write("all/one.train.npy", npy("|u1", "(60,)", &[1; 60]));
    place.write("all/few.train.npy", npy("|u1", "(50,)", &[1; 50]));
    let refused_by_all = |line: &[&str]| {
        place.run("run own.toml --data all --out a").failed(2, line);
        place.run("check own.toml --data all").failed(2, line);
        let verified = place.run("data verify arrays --data all --scenario own.toml");
        assert_eq!(verified.status.code(), Some(2), "{verified}");
        assert!(line.iter().all(|part| verified.stderr.contains(part)), "{verified}");
    };
    let holds_out = |keys: &str| {
        place.write(
            "own.toml",
            SCENARIO.replace("[data]", &format!("[data]\n    hold_out = 0.1\n    {keys}")),
        );
    };
    let refused = |keys: &str, line: &[&str]| {
        holds_out(keys);
        refused_by_all(line);
    };
    refused("groups = \"one\"", &["60 training rows in a single group"]);
    refused("groups = \"few\"", &["few.train.npy: has the shape [50]"]);
    refused("groups = \"none\"", &["none.train.npy is missing"]);
    for array in ["left", "right", "kind", "place"] {
        let content = std::fs::read(place.path(&format!("all/{array}.test.npy"))).unwrap();
        place.write(&format!("all/{array}.validation.npy"), content);
    }
    holds_out("");
    place.run("data verify arrays --data all --scenario own.toml").done();
    place.write("all/kind.validation.npy", npy("|u1", "(10,)", &[7; 10]));
    refused("", &["kind.validation.npy: row 0 is of class 7"]);
    let layers = "[network.encoder]\n    kind = \"sequential\"\n    layers = [\"conv2d 8 3\"]\n    outputs = 8\n    [train]";
    place.write("own.toml", SCENARIO.replace("[train]", layers));
    refused_by_all(&["network.encoder", "conv2d"]);
}

#[test]
fn a_file_that_has_changed_since_the_checkpoint_is_refused_by_name() {
    let place = Place::new(PROGRAM);
    place.write("own.toml", SCENARIO);
    write_arrays(&place, "all");
    let trained = place.run("run own.toml --data all --out a --json").done().json();
    let again = place.run("evaluate a --json").done().json();
    assert_eq!(again["test"]["tasks"], trained["test"]["tasks"]);
    place.write("all/right.train.npy", npy("<f4", "(60, 3)", &floats(180, |at| at as f32)));
    let words = ["right.train.npy: has changed since the checkpoint was saved", "put the old file back"];
    place.run("evaluate a").failed(2, &words);
    place.assert_all_gone();
}

/// The four nodes of the scenario, each with a folder of its own.
fn start_nodes(place: &Place, run: &str) -> Vec<Process> {
    let address = place.address(run);
    let nodes = [("transmitter", 0), ("transmitter", 1), ("receiver", 0), ("receiver", 1)];
    let start = |(role, index): (&str, u32)| {
        let folder = format!("{}{index}", &role[..1]);
        place.start(&format!("{role} --index {index} --coordinator {address} --data {folder}"))
    };
    nodes.map(start).into()
}

/// Sixty training and ten test samples.
fn write_arrays(place: &Place, folder: &str) {
    for (split, rows) in [("train", 60), ("test", 10)] {
        let write =
            |name: &str, content: Vec<u8>| place.write(&format!("{folder}/{name}.{split}.npy"), content);
        let wave = |at: usize| (at as f32).sin();
        write("left", npy("<f4", &format!("({rows}, 2, 2)"), &floats(4 * rows, wave)));
        write("right", npy("<f4", &format!("({rows}, 3)"), &floats(3 * rows, |at| 100.0 * wave(at + 7))));
        write(
            "kind",
            npy("|u1", &format!("({rows},)"), &(0..rows).map(|row| (row % 3) as u8).collect::<Vec<_>>()),
        );
        write("place", npy("<f4", &format!("({rows}, 1)"), &floats(rows, |row| 50.0 + 3.0 * wave(4 * row))));
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
