//! Layers of which modules are composed. Each layer's backward pass takes the gradient with respect to its own output.

use candle_core::Tensor;
use kernels::elementwise::add_bias;
use kernels::product::{Transpose, product};

use super::gradient::{Blocks, add_bias_gradient, add_weight_gradient};
use super::parameter::{Layout, Parameter};
use crate::Result;

/// A linear layer, x W + b: the indices of its parameters, `NAME.w` [inputs, outputs] and `NAME.b` \[outputs\].
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: usize,
    bias: usize,
}

impl Linear {
    /// Adds its parameters to the layout.
    pub fn new(layout: &mut Layout, name: &str, inputs: usize, outputs: usize) -> Self {
        Linear {
            weight: layout.add(format!("{name}.w"), &[inputs, outputs]),
            bias: layout.add(format!("{name}.b"), &[outputs]),
        }
    }

    /// The index of the weight, for initialisation.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The index of the bias.
    pub fn bias(&self) -> usize {
        self.bias
    }

    /// From x [rows, inputs] to [rows, outputs].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, parameters: &[Parameter], x: &Tensor) -> Result<Tensor> {
        let output = product(x, &parameters[self.weight].value, Transpose::Neither)?;
        add_bias(&output, &parameters[self.bias].value)?;
        Ok(output)
    }

    /// Adds the parameters' gradients, given that with respect to the output; returns that with respect to the input.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn backward(
        &self,
        parameters: &[Parameter],
        x: &Tensor,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<Tensor> {
        self.add_gradients(parameters, x, upstream, blocks)?;
        self.to_input(parameters, upstream)
    }

    /// Adds the parameters' gradients, given that with respect to the output.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn add_gradients(
        &self,
        parameters: &[Parameter],
        x: &Tensor,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<()> {
        add_weight_gradient(&parameters[self.weight].gradient, x, upstream, blocks)?;
        add_bias_gradient(&parameters[self.bias].gradient, upstream, blocks)
    }

    /// The gradient with respect to the input, given that with respect to the output.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn to_input(&self, parameters: &[Parameter], upstream: &Tensor) -> Result<Tensor> {
        Ok(product(upstream, &parameters[self.weight].value, Transpose::Right)?)
    }
}
