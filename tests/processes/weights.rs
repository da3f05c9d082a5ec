//! Networks that begin with parameters out of files, and networks that do not learn.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, safetensors};
use harness::{PATIENCE, Place, wait_until};

use crate::PROGRAM;

/// Small networks.
const SIZES: &str = r#"
[network.encoder]
hidden = [24]
[network.joint]
hidden = [20]
[network.local]
hidden = [4]
[network.selector]
hidden = [8]
"#;

/// A place with the networks of a trained run in its folder `networks`.
fn place() -> Place {
    let place = Place::new(PROGRAM);
    place.write_tiny_with("small.toml", SIZES);
    place.run("run small.toml --out first --in-process").done();
    place.run("export first --out networks").done();
    place
}

fn tensors(place: &Place, file: &str) -> HashMap<String, Tensor> {
    safetensors::load(place.path(file), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<u32> {
    let numbers = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    numbers.into_iter().map(f32::to_bits).collect()
}

/// Whether two files have the same tensors, bit for bit.
fn alike(place: &Place, one: &str, other: &str) -> bool {
    let (one, other) = (tensors(place, one), tensors(place, other));
    assert!(!one.is_empty() && one.keys().all(|name| other.contains_key(name)));
    one.iter().all(|(name, tensor)| numbers(tensor) == numbers(&other[name]))
}

#[test]
fn what_was_exported_is_begun_with_and_what_does_not_learn_does_not_move() {
    let place = place();
    let first = place.run_folder("first").json("summary.json");

    // Of a run of which nothing learns, all is as it was.
    let parts = ["encoder", "joint", "local", "selector"];
    let all =
        parts.map(|part| format!("--set network.{part}.weights=networks --set network.{part}.train=false"));
    let words = format!("run small.toml --seed 7 {} --json", all.join(" "));
    let frozen = place.run(&format!("{words} --out frozen")).done().json();
    assert_eq!(frozen["fingerprint"], first["fingerprint"]);

    // Where encoders stay, decoders learn all the same, from where the first run left them.
    let words = "run small.toml --out decoders --seed 7 --set network.encoder.weights=networks \
                 --set network.encoder.train=false --set network.joint.weights=networks";
    place.run(words).done();
    place.run("export decoders --out again").done();
    for encoder in ["transmitter0-encoder2", "transmitter1-encoder0", "transmitter1-encoder1"] {
        let file = format!("{encoder}.safetensors");
        assert!(alike(&place, &format!("networks/{file}"), &format!("again/{file}")), "{encoder}");
    }
    for other in ["receiver0-joint", "receiver1-local", "receiver0-selector"] {
        let file = format!("{other}.safetensors");
        assert!(!alike(&place, &format!("networks/{file}"), &format!("again/{file}")), "{other}");
    }
    let far = |file: &str| {
        let (here, there) =
            (tensors(&place, &format!("networks/{file}")), tensors(&place, &format!("again/{file}")));
        let off = (&here["linear.w"] - &there["linear.w"]).unwrap().abs().unwrap();
        off.max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    // Six steps of 1e-4; the local decoders of another seed began elsewhere.
    assert!(far("receiver0-joint.safetensors") < 1e-3 && far("receiver0-local.safetensors") > 1e-2);

    // Neither moments nor steps of what does not learn.
    let state = place.run_folder("decoders").state(6, "transmitter-1");
    let state = safetensors::load(place.path("decoders").join(state), &Device::Cpu).unwrap();
    let zero = |name: &str| numbers(&state[name]).iter().all(|bits| *bits == 0);
    assert!(zero("transmitter1/encoder0/block1.w1.m") && zero("transmitter1/encoder0/block1.w1.v"));
    assert!(!zero("transmitter1/selector/block1.w1.m"));
    assert_eq!(state["transmitter1/encoder0.steps"].to_scalar::<u32>().unwrap(), 0);
    assert_eq!(state["transmitter1/selector.steps"].to_scalar::<u32>().unwrap(), 6);

    // From a checkpoint on, what learns may be another; what that began with may not.
    place.run("run --from first --set network.encoder.train=false --rounds 8 --out thawed").done();
    place.run("export thawed --out thawed-networks").done();
    let file = "transmitter1-encoder0.safetensors";
    assert!(alike(&place, &format!("networks/{file}"), &format!("thawed-networks/{file}")));
    let line = "cannot change from a checkpoint on";
    place.run("run --from first --set network.joint.weights=networks --out b").failed(2, &[line]);
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_fingerprint() {
    let place = place();
    let run = "run small.toml --rounds 40 --set checkpoint.every=5 --set network.encoder.weights=networks \
               --set network.encoder.train=false --set network.joint.weights=networks";
    let whole = place.run(&format!("{run} --out whole --in-process --json")).done().json();
    let killed = place.start(&format!("{run} --out killed"));
    wait_until("a checkpoint", PATIENCE, || !place.run_folder("killed").checkpoints().is_empty());
    place.kill(killed);
    let resumed = place.run("run --resume killed --json").done().json();
    assert_eq!(resumed["fingerprint"], whole["fingerprint"]);

    // Predictions need the checkpoint alone; a run that goes on, the very files.
    let file = place.path("networks/receiver0-joint.safetensors");
    let (other, own) =
        (std::fs::read(place.path("networks/receiver0-local.safetensors")), std::fs::read(&file));
    std::fs::write(&file, other.unwrap()).unwrap();
    let expected = ["network.encoder.weights is ", "networks, whose SHA-256 is ", "weights.sha256 says "];
    place.run("run --resume killed --rounds 50").failed(2, &expected);
    place.run("predict killed --out answers.csv").done();
    std::fs::write(&file, own.unwrap()).unwrap();
    place.run("run --resume killed --rounds 45").done();
}

#[test]
fn a_node_that_finds_another_file_than_the_coordinator_ends_the_run() {
    let place = place();
    let file = "networks/transmitter1-encoder0.safetensors";
    let words = "coordinator small.toml --out a --listen 127.0.0.1:0";
    let coordinator = place.start(&format!("{words} --set network.encoder.fft.weights={file}"));
    let address = place.address("a");
    std::fs::copy(place.path("networks/transmitter1-encoder1.safetensors"), place.path(file)).unwrap();
    let node = place.start(&format!("transmitter --coordinator {address} --index 0"));
    let expected = ["network.encoder.fft.weights is ", file, "whose SHA-256 is ", "sha256 says "];
    node.finish().failed(2, &expected);
    // What a node lacks before the first start, its user has to mend: the coordinator names the node and ends.
    coordinator.finish().failed(2, &[&["transmitter 0"], &expected[..]].concat());
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_anything_starts() {
    let place = place();
    let joint = "networks/receiver0-joint.safetensors";
    let zeros = "0".repeat(64);
    let mut named = tensors(&place, joint);
    let weight = named.remove("linear.w").unwrap();
    named.insert("fc.weight".into(), weight.clone());
    safetensors::save(&named, place.path("named.safetensors")).unwrap();
    let mut half = tensors(&place, joint);
    half.insert("linear.w".into(), weight.to_dtype(DType::F16).unwrap());
    safetensors::save(&half, place.path("half.safetensors")).unwrap();
    place.write("text.safetensors", "no tensors");
    place.write("empty/readme", "no tensors");
    place.write("one/transmitter0-encoder0.safetensors", std::fs::read(place.path(joint)).unwrap());

    for (set, expected) in [
        ("joint.weights=none.safetensors", "none.safetensors, which cannot be read: "),
        ("joint.weights=empty", "empty, a folder without a safetensors file"),
        ("joint.weights=text.safetensors", "text.safetensors, which is no safetensors file: "),
        (
            "joint.weights=named.safetensors",
            "which does not fit receiver0/joint: it has no tensor \"linear.w\", of shape 20 x 2",
        ),
        (
            "joint.weights=networks/receiver0-selector.safetensors",
            "which does not fit receiver0/joint: tensor \"block1.w1\" is 4 x 8, and must be 20 x 20",
        ),
        (
            "joint.parity={hidden=[20],weights=\"half.safetensors\"}",
            "tensor \"linear.w\" is of f16, and must be of f32",
        ),
        ("joint.hidden=[20,20]", "network.joint.weights is "),
        (
            "joint.weights={file=\"named.safetensors\",names={\"fc\"=\"linear.w\"}}",
            "has no tensor \"fc\", which weights.names calls \"linear.w\"",
        ),
        (
            &format!("joint.parity.weights={{file=\"{joint}\",sha256=\"{zeros}\"}}"),
            &format!("and network.joint.parity.weights.sha256 says {zeros}"),
        ),
        (
            "selector.weights=one",
            "transmitter0-selector.safetensors, which is not there: transmitter0/selector",
        ),
        ("joint.weights={sha256=\"ab\"}", "weights: file is missing"),
        ("joint.weights=3", "weights is integer; it must be the path of a safetensors file"),
        ("joint.train=0", "train: invalid type: integer `0`, expected a boolean"),
    ] {
        // Of another shape, what fitted does no more.
        let also = if set == "joint.hidden=[20,20]" { "--set network.joint.weights=networks" } else { "" };
        for command in ["run", "check", "model"] {
            let out = if command == "run" { "--out a" } else { "" };
            place
                .run(&format!("{command} small.toml {out} {also} --set network.{set}"))
                .failed(2, &[expected]);
        }
        assert!(!place.path("a").exists());
    }

    // With its name said, it fits.
    let names = "network.joint.parity={hidden=[20],weights={file=\"named.safetensors\",names={\"fc.weight\"=\"linear.w\"}}}";
    let shown = place.run(&format!("model small.toml --json --set {names}")).done().json();
    let networks = shown["networks"].as_array().unwrap();
    let joint = networks.iter().find(|network| network["network"] == "joint decoder of parity").unwrap();
    assert!(joint["weights"].as_str().unwrap().ends_with("named.safetensors"), "{joint}");
}
