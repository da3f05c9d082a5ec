//! A network's state as named tensors, for checkpoints.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use super::parameter::Parameter;
use crate::{Error, Result};

/// Copies of values and moments, and the step count.
pub(super) fn export(network: &str, parameters: &[Parameter], steps: u32) -> Result<Vec<(String, Tensor)>> {
    let mut tensors = Vec::with_capacity(3 * parameters.len() + 1);
    for parameter in parameters {
        for (name, view) in named(parameter) {
            tensors.push((name, view.force_contiguous()?));
        }
    }
    tensors.push((steps_name(network), Tensor::new(steps, &Device::Cpu)?));
    Ok(tensors)
}

/// Checks everything, then overwrites values and moments. Returns the step count.
pub(super) fn import(
    network: &str,
    parameters: &[Parameter],
    tensors: &HashMap<String, Tensor>,
) -> Result<u32> {
    let mut copies = Vec::with_capacity(3 * parameters.len());
    for parameter in parameters {
        for (name, view) in named(parameter) {
            copies.push((view, checked(&name, view, tensors)?));
        }
    }
    let steps = checked_steps(network, tensors)?;
    for (view, tensor) in copies {
        kernels::elementwise::assign(view, &tensor)?;
    }
    Ok(steps)
}

fn named(parameter: &Parameter) -> [(String, &Tensor); 3] {
    let name = &parameter.name;
    [
        (name.clone(), &parameter.value),
        (format!("{name}.m"), &parameter.first_moment),
        (format!("{name}.v"), &parameter.second_moment),
    ]
}

/// What the names of the state of a network's own optimizer start with.
pub(super) fn optimizer_prefix(network: &str) -> String {
    format!("{network}.optimizer/")
}

/// What the names of a network's buffers start with.
pub(super) fn buffers_prefix(network: &str) -> String {
    format!("{network}.buffers/")
}

/// The tensors whose names start with a prefix, by what follows it.
#[expect(clippy::disallowed_methods, reason = "a module looks its own state up by name, in whatever order")]
pub(super) fn of_prefix(prefix: &str, tensors: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let own =
        |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()));
    tensors.iter().filter_map(own).collect()
}

fn steps_name(network: &str) -> String {
    format!("{network}.steps")
}

fn find<'a>(name: &str, tensors: &'a HashMap<String, Tensor>) -> Result<&'a Tensor> {
    tensors.get(name).ok_or_else(|| Error::Missing { name: name.to_owned() })
}

/// The named tensor, checked, on the device of the view that it is copied to.
fn checked(name: &str, view: &Tensor, tensors: &HashMap<String, Tensor>) -> Result<Tensor> {
    let tensor = find(name, tensors)?;
    let unfit = |problem| Err(Error::Unfit { name: name.to_owned(), problem });
    if tensor.shape() != view.shape() {
        return unfit(format!("has shape {:?}, not {:?}", tensor.dims(), view.dims()));
    }
    if tensor.dtype() != view.dtype() {
        return unfit(format!("is of {}, not of {}", tensor.dtype().as_str(), view.dtype().as_str()));
    }
    let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    if values.iter().any(|value| !value.is_finite()) {
        return unfit("holds a number that is not finite".to_owned());
    }
    Ok(tensor.contiguous()?.to_device(view.device())?)
}

fn checked_steps(network: &str, tensors: &HashMap<String, Tensor>) -> Result<u32> {
    let name = steps_name(network);
    let tensor = find(&name, tensors)?;
    if tensor.dtype() != DType::U32 || tensor.rank() != 0 {
        let problem = format!("is {:?} of {}, not a scalar of u32", tensor.dims(), tensor.dtype().as_str());
        return Err(Error::Unfit { name, problem });
    }
    Ok(tensor.to_scalar()?)
}
