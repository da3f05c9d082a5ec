//! The computation of a network: the trait for all architectures.

use std::any::Any;

use candle_core::Tensor;
use randomness::{Purpose, Seed, Stream};

use super::buffers::Buffers;
use super::gradient::Blocks;
use super::input::Input;
use super::optimizer::OwnOptimizer;
use super::parameter::{Layout, Parameter};
use crate::common::Phase;
use crate::{Error, Result};

/// Intermediate values of a forward pass for its backward pass.
pub type Kept = Box<dyn Any + Send>;

/// A function of parameters and input, with its gradients: what a [`Network`](super::Network) computes.
///
/// A module holds shapes and indices only. The network owns values, gradients and moments, and lends them to each pass
/// in the order of the [`Layout`]; so one optimizer, one checkpoint and one fingerprint serve all modules.
///
/// # Contract
///
/// - **Shapes.** An input of `rows` rows of [`inputs`](Module::inputs) values gives an output [rows, outputs], and
///   `rows` may be 0. Tensors have the parameters' dtype (f32 in runs, f64 where gradients are checked) and device.
/// - **Rows are independent.** A row's output depends on no other row: cutting a round into parts changes no bit. (So
///   there is no batch normalisation here. A module with [`Buffers`] may mix the rows of a block of training: blocks
///   are the same however a round is cut.)
/// - **Blocks.** `blocks` are the row counts of consecutive blocks of rows, already known in the forward pass, so that
///   a tape can record one graph for each block. The backward pass adds each block's part to a parameter's gradient
///   separately and in order, as [`Blocks`] does, and the first block of a fresh gradient replaces its content. A sum
///   over rows has a fixed order, independent of thread count and clock.
/// - **Draws are addressed.** Random numbers in training come from [`Draws`], by layer and row, never from a running
///   generator; in evaluation ([`Phase::Evaluate`]) there are none.
/// - **Names.** Checkpoints use the parameters' names in the layout, and results for a seed depend on the order in
///   which [`initialise`](Module::initialise) draws: a module that has been used in runs must change neither.
pub trait Module: Send + Sync {
    /// The number of values in an input row.
    fn inputs(&self) -> usize;

    /// The number of values in an output row.
    fn outputs(&self) -> usize;

    /// Names and shapes of the parameters, in a fixed order.
    fn layout(&self) -> &Layout;

    /// Sets the parameters, which are zero, to initial values drawn from the network's own stream.
    ///
    /// # Errors
    /// If the device fails.
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()>;

    /// The output, [rows, outputs], and intermediate values for the backward pass, which also gets parameters and
    /// input.
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

    /// Adds to the parameters' gradients, given that with respect to the output, `upstream` [rows, outputs]. With
    /// `to_input`, also returns the gradients with respect to the input's values: that of the matrix for a dense input,
    /// else of each block that learns, in order. Otherwise returns none.
    ///
    /// # Errors
    /// If `kept` comes from another kind of module, or the device fails.
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

    /// Whether bits follow from parameters, input and draws alone, on any processor and with any number of threads. A
    /// module that promises them in the same build with as many threads alone says so, and so does the summary of its
    /// run.
    fn is_reproducible(&self) -> bool {
        true
    }

    /// Names and versions of libraries beside this program that it computes with, such as `torch 2.6.0`: the summary of
    /// its run names them, since its bits depend on them.
    fn libraries(&self) -> Vec<String> {
        Vec::new()
    }

    /// The optimizer that it brings along; none: the run's AdamW steps it.
    fn optimizer(&self) -> Option<&dyn OwnOptimizer> {
        None
    }

    /// What its passes of training change beside its parameters; none: nothing.
    fn buffers(&self) -> Option<&dyn Buffers> {
        None
    }

    /// The floating-point operations of the products of a training step over so many rows: forward, backward to the
    /// weights, and backward to what the products multiply, which of those with the input itself only `to_input` wants.
    /// `input_rows` says how many rows' worth of values the input has: fewer than `rows` where rows repeat or are zero.
    /// Both may be means.
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
    /// The size of the summed axis.
    pub inner: usize,
    /// Columns of the product.
    pub columns: usize,
    /// Whether the network's input is multiplied.
    pub of_input: bool,
}

impl Product {
    /// Operations of one row's product: one multiplication and one addition for each term.
    pub(super) fn operations(&self) -> f64 {
        2.0 * (self.rows * self.inner * self.columns) as f64
    }
}

/// The addresses of the rows of a training pass: the tick of training and the number of each row's sample within the
/// tick. Rows of one sample for several receivers have one address, and so the same draws.
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
    /// If the pass has no row addresses.
    pub fn stream(&self, layer: u64, row: usize) -> Result<Stream> {
        let RowAddresses { seed, of_row } =
            self.rows.ok_or_else(|| Error::Addresses { name: self.network.to_owned() })?;
        let (tick, sample) = of_row(row);
        Ok(seed.named_stream(Purpose::Module, self.network, &[layer, sample], tick))
    }
}

/// The intermediate values of a module's own forward pass.
///
/// # Errors
/// If they are of another kind.
pub fn kept<T: Any>(kept: &(dyn Any + Send)) -> Result<&T> {
    kept.downcast_ref().ok_or(Error::Trace)
}
