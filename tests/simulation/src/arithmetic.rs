//! The computation of the tiny machines in place of networks: one number for all weights, which every message changes.
//!
//! It is cheap, and keeps all history: a message that is lost, repeated, late or of another round gives another number.

use bytes::Bytes;
use candle_core::{Device, Tensor};
use node::NodeError;

/// The weights of a node, and the steps that they have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) value: u64,
    pub(crate) version: u64,
}

/// A number that depends on both, and on their order.
pub(crate) fn mix(one: u64, other: u64) -> u64 {
    let mixed = (one ^ other.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// A figure from 0 to 1 that depends on a number.
pub(crate) fn figure(number: u64) -> f64 {
    (number >> 40) as f64 / f64::from(1 << 24)
}

/// A number as a message carries it.
pub(crate) fn tensor(number: u64) -> proto::v1::Tensor {
    let data = Bytes::copy_from_slice(&number.to_le_bytes());
    proto::v1::Tensor { data, ..proto::v1::Tensor::default() }
}

/// The number that a message carries.
pub(crate) fn number(tensor: Option<&proto::v1::Tensor>) -> Option<u64> {
    Some(u64::from_le_bytes(tensor?.data.as_ref().try_into().ok()?))
}

impl Weights {
    /// The initial weights of a node of that name.
    pub(crate) fn initial(name: &str) -> Self {
        Weights { value: name.bytes().fold(1, |value, byte| mix(value, byte.into())), version: 0 }
    }

    /// Takes a step.
    pub(crate) fn step(&mut self, gradient: u64) {
        (self.value, self.version) = (mix(self.value, gradient), self.version + 1);
    }

    /// The weights as a checkpoint's state.
    pub(crate) fn save(self, name: &str) -> Result<Vec<u8>, NodeError> {
        let value = Tensor::new(&[self.value as i64], &Device::Cpu)?;
        node::pack_state(vec![(name.into(), value)], self.version)
    }

    /// The weights of a checkpoint's state.
    pub(crate) fn restore(name: &str, state: &[u8]) -> Result<Self, NodeError> {
        let tensors = node::unpack_state(state, &Device::Cpu)?;
        let number = |name: &str| {
            let tensor = tensors.get(name).and_then(|tensor| tensor.to_vec1::<i64>().ok());
            match tensor.as_deref() {
                Some([number]) => Ok(*number as u64),
                _ => Err(NodeError::Input(format!("the checkpoint has no number \"{name}\""))),
            }
        };
        Ok(Weights { value: number(name)?, version: number("version")? })
    }
}
