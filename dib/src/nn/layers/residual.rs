//! A residual layer: a list of layers plus its input.

use std::any::Any;

use candle_core::Tensor;
use kernels::elementwise::add;
use randomness::Stream;

use super::convolution::Convolution;
use crate::Result;
use crate::nn::chain::Stages;
use crate::nn::module::{Kept, Product, kept};
use crate::nn::parameter::Parameter;
use crate::nn::stage::{Pass, Stage, Way};

/// The output of a list of layers for x, plus x itself, mapped linearly where shapes differ.
pub(crate) struct Residual {
    list: Stages,
    shortcut: Option<Convolution>,
}

/// Intermediate values for the backward pass: of the layers, and of the linear map.
struct Activations {
    list: Vec<Kept>,
    shortcut: Option<Kept>,
}

impl Residual {
    /// A residual layer around a list; without a linear map, the list keeps the shape.
    pub(crate) fn new(list: Stages, shortcut: Option<Convolution>) -> Self {
        Residual { list, shortcut }
    }
}

impl Stage for Residual {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        self.list.initialise(parameters, stream)?;
        self.shortcut.iter().try_for_each(|shortcut| shortcut.initialise(parameters, stream))
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let (changed, list) = self.list.forward(pass, x.clone())?;
        // A layer may need its output again: the sum goes to new memory.
        let (output, shortcut) = match &self.shortcut {
            Some(shortcut) => {
                let (mapped, kept) = shortcut.forward(pass, x)?;
                add(&mapped, &changed)?;
                (mapped, Some(kept))
            }
            None => (changed.add(&x)?, None),
        };
        Ok((output, Box::new(Activations { list, shortcut })))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { list, shortcut: of_shortcut } = kept(activations)?;
        let direct = match (&self.shortcut, of_shortcut) {
            // The linear map does not modify its upstream gradient.
            (Some(shortcut), Some(kept)) => shortcut.backward(way, kept.as_ref(), upstream.clone())?,
            _ => way.to_input.then(|| upstream.copy()).transpose()?,
        };
        let through = self.list.backward(way, list, upstream)?;
        match (through, direct) {
            (Some(through), Some(direct)) => {
                add(&direct, &through)?;
                Ok(Some(direct))
            }
            _ => Ok(None),
        }
    }

    fn learns(&self) -> bool {
        self.shortcut.is_some() || self.list.learn()
    }

    fn products(&self) -> Vec<Product> {
        self.list.products().into_iter().chain(self.shortcut.iter().flat_map(Stage::products)).collect()
    }
}
