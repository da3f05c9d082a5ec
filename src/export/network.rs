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

    /// The number of blocks of a `residual-mlp`.
    ///
    /// # Errors
    /// For a network of another kind.
    pub(super) fn residual_blocks(&self) -> anyhow::Result<usize> {
        let blocks = (1..).take_while(|n| self.tensors.contains_key(&format!("block{n}.w1"))).count();
        let is_known = |name: &String| {
            let parts = (1..=blocks).flat_map(|n| {
                let block = ["w1", "b1", "w2", "b2", "shortcut"].map(|part| format!("block{n}.{part}"));
                block.into_iter().chain([format!("norm{n}.affine")])
            });
            ["linear.w", "linear.b"].contains(&name.as_str()) || parts.into_iter().any(|part| part == *name)
        };
        if blocks == 0 || !self.tensors.keys().all(is_known) {
            bail!("{}: its kind of network cannot be exported; a residual-mlp can", self.name);
        }
        Ok(blocks)
    }

    /// Values of an input row.
    pub(super) fn inputs(&self) -> anyhow::Result<usize> {
        self.residual_blocks()?;
        Ok(self.tensor("block1.w1")?.dim(0)?)
    }

    /// Values of an output row.
    pub(super) fn outputs(&self) -> anyhow::Result<usize> {
        Ok(self.tensor("linear.b")?.dim(0)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn exported(names: &[&str]) -> Exported {
        let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let state = names.iter().map(|name| (format!("receiver0/joint/{name}"), tensor.clone())).collect();
        Exported::new("receiver0/joint", &state).unwrap()
    }

    #[test]
    fn a_network_of_another_kind_is_refused_by_its_name() {
        let known =
            ["block1.w1", "block1.b1", "block1.w2", "block1.b2", "norm1.affine", "linear.w", "linear.b"];
        assert_eq!(exported(&known).residual_blocks().unwrap(), 1);
        let line = "receiver0/joint: its kind of network cannot be exported; a residual-mlp can";
        for other in [&["conv1.kernel", "linear.w", "linear.b"][..], &[&known[..], &["gate"]].concat()] {
            assert_eq!(exported(other).residual_blocks().unwrap_err().to_string(), line);
        }
        // Moments and step counts belong to the optimizer.
        assert_eq!(exported(&["block1.w1", "block1.w1.m", "joint.steps"]).tensors.len(), 1);
    }
}
