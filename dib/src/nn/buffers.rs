//! What a module changes beside its parameters.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::Result;

/// Numbers of a module that no optimizer steps and that its own passes of training change, such as running means. They
/// go into checkpoints and into the fingerprint with the parameters.
pub trait Buffers {
    /// Copies of them, by names within the network.
    ///
    /// # Errors
    /// If one is no longer what it was made as, or the device fails.
    fn export(&self) -> Result<Vec<(String, Tensor)>>;

    /// Restores what [`export`](Buffers::export) gave; one that is not named begins again.
    ///
    /// # Errors
    /// For one that the module does not have, or that is of another shape or type.
    fn import(&self, buffers: &HashMap<String, Tensor>) -> Result<()>;
}
