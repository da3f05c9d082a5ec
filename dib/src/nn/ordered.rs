//! A module that sees the axes of a row in another order.

use std::any::Any;

use candle_core::Tensor;
use randomness::Stream;

use super::buffers::Buffers;
use super::gradient::Blocks;
use super::input::Input;
use super::module::{Draws, Kept, Module, Product, kept};
use super::optimizer::OwnOptimizer;
use super::parameter::{Layout, Parameter};
use crate::Result;
use crate::common::Phase;

/// A module behind a change of axes, such as from antennas x subcarriers x time to time x antennas x subcarriers. It
/// learns nothing of its own.
///
/// ```
/// use pom2dib_dib::nn::{Architecture, Module, Ordered};
///
/// let recurrent = Architecture::Gru { hidden: 8, layers: 1 }.build(&[10, 270], 5)?;
/// let module = Ordered::new(recurrent, vec![3, 90, 10], vec![2, 0, 1]);
/// assert_eq!((module.inputs(), module.outputs()), (2700, 5));
/// # Ok::<(), pom2dib_dib::nn::Misfit>(())
/// ```
pub struct Ordered {
    module: Box<dyn Module>,
    /// Those that come, outermost first.
    axes: Vec<usize>,
    /// Which of them the module sees first, which next, and so on.
    order: Vec<usize>,
}

/// What the module was given, and what it keeps.
struct Activations {
    input: Input,
    kept: Kept,
}

impl Ordered {
    /// `module` takes rows whose axes are those of `axes` that `order` numbers, in that order.
    ///
    /// # Panics
    /// If the order does not name each axis once, or the module takes other rows.
    pub fn new(module: Box<dyn Module>, axes: Vec<usize>, order: Vec<usize>) -> Self {
        let mut numbers = order.clone();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..axes.len()), "{order:?} is no order of {axes:?}");
        assert_eq!(module.inputs(), axes.iter().product::<usize>(), "a module of rows of {axes:?}");
        Ordered { module, axes, order }
    }

    /// Rows, with their axes in the module's order, or from there back.
    fn turned(&self, x: &Tensor, back: bool) -> Result<Tensor> {
        let axes: Vec<usize> = match back {
            true => self.order.iter().map(|&axis| self.axes[axis]).collect(),
            false => self.axes.clone(),
        };
        let place = |axis: usize| self.order.iter().position(|&own| own == axis).unwrap_or(axis);
        let order = |axis: usize| if back { place(axis) } else { self.order[axis] };
        // Rows stay where they are.
        let order: Vec<usize> = [0].into_iter().chain((0..axes.len()).map(|axis| order(axis) + 1)).collect();
        let shaped = x.reshape([&[x.dim(0)?], axes.as_slice()].concat())?;
        Ok(shaped.permute(order)?.contiguous()?.reshape((x.dim(0)?, self.inputs()))?)
    }
}

impl Module for Ordered {
    fn inputs(&self) -> usize {
        self.module.inputs()
    }

    fn outputs(&self) -> usize {
        self.module.outputs()
    }

    fn layout(&self) -> &Layout {
        self.module.layout()
    }

    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        self.module.initialise(parameters, stream)
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        blocks: &[usize],
        phase: Phase,
        draws: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let input = Input::Dense(self.turned(&input.matrix(self.inputs(), &parameters[0].value)?, false)?);
        let (output, kept) = self.module.forward(parameters, &input, blocks, phase, draws)?;
        Ok((output, Box::new(Activations { input, kept })))
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
        let Activations { input: seen, kept: own } = kept(activations)?;
        let gradients = self.module.backward(parameters, seen, own.as_ref(), upstream, blocks, to_input)?;
        match gradients.as_slice() {
            [dense] => input.of_blocks(&self.turned(dense, true)?),
            _ => Ok(gradients),
        }
    }

    fn products(&self) -> Vec<Product> {
        self.module.products()
    }

    fn is_reproducible(&self) -> bool {
        self.module.is_reproducible()
    }

    fn libraries(&self) -> Vec<String> {
        self.module.libraries()
    }

    fn optimizer(&self) -> Option<&dyn OwnOptimizer> {
        self.module.optimizer()
    }

    fn buffers(&self) -> Option<&dyn Buffers> {
        self.module.buffers()
    }
}
