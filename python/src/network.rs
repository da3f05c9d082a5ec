//! Networks that are written in Python: the kind `python` of scenarios.
//!
//! What is here lends a network's numbers to `pom2dib/_models.py`, and takes back what it made of them. They are copied once
//! each way, into memory that belongs to Python: a pass takes its interpreter's lock for as long as that and its own computing last.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kernels::elementwise::{add, assign};
use pom2dib::{
    Wanted,
    candle::{DType, Device, Tensor},
    dib::{
        Error, Numbers, Phase, Result,
        nn::{Blocks, Draws, Input, Kept, Layout, Module, OwnOptimizer, Parameter, Product, kept},
        with_numbers,
    },
    randomness::Stream,
};
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyBytes},
};

/// Held through every call: the generators that are seeded before it are the process's, and nodes of one process share them.
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
    /// An `Adapter` of `pom2dib/_models.py`.
    adapter: Py<PyAny>,
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

/// Keeps the interpreter's state of this thread while it works, and lets others run Python meanwhile. Without it every call would have a new
/// one, but libraries remember the one in which they were loaded, and use it when it is gone.
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
        let (mut layout, mut products) = (Layout::default(), Vec::new());
        for (name, shape) in parameters {
            // A guess for figures of speed: a row is multiplied once with each matrix.
            if let [columns, inner] = shape[..] {
                products.push(Product { rows: 1, inner, columns, of_input: false });
            }
            layout.add(name, &shape);
        }
        let (inputs, outputs) = (wanted.inputs(), wanted.outputs);
        let adapter = adapter.unbind();
        Ok(PythonNetwork { inputs, outputs, layout, products, libraries, has_optimizer, adapter })
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
            let (values, rows) = (lent(py, &values)?, lent(py, &[x])?);
            let blocks: Vec<usize> = blocks.iter().copied().filter(|&rows| rows > 0).collect();
            let is_double = x.dtype() == DType::F64;
            let asked = (values, rows, blocks, seeds, phase == Phase::Train, is_double);
            let answer = self.adapter.call_method1(py, "forward", asked).map_err(of(py))?;
            let (output, stored): (Bound<'_, PyBytes>, Py<PyAny>) = answer.extract(py).map_err(of(py))?;
            let output = taken(output.as_bytes(), (x.dim(0)?, self.outputs), x)?;
            Ok((output, Box::new(KeptInPython(stored)) as Kept))
        })
    }

    /// The gradient of all parameters of each block, side by side; and that of the rows, if it is wanted.
    fn call_backward(
        &self,
        stored: &KeptInPython,
        upstream: &Tensor,
        to_input: bool,
    ) -> Result<(Vec<Tensor>, Option<Tensor>)> {
        let total: usize = self.layout.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let _alone = alone();
        Python::attach(|py| {
            let asked = (&stored.0, lent(py, &[upstream])?, to_input);
            let answer = self.adapter.call_method1(py, "backward", asked).map_err(of(py))?;
            let (blocks, at_input): (Vec<Bound<'_, PyBytes>>, Option<Bound<'_, PyBytes>>) =
                answer.extract(py).map_err(of(py))?;
            let blocks = blocks.iter().map(|block| taken(block.as_bytes(), total, upstream));
            let rows = (upstream.dim(0)?, self.inputs);
            let at_input = at_input.map(|bytes| taken(bytes.as_bytes(), rows, upstream));
            Ok((blocks.collect::<Result<_>>()?, at_input.transpose()?))
        })
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
        let total = parameters.iter().map(|parameter| parameter.value.elem_count()).sum::<usize>();
        let drawn = {
            let _alone = alone();
            Python::attach(|py| {
                let answer =
                    self.adapter.call_method1(py, "begin", (stream.below(SEEDS),)).map_err(of(py))?;
                let bytes = answer.bind(py).cast::<PyBytes>().map_err(|error| of(py)(error.into()))?;
                taken(bytes.as_bytes(), total, &Tensor::zeros(1, DType::F32, &Device::Cpu)?)
            })?
        };
        put(parameters, &drawn)
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
        let (of_blocks, at_input) = self.call_backward(kept(stored)?, upstream, to_input)?;
        let mut of_blocks = of_blocks.iter();
        blocks.each(|is_first, _, _| {
            let gradients = of_blocks.next().ok_or(Error::Trace)?;
            let mut start = 0;
            for Parameter { gradient, .. } in parameters {
                let own = gradients.narrow(0, start, gradient.elem_count())?.reshape(gradient.shape())?;
                if is_first {
                    assign(gradient, &own)?
                } else {
                    add(gradient, &own)?
                }
                start += gradient.elem_count();
            }
            Ok(())
        })?;
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
}

/// A piece of an optimizer's state as Python has it: its name, the shape of an array of float32, or none of a number, which is a float64.
type Piece<'py> = (String, Option<Vec<usize>>, Bound<'py, PyBytes>);

/// An optimizer of PyTorch's, which the class has made.
impl OwnOptimizer for PythonNetwork {
    fn step(&self, parameters: &[Parameter]) -> Result<()> {
        let gradients: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.gradient).collect();
        let values = values_of(parameters);
        let total = values.iter().map(|value| value.elem_count()).sum::<usize>();
        let stepped = {
            let _alone = alone();
            Python::attach(|py| {
                let asked = (lent(py, &values)?, lent(py, &gradients)?);
                let answer = self.adapter.call_method1(py, "step", asked).map_err(of(py))?;
                let bytes = answer.bind(py).cast::<PyBytes>().map_err(|error| of(py)(error.into()))?;
                taken(bytes.as_bytes(), total, values[0])
            })?
        };
        put(parameters, &stepped)
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

fn values_of(parameters: &[Parameter]) -> Vec<&Tensor> {
    parameters.iter().map(|parameter| &parameter.value).collect()
}

/// Puts values, side by side, in the place of the parameters'.
fn put(parameters: &[Parameter], values: &Tensor) -> Result<()> {
    let mut start = 0;
    for Parameter { value, .. } in parameters {
        let count = value.elem_count();
        let own = values.narrow(0, start, count)?.reshape(value.shape())?;
        assign(value, &own.to_dtype(value.dtype())?.to_device(value.device())?)?;
        start += count;
    }
    Ok(())
}

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers of tensors, one after the other, as an array of bytes of Python's.
fn lent<'py>(py: Python<'py>, tensors: &[&Tensor]) -> Result<Bound<'py, PyByteArray>> {
    let made = with_numbers(tensors, |numbers| {
        let bytes: Vec<&[u8]> = numbers
            .iter()
            .map(|numbers| match numbers {
                Numbers::F32(values) => bytemuck::cast_slice(values),
                Numbers::F64(values) => bytemuck::cast_slice(values),
            })
            .collect();
        PyByteArray::new_with(py, bytes.iter().map(|bytes| bytes.len()).sum(), |all| {
            let mut rest = all;
            for bytes in bytes {
                let (own, others) = rest.split_at_mut(bytes.len());
                own.copy_from_slice(bytes);
                rest = others;
            }
            Ok(())
        })
    })?;
    made.map_err(of(py))
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
