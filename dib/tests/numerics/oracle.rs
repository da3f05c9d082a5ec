//! An independent base network on candle's tape.

use std::collections::HashMap;

use candle_core::{Tensor, Var};
use candle_nn::ops::layer_norm_slow;
use pom2dib_dib::{Network, Parameter};

/// The parameters of a network as variables, by name.
pub(crate) struct Oracle {
    variables: HashMap<String, Var>,
}

impl Oracle {
    pub(crate) fn of(network: &Network) -> Self {
        let variable =
            |parameter: &Parameter| Var::from_tensor(&parameter.value.force_contiguous().unwrap()).unwrap();
        let variables = network.parameters().map(|parameter| (parameter.name.clone(), variable(parameter)));
        Oracle { variables: variables.collect() }
    }

    pub(crate) fn variable(&self, name: &str) -> &Var {
        &self.variables[name]
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm("norm1", &self.block("block1", x));
        let x = self.norm("norm2", &self.block("block2", &x));
        x.matmul(self.get("linear.w")).unwrap().broadcast_add(self.get("linear.b")).unwrap()
    }

    fn block(&self, name: &str, x: &Tensor) -> Tensor {
        let part = |part: &str| self.get(&format!("{name}.{part}"));
        let hidden = x.matmul(part("w1")).unwrap().broadcast_add(part("b1")).unwrap().relu().unwrap();
        let sum = hidden.matmul(part("w2")).unwrap().broadcast_add(part("b2")).unwrap();
        (sum + x.matmul(part("shortcut")).unwrap()).unwrap().relu().unwrap()
    }

    fn norm(&self, name: &str, x: &Tensor) -> Tensor {
        let affine = self.get(&format!("{name}.affine"));
        layer_norm_slow(x, &affine.get(0).unwrap(), &affine.get(1).unwrap(), 1e-5).unwrap()
    }

    fn get(&self, name: &str) -> &Var {
        self.variable(&format!("net/{name}"))
    }
}
