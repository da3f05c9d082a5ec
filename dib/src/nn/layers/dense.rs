//! A linear map of the channels of every position, optionally followed by ReLU.

use std::any::Any;

use candle_core::Tensor;
use kernels::activation::relu_backward;
use kernels::elementwise::{add_bias, add_bias_relu};
use kernels::product::{Transpose, product};
use randomness::Stream;

use crate::Result;
use crate::nn::gradient::{add_bias_gradient, add_weight_gradient};
use crate::nn::module::{Kept, Product, kept};
use crate::nn::parameter::{Layout, Parameter, draw_xavier};
use crate::nn::stage::{Pass, Stage, Way};

/// x W + b for every position, [places, inputs] to [places, outputs], with ReLU if it rectifies, which saves one pass
/// over memory against a separate layer. Its parameters are `NAME.w` [inputs, outputs] and `NAME.b` \[outputs\].
pub(crate) struct Dense {
    places: usize,
    inputs: usize,
    outputs: usize,
    rectifies: bool,
    weight: usize,
    bias: usize,
}

/// Intermediate values for the backward pass.
struct Activations {
    /// [samples x places, inputs].
    x: Tensor,
    /// [samples x places, outputs], if it rectifies.
    output: Option<Tensor>,
}

impl Dense {
    /// Adds its parameters to the layout.
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        places: usize,
        inputs: usize,
        outputs: usize,
        rectifies: bool,
    ) -> Self {
        let weight = layout.add(format!("{name}.w"), &[inputs, outputs]);
        let bias = layout.add(format!("{name}.b"), &[outputs]);
        Dense { places, inputs, outputs, rectifies, weight, bias }
    }
}

impl Stage for Dense {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        draw_xavier(&parameters[self.weight].value, stream)
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let samples = x.dim(0)?;
        let x = x.reshape((samples * self.places, self.inputs))?;
        let (weight, bias) = (&pass.parameters[self.weight].value, &pass.parameters[self.bias].value);
        let output = product(&x, weight, Transpose::Neither)?;
        let add = if self.rectifies { add_bias_relu } else { add_bias };
        add(&output, bias)?;
        let activations = Activations { x, output: self.rectifies.then(|| output.clone()) };
        Ok((output.reshape((samples, self.places * self.outputs))?, Box::new(activations)))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { x, output } = kept(activations)?;
        let samples = upstream.dim(0)?;
        let upstream = upstream.reshape((samples * self.places, self.outputs))?;
        if let Some(output) = output {
            relu_backward(&upstream, output)?;
        }
        let (weight, bias) = (&way.parameters[self.weight], &way.parameters[self.bias]);
        way.blocks.of_places(self.places, |blocks| {
            add_weight_gradient(&weight.gradient, x, &upstream, blocks)?;
            add_bias_gradient(&bias.gradient, &upstream, blocks)
        })?;
        if !way.to_input {
            return Ok(None);
        }
        let gradient = product(&upstream, &weight.value, Transpose::Right)?;
        Ok(Some(gradient.reshape((samples, self.places * self.inputs))?))
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        vec![Product { rows: self.places, inner: self.inputs, columns: self.outputs, of_input: true }]
    }
}
