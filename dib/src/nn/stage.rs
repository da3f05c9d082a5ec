//! A layer of a network that consists of layers, for a known input shape.

use std::any::Any;

use candle_core::Tensor;
use randomness::Stream;

use super::gradient::Blocks;
use super::module::{Draws, Kept, Product};
use super::parameter::Parameter;
use crate::Result;
use crate::common::Phase;

/// Arguments of a forward pass besides the input.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) parameters: &'a [Parameter],
    pub(crate) phase: Phase,
    pub(crate) draws: Draws<'a>,
}

/// Arguments of a backward pass besides the upstream gradient.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) parameters: &'a [Parameter],
    /// Counted in samples, not in positions.
    pub(crate) blocks: Blocks<'a>,
    /// Whether the gradient with respect to the input is needed.
    pub(crate) to_input: bool,
}

/// A layer between two shapes. It fulfils the contract of [`Module`](super::Module) for its own parameters, and knows
/// their indices.
///
/// Input and output are matrices, [samples, size of the shape], with the channels of a position side by side.
pub(crate) trait Stage: Send + Sync {
    /// Sets its parameters to their initial values, if those are not zero.
    fn initialise(&self, _: &[Parameter], _: &mut Stream) -> Result<()> {
        Ok(())
    }

    /// The output, and intermediate values for the backward pass. Does not modify `x`, which may be used elsewhere.
    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)>;

    /// Adds its parameters' gradients, given that with respect to the output, which it may overwrite; returns that with
    /// respect to the input, if needed.
    fn backward(&self, way: Way<'_>, kept: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>>;

    /// Whether it has parameters.
    fn learns(&self) -> bool {
        false
    }

    /// The matrix products of one sample's forward pass; `of_input` says whether they multiply the layer's input.
    fn products(&self) -> Vec<Product> {
        Vec::new()
    }
}
