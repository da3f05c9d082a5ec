//! Networks of the sizes that a scenario defines.

use harness::{PATIENCE, Place, wait_until};

use crate::{PROGRAM, assert_same};

#[path = "../../scenario/src/model/mistakes.rs"]
mod mistakes;

/// Different sizes for every part, and for one modality and one task.
const SIZES: &str = r#"
[network.encoder]
hidden = [24, 12]
[network.encoder.mel]
hidden = [16]
[network.joint]
hidden = [20, 20]
[network.local.digit]
hidden = [4]
[network.selector]
hidden = [8]
"#;

fn place() -> Place {
    let place = Place::new(PROGRAM);
    place.write_tiny_with("sized.toml", SIZES);
    place
}

#[test]
fn they_are_the_same_in_processes_and_in_one_and_after_a_resumption() {
    let place = place();
    let processes =
        place.run("run sized.toml --set train.entropy_bonus=0 --out processes --json").done().json();
    let tasks = place
        .run("run sized.toml --set train.entropy_bonus=0 --rounds 4 --out tasks --in-process --json")
        .done();
    assert_ne!(tasks.json()["fingerprint"], processes["fingerprint"]);
    let resumed = place.run("run --resume tasks --rounds 6 --json").done().json();
    assert_eq!(resumed["fingerprint"], processes["fingerprint"]);
    assert!(resumed["fingerprint"].is_string());

    // A trained network keeps its size.
    let line = "network.encoder.mel.hidden: [16] -> [17] cannot change from a checkpoint on";
    place
        .run("run --from tasks --set network.encoder.mel.hidden=[17] --rounds 8 --out other")
        .failed(2, &[line]);
}

#[test]
fn they_predict_and_can_be_exported() {
    let place = place();
    place.run("run sized.toml --out a").done();
    place.run("predict a --out answers.csv").done();
    let answers = std::fs::read_to_string(place.path("answers.csv")).unwrap();
    assert!(answers.lines().count() > 100, "{answers}");

    place.run("export a --out networks --rows 5").done();
    let width = |file: &str, name: &str| {
        let content = std::fs::read(place.path("networks").join(file)).unwrap();
        let tensors = safetensors_header(&content);
        tensors[name]["shape"].as_array().map(|shape| shape.last().unwrap().as_u64().unwrap())
    };
    // The modalities of transmitter 1 are fft and mel.
    assert_eq!(width("transmitter1-encoder0.safetensors", "block2.w1"), Some(12));
    assert_eq!(width("transmitter1-encoder1.safetensors", "block1.w1"), Some(16));
    assert_eq!(width("transmitter1-encoder1.safetensors", "block2.w1"), None);
    assert_eq!(width("receiver0-joint.safetensors", "block2.w1"), Some(20));
    assert_eq!(width("receiver0-local.safetensors", "block2.w1"), Some(16));
    assert_eq!(width("receiver1-local.safetensors", "block1.w1"), Some(4));
    assert_eq!(width("receiver1-selector.safetensors", "block1.w1"), Some(8));
}

/// The header of a safetensors file: a length, and JSON of that many bytes.
fn safetensors_header(content: &[u8]) -> serde_json::Value {
    let (length, rest) = content.split_first_chunk().unwrap();
    serde_json::from_slice(&rest[..u64::from_le_bytes(*length) as usize]).unwrap()
}

#[test]
fn a_network_that_cannot_be_is_refused_before_anything_starts() {
    let place = place();
    for (set, expected) in [
        ("network.encoder.hidden=[0]", "network.encoder.hidden[0] is 0; it must be from 1 to 16384"),
        ("network.joint.width=3", "unknown field `width`, expected one of `kind`, `hidden`"),
        (
            "network.local.mood.hidden=[3]",
            "network.local.mood describes a network for what no receiver has the task",
        ),
        (
            "network.selector.kind=oracle",
            "network.selector.kind is \"oracle\", which is no kind of network of this program",
        ),
    ] {
        place.run(&format!("run sized.toml --out a --set {set}")).failed(2, &[expected]);
        assert_eq!(place.run_folder("a").rounds(), 0);
    }
}

/// A network of layers for every part, with dropout.
const LAYERS: &str = r#"
[network.encoder]
kind = "sequential"
outputs = 10
layers = ["flatten", "linear 24", "relu", "dropout 0.2"]
head = { hidden = [16] }
[network.encoder.mel]
kind = "sequential"
outputs = 6
layers = [{ kind = "flatten" }, { kind = "linear", width = 12 }, "gelu"]
[network.joint]
kind = "sequential"
layers = ["linear 20", "relu", "dropout 0.1"]
[network.local]
kind = "sequential"
layers = ["linear 20", "relu"]
[network.selector]
kind = "sequential"
layers = ["linear 8", "gelu"]
"#;

fn layered() -> Place {
    let place = Place::new(PROGRAM);
    place.write_tiny_with("layers.toml", LAYERS);
    place
}

#[test]
fn layers_come_to_the_same_in_processes_in_one_in_parts_and_after_a_kill() {
    let place = layered();
    let run = "run layers.toml --rounds 40 --set train.entropy_bonus=0 --set checkpoint.every=5";
    let processes = place.run(&format!("{run} --out processes --json")).done().json();
    let tasks = place.run(&format!("{run} --out tasks --in-process --threads 3 --json")).done().json();
    assert_same(&tasks, &processes);

    let killed = place.start(&format!("{run} --out killed"));
    wait_until("a checkpoint", PATIENCE, || !place.run_folder("killed").checkpoints().is_empty());
    place.kill(killed);
    assert_same(&place.run("run --resume killed --json").done().json(), &processes);

    let long = "run layers.toml --set train.ticks_per_round=30 --rounds 3";
    let parts = place.run(&format!("{long} --set train.ticks_per_part=10 --out parts --json")).done().json();
    let whole = place.run(&format!("{long} --set train.ticks_per_part=30 --out whole --json")).done().json();
    assert_eq!(parts["fingerprint"], whole["fingerprint"]);
}

/// Every kind of network, with convolutions and masks among the layers: as trunks with heads, decoders and selectors.
const KINDS: &str = r#"
[network.encoder.noise-1]
kind = "lstm"
shape = [14, 14]
hidden = 6
outputs = 5
[network.encoder.noise-2]
kind = "points"
shape = [49, 4]
hidden = [8, 12]
outputs = 5
[network.encoder.fft]
kind = "attention"
patch = 7
blocks = 1
heads = 2
width = 8
outputs = 6
head = { kind = "sequential", layers = ["linear 9", "gelu"] }
[network.encoder.mel]
kind = "sequential"
outputs = 6
layers = ["conv2d 4 3x5 stride 2 padding 1", "group-norm 2", "relu", "max-pool 2", "dropout 0.1", "flatten"]
[network.joint]
kind = "gru"
shape = [5, 4]
hidden = 6
[network.joint.digit]
kind = "attention"
shape = [5, 4]
patch = [1, 1]
blocks = 1
heads = 2
width = 8
[network.local]
kind = "film"
values = 4
[network.selector]
kind = "film"
values = 2
"#;

fn of_all_kinds() -> Place {
    let place = Place::new(PROGRAM);
    place.write_tiny_with("kinds.toml", KINDS);
    place
}

/// Rates are against priors, which learn from what trunks and heads make.
#[test]
fn all_kinds_come_to_the_same_however_their_nodes_are_run_and_after_a_kill() {
    let place = of_all_kinds();
    let run = "run kinds.toml --rounds 24 --set train.ticks_per_round=13 --set train.samples_per_tick=10 \
               --set checkpoint.every=2 --set train.rate_estimator=prior";
    let ways = [
        // By Unix sockets, and each round in two parts.
        "--out sockets --threads 1 --set train.ticks_per_part=10",
        "--out tcp --threads 2 --set train.ticks_per_part=20 --tcp-only",
        "--out tasks --threads 4 --set train.ticks_per_part=20 --in-process",
    ];
    let [expected, others @ ..] = ways.map(|way| place.run(&format!("{run} {way} --json")).done().json());
    assert!(expected["fingerprint"].is_string() && expected["rates"]["prior_nats"].is_number(), "{expected}");
    for other in others {
        assert_same(&other, &expected);
    }

    let killed = place.start(&format!("{run} --out killed"));
    wait_until("a checkpoint", PATIENCE, || !place.run_folder("killed").checkpoints().is_empty());
    place.kill(killed);
    assert_same(&place.run("run --resume killed --json").done().json(), &expected);
}

/// If this fails, the same seed has other bits than before: then `dib::NUMERICS` counts up. Bits do not depend on the
/// build or on the processor, as long as that has AVX2 and FMA: without them the spectra of the data are computed in
/// another order.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_bits_of_the_default_and_of_all_kinds_are_pinned_so_that_published_runs_stay_reproducible() {
    if !(std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")) {
        eprintln!("skipped: this processor lacks AVX2 or FMA");
        return;
    }
    let place = of_all_kinds();
    let pinned = [
        ("digits", "28ed884e8f487d22ce9f01b1dd399d62c292aac74e541d75f0f4a290796691ca"),
        ("kinds.toml", "f67ce5b250869a356f76e4cee6a93ac5a48bb35739c6dd6484a1548b55d59856"),
    ];
    for (scenario, fingerprint) in pinned {
        let run = format!("run {scenario} --rounds 3 --out {scenario}-run --in-process --json");
        assert_eq!(place.run(&run).done().json()["fingerprint"], fingerprint, "{scenario}");
    }
}

#[test]
fn layers_are_shown_predict_and_can_be_exported() {
    let place = layered();
    let told = place.run("model layers.toml --json --check-gradients").done().json();
    let networks = told["networks"].as_array().unwrap();
    let named = |name: &str| networks.iter().find(|network| network["network"] == name).unwrap();
    let trunk = named("encoder of mel: trunk");
    assert_eq!(trunk["key"], "network.encoder.mel");
    assert_eq!(trunk["layers"].as_array().unwrap().len(), 4, "{trunk}");
    assert_eq!(named("encoder of fft: head")["layers"][0]["shape"], serde_json::json!([16]));
    for network in networks {
        assert!(network["gradient_error"].as_f64().unwrap() < 1e-6, "{network}");
        let sum = |key: &str| {
            network["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|layer| layer[key].as_f64().unwrap())
                .sum::<f64>()
        };
        assert_eq!(sum("parameters"), network["parameters"].as_f64().unwrap());
        assert_eq!(network["bytes"].as_f64().unwrap(), 16.0 * sum("parameters"));
    }
    let text = place.run("model layers.toml").done().stdout;
    assert!(text.contains("encoder of fft: trunk (network.encoder, sequential)"), "{text}");

    place.run("run layers.toml --out a").done();
    place.run("predict a --out answers.csv").done();
    place.run("export a --out networks").done();
    let exported = place.run_folder("networks").json("export.json");
    let networks = exported["networks"].as_array().unwrap();
    let trunk = networks.iter().find(|network| network["name"] == "transmitter1/trunk1").unwrap();
    assert_eq!((&trunk["part"], trunk["inputs"].as_u64()), (&"trunk".into(), Some(512)), "{trunk}");
    for file in ["transmitter1-trunk1.safetensors", "transmitter1-encoder1.onnx", "receiver1-joint.onnx"] {
        assert!(place.path("networks").join(file).is_file(), "{file}");
    }
    // What was exported can be begun with: trunks, heads and all.
    let all = ["encoder", "encoder.mel", "encoder.head", "joint", "local", "selector"];
    let all =
        all.map(|part| format!("--set network.{part}.weights=networks --set network.{part}.train=false"));
    let again =
        place.run(&format!("run layers.toml --seed 5 --out b {} --json", all.join(" "))).done().json();
    // The one head that no table names learns as before.
    assert_ne!(again["fingerprint"], place.run_folder("a").json("summary.json")["fingerprint"]);
    let head = "--set network.encoder.mel.head.weights=networks --set network.encoder.mel.head.train=false";
    let again =
        place.run(&format!("run layers.toml --seed 5 --out c {head} {} --json", all.join(" "))).done();
    assert_eq!(again.json()["fingerprint"], place.run_folder("a").json("summary.json")["fingerprint"]);
}

#[test]
fn a_layer_that_does_not_fit_is_refused_before_anything_starts() {
    let place = layered();
    for (set, expected) in [
        (
            "network.encoder.layers=[\"linear_24\"]",
            "layers.toml: layers: layer 1 is \"linear_24\"; a layer is one of conv1d, ",
        ),
        (
            "network.encoder.layers=[\"relu\",{kind=\"linear\",width=4}]",
            "layers.toml: network.encoder.layers: layer 2 (linear) got 1 x 14 x 14 and wants one width, or steps x channels",
        ),
        (
            "network.encoder.layers=[\"relu\"]",
            "layers.toml: network.encoder: sequential got 1 x 14 x 14 at its end, and wants one width there",
        ),
        (
            "network.encoder.shape=[14,13]",
            "layers.toml: network.encoder.shape is 14 x 13, but what comes is 1 x 14 x 14",
        ),
        ("network.joint.outputs=3", "layers.toml: network.joint.outputs is for encoders alone"),
        (
            "network.joint.shape=[2,10]",
            "layers.toml: network.joint: sequential got 2 x 20 at its end, and wants one width there",
        ),
    ] {
        for command in ["run", "check", "model"] {
            let out = if command == "run" { "--out a" } else { "" };
            place.run(&format!("{command} layers.toml {out} --set {set}")).failed(2, &[expected]);
        }
        assert!(!place.path("a").exists());
    }
}

#[test]
fn every_mistake_in_a_list_of_layers_is_one_line_that_names_file_key_and_layer() {
    let place = Place::new(PROGRAM);
    for (layers, expected) in mistakes::LAYERS {
        let list = format!("[network.encoder]\nkind = \"sequential\"\noutputs = 3\nlayers = [{layers}]\n");
        place.write_tiny_with("mine.toml", &list);
        place.run("model mine.toml").failed(2, &["error: mine.toml: line ", expected]);
    }
}

/// The code blocks of docs/models.md in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let blocks = include_str!("../../docs/models.md").split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_page_shows_scenarios_and_commands_that_are_accepted() {
    let place = Place::for_longer_runs(PROGRAM);
    // The page takes networks from there.
    place.run("run tiny.toml --out runs/mine --in-process").done();
    let commands: Vec<&str> = blocks("sh")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("pom2dib "))
        .collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        // Every command that runs can also be checked, in less time.
        place.run(&command.replacen("run ", "check ", 1)).done();
    }
    for (number, block) in blocks("toml").into_iter().enumerate() {
        place.write_tiny_with(&format!("page{number}.toml"), block);
        place.run(&format!("check page{number}.toml")).done();
        let told = place.run(&format!("model page{number}.toml --json")).done().json();
        assert!(told["networks"].as_array().unwrap().len() > 5, "{told}");
    }
}
