//! A layer of a network that is made of layers, once the shape that comes to it is known.

use std::any::Any;

use candle_core::Tensor;
use randomness::Stream;

use super::gradient::Blocks;
use super::module::{Draws, Kept, Product};
use super::parameter::Parameter;
use crate::Result;
use crate::common::Phase;

/// What a forward pass is given beside what comes.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) parameters: &'a [Parameter],
    pub(crate) phase: Phase,
    pub(crate) draws: Draws<'a>,
}

/// What a backward pass is given beside what comes.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) parameters: &'a [Parameter],
    /// Of samples, not of places.
    pub(crate) blocks: Blocks<'a>,
    /// Whether anybody wants the gradient with respect to what came.
    pub(crate) to_input: bool,
}

/// A layer between two shapes. It keeps the promises of [`Module`](super::Module) for its own parameters, and knows their
/// indices.
///
/// What comes and goes is a matrix, [samples, size of the shape], with the channels of a place side by side.
pub(crate) trait Stage: Send + Sync {
    /// Gives its parameters their initial values, if zero is not what they start from.
    fn initialise(&self, _: &[Parameter], _: &mut Stream) -> Result<()> {
        Ok(())
    }

    /// What goes out, and what the backward pass needs. Leaves `x` as it is: others may need it.
    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)>;

    /// Adds its parameters' gradients, given that with respect to what went out, which it may overwrite; returns that with
    /// respect to what came, if that is wanted.
    fn backward(&self, way: Way<'_>, kept: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>>;

    /// Whether it has parameters.
    fn learns(&self) -> bool {
        false
    }

    /// The matrix products of one sample's forward pass; `of_input` is whether they multiply what came.
    fn products(&self) -> Vec<Product> {
        Vec::new()
    }
}
