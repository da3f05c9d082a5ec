use std::collections::HashMap;

use candle_core::{Device, Tensor};
use data::Kept;
use dib::Network;

use crate::NodeError;

/// The tensor that holds the number of steps that all parameters of a state have taken.
const VERSION: &str = "version";

/// Packs a node's tensors at a version as a safetensors file.
///
/// # Errors
///
/// If the tensors cannot be serialised.
pub fn pack_state(mut tensors: Vec<(String, Tensor)>, version: u64) -> Result<Vec<u8>, NodeError> {
    tensors.push((VERSION.into(), Tensor::new(&[version as i64], &Device::Cpu)?));
    safetensors::serialize(tensors, None)
        .map_err(|error| NodeError::Input(format!("the state cannot be packed: {error}")))
}

/// Saves networks at a version, what is to be kept of the data, and other tensors, as a safetensors file.
///
/// # Errors
///
/// If a tensor cannot be read from its device or serialised.
pub fn save<'a>(
    networks: impl Iterator<Item = &'a Network>,
    kept: &[Kept],
    others: Vec<(String, Tensor)>,
    version: u64,
) -> Result<Vec<u8>, NodeError> {
    let mut tensors = crate::compute::kept::tensors(kept)?;
    tensors.extend(others);
    for network in networks {
        tensors.extend(network.export()?);
    }
    pack_state(tensors, version)
}

/// Restores networks from the output of [`save`]; each checks its own tensors. Returns the version.
///
/// # Errors
///
/// If the file cannot be read, or a tensor is missing or of another shape.
pub fn restore<'a>(
    state: &[u8],
    device: &Device,
    networks: impl Iterator<Item = &'a mut Network>,
) -> Result<u64, NodeError> {
    let tensors = unpack_state(state, device)?;
    for network in networks {
        network.import(&tensors)?;
    }
    state_version(&tensors)
}

/// Unpacks a safetensors file. The networks check its tensors.
///
/// # Errors
///
/// If the bytes are not a safetensors file.
pub fn unpack_state(bytes: &[u8], device: &Device) -> Result<HashMap<String, Tensor>, NodeError> {
    candle_core::safetensors::load_buffer(bytes, device)
        .map_err(|error| NodeError::Input(format!("the checkpoint cannot be read: {error}")))
}

/// The version of an unpacked state.
fn state_version(tensors: &HashMap<String, Tensor>) -> Result<u64, NodeError> {
    let version = tensors.get(VERSION).and_then(|tensor| tensor.to_vec1::<i64>().ok());
    match version.as_deref() {
        Some([version]) if *version >= 0 => Ok(*version as u64),
        _ => Err(NodeError::Input(format!(
            "the checkpoint has no tensor \"{VERSION}\" with one count of rounds"
        ))),
    }
}

/// Whether a tensor of a state is a parameter's value, or a buffer of a module's own (and not an optimizer's state, a
/// step count, a channel's running mean, the receivers' weights, the version or kept of the data).
pub fn is_parameter(name: &str) -> bool {
    name != VERSION
        && !name.starts_with(crate::compute::kept::PREFIX)
        && !name.contains(".optimizer/")
        && (name.contains(".buffers/")
            || ![".m", ".v", ".steps", ".mean", ".log-weights"].iter().any(|suffix| name.ends_with(suffix)))
}

/// The state at a version that a batch names: it must have been loaded.
///
/// # Errors
/// If it has not.
pub fn reloaded(loaded: &mut Option<(u64, Vec<u8>)>, version: u64) -> Result<Vec<u8>, NodeError> {
    match loaded.take() {
        Some((known, state)) if known == version => Ok(state),
        _ => Err(NodeError::protocol(
            "the coordinator",
            format!("names version {version}, which nobody loaded"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_buffers_make_a_fingerprint_and_what_optimizers_keep_does_not() {
        for name in ["receiver1/joint/w", "receiver1/joint.buffers/norm.running_mean", "t/e.buffers/a.m"] {
            assert!(is_parameter(name), "{name}");
        }
        for name in ["version", "t/e/w.m", "t/e/w.v", "t/e.steps", "t/e.optimizer/w/exp_avg", "t/link.mean"] {
            assert!(!is_parameter(name), "{name}");
        }
        assert!(!is_parameter("receiver1/objective.log-weights"));
    }
}
