//! A module of a graph.

use std::any::Any;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;
use dib::nn::{Blocks, Draws, Input, Kept, Layout, Module, Parameter, Product, kept};
use dib::{Phase, Result};
use kernels::elementwise::{add, assign};
use randomness::Stream;

use crate::initial::draw;
use crate::rehearsal::{Refusal, Rehearsed, compare, rehearse};
use crate::variables::{Values, Variable};

/// What a graph is: variables and rows [rows, inputs] to [rows, outputs].
pub(crate) type Graph = dyn Fn(VarBuilder<'static>, &Tensor) -> candle_core::Result<Tensor> + Send + Sync;

/// A graph of candle's operations as a [`Module`]: candle's tape does the backward pass.
///
/// **How it runs.** In training, each gradient block is a graph of its own, on rows that are made dense. Its variables
/// are copies of the network's parameters, made anew in each pass, so that no step and no restored checkpoint is
/// missed. The graph is built anew for each block: let it do nothing else that takes time. It must not keep what it is
/// given.
///
/// **What it may use.** Whatever candle differentiates rightly. Not everything is: both gradients of `conv1d` are wrong
/// for batches, that of `max_pool2d` is divided by the window, `max` gives each of several largest values the whole
/// gradient, and a strided `conv2d` may fail on odd sizes. (Checked with candle 0.11.1.) [`Tape::new`] compares all
/// gradients with finite differences on a few rows, and refuses what is wrong there; equal largest values, which it
/// does not meet, it cannot refuse. It also refuses what has no backward pass at all, what draws without an address,
/// and what mixes rows.
///
/// **What is promised.** The same build gives the same bits on the same number of threads; and since every gradient
/// block is by itself, how a round is cut into parts at its gradient blocks changes none. What is *not* promised is the
/// same bits on other instruction sets or numbers of threads, nor that the last bits of an answer do not depend on how
/// many rows were asked at once.
///
/// **Initial values** are drawn from the network's own stream, in the order in which the graph asks for its variables,
/// with the distributions that candle-nn's layers hint at.
pub struct Tape {
    inputs: usize,
    outputs: usize,
    layout: Layout,
    variables: Vec<Variable>,
    products: Vec<Product>,
    graph: Box<Graph>,
}

/// A gradient block's graph.
struct Recorded {
    input: Var,
    output: Tensor,
}

/// What the backward pass needs: variables in the order of the layout, and the graphs of all blocks that have rows.
struct Activations {
    variables: Vec<Var>,
    blocks: Vec<Recorded>,
}

impl Tape {
    /// A module of rows of so many numbers. The graph is run on a few rows, in f32 and in f64 (`rows.dtype()` and
    /// `variables.dtype()` say which), to see what it asks for, what comes out, and whether its gradients are right.
    ///
    /// # Errors
    /// If it fails, or cannot keep what modules promise.
    pub fn new(
        inputs: usize,
        graph: impl Fn(VarBuilder<'static>, &Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> std::result::Result<Self, Refusal> {
        let tape = Tape::with_own_gradients(inputs, graph)?;
        compare(inputs, &tape.graph)?;
        Ok(tape)
    }

    /// The same for a graph whose gradients are meant not to be those of its output, such as a straight-through
    /// estimate of a rounding, or that has no f64: they are not compared with finite differences.
    ///
    /// # Errors
    /// The others of [`Tape::new`].
    pub fn with_own_gradients(
        inputs: usize,
        graph: impl Fn(VarBuilder<'static>, &Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> std::result::Result<Self, Refusal> {
        let graph: Box<Graph> = Box::new(graph);
        let rehearsed = rehearse(inputs, &graph)?;
        let mut layout = Layout::default();
        let mut products = Vec::new();
        for Variable { name, shape, .. } in &rehearsed.variables {
            layout.add(name.clone(), shape.dims());
            if let [columns, inner] = *shape.dims() {
                products.push(Product { rows: 1, inner, columns, of_input: false });
            }
        }
        let Rehearsed { variables, outputs } = rehearsed;
        Ok(Tape { inputs, outputs, layout, variables, products, graph })
    }

    /// Says what matrix products a row takes, for figures of speed. Without, each matrix among the variables counts as
    /// one that a row is multiplied with once; convolutions do not count.
    pub fn with_products(self, products: Vec<Product>) -> Self {
        Tape { products, ..self }
    }

    /// Runs the graph.
    fn run(&self, values: &Values, rows: &Tensor) -> Result<Tensor> {
        let output = (self.graph)(values.builder(rows.dtype(), rows.device()), rows)?;
        let expected = [rows.dim(0)?, self.outputs];
        if output.dims() != expected {
            let got = output.dims();
            return Err(failure(format!(
                "a graph of candle's made {got:?}, and {expected:?} when first run"
            )));
        }
        Ok(output)
    }

    /// Values by their names.
    fn values(&self, values: impl Iterator<Item = Tensor>) -> Values {
        let names = self.variables.iter().map(|variable| variable.name.clone());
        Values(Arc::new(names.zip(values).collect()))
    }

    fn train(&self, parameters: &[Parameter], x: &Tensor, blocks: &[usize]) -> Result<(Tensor, Kept)> {
        let copies = parameters.iter().map(|parameter| Var::from_tensor(&parameter.value));
        let variables = copies.collect::<candle_core::Result<Vec<Var>>>()?;
        let values = self.values(variables.iter().map(|variable| variable.as_tensor().clone()));
        let (mut recorded, mut start) = (Vec::new(), 0);
        for &rows in blocks.iter().filter(|&&rows| rows > 0) {
            let input = Var::from_tensor(&x.narrow(0, start, rows)?.contiguous()?)?;
            let output = self.run(&values, input.as_tensor())?;
            recorded.push(Recorded { input, output });
            start += rows;
        }
        let outputs: Vec<Tensor> = recorded.iter().map(|block| block.output.detach()).collect();
        let output = joined(&outputs, self.outputs, parameters)?;
        Ok((output, Box::new(Activations { variables, blocks: recorded })))
    }
}

impl Module for Tape {
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
        for (variable, Parameter { value, .. }) in self.variables.iter().zip(parameters) {
            let drawn = draw(variable.init, &variable.shape, stream);
            let drawn = Tensor::from_vec(drawn, value.shape(), &Device::Cpu)?;
            assign(value, &drawn.to_dtype(value.dtype())?.to_device(value.device())?)?;
        }
        Ok(())
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        blocks: &[usize],
        phase: Phase,
        _: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let x = input.matrix(self.inputs, &parameters[0].value)?;
        if phase == Phase::Train {
            return self.train(parameters, &x, blocks);
        }
        // Parameters are no variables of candle's: nothing is recorded.
        let values = self.values(parameters.iter().map(|parameter| parameter.value.clone()));
        let outputs = if x.dim(0)? == 0 { vec![] } else { vec![self.run(&values, &x)?] };
        Ok((joined(&outputs, self.outputs, parameters)?, Box::new(())))
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
        let Activations { variables, blocks: recorded } = kept(activations)?;
        let mut recorded = recorded.iter();
        let mut at_input = Vec::new();
        parameters.iter().try_for_each(|parameter| blocks.clear_first(&parameter.gradient))?;
        blocks.each(|_, start, rows| {
            let Some(Recorded { input, output }) =
                recorded.next().filter(|block| block.output.dims()[0] == rows)
            else {
                return Err(failure(
                    "a backward pass has other gradient blocks than its forward pass".to_owned(),
                ));
            };
            // What flows back begins with ones: the upstream gradient comes in as a factor.
            let cost = output.mul(&upstream.narrow(0, start, rows)?.detach())?.sum_all()?;
            let gradients = cost.backward()?;
            let of = |variable: &Var, name: &str| match gradients.get(variable.as_tensor()) {
                Some(gradient) => Ok(gradient.contiguous()?),
                None => Err(failure(format!("no gradient comes to {name} through a graph of candle's"))),
            };
            for (parameter, variable) in parameters.iter().zip(variables) {
                add(&parameter.gradient, &of(variable, &parameter.name)?)?;
            }
            if to_input {
                at_input.push(of(input, "the input")?);
            }
            Ok(())
        })?;
        match to_input {
            true => input.of_blocks(&joined(&at_input, self.inputs, parameters)?),
            false => Ok(Vec::new()),
        }
    }

    fn products(&self) -> Vec<Product> {
        self.products.clone()
    }

    fn is_reproducible(&self) -> bool {
        false
    }
}

/// Rows of so many columns one below the other. Where there are none, a view of nothing: a GPU's memory has no size of 0.
fn joined(parts: &[Tensor], columns: usize, parameters: &[Parameter]) -> Result<Tensor> {
    match parts {
        [] => Ok(parameters[0].value.flatten_all()?.narrow(0, 0, 0)?.reshape((0, columns))?),
        parts => Ok(Tensor::cat(parts, 0)?.contiguous()?),
    }
}

fn failure(what: String) -> dib::Error {
    candle_core::Error::Msg(what).into()
}
