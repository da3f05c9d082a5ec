//! The program as its users meet it: real processes on this machine, in containers, behind network namespaces, on a
//! Slurm.
//!
//! One binary for all of them: it links once, and while one test waits for a container or a time limit another one
//! computes.

use std::path::Path;

use harness::Place;
use serde_json::Value;

mod bad_input;
mod bad_messages;
mod bench_loss;
mod bench_scale;
mod bench_snr;
mod certs;
mod channels;
mod command;
mod compose;
mod damaged_folder;
mod data_sets;
mod deaths;
mod deploy_compose;
mod deploy_kubernetes;
mod deploy_machines;
mod deploy_slurm;
mod difference;
mod door;
mod environment;
mod export;
mod further;
mod health;
mod hostile;
mod invited;
mod joint_map;
mod kills;
mod launch;
mod lock;
mod mmfi;
mod multicast;
mod networks;
mod otlp;
mod own_channel;
mod own_coding;
mod own_data;
mod own_dataset;
mod own_model;
mod own_parts;
mod own_selection;
mod own_token;
mod page;
mod predict;
mod recovery;
mod replay;
mod report;
mod reproduce;
mod run_folder;
mod same_fingerprint;
mod search;
mod secrets;
mod serve;
mod sockets;
mod sparse_logs;
mod store;
mod stragglers;
mod strangers;
mod sweep;
mod tensorboard;
mod tui;
mod validation;
mod verify;
mod weights;
mod wire;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

/// A scenario in which nothing depends on the number of rounds.
const CONSTANT: &str = "tiny.toml --set train.entropy_bonus=0";

/// One of the programs in `examples/`, which Cargo builds before tests, beside the program.
fn example(name: &str) -> &'static str {
    let path = Path::new(PROGRAM).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --examples", path.display());
    path.display().to_string().leak()
}

/// All numbers of nested lists, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => value.as_f64().into_iter().collect(),
    }
}

/// Asserts that two summaries tell of the same network with the same scores.
fn assert_same(run: &Value, other: &Value) {
    assert!(run["fingerprint"].is_string(), "{run}");
    assert_eq!(run["fingerprint"], other["fingerprint"]);
    assert_eq!(run["test"], other["test"]);
}

/// Asserts that a run with these words is the same in processes (in the folder "processes", with its draws) and in one
/// after a resumption (in "in-one"), and another than without them (in "own"); returns its summary.
fn assert_same_everywhere(place: &Place, words: &str) -> Value {
    let run = |more: &str| place.run(&format!("run {CONSTANT} {more} --json")).done().json();
    let processes = run(&format!("{words} --verify --set record.draws=true --out processes"));
    run(&format!("{words} --rounds 4 --in-process --out in-one"));
    let in_one = place.run("run --resume in-one --rounds 6 --in-process --json").done().json();
    assert_same(&in_one, &processes);
    let own = run("--in-process --out own");
    assert_ne!(own["fingerprint"], processes["fingerprint"]);
    processes
}
