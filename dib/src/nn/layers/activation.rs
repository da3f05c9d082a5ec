//! Elementwise activation functions.

use std::any::Any;

use candle_core::Tensor;
use kernels::activation::{gelu, gelu_backward, relu, relu_backward};

use crate::Result;
use crate::nn::module::{Kept, kept};
use crate::nn::stage::{Pass, Stage, Way};

/// The maximum of a value and 0. A ReLU that is fused with the layer before it is not one of these.
pub(crate) struct Relu;

impl Stage for Relu {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let output = relu(&x)?;
        Ok((output.clone(), Box::new(output)))
    }

    fn backward(&self, way: Way<'_>, output: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let output: &Tensor = kept(output)?;
        relu_backward(&upstream, output)?;
        Ok(way.to_input.then_some(upstream))
    }
}

/// x times the standard normal distribution function of x.
pub(crate) struct Gelu;

impl Stage for Gelu {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        Ok((gelu(&x)?, Box::new(x)))
    }

    fn backward(&self, way: Way<'_>, x: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let x: &Tensor = kept(x)?;
        gelu_backward(&upstream, x)?;
        Ok(way.to_input.then_some(upstream))
    }
}
