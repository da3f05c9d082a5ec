//! Event files of TensorBoard, read back by its own Python package; without that, these tests say that they skip.

use std::process::Command;

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

/// Prints what TensorBoard reads from a folder.
const READ: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
board = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0, "images": 0}).Reload()
tags = board.Tags()
scalars = {tag: [[event.step, event.value] for event in board.Scalars(tag)] for tag in tags["scalars"]}
histograms = {tag: [[event.step, event.histogram_value.num] for event in board.Histograms(tag)] for tag in tags["histograms"]}
sums = {tag: [event.histogram_value.sum for event in board.Histograms(tag)] for tag in tags["histograms"]}
images = {tag: [[event.step, event.width, event.height] for event in board.Images(tag)] for tag in tags["images"]}
content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
hparams = {name: value.number_value or value.string_value for name, value in start.hparams.items()}
print(json.dumps({"scalars": scalars, "histograms": histograms, "sums": sums, "images": images, "hparams": hparams}))
"#;

/// Prints the seed among the hyper-parameters of every folder.
const SEEDS: &str = r#"
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
def seed(folder):
    board = EventAccumulator(str(folder)).Reload()
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams["seed"].number_value
print(json.dumps({folder.name: seed(folder) for folder in sorted(Path(sys.argv[1]).iterdir())}))
"#;

fn python() -> Option<String> {
    let python = std::env::var("POM2DIB_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("there is no Python with tensorboard: skipped");
    None
}

/// What a program of Python prints of a folder.
fn read(python: &str, program: &str, place: &Place, folder: &str) -> Value {
    let output = Command::new(python).args(["-c", program]).arg(place.path(folder)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_points_of_a_sweep_are_compared_by_their_keys_wherever_they_run() {
    let place = Place::new(PROGRAM);
    let sweep = "sweep tiny.toml --rounds 2 --in-process --tensorboard board --out s";
    place.run(&format!("{sweep} --seed 1,2")).done();
    let here = |point: &str| place.path("board").join(point).read_dir().map_or(0, Iterator::count);
    assert_eq!([here("seed=1"), here("seed=2"), here("seed=3")], [1, 1, 0]);
    let more = format!("{sweep} --seed 1..3");
    place.start_words([], more.split_whitespace().chain(["--on", "{command}"])).finish().done();
    assert_eq!([here("seed=1"), here("seed=2"), here("seed=3")], [1, 1, 1], "the third ran by a command");
    let Some(python) = python() else { return };
    assert_eq!(
        read(&python, SEEDS, &place, "board"),
        serde_json::json!({"seed=1": 1.0, "seed=2": 2.0, "seed=3": 3.0})
    );
}

#[test]
fn tensorboard_reads_what_a_run_has_logged() {
    let place = Place::new(PROGRAM);
    place.write("file", "");
    place.run("run tiny.toml --out no --tensorboard file/board").failed(2, &["file/board", "--tensorboard"]);
    place.run("run tiny.toml --seed 7 --page off --out a --tensorboard board").done();
    let Some(python) = python() else { return };
    let board = read(&python, READ, &place, "board");

    let lines = place.run_folder("a").lines("metrics.jsonl");
    for (tag, key) in
        [("training/n_ce", "n_ce"), ("training/sum_rate", "sum_rate"), ("training/loss", "loss")]
    {
        let read = board["scalars"][tag].as_array().unwrap_or_else(|| panic!("{tag}: {board}"));
        assert_eq!(read.len(), lines.len());
        for (point, line) in read.iter().zip(&lines) {
            assert_eq!(point[0], line["round"]);
            let (read, logged) = (point[1].as_f64().unwrap(), line[key].as_f64().unwrap());
            assert!((read - logged).abs() <= 1e-6 * logged.abs(), "{tag}: {read} and {logged}");
        }
    }
    assert_eq!(board["histograms"]["selection/shares"][0], serde_json::json!([0, 10.0]));
    // Each node's probabilities to be drawn first: of the transmitters, or of a transmitter's modalities.
    for (node, items) in [
        ("receiver 0 parity", 2.0),
        ("receiver 1 digit", 2.0),
        ("transmitter 0", 3.0),
        ("transmitter 1", 2.0),
    ] {
        let tag = format!("selector probabilities/{node}");
        assert_eq!(board["histograms"][&tag][0], serde_json::json!([0, items]), "{tag}: {board}");
        let sum = board["sums"][&tag][0].as_f64().unwrap();
        assert!((sum - 1.0).abs() < 1e-6, "{tag}: {sum}");
    }
    let picture = board["images"]["selection/grants"].as_array().unwrap().last().unwrap();
    assert_eq!((&picture[1], &picture[2]), (&6.into(), &60.into()), "a column a round, ten rows");
    assert_eq!(board["hparams"]["seed"], 7.0);
    assert_eq!(board["hparams"]["train.method"], "pom2dib");
    let test = place.run_folder("a").json("summary.json")["test"]["n_ce"].as_f64().unwrap();
    let read = board["scalars"]["test/n_ce"][0][1].as_f64().unwrap();
    assert!((read - test).abs() <= 1e-6 * test.abs());
}
