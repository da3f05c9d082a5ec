//! MM-Fi from end to end, on small synthetic trees.

use harness::Place;
use serde_json::Value;

use crate::PROGRAM;

/// The shipped scenario, reduced in size.
const SMALL: &str = "--set network.feature_dim=4 --set train.rounds=3 --set train.ticks_per_round=2 \
                     --set train.samples_per_tick=4 --set evaluation.passes=2";

/// A place with the shipped scenario and a tree of four subjects, three actions and three frames.
fn place() -> Place {
    let place = Place::new(PROGRAM);
    place.write("mmfi.toml", include_str!("../../scenarios/mmfi.toml"));
    let made = place.run("data synthesise mmfi tree --subjects-per-scene 1 --actions 3 --frames 3").done();
    assert!(made.stderr.contains("synthetic tree (4 subjects, 3 actions, 3 frames each)"), "{}", made.stderr);
    place
}

#[test]
fn three_tasks_are_judged_each_by_its_own_metrics_whatever_the_nodes_run_as() {
    let place = place();
    let run = place.run(&format!("run mmfi.toml --data tree --out a {SMALL} --json")).done();
    assert!(run.stderr.contains("synthetic tree, not the MM-Fi data"), "{}", run.stderr);
    let summary = run.json();
    assert_eq!(summary["scenario"], "mmfi-synthetic");
    let tasks = summary["test"]["tasks"].as_array().unwrap();
    let rows: Vec<(&str, &str)> =
        tasks.iter().map(|task| (text(&task["name"]), text(&task["metric"]))).collect();
    let expected =
        [("pose", "mse"), ("pose", "mpjpe"), ("pose", "pa-mpjpe"), ("action", "top1"), ("scene", "top1")];
    assert_eq!(rows, expected);
    let value = |row: usize, key: &str| tasks[row][key].as_f64().unwrap();
    // The same in f64 and in f32.
    assert!(value(0, "value") > 0.0 && (value(0, "value") / value(0, "ce") - 1.0).abs() < 1e-5);
    // Untrained, all joints are predicted near the camera, which is metres away; aligned, a body is less than two
    // metres wide.
    assert!((500.0..20_000.0).contains(&value(1, "value")), "{tasks:?}");
    assert!(
        (50.0..1500.0).contains(&value(2, "value")) && value(2, "value") < value(1, "value"),
        "{tasks:?}"
    );
    let losses = value(0, "ce") + value(3, "ce") + value(4, "ce");
    assert!((summary["test"]["n_ce"].as_f64().unwrap() + losses).abs() < 1e-9);
    assert!(summary["most_asks"].as_u64() <= Some(2) && summary["most_entries"].as_u64() <= Some(4));

    let alone = place.run(&format!("run mmfi.toml --data tree --in-process --out b {SMALL}")).done();
    for words in ["mmfi-synthetic", "pose mpjpe", "pose pa-mpjpe", " mm", text(&summary["fingerprint"])] {
        assert!(alone.stdout.contains(words), "{words}: {}", alone.stdout);
    }
}

#[test]
fn a_tree_is_described_and_verified() {
    let place = place();
    let info = place.run("data info mmfi tree --json").done().json();
    assert_eq!((info["synthetic"].clone(), info["recordings"].clone()), (true.into(), 12.into()));
    assert!(
        place.run("data info mmfi --data tree").done().stdout.contains("synthetic: made by this program")
    );
    let whole = place.run("data verify mmfi tree").done();
    assert!(whole.stdout.contains("12 of 1080 recordings, synthetic"), "{}", whole.stdout);

    place.write("tree/E02/S11/A01/wifi-csi/frame002.mat", "MATLAB 5.0, but not for long");
    std::fs::remove_file(place.path("tree/E02/S11/A01/depth/frame003.png")).unwrap();
    let outcome = place.run("data verify mmfi tree");
    assert_eq!(outcome.status.code(), Some(2));
    for words in ["frame002.mat: is truncated", "frame003.png: missing"] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    let report = place.run("data verify mmfi tree --json");
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["sensors"][7]["malformed"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_said_in_one_line_before_the_first_round_or_when_a_file_is_read() {
    let place = place();
    place.run("run mmfi.toml --out a").failed(2, &["\"mmfi\" reads files", "--data DIR", "--synthetic"]);
    place
        .run("run tiny.toml --out a --synthetic")
        .failed(2, &["--synthetic is for MM-Fi", "scenarios/mmfi.toml"]);
    place.run("run mmfi.toml --out a --data nowhere").failed(2, &["nowhere", "is missing", "E01 to E04"]);
    place.run("run mmfi.toml --out a --data tree --set mmfi.protocol=4").failed(2, &["mmfi.protocol is 4"]);
    place.run("data synthesise mmfi tree").failed(2, &["tree", "name another folder"]);

    // Without its mark a synthetic tree passes for a real one, about which there is no note.
    std::fs::remove_file(place.path("tree/.pom2dib-synthetic.json")).unwrap();
    for frame in 1..=3 {
        place.write(&format!("tree/E04/S31/A02/rgb/frame00{frame}.npy"), "not what it was");
    }
    let all = "--set network.limits=false --method tadib --set train.samples_per_tick=20";
    let run = format!("run mmfi.toml --data tree --out a --in-process {SMALL} {all}");
    // The files needed to standardise are read before the first round.
    place.run(&run).failed(2, &["transmitter 0", "tree/E04/S31/A02/rgb/frame00", "is no .npy file"]);
    let run = format!("{run} --force --set mmfi.standardise=false");
    place.run(&run).failed(1, &["transmitter 0", "tree/E04/S31/A02/rgb/frame00", "is no .npy file"]);
    place.assert_all_gone();
}

#[test]
fn an_export_has_the_constants_of_standardised_sensors_where_their_files_are_found() {
    let place = place();
    place.run(&format!("run mmfi.toml --data tree --in-process --out a {SMALL}")).done();
    std::fs::rename(place.path("tree"), place.path("moved")).unwrap();
    // The networks alone need no files.
    let said = place.run("export a --out alone").done().stderr;
    let note = said.lines().find(|line| line.starts_with("note: the constants of ")).expect("it says so");
    assert!(note.contains("wifi-csi are left out: ") && note.contains("--data DIR"), "{said}");
    assert!(place.path("alone/common.npz").exists() && !place.path("alone/normalisation.npz").exists());

    place.run("export a --out networks --data moved").done();
    assert_eq!(place.run_folder("networks").json("export.json")["data"]["standardise"], true);
    let constants = std::fs::read(place.path("networks/normalisation.npz")).unwrap();
    for (name, width) in [("wifi-csi", 3 * 90 * 10), ("lidar", 1200 * 3)] {
        for what in ["shift", "scale"] {
            assert_eq!(data::parse_array("npz", &constants, &format!("{name}.{what}")), Ok(vec![width]));
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Points of lidar and radar, an image of depth, and 10 packets of 3 antennas x 90 subcarriers each.
const NETWORKS: &str = r#"
[network.encoder.lidar]
kind = "points"
hidden = [8, 16]
outputs = 8
[network.encoder.mmwave]
kind = "points"
hidden = [8]
outputs = 8
[network.encoder.depth]
kind = "sequential"
layers = ["conv2d 4 8 stride 8", "relu", "conv2d 4 3 stride 2 padding 1", "relu", "flatten"]
outputs = 8
[network.encoder.wifi-csi]
kind = "gru"
order = [2, 0, 1]
shape = [10, 270]
hidden = 6
outputs = 8
"#;

#[test]
fn each_sensor_has_a_network_of_its_kind() {
    let place = place();
    let shipped = include_str!("../../scenarios/mmfi.toml");
    place.write("kinds.toml", format!("{shipped}{NETWORKS}"));
    let told = place.run("model kinds.toml --data tree --json").done().json();
    let networks = told["networks"].as_array().unwrap();
    let trunk = |name: &str| {
        let name = format!("encoder of {name}: trunk");
        networks.iter().find(|network| network["network"] == name.as_str()).unwrap()
    };
    assert_eq!(trunk("wifi-csi")["shape"], serde_json::json!([10, 270]));
    assert_eq!(trunk("lidar")["layers"][0]["shape"], serde_json::json!([1200, 8]));
    let run = format!("run kinds.toml --data tree {SMALL} --json");
    let summary = place.run(&format!("{run} --out a")).done().json();
    let alone = place.run(&format!("{run} --in-process --threads 2 --out b")).done().json();
    assert_eq!(alone["fingerprint"], summary["fingerprint"]);
    place.run("export a --out networks --data tree --rows 3").done();
    assert!(place.path("networks/transmitter1-trunk0.safetensors").is_file());
}
