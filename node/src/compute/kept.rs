//! The record of a node's data in a checkpoint, as tensors.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use data::{Dataset, Kept};

use crate::{NodeError, unpack_state};

/// Prefix of the names of these tensors.
pub(crate) const PREFIX: &str = "data/";

/// The tensors of the record: of every array its `sha256` (`[2, 32]`, training and test) and its normalisation `shift`
/// and `scale`.
pub(crate) fn tensors(kept: &[Kept]) -> Result<Vec<(String, Tensor)>, NodeError> {
    let mut tensors = Vec::with_capacity(3 * kept.len());
    for kept in kept {
        let name = |what: &str| format!("{PREFIX}{}.{what}", kept.name);
        let sums: Vec<u8> = kept.sha256.concat();
        tensors.push((name("sha256"), Tensor::from_vec(sums, (2, 32), &Device::Cpu)?));
        for (what, values) in [("shift", kept.shift()), ("scale", kept.scale())] {
            tensors.push((name(what), Tensor::new(values, &Device::Cpu)?));
        }
    }
    Ok(tensors)
}

/// Restores a data set's record from a checkpoint's state; a file that has changed since is refused.
///
/// # Errors
///
/// If the state cannot be read, or a data file has changed.
pub fn restore_data(dataset: &mut dyn Dataset, state: Option<&[u8]>) -> Result<(), NodeError> {
    let (Some(state), own) = (state, dataset.kept()) else { return Ok(()) };
    if own.is_empty() {
        return Ok(());
    }
    let tensors = unpack_state(state, &Device::Cpu)?;
    let kept: Vec<Kept> = own.iter().filter_map(|own| from_tensors(&own.name, &tensors)).collect();
    Ok(dataset.restore(&kept)?)
}

/// All data records in a checkpoint's state, ordered by the arrays' names.
///
/// # Errors
///
/// If the state cannot be read or lacks a part of a record.
pub fn all_kept(state: &[u8]) -> Result<Vec<Kept>, NodeError> {
    let tensors = unpack_state(state, &Device::Cpu)?;
    let mut names: Vec<&str> =
        tensors.keys().filter_map(|name| name.strip_prefix(PREFIX)?.strip_suffix(".sha256")).collect();
    names.sort_unstable();
    Ok(names.into_iter().filter_map(|name| from_tensors(name, &tensors)).collect())
}

/// The record of an array; none if a part is missing or of another type.
fn from_tensors(name: &str, tensors: &HashMap<String, Tensor>) -> Option<Kept> {
    let tensor = |what: &str| tensors.get(&format!("{PREFIX}{name}.{what}"));
    let sums = tensor("sha256")?.to_vec2::<u8>().ok()?;
    let sum = |split: usize| <[u8; 32]>::try_from(sums.get(split)?.as_slice()).ok();
    let values = |what: &str| tensor(what).filter(|tensor| tensor.dtype() == DType::F64)?.to_vec1().ok();
    Some(Kept::from_parts(name, [sum(0)?, sum(1)?], values("shift")?, values("scale")?))
}
