use std::{collections::HashMap, path::Path};

use anyhow::{Context, bail};
use candle_core::Tensor;

/// A network's parameters from a checkpoint.
pub(super) struct Exported {
    /// A name such as `transmitter0/encoder1`.
    pub(super) name: String,
    /// Tensors by their names within the network.
    pub(super) tensors: HashMap<String, Tensor>,
}

impl Exported {
    /// The network of that name in a node's state.
    pub(super) fn new(name: &str, state: &HashMap<String, Tensor>) -> anyhow::Result<Self> {
        let own = |(full, tensor): (&String, &Tensor)| {
            let part = full.strip_prefix(name)?.strip_prefix('/')?;
            node::is_parameter(full).then(|| (part.to_owned(), tensor.clone()))
        };
        let tensors: HashMap<String, Tensor> = state.iter().filter_map(own).collect();
        if tensors.is_empty() {
            bail!("the checkpoint has no network \"{name}\"");
        }
        Ok(Exported { name: name.into(), tensors })
    }

    /// The file's name without suffix.
    pub(super) fn stem(&self) -> String {
        self.name.replace('/', "-")
    }

    pub(super) fn tensor(&self, name: &str) -> anyhow::Result<&Tensor> {
        let missing = || format!("the checkpoint has no tensor \"{}/{name}\"", self.name);
        self.tensors.get(name).with_context(missing)
    }

    /// Writes the parameters as safetensors.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(format!("{}.safetensors", self.stem()));
        candle_core::safetensors::save(&self.tensors, &path).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn moments_and_step_counts_are_an_optimizers() {
        let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let names = ["block1.w1", "block1.w1.m", "block1.w1.v"].map(|name| format!("receiver0/joint/{name}"));
        let others = ["receiver0/joint.steps", "receiver0/local/block1.w1"].map(String::from);
        let state = names.into_iter().chain(others).map(|name| (name, tensor.clone())).collect();
        let exported = Exported::new("receiver0/joint", &state).unwrap();
        assert_eq!(exported.tensors.keys().collect::<Vec<_>>(), ["block1.w1"]);
        assert!(exported.tensor("block1.b1").is_err() && Exported::new("receiver1/joint", &state).is_err());
    }
}
