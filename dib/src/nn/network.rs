//! Parameters with their gradients and optimizer state, around a [`Module`].

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use randomness::Stream;

use super::gradient::Blocks;
use super::input::Input;
use super::module::{Draws, Kept, Module, RowAddresses};
use super::optimizer::AdamW;
use super::parameter::Parameter;
use super::state;
use crate::common::Phase;
use crate::{Error, Result};

/// A module with a name and parameters: an encoder, a decoder or a selector.
///
/// Gradients accumulate over calls of [`Network::backward`] until [`Network::step`] uses them.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use pom2dib_dib::nn::{AdamW, Input, Network, ResidualMlp};
/// use randomness::{Purpose, Seed};
///
/// let stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
/// let module = Box::new(ResidualMlp::new(3, 2));
/// let mut network = Network::new("net", module, stream, DType::F32, &Device::Cpu)?;
///
/// // Four rows, of which two are a gradient block. The loss: the sum of all outputs.
/// let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
/// let before = network.infer(&x)?.sum_all()?.to_scalar::<f32>()?;
/// let (output, trace) = network.forward(Input::Dense(x.clone()), &[2, 2], None)?;
/// network.backward(&trace, &output.ones_like()?)?;
/// network.step(&AdamW::new(1e-3))?;
/// assert!(network.infer(&x)?.sum_all()?.to_scalar::<f32>()? < before);
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
pub struct Network {
    name: String,
    module: Box<dyn Module>,
    /// Value, gradient, first and second moment of all parameters, [4, total].
    state: Tensor,
    parameters: Vec<Parameter>,
    steps: u32,
    took_part: bool,
    is_frozen: bool,
}

/// The record of a forward pass for its backward pass.
pub struct Trace {
    input: Input,
    /// The input before it was made dense, if it was.
    given: Option<Input>,
    /// The row counts of the gradient blocks.
    blocks: Vec<usize>,
    kept: Kept,
}

impl Network {
    /// A network with initial weights drawn from `stream`. `name` starts the names of all parameters.
    ///
    /// # Errors
    /// If the module has no inputs or no outputs, or the device lacks memory.
    pub fn new(
        name: &str,
        module: Box<dyn Module>,
        mut stream: Stream,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (inputs, outputs) = (module.inputs(), module.outputs());
        if inputs == 0 || outputs == 0 {
            return Err(Error::Shape { name: name.to_owned(), inputs, outputs });
        }
        let (state, parameters) = module.layout().allocate(name, dtype, device)?;
        module.initialise(&parameters, &mut stream)?;
        let name = name.to_owned();
        Ok(Network { name, module, state, parameters, steps: 0, took_part: false, is_frozen: false })
    }

    /// Puts values, in the order of the parameters, in the place of what was drawn.
    ///
    /// # Errors
    /// If they are not of the parameters' shapes and dtype.
    pub fn begin_with(&mut self, values: &[Tensor]) -> Result<()> {
        if values.len() != self.parameters.len() {
            let (given, wanted) = (values.len(), self.parameters.len());
            return Err(Error::Unfit {
                name: self.name.clone(),
                problem: format!("is given {given} tensors and has {wanted} parameters"),
            });
        }
        for (parameter, value) in self.parameters.iter().zip(values) {
            kernels::elementwise::assign(
                &parameter.value,
                &value.to_device(self.state.device())?.contiguous()?,
            )?;
        }
        Ok(())
    }

    /// Keeps the parameters as they are from now on: steps do nothing, and backward passes give the gradients of inputs
    /// alone.
    pub fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// From x [rows, inputs] to [rows, outputs], in evaluation: no random draws, nothing stored.
    ///
    /// # Errors
    /// If x does not fit.
    pub fn infer(&self, x: &Tensor) -> Result<Tensor> {
        self.infer_from(Input::Dense(x.contiguous()?))
    }

    /// The same for an input of any kind.
    ///
    /// # Errors
    /// If the input does not fit.
    pub fn infer_from(&self, input: Input) -> Result<Tensor> {
        let blocks = vec![input.rows()?];
        Ok(self.pass(input, blocks, Phase::Evaluate, None)?.0)
    }

    /// A training pass: from rows of the input to [rows, outputs], with a trace for the backward pass. `blocks` are the
    /// row counts of consecutive blocks, whose parts of the gradients are added in order. `rows` gives the addresses of
    /// the rows' draws.
    ///
    /// # Errors
    /// If the input does not fit, the blocks do not divide its rows, or a module draws and `rows` is none.
    pub fn forward(
        &self,
        input: Input,
        blocks: &[usize],
        rows: Option<RowAddresses<'_>>,
    ) -> Result<(Tensor, Trace)> {
        let (total, count) = (blocks.iter().sum(), input.rows()?);
        if total != count {
            return Err(Error::Blocks { name: self.name.clone(), blocks: total, rows: count });
        }
        // On a GPU bits are not reproducible across devices anyway, and few launches are faster.
        let blocks = if self.is_on_cpu() { blocks.to_vec() } else { vec![count] };
        self.pass(input, blocks, Phase::Train, rows)
    }

    fn pass(
        &self,
        input: Input,
        blocks: Vec<usize>,
        phase: Phase,
        rows: Option<RowAddresses<'_>>,
    ) -> Result<(Tensor, Trace)> {
        let (input, given) = match self.is_on_cpu() {
            true => (input, None),
            false => (Input::Dense(input.matrix(self.inputs(), &self.state)?), Some(input)),
        };
        let draws = Draws { network: &self.name, rows };
        let (output, kept) = self.module.forward(&self.parameters, &input, &blocks, phase, draws)?;
        Ok((output, Trace { input, given, blocks, kept }))
    }

    fn is_on_cpu(&self) -> bool {
        self.state.device().is_cpu()
    }

    /// Adds the gradients with respect to the parameters, given that with respect to the output, [rows, outputs].
    ///
    /// # Errors
    /// If the trace comes from another network, or `upstream` does not fit.
    pub fn backward(&mut self, trace: &Trace, upstream: &Tensor) -> Result<()> {
        self.add_gradients(trace, upstream, false)?;
        Ok(())
    }

    /// [`Network::backward`], which also returns the gradients with respect to the input's values: that of the matrix
    /// for a dense input, else of each block that learns, in order.
    ///
    /// # Errors
    /// The same.
    pub fn backward_to_input(&mut self, trace: &Trace, upstream: &Tensor) -> Result<Vec<Tensor>> {
        self.add_gradients(trace, upstream, true)
    }

    fn add_gradients(&mut self, trace: &Trace, upstream: &Tensor, to_input: bool) -> Result<Vec<Tensor>> {
        if self.is_frozen && !to_input {
            return Ok(Vec::new());
        }
        let mut blocks = Blocks { rows: &trace.blocks, is_fresh: !self.took_part };
        // Without rows no block overwrites the gradients; on a GPU one operation for all of them is faster.
        if blocks.rows.iter().all(|&rows| rows == 0) || !self.is_on_cpu() {
            blocks.clear_first(&self.state.get(1)?)?;
            blocks.is_fresh = false;
        }
        self.took_part = true;
        let Trace { input, given, kept, .. } = trace;
        let (parameters, upstream) = (&self.parameters, upstream.contiguous()?);
        let gradients =
            self.module.backward(parameters, input, kept.as_ref(), &upstream, blocks, to_input)?;
        match (given, gradients.as_slice()) {
            (Some(given), [dense]) => given.of_blocks(dense),
            _ => Ok(gradients),
        }
    }

    /// Scales the gradients so that their global norm is at most `norm`, as torch's clip_grad_norm_ does.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn clip_gradients(&mut self, norm: f64) -> Result<()> {
        Ok(kernels::elementwise::clip(&self.state.get(1)?, norm)?)
    }

    /// One step with the gradients so far, by AdamW or the module's own optimizer; the next backward pass begins new
    /// ones. Does nothing where the network took part in nothing since the last step, or is frozen: neither values nor
    /// moments nor the step count change.
    ///
    /// # Errors
    ///
    /// If the device fails, or the module's own optimizer does.
    pub fn step(&mut self, adamw: &AdamW) -> Result<()> {
        if self.is_frozen {
            self.took_part = false;
        }
        if self.took_part {
            match self.module.optimizer() {
                Some(own) => own.step(&self.parameters)?,
                None => kernels::adamw::adamw(&self.state, adamw.at(self.steps + 1))?,
            }
            self.steps += 1;
            self.took_part = false;
        }
        Ok(())
    }

    /// The name, which starts the names of all parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of values in an input row.
    pub fn inputs(&self) -> usize {
        self.module.inputs()
    }

    /// The number of values in an output row.
    pub fn outputs(&self) -> usize {
        self.module.outputs()
    }

    /// The number of steps taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Its computation.
    pub fn module(&self) -> &dyn Module {
        self.module.as_ref()
    }

    /// The parameters, in a fixed order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter()
    }

    /// A copy of the whole state: of each parameter `<name>`, `<name>.m` and `<name>.v` (the moments), and
    /// `<network>.steps`, a u32 scalar; then the state of the module's own optimizer, if it has one, as
    /// `<network>.optimizer/...`, and its buffers as `<network>.buffers/...`. Gradients are not part of it: state is
    /// saved between steps.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn export(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = state::export(&self.name, &self.parameters, self.steps)?;
        if let Some(own) = self.module.optimizer() {
            let prefix = state::optimizer_prefix(&self.name);
            tensors
                .extend(own.export()?.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        if let Some(buffers) = self.module.buffers() {
            let prefix = state::buffers_prefix(&self.name);
            let own = buffers.export()?.into_iter();
            tensors.extend(own.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        Ok(tensors)
    }

    /// Restores a state from [`Network::export`], and clears gradients. Other tensors are ignored. Changes nothing if a
    /// tensor is missing, has another shape or dtype, or holds a number that is not finite.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`](crate::Error) or [`Error::Unfit`](crate::Error) for the tensor at fault.
    pub fn import(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        self.steps = state::import(&self.name, &self.parameters, tensors)?;
        self.took_part = false;
        if let Some(own) = self.module.optimizer() {
            own.import(&state::of_prefix(&state::optimizer_prefix(&self.name), tensors))?;
        }
        if let Some(buffers) = self.module.buffers() {
            buffers.import(&state::of_prefix(&state::buffers_prefix(&self.name), tensors))?;
        }
        Ok(())
    }
}
