//! Helpers of the tests.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{Input, Network, ResidualMlp, Trace};
use randomness::{Purpose, Seed, Stream};

/// A stream of draws for a test.
pub(crate) fn stream(number: u64) -> Stream {
    Seed::from_number(number).stream(Purpose::Test, &[], 0)
}

/// Standard normal draws.
pub(crate) fn normal(number: u64, shape: &[usize], dtype: DType) -> Tensor {
    let mut stream = stream(number);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// The numbers of a tensor.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The sum of the products of two tensors' numbers.
pub(crate) fn inner(left: &Tensor, right: &Tensor) -> f64 {
    numbers(left).iter().zip(numbers(right)).map(|(left, right)| left * right).sum()
}

/// The Euclidean norm.
pub(crate) fn norm(tensor: &Tensor) -> f64 {
    inner(tensor, tensor).sqrt()
}

/// The distance of two tensors, relative to the norm of the second.
pub(crate) fn distance(got: &Tensor, expected: &Tensor) -> f64 {
    let difference = (got.to_dtype(DType::F64).unwrap() - expected.to_dtype(DType::F64).unwrap()).unwrap();
    norm(&difference) / norm(expected)
}

/// A network whose biases and gains are as random as its weights.
pub(crate) fn network(inputs: usize, outputs: usize, dtype: DType) -> Network {
    let network = untrained(inputs, outputs, 1, dtype);
    shake(&network);
    network
}

/// A network with initial weights, from a stream of its own.
pub(crate) fn untrained(inputs: usize, outputs: usize, number: u64, dtype: DType) -> Network {
    let module = Box::new(ResidualMlp::new(inputs, outputs));
    Network::new("net", module, stream(number), dtype, &Device::Cpu).unwrap()
}

/// A training pass over one matrix.
pub(crate) fn forward(network: &Network, x: &Tensor, blocks: &[usize]) -> (Tensor, Trace) {
    network.forward(Input::Dense(x.contiguous().unwrap()), blocks, None).unwrap()
}

/// Adds a little noise to every parameter.
pub(crate) fn shake(network: &Network) {
    for (number, parameter) in network.parameters().enumerate() {
        let noise = normal(100 + number as u64, parameter.value.dims(), DType::F64);
        let noise = (noise * 0.05).unwrap().to_dtype(parameter.value.dtype()).unwrap();
        kernels::elementwise::add(&parameter.value, &noise).unwrap();
    }
}

/// The central difference quotient of `function` along `direction`, at a tensor that is moved in place and back.
pub(crate) fn slope(target: &Tensor, direction: &Tensor, function: impl Fn() -> f64) -> f64 {
    const STEP: f64 = 1e-6;
    let start = target.force_contiguous().unwrap();
    let at = |step: f64| {
        let moved = (&start + (direction * step).unwrap()).unwrap();
        kernels::elementwise::assign(target, &moved).unwrap();
        function()
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    kernels::elementwise::assign(target, &start).unwrap();
    slope
}

/// Checks a gradient along random directions, and along its own.
pub(crate) fn check_gradient(what: &str, target: &Tensor, gradient: &Tensor, function: impl Fn() -> f64) {
    assert!(norm(gradient) > 0.0, "{what}: the gradient is zero");
    let random = normal(7, target.dims(), DType::F64);
    let sparse = (&random * random.gt(1.0).unwrap().to_dtype(DType::F64).unwrap()).unwrap();
    // For few numbers the sparse direction may be zero.
    for direction in [gradient, &random, &sparse].into_iter().filter(|direction| norm(direction) > 0.0) {
        // Short steps: a ReLU that switches in between would spoil the quotient.
        let direction = (direction / norm(direction)).unwrap();
        let expected = slope(target, &direction, &function);
        let got = inner(gradient, &direction);
        assert!((got - expected).abs() < 1e-6 * norm(gradient), "{what}: {got}, not {expected}");
    }
}
