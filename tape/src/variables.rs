//! What a graph is given for its variables: a backend of candle's `VarBuilder`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use randomness::Stream;

use crate::initial::draw;

/// A variable that a graph asked for.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) init: Init,
}

/// Values by the names of variables.
#[derive(Clone, Default)]
pub(crate) struct Values(pub(crate) Arc<BTreeMap<String, Tensor>>);

impl Values {
    /// A builder that hands them out.
    pub(crate) fn builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone())
    }
}

impl SimpleBackend for Values {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let value = self.get_unchecked(name, dtype, device)?;
        if value.shape() != &shape {
            bail!("variable {name} has shape {:?}, and {shape:?} is asked for", value.shape());
        }
        Ok(value)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        match self.0.get(name) {
            Some(value) => value.to_device(device)?.to_dtype(dtype),
            None => bail!("variable {name} was not asked for when the graph was first run, and has no value"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// A backend that notes what is asked for, and makes it up.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

struct Recorded {
    variables: Vec<Variable>,
    values: BTreeMap<String, Var>,
    stream: Stream,
    dtype: DType,
}

impl Recorder {
    pub(crate) fn new(stream: Stream, dtype: DType) -> Self {
        let recorded = Recorded { variables: Vec::new(), values: BTreeMap::new(), stream, dtype };
        Recorder(Arc::new(Mutex::new(recorded)))
    }

    /// A builder whose requests are noted.
    pub(crate) fn builder(&self) -> VarBuilder<'static> {
        let dtype = self.0.lock().unwrap_or_else(PoisonError::into_inner).dtype;
        VarBuilder::from_backend(Box::new(self.clone()), dtype, Device::Cpu)
    }

    /// What was asked for, in order, and the values that were made up.
    pub(crate) fn recorded(&self) -> (Vec<Variable>, BTreeMap<String, Var>) {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (recorded.variables.clone(), recorded.values.clone())
    }
}

impl SimpleBackend for Recorder {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, _: &Device) -> Result<Tensor> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = recorded.values.get(name) {
            if value.shape() != &shape {
                bail!("variable {name} is asked for with shape {:?}, and with {shape:?}", value.shape());
            }
            return value.to_dtype(dtype);
        }
        let drawn = draw(init, &shape, &mut recorded.stream);
        let value =
            Var::from_tensor(&Tensor::from_vec(drawn, &shape, &Device::Cpu)?.to_dtype(recorded.dtype)?)?;
        recorded.variables.push(Variable { name: name.to_owned(), shape, init });
        let tensor = value.to_dtype(dtype)?;
        recorded.values.insert(name.to_owned(), value);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _: &Device) -> Result<Tensor> {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match recorded.values.get(name) {
            Some(value) => value.to_dtype(dtype),
            None => bail!("variable {name} has no value yet: ask for it by its shape first"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values.contains_key(name)
    }
}
