//! The program as its users meet it: real processes on this machine, in containers, behind network namespaces, on a
//! Slurm.
//!
//! One binary for all of them: it links once, and while one test waits for a container or a time limit another one
//! computes.

use std::path::Path;

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
mod own_data;
mod own_dataset;
mod own_model;
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

/// One of the programs in `examples/`, which Cargo builds before tests, beside the program.
fn example(name: &str) -> &'static str {
    let path = Path::new(PROGRAM).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --examples", path.display());
    path.display().to_string().leak()
}

/// All numbers of nested lists, in order.
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => value.as_f64().into_iter().collect(),
    }
}
