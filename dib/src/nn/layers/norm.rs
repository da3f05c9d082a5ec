//! Normalisation of channels, and of groups of channels over all positions.

use std::any::Any;

use candle_core::Tensor;
use kernels::elementwise::assign;
use kernels::group_norm::{self, group_norm, group_norm_backward};
use kernels::layer_norm::{self, backward_alone, layer_norm};
use randomness::Stream;

use crate::Result;
use crate::nn::module::{Kept, kept};
use crate::nn::parameter::{Layout, Parameter};
use crate::nn::stage::{Pass, Stage, Way};

/// Normalises each position's channels to mean 0 and variance 1, times a gain, plus a bias: the rows of `NAME.affine`,
/// [2, channels].
pub(crate) struct LayerNorm {
    places: usize,
    channels: usize,
    affine: usize,
}

impl LayerNorm {
    /// Adds its parameters to the layout.
    pub(crate) fn new(layout: &mut Layout, name: &str, places: usize, channels: usize) -> Self {
        LayerNorm { places, channels, affine: layout.add(format!("{name}.affine"), &[2, channels]) }
    }
}

/// Gains begin as 1, biases as 0.
fn initialise(affine: &Parameter) -> Result<()> {
    let gain = affine.value.get(0)?;
    Ok(assign(&gain, &gain.ones_like()?)?)
}

impl Stage for LayerNorm {
    fn initialise(&self, parameters: &[Parameter], _: &mut Stream) -> Result<()> {
        initialise(&parameters[self.affine])
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let samples = x.dim(0)?;
        let x = x.reshape((samples * self.places, self.channels))?;
        let output = layer_norm(&x, &pass.parameters[self.affine].value)?;
        Ok((output.reshape((samples, self.places * self.channels))?, Box::new(x)))
    }

    fn backward(&self, way: Way<'_>, x: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let x: &Tensor = kept(x)?;
        let samples = upstream.dim(0)?;
        let upstream = upstream.reshape((samples * self.places, self.channels))?;
        let affine = &way.parameters[self.affine];
        way.blocks.clear_first(&affine.gradient)?;
        way.blocks.of_places(self.places, |blocks| {
            blocks.each(|_, start, rows| {
                let (x, upstream) = (x.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
                Ok(layer_norm::accumulate_affine_gradient(&affine.gradient, &x, &upstream)?)
            })
        })?;
        if !way.to_input {
            return Ok(None);
        }
        backward_alone(&upstream, x, &affine.value)?;
        Ok(Some(upstream.reshape((samples, self.places * self.channels))?))
    }

    fn learns(&self) -> bool {
        true
    }
}

/// Normalises each group of channels, over all positions of a sample, to mean 0 and variance 1; then a gain and a bias
/// for each channel: the rows of `NAME.affine`, [2, channels].
pub(crate) struct GroupNorm {
    groups: usize,
    affine: usize,
}

impl GroupNorm {
    /// A layer whose number of groups divides the channels. Adds its parameters to the layout.
    pub(crate) fn new(layout: &mut Layout, name: &str, groups: usize, channels: usize) -> Self {
        GroupNorm { groups, affine: layout.add(format!("{name}.affine"), &[2, channels]) }
    }
}

impl Stage for GroupNorm {
    fn initialise(&self, parameters: &[Parameter], _: &mut Stream) -> Result<()> {
        initialise(&parameters[self.affine])
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        Ok((group_norm(&x, &pass.parameters[self.affine].value, self.groups)?, Box::new(x)))
    }

    fn backward(&self, way: Way<'_>, x: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let x: &Tensor = kept(x)?;
        let affine = &way.parameters[self.affine];
        way.blocks.clear_first(&affine.gradient)?;
        way.blocks.each(|_, start, samples| {
            let (x, upstream) = (x.narrow(0, start, samples)?, upstream.narrow(0, start, samples)?);
            Ok(group_norm::accumulate_affine_gradient(&affine.gradient, &x, &upstream, self.groups)?)
        })?;
        if !way.to_input {
            return Ok(None);
        }
        group_norm_backward(&upstream, x, &affine.value, self.groups)?;
        Ok(Some(upstream))
    }

    fn learns(&self) -> bool {
        true
    }
}
