//! A sequence of layers as a module.

use std::any::Any;

use candle_core::Tensor;
use randomness::Stream;

use super::gradient::Blocks;
use super::input::Input;
use super::module::{Draws, Kept, Module, Product, kept};
use super::parameter::{Layout, Parameter};
use super::stage::{Pass, Stage, Way};
use crate::Result;
use crate::common::Phase;

/// The module of all kinds that consist of layers. Its input is made dense.
pub(crate) struct Chain {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) layout: Layout,
    pub(crate) stages: Stages,
}

/// A sequence of layers.
pub(crate) struct Stages {
    stages: Vec<Box<dyn Stage>>,
    /// The first layer with parameters: no gradient is needed before it, unless that of the input is.
    first_that_learns: usize,
}

impl Stages {
    pub(crate) fn new(stages: Vec<Box<dyn Stage>>) -> Self {
        let first_that_learns = stages.iter().position(|stage| stage.learns()).unwrap_or(stages.len());
        Stages { stages, first_that_learns }
    }

    /// Whether [`Stage::learns`] is true for any layer.
    pub(crate) fn learn(&self) -> bool {
        self.first_that_learns < self.stages.len()
    }

    /// [`Stage::initialise`] of all layers.
    pub(crate) fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        self.stages.iter().try_for_each(|stage| stage.initialise(parameters, stream))
    }

    /// [`Stage::forward`] of all layers in order, with the intermediate values of each.
    pub(crate) fn forward(&self, pass: Pass<'_>, mut x: Tensor) -> Result<(Tensor, Vec<Kept>)> {
        let mut all_kept = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let (output, kept) = stage.forward(pass, x)?;
            all_kept.push(kept);
            x = output;
        }
        Ok((x, all_kept))
    }

    /// [`Stage::backward`] of all layers in reverse order.
    pub(crate) fn backward(&self, way: Way<'_>, kept: &[Kept], upstream: Tensor) -> Result<Option<Tensor>> {
        let mut upstream = upstream;
        for (number, (stage, kept)) in self.stages.iter().zip(kept).enumerate().rev() {
            let to_input = way.to_input || number > self.first_that_learns;
            match stage.backward(Way { to_input, ..way }, kept.as_ref(), upstream)? {
                Some(gradient) => upstream = gradient,
                None => return Ok(None),
            }
        }
        Ok(Some(upstream))
    }

    /// [`Stage::products`] of all layers: those of the first layer that learns multiply the input.
    pub(crate) fn products(&self) -> Vec<Product> {
        let mut products = Vec::new();
        for (number, stage) in self.stages.iter().enumerate() {
            let first = number <= self.first_that_learns;
            let mark = |product: Product| Product { of_input: first && product.of_input, ..product };
            products.extend(stage.products().into_iter().map(mark));
        }
        products
    }
}

impl Module for Chain {
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
        self.stages.initialise(parameters, stream)
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &[usize],
        phase: Phase,
        draws: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        // The last layer is linear: there are parameters.
        if input.rows()? == 0 {
            return Ok((no_rows(parameters, self.outputs)?, Box::new(Vec::<Kept>::new())));
        }
        let x = input.matrix(self.inputs, &parameters[0].value)?;
        let (output, kept) = self.stages.forward(Pass { parameters, phase, draws }, x)?;
        Ok((output, Box::new(kept)))
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        all_kept: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let all_kept: &Vec<Kept> = kept(all_kept)?;
        if input.rows()? == 0 {
            let gradient = no_rows(parameters, self.inputs)?;
            return if to_input { input.of_blocks(&gradient) } else { Ok(Vec::new()) };
        }
        // The last layer is linear, and does not modify its upstream gradient.
        let way = Way { parameters, blocks, to_input };
        match self.stages.backward(way, all_kept, upstream.clone())? {
            Some(gradient) if to_input => input.of_blocks(&gradient),
            _ => Ok(Vec::new()),
        }
    }

    fn products(&self) -> Vec<Product> {
        self.stages.products()
    }

    /// As in the trait, except that repeated rows save nothing: here they are made dense.
    fn operations(&self, rows: f64, _: f64, to_input: bool) -> f64 {
        let passes = |product: &Product| if product.of_input && !to_input { 2.0 } else { 3.0 };
        self.products().iter().map(|product| product.operations() * rows * passes(product)).sum()
    }
}

/// A matrix of no rows and `columns` columns, of the parameters' type and device: a view, since a GPU allocates no
/// memory of size 0.
fn no_rows(parameters: &[Parameter], columns: usize) -> Result<Tensor> {
    Ok(parameters[0].value.flatten_all()?.narrow(0, 0, 0)?.reshape((0, columns))?)
}
