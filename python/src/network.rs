//! Networks that are written in Python: the kind `python` of scenarios.
//!
//! What is here lends a network's numbers to `pom2dib/_models.py`, and takes back what it made of them. They are copied
//! once each way, into memory that belongs to Python: a pass takes its interpreter's lock for as long as that and its
//! own computing last. Parameters that are as they were at the last pass are not lent again.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kernels::elementwise::assign;
use pom2dib::{
    Wanted,
    candle::{DType, Device, DeviceLocation, Tensor},
    dib::{
        Error, Numbers, Phase, Result,
        nn::{Blocks, Buffers, Draws, Input, Kept, Layout, Module, OwnOptimizer, Parameter, Product, kept},
        with_numbers,
    },
    randomness::Stream,
};
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyBytes},
};

/// Held through every call: the generators that are seeded before it are the process's, and nodes of one process share
/// them.
static CALLS: Mutex<()> = Mutex::new(());

/// What seeds are drawn below.
pub(crate) const SEEDS: u64 = 1 << 62;

/// A module that computes in Python. Its parameters are those of the network that lends them.
struct PythonNetwork {
    inputs: usize,
    outputs: usize,
    layout: Layout,
    products: Vec<Product>,
    libraries: Vec<String>,
    has_optimizer: bool,
    has_buffers: bool,
    /// An `Adapter` of `pom2dib/_models.py`.
    adapter: Py<PyAny>,
    /// The parameters with which it computed last, which it still has.
    known: Mutex<Option<Py<PyBytes>>>,
}

/// What the adapter keeps for a backward pass.
struct KeptInPython(Py<PyAny>);

/// Makes the network that a table of the scenario asks for, or says in one line why that cannot be.
pub(crate) fn build(wanted: &Wanted<'_>) -> std::result::Result<Box<dyn Module>, String> {
    let _alone = alone();
    Python::attach(|py| {
        let built = PythonNetwork::build(py, wanted).map_err(|error| line(py, &error))?;
        Ok(Box::new(built) as Box<dyn Module>)
    })
}

/// Keeps the interpreter's state of this thread while it works, and lets others run Python meanwhile. Without it every
/// call would have a new one, but libraries remember the one in which they were loaded, and use it when it is gone.
pub(crate) fn within(work: &mut (dyn FnMut() + Send)) {
    Python::attach(|py| py.detach(work));
}

impl PythonNetwork {
    fn build(py: Python<'_>, wanted: &Wanted<'_>) -> PyResult<Self> {
        let asked = (wanted.keys(), wanted.shape.to_vec(), wanted.outputs, kernels::threads());
        let adapter = py.import("pom2dib._models")?.call_method1("build", asked)?;
        let parameters: Vec<(String, Vec<usize>)> = adapter.getattr("parameters")?.extract()?;
        let libraries = adapter.getattr("libraries")?.extract()?;
        let has_optimizer = adapter.getattr("has_optimizer")?.extract()?;
        let has_buffers = adapter.getattr("has_buffers")?.extract()?;
        let (mut layout, mut products) = (Layout::default(), Vec::new());
        for (name, shape) in parameters {
            // A guess for figures of speed: a row is multiplied once with each matrix.
            if let [columns, inner] = shape[..] {
                products.push(Product { rows: 1, inner, columns, of_input: false });
            }
            layout.add(name, &shape);
        }
        Ok(PythonNetwork {
            inputs: wanted.inputs(),
            outputs: wanted.outputs,
            layout,
            products,
            libraries,
            has_optimizer,
            has_buffers,
            adapter: adapter.unbind(),
            known: Mutex::default(),
        })
    }

    /// The output for rows, and what is kept for their backward pass, of one call.
    fn call_forward(
        &self,
        parameters: &[Parameter],
        x: &Tensor,
        blocks: &[usize],
        seeds: Vec<u64>,
        phase: Phase,
    ) -> Result<(Tensor, Kept)> {
        let values = values_of(parameters);
        let _alone = alone();
        Python::attach(|py| {
            // Gone if the call fails: how far it came is not known then.
            let known = self.known().take();
            let (values, is_new) = match known.filter(|known| is_same(known.as_bytes(py), &values)) {
                Some(known) => (known, false),
                None => (held(py, &values)?.unbind(), true),
            };
            let rows = lent(py, &[x])?;
            let blocks: Vec<usize> = blocks.iter().copied().filter(|&rows| rows > 0).collect();
            let is_double = x.dtype() == DType::F64;
            let asked = (is_new.then_some(&values), rows, blocks, seeds, phase == Phase::Train, is_double);
            let answer = self.adapter.call_method1(py, "forward", asked).map_err(of(py))?;
            *self.known() = Some(values);
            let (output, stored): (Bound<'_, PyBytes>, Py<PyAny>) = answer.extract(py).map_err(of(py))?;
            let output = taken(output.as_bytes(), (x.dim(0)?, self.outputs), x)?;
            Ok((output, Box::new(KeptInPython(stored)) as Kept))
        })
    }

    /// Adds the gradients of the blocks to those of the parameters, or puts their sum in the place of those if they are
    /// of an earlier step; returns that of the rows, if it is wanted.
    fn call_backward(
        &self,
        stored: &KeptInPython,
        upstream: &Tensor,
        parameters: &[Parameter],
        is_fresh: bool,
        to_input: bool,
    ) -> Result<Option<Tensor>> {
        let gradients: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.gradient).collect();
        let _alone = alone();
        Python::attach(|py| {
            let before = (!is_fresh).then(|| lent(py, &gradients)).transpose()?;
            let asked = (&stored.0, lent(py, &[upstream])?, to_input, before);
            let answer = self.adapter.call_method1(py, "backward", asked).map_err(of(py))?;
            let (sums, at_input): (Vec<Bound<'_, PyBytes>>, Option<Bound<'_, PyBytes>>) =
                answer.extract(py).map_err(of(py))?;
            if sums.len() != gradients.len() {
                return Err(Error::Trace);
            }
            for (gradient, sum) in gradients.iter().zip(&sums) {
                put(&[*gradient], sum.as_bytes())?;
            }
            let rows = (upstream.dim(0)?, self.inputs);
            at_input.map(|bytes| taken(bytes.as_bytes(), rows, upstream)).transpose()
        })
    }

    fn known(&self) -> MutexGuard<'_, Option<Py<PyBytes>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No rows of so many columns: a view of nothing, since a GPU's memory has no size of 0.
    fn nothing(columns: usize, like: &Tensor) -> Result<Tensor> {
        Ok(like.flatten_all()?.narrow(0, 0, 0)?.reshape((0, columns))?)
    }
}

impl Module for PythonNetwork {
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
        let values = values_of(parameters);
        let device = values.first().map(|value| device_name(value.device()));
        let _alone = alone();
        Python::attach(|py| {
            let asked = (stream.below(SEEDS), device);
            let answer = self.adapter.call_method1(py, "begin", asked).map_err(of(py))?;
            let drawn = answer.bind(py).cast::<PyBytes>().map_err(|error| of(py)(error.into()))?;
            put(&values, drawn.as_bytes())
        })
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        blocks: &[usize],
        phase: Phase,
        draws: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let like = &parameters[0].value;
        let x = input.matrix(self.inputs, like)?.contiguous()?;
        if x.dim(0)? == 0 {
            return Ok((Self::nothing(self.outputs, like)?, Box::new(())));
        }
        let (mut seeds, mut start) = (Vec::new(), 0);
        for &rows in blocks.iter().filter(|&&rows| rows > 0) {
            // In evaluation, and where gradients are checked, nothing is addressed and nothing is to be drawn.
            seeds.push(match (phase, draws.stream(0, start)) {
                (Phase::Train, Ok(mut stream)) => stream.below(SEEDS),
                _ => 0,
            });
            start += rows;
        }
        self.call_forward(parameters, &x, blocks, seeds, phase)
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        stored: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        if upstream.dim(0)? == 0 {
            let none = Self::nothing(self.inputs, &parameters[0].value)?;
            return if to_input { input.of_blocks(&none) } else { Ok(Vec::new()) };
        }
        let at_input = self.call_backward(kept(stored)?, upstream, parameters, blocks.is_fresh, to_input)?;
        at_input.map_or_else(|| Ok(Vec::new()), |at_input| input.of_blocks(&at_input))
    }

    fn products(&self) -> Vec<Product> {
        self.products.clone()
    }

    fn is_reproducible(&self) -> bool {
        false
    }

    fn libraries(&self) -> Vec<String> {
        self.libraries.clone()
    }

    fn optimizer(&self) -> Option<&dyn OwnOptimizer> {
        self.has_optimizer.then_some(self)
    }

    fn buffers(&self) -> Option<&dyn Buffers> {
        self.has_buffers.then_some(self)
    }
}

/// A piece of an optimizer's state as Python has it: its name, the shape of an array of float32, or none of a number,
/// which is a float64.
type Piece<'py> = (String, Option<Vec<usize>>, Bound<'py, PyBytes>);

/// An optimizer of PyTorch's, which the class has made.
impl OwnOptimizer for PythonNetwork {
    fn step(&self, parameters: &[Parameter]) -> Result<()> {
        let gradients: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.gradient).collect();
        let values = values_of(parameters);
        let _alone = alone();
        Python::attach(|py| {
            // It takes its step with these, whatever it had.
            *self.known() = None;
            let asked = (held(py, &values)?, lent(py, &gradients)?);
            let answer = self.adapter.call_method1(py, "step", asked).map_err(of(py))?;
            let stepped = answer.bind(py).cast::<PyBytes>().map_err(|error| of(py)(error.into()))?;
            put(&values, stepped.as_bytes())
        })
    }

    fn export(&self) -> Result<Vec<(String, Tensor)>> {
        let _alone = alone();
        Python::attach(|py| {
            let answer = self.adapter.call_method0(py, "optimizer_state").map_err(of(py))?;
            let pieces: Vec<Piece<'_>> = answer.extract(py).map_err(of(py))?;
            let tensor = |(name, shape, bytes): Piece<'_>| {
                let tensor = match shape {
                    Some(shape) => Tensor::from_vec(numbers::<f32>(bytes.as_bytes()), shape, &Device::Cpu)?,
                    None => Tensor::from_vec(numbers::<f64>(bytes.as_bytes()), (), &Device::Cpu)?,
                };
                Ok((name, tensor))
            };
            pieces.into_iter().map(tensor).collect()
        })
    }

    fn import(&self, state: &HashMap<String, Tensor>) -> Result<()> {
        let _alone = alone();
        Python::attach(|py| {
            let piece = |(name, tensor): (&String, &Tensor)| -> Result<_> {
                let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
                let shape = (tensor.dtype() == DType::F32).then(|| tensor.dims().to_vec());
                Ok((name.clone(), shape, lent(py, &[&tensor])?))
            };
            let pieces = state.iter().map(piece).collect::<Result<Vec<_>>>()?;
            self.adapter.call_method1(py, "restore_optimizer", (pieces,)).map_err(of(py))?;
            Ok(())
        })
    }
}

/// A buffer as Python has it: its name, the name of its type, its shape and its numbers.
type Buffer<'py> = (String, String, Vec<usize>, Bound<'py, PyBytes>);

/// Buffers of a class in PyTorch, such as the running means of a batch normalisation.
impl Buffers for PythonNetwork {
    fn export(&self) -> Result<Vec<(String, Tensor)>> {
        let _alone = alone();
        Python::attach(|py| {
            let answer = self.adapter.call_method0(py, "buffers").map_err(of(py))?;
            let buffers: Vec<Buffer<'_>> = answer.extract(py).map_err(of(py))?;
            let tensor = |(name, dtype, shape, bytes): Buffer<'_>| {
                let bytes = bytes.as_bytes();
                let tensor = match dtype.as_str() {
                    "float64" => Tensor::from_vec(numbers::<f64>(bytes), shape, &Device::Cpu)?,
                    "int64" => Tensor::from_vec(numbers::<i64>(bytes), shape, &Device::Cpu)?,
                    "uint8" => Tensor::from_vec(bytes.to_vec(), shape, &Device::Cpu)?,
                    _ => Tensor::from_vec(numbers::<f32>(bytes), shape, &Device::Cpu)?,
                };
                Ok((name, tensor))
            };
            buffers.into_iter().map(tensor).collect()
        })
    }

    fn import(&self, buffers: &HashMap<String, Tensor>) -> Result<()> {
        let _alone = alone();
        Python::attach(|py| {
            let buffer = |(name, tensor): (&String, &Tensor)| -> Result<_> {
                let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
                let (dtype, bytes): (&str, Vec<u8>) = match tensor.dtype() {
                    DType::F64 => {
                        ("float64", bytemuck::cast_slice::<f64, u8>(&flat.to_vec1::<f64>()?).to_vec())
                    }
                    DType::I64 => {
                        ("int64", bytemuck::cast_slice::<i64, u8>(&flat.to_vec1::<i64>()?).to_vec())
                    }
                    DType::U8 => ("uint8", flat.to_vec1::<u8>()?),
                    _ => ("float32", bytemuck::cast_slice::<f32, u8>(&flat.to_vec1::<f32>()?).to_vec()),
                };
                Ok((name.clone(), dtype, tensor.dims().to_vec(), PyBytes::new(py, &bytes)))
            };
            let buffers = buffers.iter().map(buffer).collect::<Result<Vec<_>>>()?;
            self.adapter.call_method1(py, "restore_buffers", (buffers,)).map_err(of(py))?;
            Ok(())
        })
    }
}

fn values_of(parameters: &[Parameter]) -> Vec<&Tensor> {
    parameters.iter().map(|parameter| &parameter.value).collect()
}

/// Puts numbers that stand side by side, of the type that Python was given or float32, in the place of tensors'.
fn put(tensors: &[&Tensor], mut bytes: &[u8]) -> Result<()> {
    let total = tensors.iter().map(|tensor| tensor.elem_count()).sum::<usize>();
    let is_double = bytes.len() == total * size_of::<f64>();
    for tensor in tensors {
        let count = tensor.elem_count();
        let size = count * if is_double { size_of::<f64>() } else { size_of::<f32>() };
        let (own, others) = bytes.split_at_checked(size).ok_or(Error::Trace)?;
        let own = match is_double {
            true => Tensor::from_vec(numbers::<f64>(own), tensor.shape(), &Device::Cpu)?,
            false => Tensor::from_vec(numbers::<f32>(own), tensor.shape(), &Device::Cpu)?,
        };
        assign(tensor, &own.to_dtype(tensor.dtype())?.to_device(tensor.device())?)?;
        bytes = others;
    }
    Ok(())
}

/// Where tensors are, as PyTorch calls it.
fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        _ => "cpu".to_owned(),
    }
}

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers of tensors, one after the other, as an array of bytes of Python's, which may write to it.
fn lent<'py>(py: Python<'py>, tensors: &[&Tensor]) -> Result<Bound<'py, PyByteArray>> {
    let made = with_bytes(tensors, |bytes| {
        PyByteArray::new_with(py, length(bytes), |all| {
            copy(bytes, all);
            Ok(())
        })
    })?;
    made.map_err(of(py))
}

/// The same for numbers that are to stay as they are.
fn held<'py>(py: Python<'py>, tensors: &[&Tensor]) -> Result<Bound<'py, PyBytes>> {
    let made = with_bytes(tensors, |bytes| {
        PyBytes::new_with(py, length(bytes), |all| {
            copy(bytes, all);
            Ok(())
        })
    })?;
    made.map_err(of(py))
}

/// Whether tensors hold these numbers. Behind a step they differ at once: so this costs little where it is of no use.
fn is_same(known: &[u8], tensors: &[&Tensor]) -> bool {
    let found = with_bytes(tensors, |bytes| {
        let mut rest = known;
        length(bytes) == known.len()
            && bytes.iter().all(|bytes| {
                let (own, others) = rest.split_at(bytes.len());
                rest = others;
                own == *bytes
            })
    });
    found.unwrap_or(false)
}

/// Looks at the bytes of tensors' numbers.
fn with_bytes<R>(tensors: &[&Tensor], look: impl FnOnce(&[&[u8]]) -> R) -> Result<R> {
    let looked = with_numbers(tensors, |numbers| {
        let bytes: Vec<&[u8]> = numbers
            .iter()
            .map(|numbers| match numbers {
                Numbers::F32(values) => bytemuck::cast_slice(values),
                Numbers::F64(values) => bytemuck::cast_slice(values),
            })
            .collect();
        look(&bytes)
    })?;
    Ok(looked)
}

fn length(bytes: &[&[u8]]) -> usize {
    bytes.iter().map(|bytes| bytes.len()).sum()
}

fn copy(bytes: &[&[u8]], mut into: &mut [u8]) {
    for bytes in bytes {
        let (own, others) = into.split_at_mut(bytes.len());
        own.copy_from_slice(bytes);
        into = others;
    }
}

/// A tensor of bytes that came back, of the type and on the device of `like`.
fn taken(bytes: &[u8], shape: impl Into<pom2dib::candle::Shape>, like: &Tensor) -> Result<Tensor> {
    let shape = shape.into();
    let made = match like.dtype() {
        DType::F64 => Tensor::from_vec(numbers::<f64>(bytes), shape, &Device::Cpu),
        _ => Tensor::from_vec(numbers::<f32>(bytes), shape, &Device::Cpu),
    };
    Ok(made?.to_device(like.device())?)
}

pub(crate) fn numbers<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// What Python raised, as an error of a network.
fn of<'py>(py: Python<'py>) -> impl Fn(PyErr) -> Error + 'py {
    move |error| Error::Own(line(py, &error))
}

/// One line of what Python raised. Errors of users' classes are lines already; their tracebacks have been written.
pub(crate) fn line(py: Python<'_>, error: &PyErr) -> String {
    let value = error.value(py);
    let said = value.to_string();
    let said = said.lines().next().unwrap_or_default();
    match value.get_type().name() {
        Ok(name) if name != "ModelError" => format!("{name}: {said}"),
        _ => said.to_owned(),
    }
}
