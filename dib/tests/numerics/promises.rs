//! Checks of the module contract for a configurable network.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::{Architecture, Layer};
use pom2dib_dib::{AdamW, Input, Network, RowAddresses, Trace};
use randomness::Seed;

use crate::support::{check_gradient, distance, inner, normal, numbers, shake, stream};

/// Output values.
const OUTPUTS: usize = 3;

/// A network for samples of a shape, with biases and gains as random as its weights.
pub(crate) fn network(architecture: &Architecture, shape: &[usize], dtype: DType) -> Network {
    let module = architecture.build(shape, OUTPUTS).unwrap();
    let network = Network::new("net", module, stream(1), dtype, &Device::Cpu).unwrap();
    shake(&network);
    network
}

/// A training pass over samples addressed from `first` on, five a tick.
pub(crate) fn forward(network: &Network, x: &Tensor, first: usize, blocks: &[usize]) -> (Tensor, Trace) {
    let of_row = |row: usize| (40 + (first + row) as u64 / 5, (first + row) as u64 % 5);
    let rows = RowAddresses { seed: Seed::from_number(3), of_row: &of_row };
    network.forward(Input::Dense(x.contiguous().unwrap()), blocks, Some(rows)).unwrap()
}

/// All results of one backward pass: the output, the gradient of the input, and those of all parameters.
fn pass(network: &mut Network, x: &Tensor, upstream: &Tensor, blocks: &[usize]) -> Vec<Vec<f64>> {
    let (output, trace) = forward(network, x, 0, blocks);
    let to_input = network.backward_to_input(&trace, upstream).unwrap().remove(0);
    let gradients = network.parameters().map(|parameter| numbers(&parameter.gradient));
    [numbers(&output), numbers(&to_input)].into_iter().chain(gradients).collect()
}

/// Samples, and upstream gradients for them.
fn samples(shape: &[usize], count: usize, dtype: DType) -> (Tensor, Tensor) {
    let width = shape.iter().product();
    (normal(2, &[count, width], dtype), normal(3, &[count, OUTPUTS], dtype))
}

/// A sequence of layers.
pub(crate) fn sequential(layers: Vec<Layer>) -> Architecture {
    Architecture::Sequential { layers }
}

/// Checks that a network fulfils the contract of modules.
pub(crate) fn keeps_its_promises(architecture: &Architecture, shape: &[usize]) {
    has_the_gradients_of_finite_differences(architecture, shape);
    gives_the_same_bits_in_parts(architecture, shape);
    gives_the_same_bits_on_any_number_of_threads(architecture, shape);
    is_in_f32_what_it_is_in_f64(architecture, shape);
    takes_no_rows(architecture, shape);
    says_what_it_learns(architecture, shape);
}

fn has_the_gradients_of_finite_differences(architecture: &Architecture, shape: &[usize]) {
    let mut network = network(architecture, shape, DType::F64);
    let (x, upstream) = samples(shape, 7, DType::F64);
    let blocks = [3, 0, 4];
    let (_, trace) = forward(&network, &x, 0, &blocks);
    let to_input = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
    let cost = || inner(&forward(&network, &x, 0, &blocks).0, &upstream);
    check_gradient("input", &x, &to_input, cost);
    for parameter in network.parameters() {
        check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
    // Without the input's gradient, the parameters' gradients are the same.
    let before: Vec<Vec<f64>> = network.parameters().map(|parameter| numbers(&parameter.gradient)).collect();
    network.step(&AdamW::new(0.0)).unwrap();
    network.backward(&trace, &upstream).unwrap();
    for (parameter, before) in network.parameters().zip(before) {
        assert!(numbers(&parameter.gradient) == before, "{}", parameter.name);
    }
}

fn gives_the_same_bits_in_parts(architecture: &Architecture, shape: &[usize]) {
    let (x, upstream) = samples(shape, 12, DType::F32);
    let mut whole = network(architecture, shape, DType::F32);
    let (output, trace) = forward(&whole, &x, 0, &[3, 4, 5]);
    whole.backward(&trace, &upstream).unwrap();
    let mut parts = network(architecture, shape, DType::F32);
    for (start, blocks) in [(0, vec![3]), (3, vec![4, 5])] {
        let count = blocks.iter().sum();
        let rows = |tensor: &Tensor| tensor.narrow(0, start, count).unwrap().contiguous().unwrap();
        let (part, trace) = forward(&parts, &rows(&x), start, &blocks);
        assert!(numbers(&part) == numbers(&rows(&output)));
        parts.backward(&trace, &rows(&upstream)).unwrap();
    }
    for (whole, parts) in whole.parameters().zip(parts.parameters()) {
        assert!(numbers(&whole.gradient) == numbers(&parts.gradient), "{}", whole.name);
    }
}

fn gives_the_same_bits_on_any_number_of_threads(architecture: &Architecture, shape: &[usize]) {
    // Enough values that loops run on several threads.
    let count = 30_000 / shape.iter().product::<usize>() + 10;
    let (x, upstream) = samples(shape, count, DType::F32);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut network = network(architecture, shape, DType::F32);
        pool.install(|| pass(&mut network, &x, &upstream, &[count / 3, count - count / 3]))
    };
    let one = on(1);
    assert!(one == on(2), "2 threads");
    assert!(one == on(4), "4 threads");
}

fn is_in_f32_what_it_is_in_f64(architecture: &Architecture, shape: &[usize]) {
    let (x, upstream) = samples(shape, 20, DType::F32);
    let of = |dtype: DType| {
        let mut network = network(architecture, shape, dtype);
        let all = pass(&mut network, &x.to_dtype(dtype).unwrap(), &upstream.to_dtype(dtype).unwrap(), &[20]);
        all.into_iter().map(|values| Tensor::new(values.as_slice(), &Device::Cpu).unwrap())
    };
    for (number, (got, exact)) in of(DType::F32).zip(of(DType::F64)).enumerate() {
        let distance = distance(&got, &exact);
        assert!(distance < 3e-5, "result {number}: {distance}");
    }
}

fn takes_no_rows(architecture: &Architecture, shape: &[usize]) {
    let mut network = network(architecture, shape, DType::F32);
    let (x, upstream) = samples(shape, 0, DType::F32);
    let (output, trace) = forward(&network, &x, 0, &[0]);
    assert_eq!(output.dims(), [0, OUTPUTS]);
    let to_input = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
    assert_eq!(to_input.dims(), x.dims());
    assert!(
        network.parameters().all(|parameter| numbers(&parameter.gradient).iter().all(|&value| value == 0.0))
    );
}

fn says_what_it_learns(architecture: &Architecture, shape: &[usize]) {
    let summaries = architecture.describe(shape, OUTPUTS).unwrap();
    let network = network(architecture, shape, DType::F32);
    let learnt: usize = network.parameters().map(|parameter| parameter.value.elem_count()).sum();
    assert_eq!(summaries.iter().map(|summary| summary.parameters).sum::<usize>(), learnt);
    let operations: f64 = summaries.iter().map(|summary| summary.operations).sum();
    assert_eq!(3.0 * operations, network.module().operations(1.0, 1.0, true));
    assert_eq!(summaries.last().unwrap().output, [OUTPUTS]);
}
