//! Graphs of candle's as modules: what they promise, and what is refused.

#![allow(clippy::disallowed_methods, reason = "tests compare with functions that were written by others")]

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Module as _, VarBuilder, ops};
use dib::nn::{Block, Layout, Module, Product, Segment};
use dib::{AdamW, Input, Network, initial_weights};
use kernels::elementwise::assign;
use pom2dib_tape::{Refusal, Tape};
use randomness::{Purpose, Seed};

const INPUTS: usize = 10;
const OUTPUTS: usize = 3;

/// Five steps of two channels: a linear map, a normalisation, attention of one head, a GELU, a mean, a linear map.
fn graph(variables: VarBuilder<'_>, rows: &Tensor) -> Result<Tensor> {
    let steps = rows.reshape(((), 5, 2))?;
    let x = candle_nn::linear(2, 6, variables.pp("first"))?.forward(&steps)?;
    let norm = variables.pp("norm");
    let (gain, bias) = (norm.get_with_hints(6, "gain", candle_nn::init::ONE)?, norm.get(6, "bias")?);
    let x = ops::layer_norm_slow(&x, &gain, &bias, 1e-5)?;
    let keys = candle_nn::linear_no_bias(6, 6, variables.pp("keys"))?.forward(&x)?;
    let shares = ops::softmax(&x.matmul(&keys.transpose(1, 2)?.contiguous()?)?, 2)?;
    let said = shares.matmul(&x)?.gelu_erf()?.mean(1)?;
    candle_nn::linear(6, OUTPUTS, variables.pp("last"))?.forward(&said)
}

fn network(name: &str, seed: u64, dtype: DType) -> Network {
    let tape = Tape::new(INPUTS, graph).unwrap();
    let stream = initial_weights(Seed::from_number(seed), name);
    Network::new(name, Box::new(tape), stream, dtype, &Device::Cpu).unwrap()
}

fn normal(number: u64, shape: &[usize], dtype: DType) -> Tensor {
    let mut stream = Seed::from_number(number).stream(Purpose::Test, &[], 0);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn inner(left: &Tensor, right: &Tensor) -> f64 {
    numbers(left).iter().zip(numbers(right)).map(|(left, right)| left * right).sum()
}

fn forward(network: &Network, x: &Tensor, blocks: &[usize]) -> (Tensor, dib::Trace) {
    network.forward(Input::Dense(x.contiguous().unwrap()), blocks, None).unwrap()
}

/// The output, and the gradients with respect to input and parameters, of parts with these gradient blocks.
fn pass(network: &mut Network, x: &Tensor, upstream: &Tensor, parts: &[&[usize]]) -> Vec<Vec<f64>> {
    let (mut outputs, mut at_input, mut start) = (Vec::new(), Vec::new(), 0);
    for blocks in parts {
        let rows = blocks.iter().sum();
        let part = |tensor: &Tensor| tensor.narrow(0, start, rows).unwrap();
        let (output, trace) = forward(network, &part(x), blocks);
        let gradients = network.backward_to_input(&trace, &part(upstream)).unwrap();
        outputs.extend(numbers(&output));
        at_input.extend(numbers(&gradients[0]));
        start += rows;
    }
    let of_parameters = network.parameters().map(|parameter| numbers(&parameter.gradient));
    [outputs, at_input].into_iter().chain(of_parameters).collect()
}

/// Compares a gradient with central differences of a function of a tensor, which is moved in place and back.
fn check(what: &str, target: &Tensor, gradient: &Tensor, function: impl Fn() -> f64) {
    const STEP: f64 = 1e-6;
    let start = target.force_contiguous().unwrap();
    let norm = inner(gradient, gradient).sqrt();
    assert!(norm > 0.0, "{what}: the gradient is zero");
    for direction in [gradient.clone(), normal(7, target.dims(), DType::F64)] {
        let at = |step: f64| {
            assign(target, &(&start + (&direction * step).unwrap()).unwrap()).unwrap();
            function()
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assign(target, &start).unwrap();
        let got = inner(gradient, &direction);
        assert!(
            (got - slope).abs() < 1e-6 * norm * (1.0 + inner(&direction, &direction).sqrt()),
            "{what}: {got}, not {slope}"
        );
    }
}

#[test]
fn parameters_and_input_have_the_gradients_of_finite_differences() {
    const BLOCKS: [usize; 3] = [3, 0, 4];
    let mut network = network("net", 1, DType::F64);
    let (x, upstream) = (normal(2, &[7, INPUTS], DType::F64), normal(3, &[7, OUTPUTS], DType::F64));
    let (_, trace) = forward(&network, &x, &BLOCKS);
    let to_input = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
    let cost = || inner(&forward(&network, &x, &BLOCKS).0, &upstream);
    check("input", &x, &to_input, cost);
    for parameter in network.parameters() {
        check(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
    let names: Vec<&str> = network.parameters().map(|parameter| parameter.name.as_str()).collect();
    let expected =
        ["first.weight", "first.bias", "norm.gain", "norm.bias", "keys.weight", "last.weight", "last.bias"];
    assert_eq!(names, expected.map(|name| format!("net/{name}")));
}

/// Each gradient block is a graph by itself.
#[test]
fn a_round_in_parts_has_the_same_bits() {
    let (x, upstream) = (normal(2, &[40, INPUTS], DType::F32), normal(3, &[40, OUTPUTS], DType::F32));
    let whole = pass(&mut network("net", 1, DType::F32), &x, &upstream, &[&[10, 1, 9, 20]]);
    for parts in [&[&[10][..], &[1], &[9], &[20]][..], &[&[10, 1], &[9, 20]]] {
        assert!(pass(&mut network("net", 1, DType::F32), &x, &upstream, parts) == whole, "{parts:?}");
    }
}

#[test]
fn the_same_number_of_threads_has_the_same_bits() {
    let (x, upstream) = (normal(2, &[200, INPUTS], DType::F32), normal(3, &[200, OUTPUTS], DType::F32));
    let run = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.install(|| pass(&mut network("net", 1, DType::F32), &x, &upstream, &[&[80, 120]]))
    };
    assert!(run() == run());
}

#[test]
fn a_step_and_a_restored_state_are_not_missed() {
    let x = normal(2, &[60, INPUTS], DType::F32);
    let target = (x.narrow(1, 0, OUTPUTS).unwrap() * x.narrow(1, 3, OUTPUTS).unwrap()).unwrap();
    let error = |network: &Network| {
        let difference = (network.infer(&x).unwrap() - &target).unwrap();
        inner(&difference, &difference)
    };
    let train = |network: &mut Network| {
        for _ in 0..100 {
            let (output, trace) = forward(network, &x, &[20, 40]);
            network.backward(&trace, &((output - &target).unwrap() / 60.0).unwrap()).unwrap();
            network.step(&AdamW::new(1e-2)).unwrap();
        }
    };
    let mut network = network("net", 1, DType::F32);
    let before = error(&network);
    train(&mut network);
    let saved: HashMap<String, Tensor> = network.export().unwrap().into_iter().collect();
    let answers = numbers(&network.infer(&x).unwrap());
    train(&mut network);
    assert!(error(&network) < 0.8 * before, "{} after {before}", error(&network));

    let mut resumed = self::network("net", 2, DType::F32);
    resumed.import(&saved).unwrap();
    assert!(numbers(&resumed.infer(&x).unwrap()) == answers, "answers of what was restored");
    train(&mut resumed);
    for ((name, straight), (_, resumed)) in network.export().unwrap().iter().zip(&resumed.export().unwrap()) {
        assert!(numbers(straight) == numbers(resumed), "{name}");
    }
}

#[test]
fn initial_values_come_from_the_networks_own_stream() {
    let values = |name: &str, seed: u64| -> Vec<Vec<f64>> {
        network(name, seed, DType::F32).parameters().map(|parameter| numbers(&parameter.value)).collect()
    };
    let first = values("net", 1);
    assert!(first == values("net", 1), "the same name and seed");
    assert!(first[0] != values("other", 1)[0], "another name");
    assert!(first[0] != values("net", 2)[0], "another seed");
    // Hints of candle-nn: a bias within 1 / sqrt(inputs), gains of one, and biases of a normalisation at zero.
    assert!(
        first[1].iter().all(|bias| bias.abs() <= 1.0 / 2f64.sqrt())
            && first[1].iter().any(|&bias| bias != 0.0)
    );
    assert!(first[2].iter().all(|&gain| gain == 1.0) && first[3].iter().all(|&bias| bias == 0.0));
}

/// Two thousand numbers of each distribution that candle-nn hints at, by their mean and deviation.
#[test]
fn initial_values_have_the_distributions_of_the_hints() {
    use candle_nn::Init;
    use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};

    let kaiming = |dist| Init::Kaiming { dist, fan: FanInOut::FanIn, non_linearity: NonLinearity::ReLU };
    // (hint, mean, deviation, largest); 100 inputs.
    let cases = [
        (Init::Const(0.5), 0.5, 0.0, 0.5),
        (Init::Randn { mean: 1.0, stdev: 0.2 }, 1.0, 0.2, 3.0),
        (Init::Uniform { lo: -1.0, up: 3.0 }, 1.0, (16f64 / 12.0).sqrt(), 3.0),
        (kaiming(NormalOrUniform::Normal), 0.0, 0.02f64.sqrt(), 1.0),
        (kaiming(NormalOrUniform::Uniform), 0.0, 0.02f64.sqrt(), 0.06f64.sqrt()),
    ];
    for (hint, mean, deviation, largest) in cases {
        let graph = move |variables: VarBuilder<'static>, rows: &Tensor| {
            rows.matmul(&variables.get_with_hints((20, 100), "w", hint)?.t()?)
        };
        let stream = initial_weights(Seed::from_number(1), "net");
        let tape = Box::new(Tape::new(100, graph).unwrap());
        let network = Network::new("net", tape, stream, DType::F64, &Device::Cpu).unwrap();
        let values = numbers(&network.parameters().next().unwrap().value);
        let got = values.iter().sum::<f64>() / 2000.0;
        let spread = (values.iter().map(|value| (value - got).powi(2)).sum::<f64>() / 2000.0).sqrt();
        assert!((got - mean).abs() < 0.1 * deviation + 1e-12, "{hint:?}: mean {got}");
        assert!((spread - deviation).abs() < 0.05 * deviation + 1e-12, "{hint:?}: deviation {spread}");
        assert!(values.iter().all(|value| value.abs() <= largest), "{hint:?}");
    }
}

#[test]
fn an_input_of_blocks_stands_for_a_dense_one_and_no_rows_have_no_outputs() {
    let own = normal(2, &[6, INPUTS - 1], DType::F64);
    let repeated = normal(3, &[2, 1], DType::F64);
    let column = [[numbers(&repeated)[0]; 4].as_slice(), &[numbers(&repeated)[1]; 2]].concat();
    let column = Tensor::from_vec(column, (6, 1), &Device::Cpu).unwrap();
    let dense = Tensor::cat(&[&column, &own], 1).unwrap().contiguous().unwrap();
    let segments = vec![
        Segment { source: 0, target: 0, rows: 4, repeat: true },
        Segment { source: 1, target: 4, rows: 2, repeat: true },
    ];
    let blocks = vec![
        Block { values: repeated, column: 0, segments, learns: false },
        Block::whole(own, 1, true).unwrap(),
    ];
    let upstream = normal(4, &[6, OUTPUTS], DType::F64);
    let expected = pass(&mut network("net", 1, DType::F64), &dense, &upstream, &[&[4, 2]]);

    let mut network = network("net", 1, DType::F64);
    let (output, trace) = network.forward(Input::Blocks { rows: 6, blocks }, &[4, 2], None).unwrap();
    let to_input = network.backward_to_input(&trace, &upstream).unwrap();
    assert!(numbers(&output) == expected[0]);
    let at_dense = Tensor::from_vec(expected[1].clone(), (6, INPUTS), &Device::Cpu).unwrap();
    assert!(
        to_input.len() == 1 && numbers(&to_input[0]) == numbers(&at_dense.narrow(1, 1, INPUTS - 1).unwrap())
    );

    let none = Tensor::zeros((0, INPUTS), DType::F64, &Device::Cpu).unwrap();
    let (output, trace) = forward(&network, &none, &[0]);
    assert_eq!(output.dims(), [0, OUTPUTS]);
    assert_eq!(network.backward_to_input(&trace, &output).unwrap()[0].dims(), [0, INPUTS]);
    assert_eq!(network.infer(&none).unwrap().dims(), [0, OUTPUTS]);
}

#[test]
fn operations_are_those_of_the_matrices_unless_said_otherwise() {
    let tape = Tape::new(INPUTS, graph).unwrap();
    let matrices = f64::from(2 * 6 + 6 * 6 + 6 * 3);
    assert_eq!(tape.operations(1.0, 1.0, true), 3.0 * 2.0 * matrices);
    let products = vec![Product { rows: 5, inner: 2, columns: 6, of_input: true }];
    assert_eq!(tape.with_products(products).operations(2.0, 2.0, false), 2.0 * 2.0 * 2.0 * 60.0);
}

fn refusal(graph: impl Fn(VarBuilder<'static>, &Tensor) -> Result<Tensor> + Send + Sync + 'static) -> String {
    Tape::new(4, graph).err().unwrap().to_string()
}

#[test]
fn what_cannot_keep_the_promises_of_a_module_is_refused() {
    let linear = |variables: &VarBuilder<'_>, rows: &Tensor| {
        candle_nn::linear(4, 4, variables.pp("map"))?.forward(rows)
    };

    let fused = move |variables: VarBuilder<'static>, rows: &Tensor| {
        let norm = candle_nn::layer_norm(4, 1e-5, variables.pp("norm"))?;
        candle_nn::linear(4, 2, variables.pp("last"))?.forward(&norm.forward(&linear(&variables, rows)?)?)
    };
    let line = refusal(fused);
    assert!(
        line.starts_with(
            "no gradient comes to variable norm.weight, variable norm.bias, variable map.weight"
        ),
        "{line}"
    );
    assert!(
        line.contains("the input through the graph: an operation on the way has no backward pass"),
        "{line}"
    );

    let mixed = move |variables: VarBuilder<'static>, rows: &Tensor| {
        linear(&variables, rows)?.broadcast_sub(&rows.mean_keepdim(0)?)
    };
    assert!(refusal(mixed).contains("changes with the rows beside it"));

    let drawn = move |variables: VarBuilder<'static>, rows: &Tensor| {
        candle_nn::Dropout::new(0.5).forward(&linear(&variables, rows)?, true)
    };
    assert!(refusal(drawn).contains("draws without an address"));

    let summed = move |variables: VarBuilder<'static>, rows: &Tensor| linear(&variables, rows)?.sum(1);
    assert_eq!(
        refusal(summed),
        "the graph makes [3] of 3 rows; it must make [3, outputs] of them, with at least 1 output"
    );

    assert!(refusal(|_, rows| rows.sqr()).contains("asks for no variable"));

    let misfit =
        |variables: VarBuilder<'static>, rows: &Tensor| candle_nn::linear(5, 4, variables)?.forward(rows);
    assert!(refusal(misfit).starts_with("the graph fails on 3 rows of 4 numbers: "));

    let twice = |variables: VarBuilder<'static>, rows: &Tensor| {
        rows.matmul(&variables.get((4, 3), "w")?)?.matmul(&variables.get((3, 4), "w")?)
    };
    assert!(refusal(twice).contains("variable w is asked for with shape [4, 3], and with [3, 4]"));
}

/// Operations of candle's whose backward passes are wrong, and what is meant to be another gradient than that of the
/// output.
#[test]
fn wrong_gradients_are_refused_unless_they_are_meant() {
    let convolved = |variables: VarBuilder<'static>, rows: &Tensor| {
        let signals = rows.reshape(((), 1, 4))?;
        candle_nn::conv1d(1, 2, 3, Default::default(), variables)?.forward(&signals)?.flatten_from(1)
    };
    let line = refusal(convolved);
    assert!(line.starts_with("candle's gradient of ") && line.contains("finite differences say"), "{line}");

    let pooled = |variables: VarBuilder<'static>, rows: &Tensor| {
        let mapped = candle_nn::linear(4, 4, variables)?.forward(rows)?;
        mapped.reshape(((), 1, 2, 2))?.max_pool2d(2)?.flatten_from(1)
    };
    assert!(refusal(pooled).starts_with("candle's gradient of "));

    let rounded = |variables: VarBuilder<'static>, rows: &Tensor| {
        let mapped = candle_nn::linear(4, 2, variables)?.forward(rows)?;
        &mapped + (mapped.round()? - &mapped)?.detach()
    };
    assert!(refusal(rounded).starts_with("candle's gradient of "));
    assert_eq!(Tape::with_own_gradients(4, rounded).unwrap().outputs(), 2);
}

/// A variable may be asked for several times, and then is one: its gradients add up.
#[test]
fn shared_variables_are_one() {
    let twice = |variables: VarBuilder<'static>, rows: &Tensor| {
        let hint = candle_nn::init::DEFAULT_KAIMING_NORMAL;
        let once = rows.matmul(&variables.get_with_hints((4, 4), "w", hint)?)?.gelu_erf()?;
        once.matmul(&variables.get_with_hints((4, 4), "w", hint)?)
    };
    let tape = Tape::new(4, twice).unwrap();
    let layout: &Layout = tape.layout();
    assert_eq!(layout.iter().len(), 1);
    let stream = initial_weights(Seed::from_number(1), "net");
    let mut network = Network::new("net", Box::new(tape), stream, DType::F64, &Device::Cpu).unwrap();
    let (x, upstream) = (normal(2, &[5, 4], DType::F64), normal(3, &[5, 4], DType::F64));
    let (_, trace) = forward(&network, &x, &[2, 3]);
    network.backward(&trace, &upstream).unwrap();
    let cost = || inner(&forward(&network, &x, &[2, 3]).0, &upstream);
    for parameter in network.parameters() {
        check(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
}

#[test]
fn a_refusal_says_what_it_is() {
    let refused = Tape::new(4, |_, rows| rows.sqr()).err();
    assert!(matches!(refused, Some(Refusal::Nothing)), "{refused:?}");
}
