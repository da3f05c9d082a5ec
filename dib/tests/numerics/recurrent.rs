//! Recurrence against plain loops over rows, steps and units.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::Network;
use pom2dib_dib::nn::Architecture;

use crate::kinds::{gru, lstm};
use crate::promises::network;
use crate::support::{distance, normal, numbers};

const TIME: usize = 6;
const CHANNELS: usize = 3;
const HIDDEN: usize = 5;

/// x W + b.
struct Map {
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

impl Map {
    fn of(network: &Network, name: &str) -> Self {
        let value = |suffix: &str| {
            let name = format!("net/{name}.{suffix}");
            network.parameters().find(|parameter| parameter.name == name).unwrap().value.clone()
        };
        let weight = value("w").to_dtype(DType::F64).unwrap().to_vec2().unwrap();
        Map { weight, bias: numbers(&value("b")) }
    }

    /// The output for a unit of a gate.
    fn at(&self, x: &[f64], gate: usize, unit: usize) -> f64 {
        let column = gate * HIDDEN + unit;
        self.bias[column] + x.iter().zip(&self.weight).map(|(x, line)| x * line[column]).sum::<f64>()
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// PyTorch's documentation of `GRU`, unit by unit: gates r, z, n.
fn gru_step(input: &Map, state: &Map, x: &[f64], h: &mut Vec<f64>) {
    let next = (0..HIDDEN).map(|unit| {
        let r = sigmoid(input.at(x, 0, unit) + state.at(h, 0, unit));
        let z = sigmoid(input.at(x, 1, unit) + state.at(h, 1, unit));
        let n = (input.at(x, 2, unit) + r * state.at(h, 2, unit)).tanh();
        (1.0 - z) * n + z * h[unit]
    });
    *h = next.collect();
}

/// PyTorch's documentation of `LSTM`, unit by unit: gates i, f, g, o.
fn lstm_step(input: &Map, state: &Map, x: &[f64], h: &mut Vec<f64>, c: &mut [f64]) {
    let gate = |gate: usize, unit: usize| input.at(x, gate, unit) + state.at(h, gate, unit);
    let next = (0..HIDDEN).map(|unit| {
        c[unit] = sigmoid(gate(1, unit)) * c[unit] + sigmoid(gate(0, unit)) * gate(2, unit).tanh();
        sigmoid(gate(3, unit)) * c[unit].tanh()
    });
    *h = next.collect();
}

/// Two layers, then the linear one.
fn expected(network: &Network, kind: &Architecture, sequences: &Tensor) -> Tensor {
    let last = Map::of(network, "output");
    let mut outputs = Vec::new();
    for sequence in sequences.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap() {
        let mut steps: Vec<Vec<f64>> = sequence.chunks(CHANNELS).map(<[f64]>::to_vec).collect();
        for layer in ["layer1", "layer2"] {
            let input = Map::of(network, &format!("{layer}.input"));
            let state = Map::of(network, &format!("{layer}.state"));
            let (mut h, mut c) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
            for step in &mut steps {
                match kind {
                    Architecture::Gru { .. } => gru_step(&input, &state, step, &mut h),
                    _ => lstm_step(&input, &state, step, &mut h, &mut c),
                }
                step.clone_from(&h);
            }
        }
        outputs.extend((0..last.bias.len()).map(|unit| last.at(&steps[TIME - 1], 0, unit)));
    }
    Tensor::from_vec(outputs, (sequences.dim(0).unwrap(), last.bias.len()), &Device::Cpu).unwrap()
}

#[test]
fn the_output_is_that_of_plain_loops() {
    for kind in [gru(HIDDEN, 2), lstm(HIDDEN, 2)] {
        for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-6)] {
            let network = network(&kind, &[TIME, CHANNELS], dtype);
            let sequences = normal(2, &[7, TIME * CHANNELS], dtype);
            let difference =
                distance(&network.infer(&sequences).unwrap(), &expected(&network, &kind, &sequences));
            assert!(difference < tolerance, "{kind:?} {dtype:?}: {difference}");
        }
    }
}

/// Saturated gates keep a value indefinitely: the first input still shows at the end.
#[test]
fn a_memory_keeps_its_first_step() {
    let network = network(&lstm(1, 1), &[40, 1], DType::F32);
    // i opens for an input of 1 and is shut for 0; f holds everything; g is the sign of the input; o is open.
    let set = |name: &str, values: [f32; 4]| {
        let parameter = network.parameters().find(|parameter| parameter.name.ends_with(name)).unwrap();
        let values = Tensor::from_slice(&values, parameter.value.shape(), &Device::Cpu).unwrap();
        kernels::elementwise::assign(&parameter.value, &values).unwrap();
    };
    set("input.w", [200.0, 0.0, 100.0, 0.0]);
    set("input.b", [-100.0, 100.0, 0.0, 100.0]);
    set("state.w", [0.0; 4]);
    set("state.b", [0.0; 4]);
    let mut first = vec![0f32; 40];
    first[0] = 1.0;
    let sequences = Tensor::from_vec([first, vec![0.0; 40]].concat(), (2, 40), &Device::Cpu).unwrap();
    let last = Map::of(&network, "output");
    let answers = network.infer(&sequences).unwrap().to_vec2::<f32>().unwrap();
    for (unit, bias) in last.bias.iter().enumerate() {
        let expected = 1f64.tanh() * last.weight[0][unit] + bias;
        assert!((f64::from(answers[0][unit]) - expected).abs() < 1e-5, "{answers:?}, not {expected}");
        assert!((f64::from(answers[1][unit]) - bias).abs() < 1e-6, "{answers:?}");
    }
}
