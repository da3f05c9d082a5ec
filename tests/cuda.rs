//! A GPU computes what the CPU computes: networks to within rounding, runs with the same draws.
//!
//! Without a GPU these tests say that they skip, and pass; the behaviour of a build with CUDA on such a machine is
//! tested in any case.
#![cfg(feature = "cuda")]

use std::{
    collections::{BTreeMap, HashMap},
    process::Command,
};

use candle_core::{DType, Device, Tensor};
use dib::{AdamW, Block, Input, Network, ResidualMlp, Segment};
use harness::{Place, RunFolder};
use randomness::{Purpose, Seed, Stream};

/// The GPU; none where there is nothing to compare.
fn gpu() -> Option<Device> {
    match kernels::open_cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            let error = error.to_string();
            eprintln!("SKIPPED: no GPU: {}", error.lines().next().unwrap_or_default());
            None
        }
    }
}

fn stream(number: u64) -> Stream {
    Seed::from_number(number).stream(Purpose::Test, &[], 0)
}

fn normal(number: u64, shape: &[usize], device: &Device) -> Tensor {
    let mut stream = stream(number);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn distance(got: &[f64], expected: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(expected).map(|(got, expected)| got - expected));
    error / norm(&mut expected.iter().copied())
}

fn network(number: u64, device: &Device) -> Network {
    let module = Box::new(ResidualMlp::new(40, 10));
    Network::new("net", module, stream(number), DType::F32, device).unwrap()
}

/// Three steps of a network on a block input: outputs, input gradients, and the final state.
fn three_steps(device: &Device) -> (Vec<Vec<f64>>, Vec<(String, Tensor)>) {
    const ROWS: usize = 60;
    let mut network = network(1, device);
    let mut seen = Vec::new();
    for step in 0..3 {
        let segment = |number: usize| Segment { source: 0, target: 20 * number, rows: 20, repeat: false };
        let shared = Block {
            values: normal(10 + step, &[20, 16], device),
            column: 0,
            segments: (0..3).map(segment).collect(),
            learns: false,
        };
        let own = Block::whole(normal(20 + step, &[ROWS, 24], device), 16, true).unwrap();
        let input = Input::Blocks { rows: ROWS, blocks: vec![shared, own] };
        let (output, trace) = network.forward(input, &[40, 20], None).unwrap();
        let gradients = network.backward_to_input(&trace, &normal(30 + step, &[ROWS, 10], device)).unwrap();
        network.clip_gradients(5.0).unwrap();
        network.step(&AdamW::new(1e-3)).unwrap();
        seen.push(numbers(&output));
        seen.extend(gradients.iter().map(numbers));
    }
    (seen, network.export().unwrap())
}

#[test]
fn a_network_learns_the_same() {
    let Some(gpu) = gpu() else { return };
    let ((got, state), (expected, on_cpu)) = (three_steps(&gpu), three_steps(&Device::Cpu));
    for (got, expected) in got.iter().zip(&expected) {
        assert!(distance(got, expected) < 1e-4, "{}", distance(got, expected));
    }
    for ((name, got), (_, expected)) in state.iter().zip(&on_cpu) {
        let distance = distance(&numbers(got), &numbers(expected));
        assert!(distance < 1e-3, "{name}: {distance}");
    }
}

#[test]
fn a_state_moves_between_gpu_and_cpu() {
    let Some(gpu) = gpu() else { return };
    let (_, state) = three_steps(&gpu);
    let on_cpu = |(name, tensor): (String, Tensor)| (name, tensor.to_device(&Device::Cpu).unwrap());
    let state: HashMap<String, Tensor> = state.into_iter().map(on_cpu).collect();
    for device in [Device::Cpu, gpu] {
        let mut network = network(9, &device);
        network.import(&state).unwrap();
        for (name, tensor) in network.export().unwrap() {
            assert_eq!(numbers(&tensor), numbers(&state[&name]), "{name}");
        }
    }
}

/// Runs the built-in digits on a device.
fn run(place: &Place, device: &str, name: &str, more: &str) -> RunFolder {
    let words = format!("run --rounds 50 --set evaluation.passes=1 --device {device} --out {name} {more}");
    place.run(&words).done();
    place.run_folder(name)
}

#[test]
fn fifty_rounds_take_the_same_way_with_the_same_draws() {
    if gpu().is_none() {
        return;
    }
    let place = Place::new(env!("CARGO_BIN_EXE_pom2dib"));
    let on_cpu = run(&place, "cpu", "cpu", "--in-process");
    for (name, more) in [("processes", ""), ("in-process", "--in-process")] {
        let on_gpu = run(&place, "cuda:0", name, more);
        let (rounds, expected) = (on_gpu.lines("metrics.jsonl"), on_cpu.lines("metrics.jsonl"));
        assert_eq!(rounds.len(), 50);
        for key in ["n_ce", "sum_rate"] {
            let values = |lines: &[serde_json::Value]| -> Vec<f64> {
                lines.iter().map(|line| line[key].as_f64().unwrap()).collect()
            };
            let (got, expected) = (values(&rounds), values(&expected));
            let apart: Vec<f64> =
                got.iter().zip(&expected).map(|(got, expected)| (got / expected - 1.0).abs()).collect();
            let largest = |rounds: &[f64]| rounds.iter().copied().fold(0.0, f64::max);
            println!(
                "{name}, {key}: apart by {:.1e} in rounds 0 to 2, {:.1e} in all",
                largest(&apart[..3]),
                largest(&apart)
            );
            // Every step amplifies rounding differences, and once they change a draw the runs differ completely: so the
            // beginning must agree closely, and the trained scores roughly.
            assert!(largest(&apart[..3]) < 1e-3, "{got:?} {expected:?}");
            let end = |values: &[f64]| values[40..].iter().sum::<f64>() / 10.0;
            assert!((end(&got) / end(&expected) - 1.0).abs() < 0.1, "{got:?} {expected:?}");
        }
        let same = granted(&on_gpu).iter().zip(&granted(&on_cpu)).take_while(|(got, own)| got == own).count();
        println!("{name}: the same grants for {same} rounds");
        assert!(same >= 2, "other draws from round {same} on");
        let device = on_gpu.json("summary.json")["device"].as_str().unwrap().to_owned();
        assert!(device.starts_with("cuda:0 (NVIDIA "), "{device}");
    }
}

fn granted(run: &RunFolder) -> Vec<serde_json::Value> {
    run.lines("selection.jsonl").into_iter().map(|line| line["granted"].clone()).collect()
}

/// The round that both devices start from the same state.
const FROM: u64 = 30;

/// Continues from a run's state for one round on a device. Returns the grants, and each network's gradient from its
/// first moments: m' = 0.9 m + 0.1 gradient.
fn one_round(place: &Place, device: &str) -> (Vec<serde_json::Value>, BTreeMap<String, Vec<f64>>) {
    let name = format!("on-{device}").replace(':', "-");
    let copied = Command::new("cp").arg("-r").args([place.path("base"), place.path(&name)]).status();
    assert!(copied.unwrap().success());
    let state = |round: u64| place.path(&format!("{name}/checkpoints/round-{round:06}"));
    std::fs::remove_dir_all(state(FROM + 1)).unwrap();
    std::fs::remove_file(place.path(&format!("{name}/summary.json"))).unwrap();
    place.run(&format!("run --resume {name} --in-process --device {device}")).done();
    let mut gradients = BTreeMap::<String, Vec<f64>>::new();
    for file in std::fs::read_dir(state(FROM)).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "safetensors") {
            let read = |path| candle_core::safetensors::load(path, &Device::Cpu).unwrap();
            // State files are named after the incarnation that wrote them.
            let node = file.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
            let after = place.path(&name).join(place.run_folder(&name).state(FROM + 1, node));
            let (before, after) = (read(file.clone()), read(after));
            let mut moments: Vec<&String> = before.keys().filter(|name| name.ends_with(".m")).collect();
            moments.sort();
            for moment in moments {
                let network = moment.rsplit_once('/').unwrap().0.to_owned();
                let both = numbers(&before[moment]).into_iter().zip(numbers(&after[moment]));
                gradients.entry(network).or_default().extend(both.map(|(m, next)| (next - 0.9 * m) / 0.1));
            }
        }
    }
    (granted(&place.run_folder(&name)), gradients)
}

#[test]
fn from_the_same_state_a_round_has_the_same_gradients() {
    if gpu().is_none() {
        return;
    }
    let place = Place::new(env!("CARGO_BIN_EXE_pom2dib"));
    let words = format!(
        "run --rounds {} --set checkpoint.every={FROM} --set evaluation.passes=1 --in-process --device cpu --out base",
        FROM + 1
    );
    place.run(&words).done();
    let ((granted, gradients), (on_cpu, expected)) = (one_round(&place, "cuda:0"), one_round(&place, "cpu"));
    assert_eq!(granted, on_cpu);
    assert!(gradients.len() > 10 && gradients.keys().eq(expected.keys()), "{:?}", gradients.keys());
    for (network, gradient) in &gradients {
        let distance = distance(gradient, &expected[network]);
        println!("{network}: apart by {distance:.1e}");
        assert!(distance < 1e-2, "{network}: {distance}");
    }
}

#[test]
fn a_run_goes_on_and_is_judged_on_the_other_device() {
    if gpu().is_none() {
        return;
    }
    let place = Place::new(env!("CARGO_BIN_EXE_pom2dib"));
    place.run("run tiny.toml --device cuda:0 --set train.rounds=4 --out run --set checkpoint.every=2").done();
    let n_ce = |device: &str| {
        let json = place.run(&format!("evaluate run --device {device} --json")).done().json();
        json["test"]["n_ce"].as_f64().expect("an evaluation has an N-CE")
    };
    let (on_gpu, on_cpu) = (n_ce("cuda:0"), n_ce("cpu"));
    assert!((on_gpu - on_cpu).abs() < 1e-3, "{on_gpu} {on_cpu}");
}

#[test]
fn a_gpu_that_is_not_there_is_a_clear_error_and_auto_goes_on_without() {
    let place = Place::new(env!("CARGO_BIN_EXE_pom2dib"));
    place.run("run tiny.toml --device cuda:63 --out none").failed(2, &["device cuda:63 cannot be had"]);
    place.run("run tiny.toml --device auto --in-process --out auto").done();
}
