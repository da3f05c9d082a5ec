//! Convolutions over images and over time.

use std::any::Any;

use candle_core::Tensor;
use kernels::activation::relu_backward;
use kernels::convolution::{Patches, accumulate_weight_gradient, convolve, input_gradient};
use randomness::Stream;

use crate::Result;
use crate::nn::gradient::add_bias_gradient;
use crate::nn::module::{Kept, Product, kept};
use crate::nn::parameter::{Layout, Parameter, draw_xavier};
use crate::nn::stage::{Pass, Stage, Way};

/// A convolution, with or without a bias, and with or without a rectifier behind it. Its weights are `NAME.w` [groups,
/// height x width x channels of a patch, outputs of a group], its bias is `NAME.b` \[outputs\].
pub(crate) struct Convolution {
    patches: Patches,
    groups: usize,
    outputs: usize,
    rectifies: bool,
    weight: usize,
    bias: Option<usize>,
}

/// What its backward pass needs.
struct Activations {
    x: Tensor,
    /// If it rectifies.
    output: Option<Tensor>,
}

impl Convolution {
    /// One of as many outputs as `groups` divide, which divide the channels, too. Lays its parameters out.
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        patches: Patches,
        (groups, outputs): (usize, usize),
        rectifies: bool,
    ) -> Self {
        let unbiased = Convolution::without_bias(layout, name, patches, (groups, outputs));
        let bias = layout.add(format!("{name}.b"), &[outputs]);
        Convolution { bias: Some(bias), rectifies, ..unbiased }
    }

    /// The same with neither bias nor rectifier.
    pub(crate) fn without_bias(
        layout: &mut Layout,
        name: &str,
        patches: Patches,
        (groups, outputs): (usize, usize),
    ) -> Self {
        let depth = patches.kernel[0] * patches.kernel[1] * (patches.channels / groups);
        let weight = layout.add(format!("{name}.w"), &[groups, depth, outputs / groups]);
        Convolution { patches, groups, outputs, rectifies: false, weight, bias: None }
    }
}

impl Stage for Convolution {
    /// Each group's weights are drawn as those of a linear map of its patches.
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        let weight = &parameters[self.weight].value;
        (0..self.groups).try_for_each(|group| draw_xavier(&weight.get(group)?, stream))
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let weight = &pass.parameters[self.weight].value;
        let output = match self.bias {
            Some(bias) => convolve(&x, weight, &pass.parameters[bias].value, self.patches, self.rectifies)?,
            None => {
                let zeros = Tensor::zeros(self.outputs, x.dtype(), x.device())?;
                convolve(&x, weight, &zeros, self.patches, false)?
            }
        };
        let activations = Activations { x, output: self.rectifies.then(|| output.clone()) };
        Ok((output, Box::new(activations)))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { x, output } = kept(activations)?;
        if let Some(output) = output {
            relu_backward(&upstream, output)?;
        }
        let weight = &way.parameters[self.weight];
        way.blocks.clear_first(&weight.gradient)?;
        way.blocks.each(|_, start, samples| {
            let (x, upstream) = (x.narrow(0, start, samples)?, upstream.narrow(0, start, samples)?);
            Ok(accumulate_weight_gradient(&weight.gradient, &x, &upstream, self.patches)?)
        })?;
        if let Some(bias) = self.bias {
            let places = self.patches.places();
            let by_place = upstream.reshape((upstream.dim(0)? * places, self.outputs))?;
            way.blocks.of_places(places, |blocks| {
                add_bias_gradient(&way.parameters[bias].gradient, &by_place, blocks)
            })?;
        }
        Ok(way.to_input.then(|| input_gradient(&upstream, &weight.value, self.patches)).transpose()?)
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        let [height, width] = self.patches.kernel;
        let inner = height * width * (self.patches.channels / self.groups);
        // Each group has its share of the outputs: together they need what one product of this many columns needs.
        vec![Product { rows: self.patches.places(), inner, columns: self.outputs, of_input: true }]
    }
}
