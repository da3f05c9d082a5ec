//! A program with a kind that is a graph of candle-nn's (`examples/own_graph.rs`) runs networks of processes, and says
//! what its bits are bound to.

use std::{path::PathBuf, sync::LazyLock};

use harness::Place;

/// Cargo builds examples before tests, two folders beside them.
static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let tests: PathBuf = std::env::current_exe().unwrap();
    let own = tests.ancestors().nth(2).unwrap().join("examples/own_graph");
    assert!(own.exists(), "{} is missing: cargo build --release --workspace --examples", own.display());
    own.display().to_string()
});

fn place() -> Place {
    let place = Place::new(PROGRAM.as_str());
    let kinds = "[network.encoder]\nkind = \"gated\"\noutputs = 8\n[network.joint.digit]\nkind = \"gated\"\nwidth = 9\n";
    place.write_tiny_with("gated.toml", kinds);
    place
}

#[test]
fn its_runs_say_what_their_bits_are_bound_to() {
    let place = place();
    let run = "run gated.toml --set train.entropy_bonus=0 --threads 1 --json";
    let processes = place.run(&format!("{run} --out processes")).done().json();
    assert_eq!(processes["reproducible"], "same build and thread count");
    // With as many threads they are the same, wherever the nodes are, and after a resumption.
    let tasks = place.run(&format!("{run} --rounds 4 --out tasks --in-process")).done().json();
    assert_ne!(tasks["fingerprint"], processes["fingerprint"]);
    let resumed = place.run("run --resume tasks --rounds 6 --threads 1 --in-process --json").done().json();
    assert_eq!(resumed["fingerprint"], processes["fingerprint"]);
    assert_eq!(resumed["reproducible"], processes["reproducible"]);
    // Who has no such network says nothing.
    let plain = place.run("run tiny.toml --out plain --in-process --json").done().json();
    assert!(plain.get("reproducible").is_none(), "{plain}");
}

#[test]
fn its_gradients_are_checked_and_it_predicts_and_is_exported() {
    let place = place();
    let told = place.run("model gated.toml --json --check-gradients").done().json();
    let own = told["networks"].as_array().unwrap().iter().filter(|network| network["kind"] == "gated");
    assert!(own.map(|network| assert!(network["gradient_error"].as_f64().unwrap() < 1e-6)).count() > 2);

    place.run("run gated.toml --out a --in-process").done();
    place.run("predict a --out answers.csv").done();
    place.run("export a --out networks").done();
    let exported = place.run_folder("networks").json("export.json");
    let of = |name: &str| {
        let networks = exported["networks"].as_array().unwrap();
        networks.iter().find(|network| network["name"] == name).unwrap().clone()
    };
    // Of a graph of one's own there are the parameters; what has no part in it is ONNX as ever.
    assert!(of("receiver1/joint").get("onnx").is_none() && of("receiver0/joint")["onnx"].is_object());
    assert!(place.path("networks/transmitter0-trunk0.safetensors").is_file());
    assert!(!place.path("networks/transmitter0-encoder0.onnx").exists());
}

#[test]
fn the_page_s_commands_are_accepted() {
    let place = place();
    let prefix = "cargo run --release -p pom2dib-tape --example own_graph -- ";
    let lines = include_str!("../../docs/models.md").lines();
    let commands: Vec<&str> = lines.filter_map(|line| line.strip_prefix(prefix)).collect();
    assert_eq!(commands.len(), 1);
    for command in commands {
        place.run(&command.replacen("run ", "check ", 1)).done();
    }
    assert!(include_str!("../examples/own_graph.rs").contains(&format!("//! {prefix}run")));
}
