//! The paper's network for all encoders, decoders and selectors.

use std::any::Any;

use candle_core::Tensor;
use kernels::elementwise::{add_bias_relu, assign, mask_relu};
use kernels::layer_norm::{accumulate_affine_gradient, backward_through_relu, layer_norm};
use kernels::product::{Transpose, product};
use randomness::Stream;

use super::architecture::LayerSummary;
use super::gradient::{Blocks, add_bias_gradient, add_weight_gradient};
use super::input::Input;
use super::layer::Linear;
use super::module::{Draws, Kept, Module, Product, kept};
use super::parameter::{Layout, Parameter, draw_xavier};
use crate::Result;
use crate::common::Phase;

/// The sizes of the paper's residual blocks: the first, and the rest.
const SIZES: (usize, &[usize]) = (512, &[256]);

/// Residual block to 512, layer normalisation, residual block to 256, layer normalisation, linear: with forward and
/// backward passes written manually. Other sizes and numbers of blocks are
/// [`Architecture::ResidualMlp`](super::Architecture). It makes no random draws in passes. Weights are Xavier-uniform,
/// biases zero, gains one.
///
/// ```
/// use pom2dib_dib::nn::{Module, ResidualMlp};
///
/// let module = ResidualMlp::new(220, 48);
/// let names: Vec<&str> = module.layout().iter().map(|(name, _)| name).collect();
/// assert_eq!(names[..6], ["block1.w1", "block1.b1", "block1.w2", "block1.b2", "block1.shortcut", "norm1.affine"]);
/// // A training step of one row: 827,392 multiplications and as many additions, forward and twice backward.
/// assert_eq!(module.operations(1.0, 1.0, true), 3.0 * 2.0 * 827_392.0);
/// ```
pub struct ResidualMlp {
    inputs: usize,
    outputs: usize,
    layout: Layout,
    first: NormalisedBlock,
    others: Vec<NormalisedBlock>,
    linear: Linear,
}

/// Intermediate values for the backward pass.
struct Activations {
    first: BlockActivations,
    /// The input and the intermediate values of each of the other blocks.
    others: Vec<(Input, BlockActivations)>,
    /// The input of the linear layer.
    last: Tensor,
}

impl ResidualMlp {
    /// The paper's network with these numbers of inputs and outputs.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        ResidualMlp::with_hidden(inputs, SIZES, outputs)
    }

    /// A network with blocks of these sizes: the first, and the rest.
    pub(super) fn with_hidden(inputs: usize, (size, sizes): (usize, &[usize]), outputs: usize) -> Self {
        let mut layout = Layout::default();
        let first = NormalisedBlock::new(&mut layout, 1, inputs, size);
        let mut others = Vec::with_capacity(sizes.len());
        let mut last = size;
        for (number, &size) in (2..).zip(sizes) {
            others.push(NormalisedBlock::new(&mut layout, number, last, size));
            last = size;
        }
        let linear = Linear::new(&mut layout, "linear", last, outputs);
        ResidualMlp { inputs, outputs, layout, first, others, linear }
    }

    fn blocks(&self) -> impl Iterator<Item = &NormalisedBlock> {
        [&self.first].into_iter().chain(&self.others)
    }

    /// A summary of each block and of the final linear layer.
    pub(super) fn summaries(&self) -> Vec<LayerSummary> {
        let summary = |number: String, kind: &str, parameters: &[usize], products: &[Product], size, kept| {
            let shapes: Vec<&[usize]> = self.layout.iter().map(|(_, shape)| shape).collect();
            LayerSummary {
                number,
                kind: kind.to_owned(),
                output: vec![size],
                parameters: parameters.iter().map(|&index| shapes[index].iter().product::<usize>()).sum(),
                operations: products.iter().map(Product::operations).sum(),
                kept,
            }
        };
        let block = |(number, block): (usize, &NormalisedBlock)| {
            let (own, size) = (block.own(), block.size);
            let kept = block.inputs + 2 * size;
            summary(format!("block{number}"), "residual block", &own, &block.products(false), size, kept)
        };
        let last = self.others.last().unwrap_or(&self.first).size;
        let (weight, linear) = (self.linear.weight(), [linear_product(last, self.outputs)]);
        let linear =
            summary("linear".to_owned(), "linear", &[weight, weight + 1], &linear, self.outputs, last);
        (1..).zip(self.blocks()).map(block).chain([linear]).collect()
    }
}

/// The product of the final linear layer.
fn linear_product(inner: usize, columns: usize) -> Product {
    Product { rows: 1, inner, columns, of_input: false }
}

impl Module for ResidualMlp {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        let weights = self.blocks().flat_map(NormalisedBlock::weights).chain([self.linear.weight()]);
        for index in weights {
            draw_xavier(&parameters[index].value, stream)?;
        }
        for block in self.blocks() {
            let gain = parameters[block.affine].value.get(0)?;
            assign(&gain, &gain.ones_like()?)?;
        }
        Ok(())
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &[usize],
        _: Phase,
        _: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let (mut last, first) = self.first.forward(parameters, input)?;
        let mut others = Vec::with_capacity(self.others.len());
        for block in &self.others {
            let between = Input::Dense(last);
            let (output, activations) = block.forward(parameters, &between)?;
            others.push((between, activations));
            last = output;
        }
        let output = self.linear.forward(parameters, &last)?;
        Ok((output, Box::new(Activations { first, others, last })))
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        activations: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let Activations { first, others, last } = kept(activations)?;
        let mut upstream = self.linear.backward(parameters, last, upstream, blocks)?;
        for (block, (between, activations)) in self.others.iter().zip(others).rev() {
            let gradients = block.backward(parameters, between, activations, upstream, blocks, true)?;
            [upstream] = <[Tensor; 1]>::try_from(gradients).expect("a dense input has one gradient");
        }
        self.first.backward(parameters, input, first, upstream, blocks, to_input)
    }

    fn products(&self) -> Vec<Product> {
        let mut products = self.first.products(true);
        products.extend(self.others.iter().flat_map(|block| block.products(false)));
        let last = self.others.last().unwrap_or(&self.first).size;
        products.push(linear_product(last, self.outputs));
        products
    }
}

/// A residual block, h = relu(relu(x W1 + b1) W2 + b2 + x Ws), and the normalisation of its output, as indices of their
/// parameters.
///
/// Both are one layer because one kernel computes the gradient through the normalisation and the last ReLU: as two,
/// forward and backward of 400 rows would take 0.8 % longer (0.17 of 21.7 ms, 220 inputs, 48 outputs, one core).
struct NormalisedBlock {
    inputs: usize,
    size: usize,
    w1: usize,
    b1: usize,
    w2: usize,
    b2: usize,
    /// Absent if the sizes are equal: then x itself is added.
    shortcut: Option<usize>,
    /// Gain and bias, the rows of one tensor.
    affine: usize,
}

struct BlockActivations {
    /// relu(x W1 + b1), [rows, size].
    inner: Tensor,
    /// h, [rows, size].
    rectified: Tensor,
}

impl NormalisedBlock {
    fn new(layout: &mut Layout, number: usize, inputs: usize, size: usize) -> Self {
        let mut add = |name: &str, shape: &[usize]| layout.add(format!("block{number}.{name}"), shape);
        let (w1, b1) = (add("w1", &[inputs, size]), add("b1", &[size]));
        let (w2, b2) = (add("w2", &[size, size]), add("b2", &[size]));
        let shortcut = (inputs != size).then(|| add("shortcut", &[inputs, size]));
        let affine = layout.add(format!("norm{number}.affine"), &[2, size]);
        NormalisedBlock { inputs, size, w1, b1, w2, b2, shortcut, affine }
    }

    /// The indices of all its parameters.
    fn own(&self) -> Vec<usize> {
        let NormalisedBlock { w1, b1, w2, b2, shortcut, affine, .. } = *self;
        [w1, b1, w2, b2, affine].into_iter().chain(shortcut).collect()
    }

    /// The products of one row; `first` says whether its input is the network's.
    fn products(&self, first: bool) -> Vec<Product> {
        let NormalisedBlock { inputs, size, .. } = *self;
        let product = |inner, of_input| Product { rows: 1, inner, columns: size, of_input };
        let shortcut = self.shortcut.map(|_| product(inputs, first));
        [product(inputs, first), product(size, false)].into_iter().chain(shortcut).collect()
    }

    /// The weights, in the order in which they are drawn.
    fn weights(&self) -> impl Iterator<Item = usize> {
        [Some(self.w1), Some(self.w2), self.shortcut].into_iter().flatten()
    }

    /// From x (rows of all inputs) to [rows, size].
    fn forward(&self, parameters: &[Parameter], x: &Input) -> Result<(Tensor, BlockActivations)> {
        let value = |index: usize| &parameters[index].value;
        let inner = x.product(value(self.w1))?;
        add_bias_relu(&inner, value(self.b1))?;
        let rectified = product(&inner, value(self.w2), Transpose::Neither)?;
        match self.shortcut {
            Some(shortcut) => x.accumulate_product(&rectified, value(shortcut))?,
            None => x.add_to(&rectified)?,
        }
        add_bias_relu(&rectified, value(self.b2))?;
        let output = layer_norm(&rectified, value(self.affine))?;
        Ok((output, BlockActivations { inner, rectified }))
    }

    /// Adds the parameters' gradients, given that with respect to the output, [rows, size], which it overwrites.
    /// Returns the gradients with respect to the input if needed: see [`Input::gradients`].
    fn backward(
        &self,
        parameters: &[Parameter],
        x: &Input,
        activations: &BlockActivations,
        upstream: Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let BlockActivations { inner, rectified } = activations;
        let value = |index: usize| &parameters[index].value;
        let gradient = |index: usize| &parameters[index].gradient;
        add_affine_gradient(gradient(self.affine), rectified, &upstream, blocks)?;
        backward_through_relu(&upstream, rectified, value(self.affine))?;

        // From here on, `upstream` is the gradient before the last ReLU.
        add_weight_gradient(gradient(self.w2), inner, &upstream, blocks)?;
        add_bias_gradient(gradient(self.b2), &upstream, blocks)?;
        if let Some(shortcut) = self.shortcut {
            x.add_weight_gradient(gradient(shortcut), &upstream, blocks)?;
        }
        let hidden = product(&upstream, value(self.w2), Transpose::Right)?;
        mask_relu(&hidden, inner)?;
        x.add_weight_gradient(gradient(self.w1), &hidden, blocks)?;
        add_bias_gradient(gradient(self.b1), &hidden, blocks)?;
        if !to_input {
            return Ok(Vec::new());
        }
        x.gradients((&hidden, value(self.w1)), (&upstream, self.shortcut.map(value)))
    }
}

/// Adds the gradient of a normalisation's gain and bias, block by block.
fn add_affine_gradient(gradient: &Tensor, x: &Tensor, upstream: &Tensor, blocks: Blocks<'_>) -> Result<()> {
    blocks.clear_first(gradient)?;
    blocks.each(|_, start, rows| {
        let (x, upstream) = (x.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
        Ok(accumulate_affine_gradient(gradient, &x, &upstream)?)
    })
}
