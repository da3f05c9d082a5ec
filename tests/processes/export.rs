//! Exported networks give the same results in another program.

use std::{path::PathBuf, process::Command};

use harness::Place;
use serde_json::json;

use crate::PROGRAM;

/// The script of docs/export.md.
fn script() -> &'static str {
    let page = include_str!("../../docs/export.md");
    let (_, behind) = page.split_once("```python\n").expect("the page has a script");
    let (script, _) = behind.split_once("```").expect("which ends");
    assert!(script.starts_with("# check.py\n"));
    script
}

/// A Python with an ONNX runtime, if there is one.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("POM2DIB_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| "python3".into());
    let words = ["-c", "import numpy, onnx, onnxruntime"];
    let found = Command::new(&python).args(words).output().ok()?.status.success();
    found.then_some(python)
}

#[test]
fn onnxruntime_comes_to_the_same_on_100_rows_with_every_coding() {
    let Some(python) = python() else {
        eprintln!("skipped: no python3 with numpy, onnx and onnxruntime; POM2DIB_PYTHON may name one");
        return;
    };
    let place = Place::new(PROGRAM);
    place.write("check.py", script());
    let check = "import onnx, pathlib, sys\n\
                 for path in pathlib.Path(sys.argv[1]).glob('*.onnx'):\n    onnx.checker.check_model(path, full_check=True)";
    let run = |words: &[&str]| {
        let output = Command::new(&python).args(words).current_dir(place.path("")).output();
        let output = output.expect("Python starts");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a text")
    };
    for method in ["pom2dib", "vddib", "dlsc"] {
        place.run(&format!("run tiny.toml --method {method} --out {method}")).done();
        place.run(&format!("export {method} --out networks-{method} --rows 100")).done();
        let folder = format!("networks-{method}");
        run(&["-c", check, &folder]);
        let said = run(&["check.py", &folder]);
        assert!(said.starts_with("all agree"), "{said}");
        println!("{method}: {said}");
    }
    // The script must notice: rows of another network differ.
    std::fs::copy(
        place.path("networks-pom2dib/transmitter0-encoder1.onnx"),
        place.path("networks-pom2dib/transmitter0-encoder0.onnx"),
    )
    .unwrap();
    let wrong =
        Command::new(&python).args(["check.py", "networks-pom2dib"]).current_dir(place.path("")).output();
    assert!(!wrong.unwrap().status.success());
}

/// Of every kind and layer, with samples of one, two and three axes, and odd sizes.
const KINDS: [&str; 5] = [
    r#"
[network.encoder.noise-1]
kind = "sequential"
shape = [196]
outputs = 7
layers = ["linear 20", "layer-norm", "gelu", "group-norm 4", { kind = "residual", layers = ["linear 12", "relu"] }]
[network.encoder.fft]
kind = "sequential"
outputs = 10
layers = [
    "conv2d 6 3x2 stride 2x1 padding 1", "layer-norm", "relu", "max-pool 2x3 stride 2",
    { kind = "residual", layers = ["conv2d 9 3 stride 2 padding 1 groups 3", "group-norm 3", "gelu"] },
    "avg-pool 2 stride 1", "dropout 0.1", "flatten",
]
[network.encoder.mel]
kind = "sequential"
shape = [32, 16]
outputs = 9
layers = [
    "conv1d 12 5 stride 2 padding 1 groups 2", "relu", "linear 10", "group-norm 5", "layer-norm", "max-pool 3",
    { kind = "residual", layers = ["conv1d 8 3 stride 2 padding 1", "relu"] }, "avg-pool 2 stride 1", "global-mean",
]
[network.joint]
kind = "lstm"
hidden = 6
layers = 2
shape = [5, 4]
"#,
    r#"
[network.encoder.noise-2]
kind = "points"
shape = [49, 4]
hidden = [12, 20]
outputs = 6
[network.encoder.fft]
kind = "attention"
patch = [7, 2]
blocks = 2
heads = 2
width = 12
outputs = 8
[network.encoder.mel]
kind = "gru"
shape = [16, 32]
hidden = 9
layers = 2
outputs = 7
head = { kind = "sequential", layers = ["linear 11", "relu"] }
[network.local]
kind = "gru"
shape = [4, 2]
hidden = 5
"#,
    r#"
[network.encoder.fft]
kind = "sequential"
outputs = 5
layers = ["conv2d 4 3", "relu", "global-mean"]
[network.encoder.mel]
kind = "attention"
shape = [32, 16]
patch = 4
blocks = 1
heads = 3
width = 12
outputs = 6
"#,
    r#"
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 20
task_input = "output"
"#,
    r#"
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 20
task_input = "film"
[network.encoder.mel]
kind = "lstm"
hidden = 5
shape = [32, 16]
outputs = 6
"#,
];

#[test]
fn onnxruntime_comes_to_the_same_with_networks_of_every_kind() {
    let Some(python) = python() else {
        eprintln!("skipped: no python3 with numpy, onnx and onnxruntime; POM2DIB_PYTHON may name one");
        return;
    };
    let place = Place::new(PROGRAM);
    place.write("check.py", script());
    for (number, kinds) in KINDS.into_iter().enumerate() {
        place.write_tiny_with("kinds.toml", kinds);
        place.run(&format!("run kinds.toml --out run{number} --in-process")).done();
        place.run(&format!("export run{number} --out networks{number} --rows 100")).done();
        let check = "import onnx, pathlib, sys\n\
                     for path in pathlib.Path(sys.argv[1]).glob('*.onnx'):\n    onnx.checker.check_model(path, full_check=True)";
        let folder = format!("networks{number}");
        for words in [&["-c", check, &folder][..], &["check.py", &folder]] {
            let output = Command::new(&python).args(words).current_dir(place.path("")).output();
            let output = output.expect("Python starts");
            let (said, complained) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{kinds}: {complained}");
            println!("{said}");
        }
    }
}

#[test]
fn the_constants_of_how_images_and_audio_were_scaled_go_along() {
    let place = Place::new(PROGRAM);
    let export = |name: &str, keys: &str| {
        place.run(&format!("run tiny.toml --rounds 1 --in-process --out {name} {keys}")).done();
        place.run(&format!("export {name} --out {name}-networks")).done();
        let folder = place.run_folder(&format!("{name}-networks"));
        let constants = place.path(&format!("{name}-networks/normalisation.npz"));
        (folder.json("export.json")["data"].clone(), std::fs::read(constants).unwrap())
    };
    // One range for all magnitudes; a clip is standardised by itself alone, and noise is as it is.
    let (data, constants) = export("plain", "");
    assert_eq!(data, json!({ "source": "digits", "image_scale": "range", "audio_scale": "clip" }));
    let shape = |name: &str| data::parse_array("npz", &constants, name);
    assert_eq!((shape("fft.shift"), shape("fft.scale")), (Ok(vec![1]), Ok(vec![1])));
    assert!(shape("mel.shift").is_err() && shape("noise-1.shift").is_err());

    let (data, constants) = export("all", "--set data.image_scale=log --set data.audio_scale=standard");
    assert_eq!((&data["image_scale"], &data["audio_scale"]), (&"log".into(), &"standard".into()));
    let shape = |name: &str| data::parse_array("npz", &constants, name);
    assert_eq!((shape("fft.shift"), shape("fft.scale")), (Ok(vec![196]), Ok(vec![196])));
    assert_eq!((shape("mel.shift"), shape("mel.scale")), (Ok(vec![512]), Ok(vec![512])));
}

#[test]
fn every_network_is_written_and_the_parameters_are_the_checkpoints() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --out a").done();
    place.run("export a --out networks").done();
    let told = place.run_folder("networks").json("export.json");
    let networks = told["networks"].as_array().unwrap();
    // Each of two transmitters has an encoder for each modality and a selector; each of two receivers has three
    // networks.
    let count = |part: &str| networks.iter().filter(|network| network["part"] == part).count();
    let modalities = told["entries"].as_array().unwrap().len();
    assert_eq!((count("encoder"), count("joint"), count("local"), count("selector")), (modalities, 2, 2, 4));
    for network in networks {
        let file = network["safetensors"].as_str().unwrap();
        let content = std::fs::read(place.path("networks").join(file)).unwrap();
        assert!(content.windows(9).any(|text| text == b"block1.w1"), "{file}");
        let onnx = &network["onnx"]["file"];
        assert_eq!(onnx.is_string(), network["part"] != "selector", "{file}");
        assert!(onnx.as_str().is_none_or(|onnx| place.path("networks").join(onnx).is_file()), "{file}");
    }
    assert!(place.path("networks/common.npz").is_file());
    // No rows were asked for.
    assert!(!place.path("networks/rows.npz").exists());

    place.run("export a --out networks").failed(2, &["networks is there already", "--force"]);
    place.run("export a --out networks --force").done();
    place.run("export nowhere --out b").failed(2, &["nowhere"]);
    assert!(!place.path("b").exists());
}
