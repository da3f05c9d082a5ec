//! Pooling: maxima and means of patches.

use std::any::Any;

use candle_core::Tensor;
use kernels::convolution::Patches;
use kernels::pool::{max_pool, max_pool_gradient, mean_pool, mean_pool_gradient};

use crate::Result;
use crate::nn::module::{Kept, kept};
use crate::nn::stage::{Pass, Stage, Way};

/// The maximum of every patch, channel by channel.
pub(crate) struct MaxPool {
    patches: Patches,
}

impl MaxPool {
    /// A pool without padding.
    pub(crate) fn new(patches: Patches) -> Self {
        MaxPool { patches }
    }
}

/// Intermediate values for the backward pass of the maxima.
struct Activations {
    x: Tensor,
    output: Tensor,
}

impl Stage for MaxPool {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let output = max_pool(&x, self.patches)?;
        Ok((output.clone(), Box::new(Activations { x, output })))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { x, output } = kept(activations)?;
        Ok(way.to_input.then(|| max_pool_gradient(&upstream, x, output, self.patches)).transpose()?)
    }
}

/// The mean of every patch, channel by channel.
pub(crate) struct MeanPool {
    patches: Patches,
}

impl MeanPool {
    /// A pool without padding.
    pub(crate) fn new(patches: Patches) -> Self {
        MeanPool { patches }
    }
}

impl Stage for MeanPool {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        Ok((mean_pool(&x, self.patches)?, Box::new(())))
    }

    fn backward(&self, way: Way<'_>, _: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        Ok(way.to_input.then(|| mean_pool_gradient(&upstream, self.patches)).transpose()?)
    }
}
