//! Recurrence over time: gated recurrent units and long short-term memory.

use std::any::Any;

use candle_core::Tensor;
use kernels::recurrent::{Cell, states, unroll, unroll_gradient};
use randomness::Stream;

use super::builder::{Builder, Summary};
use super::kinds::Built;
use super::layer::Linear;
use super::misfit::Misfit;
use super::module::{Kept, Product, kept};
use super::parameter::{Layout, Parameter, draw_uniform};
use super::shape::Shape;
use super::stage::{Pass, Stage, Way};
use crate::Result;

/// Stacked layers of cells, `layerN`, each of which takes the states of the one below; the last step's state of the
/// last layer goes through the linear layer `output`.
pub(super) fn build(
    cell: Cell,
    hidden: usize,
    layers: usize,
    axes: &[usize],
    outputs: usize,
) -> std::result::Result<Built, Misfit> {
    /// Upper limit on layers: more are probably a typing error, and layers are laid out one by one.
    const MOST_LAYERS: usize = 64;
    let kind = match cell {
        Cell::Gru => "gru",
        Cell::Lstm => "lstm",
    };
    let mut builder = Builder::new(kind, axes)?;
    let Shape::Line { steps: time, channels } = builder.shape else {
        return Err(Misfit::of(kind, axes, "wants time steps x channels"));
    };
    if hidden == 0 || !(1..=MOST_LAYERS).contains(&layers) {
        let wants = format!("wants a state of at least 1 number in hidden, and 1 to {MOST_LAYERS} layers");
        return Err(Misfit::of(kind, &[], wants));
    }
    let mut inputs = channels;
    for number in 1..=layers {
        let sizes = Sizes { time, inputs, hidden };
        if sizes.largest(cell).is_none() {
            return Err(Misfit::of(kind, axes, "wants a smaller state in hidden"));
        }
        let (name, is_last) = (format!("layer{number}"), number == layers);
        let layer = Recurrent::new(&mut builder.layout, &name, cell, sizes, is_last);
        let kept = time * (inputs + cell.kept() * hidden);
        let output = if is_last { Shape::Flat(hidden) } else { builder.shape.with_channels(hidden) };
        builder.push(layer, Summary { number: &name, kind, sizes: String::new(), kept }, output)?;
        inputs = hidden;
    }
    builder.finish(outputs)
}

#[derive(Clone, Copy)]
struct Sizes {
    time: usize,
    /// Values of each step.
    inputs: usize,
    /// The width of the state.
    hidden: usize,
}

impl Sizes {
    /// The size of the largest matrix of one sample or of parameters, unless it overflows.
    fn largest(self, cell: Cell) -> Option<usize> {
        let line = cell.kept().checked_mul(self.hidden)?;
        super::shape::product(&[line, self.time.max(self.inputs).max(self.hidden)])
    }
}

/// A layer of cells, with PyTorch's equations and order of gates ([`kernels::recurrent`]): r, z, n of a GRU, i, f, g, o
/// of an LSTM, side by side in `NAME.input.w` [inputs, gates * hidden] and `NAME.state.w` [hidden, gates * hidden],
/// each with its own bias, `.b`; PyTorch's `weight_ih` and `weight_hh` are their transposes. As in PyTorch, all start
/// uniformly within +-1 / sqrt(hidden). Gradients go back through all steps.
struct Recurrent {
    cell: Cell,
    sizes: Sizes,
    /// Whether only the last state is the output.
    is_last: bool,
    input: Linear,
    state: Linear,
}

struct Activations {
    /// [samples * time, inputs].
    x: Tensor,
    /// The output of [`unroll`].
    unrolled: Tensor,
}

impl Recurrent {
    /// Adds its parameters to the layout.
    fn new(layout: &mut Layout, name: &str, cell: Cell, sizes: Sizes, is_last: bool) -> Self {
        let gated = cell.gates() * sizes.hidden;
        let input = Linear::new(layout, &format!("{name}.input"), sizes.inputs, gated);
        let state = Linear::new(layout, &format!("{name}.state"), sizes.hidden, gated);
        Recurrent { cell, sizes, is_last, input, state }
    }

    /// The gradient with respect to the states of all steps, [samples, time, hidden].
    fn at_states(&self, upstream: &Tensor) -> Result<Tensor> {
        let Sizes { time, hidden, .. } = self.sizes;
        match self.is_last {
            true => Ok(upstream.unsqueeze(1)?.pad_with_zeros(1, time - 1, 0)?.contiguous()?),
            false => Ok(upstream.reshape((upstream.dim(0)?, time, hidden))?),
        }
    }

    /// The states before every step, [samples * time, hidden].
    fn states_before(&self, unrolled: &Tensor) -> Result<Tensor> {
        let Sizes { time, hidden, .. } = self.sizes;
        let states = states(self.cell, unrolled)?;
        let before = states.narrow(1, 0, time - 1)?.pad_with_zeros(1, 1, 0)?;
        Ok(before.contiguous()?.reshape((states.dim(0)? * time, hidden))?)
    }
}

impl Stage for Recurrent {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        let bound = 1.0 / (self.sizes.hidden as f64).sqrt();
        let mut indices = [self.input, self.state].into_iter().flat_map(|map| [map.weight(), map.bias()]);
        indices.try_for_each(|index| draw_uniform(&parameters[index].value, bound, stream))
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let Sizes { time, inputs, hidden } = self.sizes;
        let samples = x.dim(0)?;
        let x = x.reshape((samples * time, inputs))?;
        let from_input = self.input.forward(pass.parameters, &x)?;
        let from_input = from_input.reshape((samples, time, self.cell.gates() * hidden))?;
        let [weight, bias] =
            [self.state.weight(), self.state.bias()].map(|index| &pass.parameters[index].value);
        let unrolled = unroll(self.cell, &from_input, weight, bias)?;
        let states = states(self.cell, &unrolled)?;
        let output = match self.is_last {
            true => states.narrow(1, time - 1, 1)?.contiguous()?.reshape((samples, hidden))?,
            false => states.reshape((samples, time * hidden))?,
        };
        Ok((output, Box::new(Activations { x, unrolled })))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { x, unrolled } = kept(activations)?;
        let Sizes { time, inputs, .. } = self.sizes;
        let at_states = self.at_states(&upstream)?;
        let weight = &way.parameters[self.state.weight()].value;
        let [at_input, at_state] = unroll_gradient(self.cell, unrolled, &at_states, weight)?;
        let before = self.states_before(unrolled)?;
        way.blocks.of_places(time, |blocks| {
            self.input.add_gradients(way.parameters, x, &at_input, blocks)?;
            self.state.add_gradients(way.parameters, &before, &at_state, blocks)
        })?;
        if !way.to_input {
            return Ok(None);
        }
        let gradient = self.input.to_input(way.parameters, &at_input)?;
        Ok(Some(gradient.reshape((upstream.dim(0)?, time * inputs))?))
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        let Sizes { time, inputs, hidden } = self.sizes;
        let columns = self.cell.gates() * hidden;
        // The first step's state is 0.
        vec![
            Product { rows: time, inner: inputs, columns, of_input: true },
            Product { rows: time - 1, inner: hidden, columns, of_input: false },
        ]
    }
}
