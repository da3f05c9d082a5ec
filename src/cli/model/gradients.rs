//! Gradients against finite differences.

use candle_core::{DType, Device, Tensor};
use dib::{Input, Module, Network, RowAddresses, Trace};
use kernels::elementwise::{add, assign};
use randomness::{Purpose, Seed};

/// The row counts of two gradient blocks.
const BLOCKS: [usize; 2] = [1, 3];

/// The distance along a direction of length 1 of the difference quotient.
const STEP: f64 = 1e-6;

/// The largest difference, over all parameters and the input, between the slope of the backward pass and that of
/// central differences, relative to the gradient's norm: along the gradient and along a random direction, at random
/// values, in f64.
pub(super) fn largest_error(module: Box<dyn Module>) -> anyhow::Result<f64> {
    let seed = Seed::from_number(1);
    let (rows, inputs, outputs) = (BLOCKS.iter().sum(), module.inputs(), module.outputs());
    let mut draws = Draws { seed, number: 0 };
    let stream = seed.stream(Purpose::Test, &[], 0);
    let mut network = Network::new("check", module, stream, DType::F64, &Device::Cpu)?;
    for parameter in network.parameters() {
        // Zero biases may be at the kink of a ReLU.
        add(&parameter.value, &(draws.normal(parameter.value.dims())? * 0.05)?)?;
    }
    let (x, weights) = (draws.normal(&[rows, inputs])?, draws.normal(&[rows, outputs])?);
    let pass = |network: &Network| -> anyhow::Result<(f64, Trace)> {
        let of_row = |row: usize| (0, row as u64);
        let addresses = RowAddresses { seed, of_row: &of_row };
        let (output, trace) = network.forward(Input::Dense(x.clone()), &BLOCKS, Some(addresses))?;
        Ok((inner(&output, &weights)?, trace))
    };
    let (_, trace) = pass(&network)?;
    let to_input = network.backward_to_input(&trace, &weights)?;
    let mut checked: Vec<(Tensor, Tensor)> =
        to_input.into_iter().map(|gradient| (x.clone(), gradient)).collect();
    for parameter in network.parameters() {
        checked.push((parameter.value.clone(), parameter.gradient.force_contiguous()?));
    }
    let mut largest = 0.0_f64;
    for (value, gradient) in checked {
        let start = value.force_contiguous()?;
        let size = inner(&gradient, &gradient)?.sqrt().max(f64::MIN_POSITIVE);
        for direction in [gradient.clone(), draws.normal(value.dims())?] {
            let length = inner(&direction, &direction)?.sqrt();
            if length == 0.0 {
                continue;
            }
            let direction = (direction / length)?;
            let at = |step: f64| {
                assign(&value, &(&start + (&direction * step)?)?)?;
                pass(&network).map(|(value, _)| value)
            };
            let slope = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            assign(&value, &start)?;
            let error = (inner(&gradient, &direction)? - slope).abs() / size;
            // A maximum would ignore NaN.
            if error.is_nan() {
                return Ok(error);
            }
            largest = largest.max(error);
        }
    }
    Ok(largest)
}

/// Random tensors, each different.
struct Draws {
    seed: Seed,
    number: u64,
}

impl Draws {
    fn normal(&mut self, shape: &[usize]) -> anyhow::Result<Tensor> {
        self.number += 1;
        let mut stream = self.seed.stream(Purpose::Test, &[1], self.number);
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

fn inner(left: &Tensor, right: &Tensor) -> anyhow::Result<f64> {
    Ok((left * right)?.sum_all()?.to_scalar()?)
}
