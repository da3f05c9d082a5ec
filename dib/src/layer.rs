//! The parts of the base network, each with its forward and its backward pass.
//!
//! A backward pass adds every parameter's gradient block of rows by block of rows, in order, each block's share
//! computed by itself: a schedule that sends the same blocks through one at a time gets the same bits.

use candle_core::Tensor;
use kernels::elementwise::{accumulate_rows, add_bias, add_bias_relu, clear, mask_relu};
use kernels::layer_norm::{accumulate_affine_gradient, backward_through_relu, layer_norm};
use kernels::product::{Transpose, accumulate_product, assign_product, product};

use crate::Result;
use crate::input::Input;
use crate::parameter::{Layout, Parameter};

/// The indices of a residual block's parameters: relu(relu(x W1 + b1) W2 + b2 + x Ws).
pub(crate) struct ResidualBlock {
    w1: usize,
    b1: usize,
    w2: usize,
    b2: usize,
    /// Absent where the sizes are equal: then x itself is added.
    shortcut: Option<usize>,
}

/// What the backward pass of a residual block needs beside its input.
pub(crate) struct BlockTrace {
    /// relu(x W1 + b1), [rows, size].
    hidden: Tensor,
    /// The block's output, [rows, size].
    pub(crate) output: Tensor,
}

impl ResidualBlock {
    pub(crate) fn new(layout: &mut Layout, name: &str, inputs: usize, size: usize) -> Self {
        ResidualBlock {
            w1: layout.add(format!("{name}.w1"), &[inputs, size]),
            b1: layout.add(format!("{name}.b1"), &[size]),
            w2: layout.add(format!("{name}.w2"), &[size, size]),
            b2: layout.add(format!("{name}.b2"), &[size]),
            shortcut: (inputs != size).then(|| layout.add(format!("{name}.shortcut"), &[inputs, size])),
        }
    }

    /// x [rows, inputs].
    pub(crate) fn forward(&self, parameters: &[Parameter], x: &Input) -> Result<BlockTrace> {
        let value = |index: usize| &parameters[index].value;
        let hidden = x.product(value(self.w1))?;
        add_bias_relu(&hidden, value(self.b1))?;
        let output = product(&hidden, value(self.w2), Transpose::Neither)?;
        match self.shortcut {
            Some(shortcut) => x.accumulate_product(&output, value(shortcut))?,
            None => x.add_to(&output)?,
        }
        add_bias_relu(&output, value(self.b2))?;
        Ok(BlockTrace { hidden, output })
    }

    /// Adds the parameters' gradients. `upstream`, [rows, size], is the gradient before the final rectifier. Returns
    /// those with respect to the input where they are wanted: see [`Input::gradients`].
    pub(crate) fn backward(
        &self,
        parameters: &[Parameter],
        x: &Input,
        trace: &BlockTrace,
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let value = |index: usize| &parameters[index].value;
        let gradient = |index: usize| &parameters[index].gradient;
        add_weight_gradient(gradient(self.w2), &trace.hidden, upstream, blocks)?;
        add_bias_gradient(gradient(self.b2), upstream, blocks)?;
        if let Some(shortcut) = self.shortcut {
            x.add_weight_gradient(gradient(shortcut), upstream, blocks)?;
        }
        let hidden = product(upstream, value(self.w2), Transpose::Right)?;
        mask_relu(&hidden, &trace.hidden)?;
        x.add_weight_gradient(gradient(self.w1), &hidden, blocks)?;
        add_bias_gradient(gradient(self.b1), &hidden, blocks)?;
        if !to_input {
            return Ok(Vec::new());
        }
        x.gradients((&hidden, value(self.w1)), (upstream, self.shortcut.map(value)))
    }

    /// The weights, as initialisation wants them.
    pub(crate) fn weights(&self) -> impl Iterator<Item = usize> {
        [Some(self.w1), Some(self.w2), self.shortcut].into_iter().flatten()
    }
}

/// The index of a layer normalisation's gain and bias, the rows of one tensor.
pub(crate) struct LayerNorm {
    pub(crate) affine: usize,
}

impl LayerNorm {
    pub(crate) fn new(layout: &mut Layout, name: &str, size: usize) -> Self {
        LayerNorm { affine: layout.add(format!("{name}.affine"), &[2, size]) }
    }

    /// x [rows, size], the output of a rectifier.
    pub(crate) fn forward(&self, parameters: &[Parameter], x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, &parameters[self.affine].value)?)
    }

    /// Adds the parameter's gradient, and turns `upstream` into the gradient before the rectifier that made x.
    pub(crate) fn backward(
        &self,
        parameters: &[Parameter],
        x: &Tensor,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<()> {
        let affine = &parameters[self.affine];
        blocks.clear_first(&affine.gradient)?;
        blocks.each(|_, start, rows| {
            let (x, upstream) = (x.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
            Ok(accumulate_affine_gradient(&affine.gradient, &x, &upstream)?)
        })?;
        Ok(backward_through_relu(upstream, x, &affine.value)?)
    }
}

/// The indices of a linear layer's parameters: x W + b.
pub(crate) struct Linear {
    pub(crate) weight: usize,
    bias: usize,
}

impl Linear {
    pub(crate) fn new(layout: &mut Layout, name: &str, inputs: usize, outputs: usize) -> Self {
        Linear {
            weight: layout.add(format!("{name}.w"), &[inputs, outputs]),
            bias: layout.add(format!("{name}.b"), &[outputs]),
        }
    }

    /// x [rows, inputs].
    pub(crate) fn forward(&self, parameters: &[Parameter], x: &Tensor) -> Result<Tensor> {
        let output = product(x, &parameters[self.weight].value, Transpose::Neither)?;
        add_bias(&output, &parameters[self.bias].value)?;
        Ok(output)
    }

    /// Adds the parameters' gradients; returns that with respect to the input.
    pub(crate) fn backward(
        &self,
        parameters: &[Parameter],
        x: &Tensor,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<Tensor> {
        add_weight_gradient(&parameters[self.weight].gradient, x, upstream, blocks)?;
        add_bias_gradient(&parameters[self.bias].gradient, upstream, blocks)?;
        Ok(product(upstream, &parameters[self.weight].value, Transpose::Right)?)
    }
}

/// Adds x^T upstream, block by block.
pub(crate) fn add_weight_gradient(
    gradient: &Tensor,
    x: &Tensor,
    upstream: &Tensor,
    blocks: Blocks<'_>,
) -> Result<()> {
    blocks.each(|is_first, start, rows| {
        let (x, upstream) = (x.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
        let add = if is_first { assign_product } else { accumulate_product };
        Ok(add(gradient, &x, &upstream, Transpose::Left)?)
    })
}

fn add_bias_gradient(gradient: &Tensor, upstream: &Tensor, blocks: Blocks<'_>) -> Result<()> {
    blocks.clear_first(gradient)?;
    blocks.each(|_, start, rows| Ok(accumulate_rows(gradient, &upstream.narrow(0, start, rows)?)?))
}

/// The gradient blocks of a backward pass: the row counts of consecutive blocks of rows.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    pub(crate) rows: &'a [usize],
    /// Whether what the gradients hold is of an earlier step, and not to be added to.
    pub(crate) is_fresh: bool,
}

impl Blocks<'_> {
    /// Calls `add(is first of a fresh gradient, start, rows)` for every block that is not empty.
    pub(crate) fn each(self, mut add: impl FnMut(bool, usize, usize) -> Result<()>) -> Result<()> {
        let mut start = 0;
        for &rows in self.rows.iter().filter(|&&rows| rows > 0) {
            add(self.is_fresh && start == 0, start, rows)?;
            start += rows;
        }
        Ok(())
    }

    /// Forgets what a gradient holds of an earlier step, where blocks do not replace it as a whole.
    pub(crate) fn clear_first(self, gradient: &Tensor) -> Result<()> {
        if self.is_fresh {
            clear(gradient)?;
        }
        Ok(())
    }
}
