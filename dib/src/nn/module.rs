//! What a network computes: the place where other architectures stand.

use std::any::Any;

use candle_core::Tensor;
use randomness::{Purpose, Seed, Stream};

use super::gradient::Blocks;
use super::input::Input;
use super::parameter::{Layout, Parameter};
use crate::common::Phase;
use crate::{Error, Result};

/// What a forward pass keeps for its backward pass.
pub type Kept = Box<dyn Any + Send>;

/// A function of parameters and input, with its gradients: what a [`Network`](super::Network) computes.
///
/// A module holds shapes and indices only. The network owns values, gradients and moments, and lends them to each pass in
/// the order of the [`Layout`]; so one optimizer, one checkpoint and one fingerprint serve all modules.
///
/// # Contract
///
/// - **Shapes.** An input of `rows` rows of [`inputs`](Module::inputs) values gives an output [rows, outputs], and `rows`
///   may be 0. Tensors have the parameters' dtype (f32 in runs, f64 where gradients are checked) and device.
/// - **A row stands for itself.** Its output depends on no other row: how a round is cut into parts changes no bit. (So there
///   is no batch normalisation.)
/// - **Blocks.** `blocks` are the row counts of consecutive blocks of rows, known at the forward pass already, so that a tape can
///   record one graph a block. The backward pass adds each block's share to a parameter's gradient by itself and in
///   order, as [`Blocks`] has it, and the first block of a fresh gradient replaces what is there. A sum over rows has a
///   fixed order; no thread count and no clock changes it.
/// - **Draws are addressed.** What is drawn in training comes from [`Draws`], by layer and row, never from a generator that
///   runs on; in evaluation ([`Phase::Evaluate`]) nothing is drawn.
/// - **Names.** Parameters' names in the layout are those of checkpoints, and the order in which
///   [`initialise`](Module::initialise) draws is part of what a seed means: a module that has been used changes neither.
pub trait Module: Send + Sync {
    /// How many values a row of the input has.
    fn inputs(&self) -> usize;

    /// How many values a row of the output has.
    fn outputs(&self) -> usize;

    /// Names and shapes of the parameters, in a fixed order.
    fn layout(&self) -> &Layout;

    /// Gives the parameters, which are zero, their initial values, drawn from the network's own stream.
    ///
    /// # Errors
    /// If the device fails.
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()>;

    /// The output, [rows, outputs], and what the backward pass needs beside parameters and input.
    ///
    /// # Errors
    /// If the input does not fit, or the device fails.
    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        blocks: &[usize],
        phase: Phase,
        draws: Draws<'_>,
    ) -> Result<(Tensor, Kept)>;

    /// Adds to the parameters' gradients, given that with respect to the output, `upstream` [rows, outputs]. With `to_input`,
    /// returns the gradients with respect to the input's values, too: of a dense input that of its one matrix, else of each
    /// block that learns, in order. Without, nothing.
    ///
    /// # Errors
    /// If `kept` is another module's, or the device fails.
    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        kept: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>>;

    /// The matrix products of one row's forward pass.
    fn products(&self) -> Vec<Product>;

    /// Whether bits follow from parameters, input and draws alone, on any processor and with any number of threads. A module that
    /// promises them in the same build with as many threads alone says so, and so does the summary of its run.
    fn is_reproducible(&self) -> bool {
        true
    }

    /// The floating-point operations of the products of a training step over so many rows: forward, backward to the weights, and
    /// backward to what the products multiply, which of those with the input itself only `to_input` wants. `input_rows` says how
    /// many rows' worth of values the input has: fewer than `rows` where rows repeat or are zero. Both may be means.
    fn operations(&self, rows: f64, input_rows: f64, to_input: bool) -> f64 {
        let of = |product: &Product| match product.of_input {
            true => product.operations() * input_rows * if to_input { 3.0 } else { 2.0 },
            false => product.operations() * rows * 3.0,
        };
        self.products().iter().map(of).sum()
    }
}

/// A matrix product of a row's forward pass, [rows, inner] x [inner, columns].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the product for one row of the input: 1 in a linear layer, the number of places in a convolution.
    pub rows: usize,
    /// What is summed over.
    pub inner: usize,
    /// The product's columns.
    pub columns: usize,
    /// Whether it is the input that is multiplied.
    pub of_input: bool,
}

impl Product {
    /// Operations of one row's product: a multiplication and an addition each.
    pub(super) fn operations(&self) -> f64 {
        2.0 * (self.rows * self.inner * self.columns) as f64
    }
}

/// Where the rows of a training pass are addressed: the tick of training and the number within the tick of the sample that each
/// stands for. Rows of one sample for several receivers have one address, and so one draw.
#[derive(Clone, Copy)]
pub struct RowAddresses<'a> {
    /// The run's seed.
    pub seed: Seed,
    /// (tick, sample) of a row.
    pub of_row: &'a dyn Fn(usize) -> (u64, u64),
}

/// The draws of a training pass, such as a dropout's masks.
#[derive(Clone, Copy)]
pub struct Draws<'a> {
    pub(super) network: &'a str,
    pub(super) rows: Option<RowAddresses<'a>>,
}

impl Draws<'_> {
    /// The stream of draws of a layer for a row, addressed by (network, layer, tick, sample).
    ///
    /// # Errors
    /// If nobody said where the rows are addressed.
    pub fn stream(&self, layer: u64, row: usize) -> Result<Stream> {
        let RowAddresses { seed, of_row } =
            self.rows.ok_or_else(|| Error::Addresses { name: self.network.to_owned() })?;
        let (tick, sample) = of_row(row);
        Ok(seed.named_stream(Purpose::Module, self.network, &[layer, sample], tick))
    }
}

/// What a module's own forward pass kept.
///
/// # Errors
/// If it is of another kind.
pub fn kept<T: Any>(kept: &(dyn Any + Send)) -> Result<&T> {
    kept.downcast_ref().ok_or(Error::Trace)
}
