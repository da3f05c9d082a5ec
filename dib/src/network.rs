//! The base network of all encoders, decoders and selectors, with its gradients and its optimizer's state.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use randomness::Stream;

use crate::input::Input;
use crate::layer::{BlockTrace, Blocks, LayerNorm, Linear, ResidualBlock};
use crate::optimizer::AdamW;
use crate::parameter::{Layout, Parameter};
use crate::{Error, Result, state};

/// The sizes of the two residual blocks.
pub const SIZES: [usize; 2] = [512, 256];

/// Residual block to 512, layer normalisation, residual block to 256, layer normalisation, linear.
///
/// Forward and backward are written by hand. Gradients add up over calls of [`Network::backward`] until
/// [`Network::step`] uses them.
pub struct Network {
    name: String,
    inputs: usize,
    outputs: usize,
    block1: ResidualBlock,
    norm1: LayerNorm,
    block2: ResidualBlock,
    norm2: LayerNorm,
    linear: Linear,
    /// Value, gradient, first and second moment of all parameters, [4, total].
    state: Tensor,
    parameters: Vec<Parameter>,
    steps: u32,
    took_part: bool,
}

/// The activations of one forward pass that its backward pass needs.
pub struct Trace {
    input: Input,
    /// What the input was before it was made dense, if it was.
    given: Option<Input>,
    block1: BlockTrace,
    /// What the second block was given.
    normal1: Input,
    block2: BlockTrace,
    normal2: Tensor,
}

impl Network {
    /// A network with Xavier-uniform weights drawn from `stream`, zero biases and unit gains.
    pub fn new(
        name: &str,
        inputs: usize,
        outputs: usize,
        mut stream: Stream,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            return Err(Error::Shape { name: name.to_owned(), inputs, outputs });
        }
        let mut layout = Layout::new();
        let block1 = ResidualBlock::new(&mut layout, &format!("{name}/block1"), inputs, SIZES[0]);
        let norm1 = LayerNorm::new(&mut layout, &format!("{name}/norm1"), SIZES[0]);
        let block2 = ResidualBlock::new(&mut layout, &format!("{name}/block2"), SIZES[0], SIZES[1]);
        let norm2 = LayerNorm::new(&mut layout, &format!("{name}/norm2"), SIZES[1]);
        let linear = Linear::new(&mut layout, &format!("{name}/linear"), SIZES[1], outputs);
        let (state, parameters) = layout.allocate(dtype, device)?;
        for index in block1.weights().chain(block2.weights()).chain([linear.weight]) {
            draw_xavier(&parameters[index].value, &mut stream)?;
        }
        for norm in [&norm1, &norm2] {
            let gain = parameters[norm.affine].value.get(0)?;
            kernels::elementwise::assign(&gain, &gain.ones_like()?)?;
        }
        Ok(Network {
            name: name.to_owned(),
            inputs,
            outputs,
            block1,
            norm1,
            block2,
            norm2,
            linear,
            state,
            parameters,
            steps: 0,
            took_part: false,
        })
    }

    /// x [rows, inputs] to [rows, outputs], remembering nothing.
    pub fn infer(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward(x)?.0)
    }

    /// x [rows, inputs] to [rows, outputs], and what the backward pass needs.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Trace)> {
        self.forward_from(Input::Dense(x.contiguous()?))
    }

    /// The same for an input of any kind.
    pub fn forward_from(&self, input: Input) -> Result<(Tensor, Trace)> {
        let (input, given) = match self.is_on_cpu() {
            true => (input, None),
            false => (Input::Dense(input.dense(self.inputs, &self.state)?), Some(input)),
        };
        let block1 = self.block1.forward(&self.parameters, &input)?;
        let normal1 = Input::Dense(self.norm1.forward(&self.parameters, &block1.output)?);
        let block2 = self.block2.forward(&self.parameters, &normal1)?;
        let normal2 = self.norm2.forward(&self.parameters, &block2.output)?;
        let output = self.linear.forward(&self.parameters, &normal2)?;
        Ok((output, Trace { input, given, block1, normal1, block2, normal2 }))
    }

    fn is_on_cpu(&self) -> bool {
        self.state.device().is_cpu()
    }

    /// Adds the gradients with respect to the parameters, given that with respect to the output, [rows, outputs].
    /// `blocks` are the row counts of consecutive blocks, whose shares are added in order.
    pub fn backward(&mut self, trace: &Trace, upstream: &Tensor, blocks: &[usize]) -> Result<()> {
        self.add_gradients(trace, upstream, blocks, false)?;
        Ok(())
    }

    /// [`Network::backward`]; returns the gradients with respect to the input's values, too: of a dense input that of
    /// its one matrix, else of each block that learns, in order.
    pub fn backward_to_input(
        &mut self,
        trace: &Trace,
        upstream: &Tensor,
        blocks: &[usize],
    ) -> Result<Vec<Tensor>> {
        self.add_gradients(trace, upstream, blocks, true)
    }

    fn add_gradients(
        &mut self,
        trace: &Trace,
        upstream: &Tensor,
        blocks: &[usize],
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let rows = trace.input.rows()?;
        let total = blocks.iter().sum();
        if total != rows {
            return Err(Error::Blocks { name: self.name.clone(), blocks: total, rows });
        }
        let mut blocks = Blocks { rows: blocks, is_fresh: !self.took_part };
        if rows == 0 {
            blocks.clear_first(&self.state.get(1)?)?;
        }
        // A GPU's bits are its own: there, few launches count.
        let whole = [rows];
        if !self.is_on_cpu() {
            blocks.clear_first(&self.state.get(1)?)?;
            blocks = Blocks { rows: &whole, is_fresh: false };
        }
        self.took_part = true;
        let parameters = &self.parameters;
        let upstream = upstream.contiguous()?;
        let at_norm2 = self.linear.backward(parameters, &trace.normal2, &upstream, blocks)?;
        self.norm2.backward(parameters, &trace.block2.output, &at_norm2, blocks)?;
        let at_norm1 =
            self.block2.backward(parameters, &trace.normal1, &trace.block2, &at_norm2, blocks, true)?;
        let [at_norm1] = at_norm1.as_slice() else { unreachable!("a dense input has one gradient") };
        self.norm1.backward(parameters, &trace.block1.output, at_norm1, blocks)?;
        let gradients =
            self.block1.backward(parameters, &trace.input, &trace.block1, at_norm1, blocks, to_input)?;
        match (&trace.given, gradients.as_slice()) {
            (Some(given), [dense]) => given.of_blocks(dense),
            _ => Ok(gradients),
        }
    }

    /// Scales the gradients so that their global norm is at most `norm`, as torch's clip_grad_norm_ does.
    pub fn clip_gradients(&mut self, norm: f64) -> Result<()> {
        Ok(kernels::elementwise::clip(&self.state.get(1)?, norm)?)
    }

    /// One step with the gradients so far; the next backward pass begins new ones. Does nothing where the network took part in
    /// nothing since the last step: neither values nor moments nor the step count change.
    pub fn step(&mut self, adamw: &AdamW) -> Result<()> {
        if self.took_part {
            kernels::adamw::adamw(&self.state, adamw.at(self.steps + 1))?;
            self.steps += 1;
            self.took_part = false;
        }
        Ok(())
    }

    /// The name, which starts the names of all parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many values a row of the input has.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many values a row of the output has.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// How many steps the network has taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The parameters, in a fixed order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter()
    }

    /// A copy of the whole state: of each parameter `<name>`, `<name>.m` and `<name>.v` (the moments), and
    /// `<network>.steps`, a u32 scalar. Gradients are not part of it: state is saved between steps.
    pub fn export(&self) -> Result<Vec<(String, Tensor)>> {
        state::export(&self.name, &self.parameters, self.steps)
    }

    /// Takes over a state that [`Network::export`] gave, and forgets gradients. Other tensors are ignored. Changes
    /// nothing if a tensor is missing, has another shape or dtype, or holds a number that is not finite.
    pub fn import(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        self.steps = state::import(&self.name, &self.parameters, tensors)?;
        self.took_part = false;
        Ok(())
    }
}

/// Uniform on +-sqrt(6 / (in + out)), row by row.
fn draw_xavier(weight: &Tensor, stream: &mut Stream) -> Result<()> {
    let (inputs, outputs) = weight.dims2()?;
    let bound = libm::sqrt(6.0 / (inputs + outputs) as f64);
    let drawn: Vec<f64> = (0..inputs * outputs).map(|_| stream.uniform_in(-bound, bound)).collect();
    let drawn = Tensor::from_vec(drawn, (inputs, outputs), &Device::Cpu)?;
    let drawn = drawn.to_dtype(weight.dtype())?.to_device(weight.device())?;
    Ok(kernels::elementwise::assign(weight, &drawn)?)
}
