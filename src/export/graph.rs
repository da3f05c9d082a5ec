use anyhow::{Context, bail};
use candle_core::Tensor;
use dib::Coding;
use prost::Message;

use super::{
    network::Exported,
    onnx::{Attribute, FLOAT, GraphMessage, INT64, Model, Node, Port, Values},
};

/// An ONNX graph under construction.
pub(super) struct Graph {
    message: GraphMessage,
    /// Number of values with generated names.
    unnamed: usize,
}

impl Graph {
    fn new(name: &str) -> Self {
        Graph { message: GraphMessage { name: name.into(), ..GraphMessage::default() }, unnamed: 0 }
    }

    /// The graph of an encoder, from `x` [rows, width], the receiver's `embedding` [d] and, for random features,
    /// `noise` [rows, d], to `z` [rows, d] and the parameters of its distribution, `mu` and `std`.
    pub(super) fn of_encoder(network: &Exported, d: usize, coding: Coding) -> anyhow::Result<Vec<u8>> {
        let mut graph = Graph::new(&network.name);
        let x = graph.rows_in("x", network.inputs()? - d);
        let joined = graph.with_embedding(&x, d)?;
        let output = graph.residual_mlp(network, &joined)?;
        match coding {
            Coding::Gaussian => graph.draw(&output, d),
            Coding::Deterministic => graph.operation_to("z", "Identity", &[&output], Vec::new()),
            Coding::Quantised { bits } => {
                let top = graph.constant("top", ((1_u64 << bits) - 1) as f32);
                let share = graph.operation("Sigmoid", &[&output]);
                let scaled = graph.operation("Mul", &[&share, &top]);
                let level = graph.operation("Round", &[&scaled]);
                graph.operation_to("z", "Div", &[&level, &top], Vec::new());
            }
        }
        graph.rows_out("z", d);
        Ok(graph.finish())
    }

    /// The graph of a decoder, from `z` [rows, inputs] to `output` [rows, outputs]; a local decoder also takes the
    /// entry's `embedding` [d].
    pub(super) fn of_decoder(network: &Exported, embedding: Option<usize>) -> anyhow::Result<Vec<u8>> {
        let mut graph = Graph::new(&network.name);
        let z = graph.rows_in("z", network.inputs()? - embedding.unwrap_or(0));
        let input = match embedding {
            Some(d) => graph.with_embedding(&z, d)?,
            None => z,
        };
        let output = graph.residual_mlp(network, &input)?;
        graph.operation_to("output", "Identity", &[&output], Vec::new());
        graph.rows_out("output", network.outputs()?);
        Ok(graph.finish())
    }

    fn finish(self) -> Vec<u8> {
        Model::new(self.message).encode_to_vec()
    }

    /// z = mu + std * noise, std = softplus(raw - 5).
    fn draw(&mut self, output: &str, d: usize) {
        let noise = self.rows_in("noise", d);
        let sizes = self.integers("sizes", &[d as i64, d as i64]);
        let raw = self.fresh();
        self.push("Split", &[output, &sizes], &["mu", &raw], vec![Attribute::integer("axis", 1)]);
        let shift = self.constant("shift", kernels::gaussian::SHIFT as f32);
        let shifted = self.operation("Sub", &[&raw, &shift]);
        self.operation_to("std", "Softplus", &[&shifted], Vec::new());
        let moved = self.operation("Mul", &["std", &noise]);
        self.operation_to("z", "Add", &["mu", &moved], Vec::new());
        self.rows_out("mu", d);
        self.rows_out("std", d);
    }

    /// Residual blocks, each followed by layer normalisation, then a linear layer: see `dib::nn::ResidualMlp`.
    fn residual_mlp(&mut self, network: &Exported, input: &str) -> anyhow::Result<String> {
        let blocks = network.residual_blocks()?;
        let mut x = input.to_owned();
        for n in 1..=blocks {
            let name = |part: &str| format!("block{n}.{part}");
            let inner = self.linear(network, &x, &name("w1"), &name("b1"))?;
            let inner = self.operation("Relu", &[&inner]);
            let second = self.linear(network, &inner, &name("w2"), &name("b2"))?;
            let beside = match network.tensors.contains_key(&name("shortcut")) {
                true => {
                    let shortcut = self.parameter(network, &name("shortcut"))?;
                    self.operation("MatMul", &[&x, &shortcut])
                }
                false => x,
            };
            let sum = self.operation("Add", &[&second, &beside]);
            let rectified = self.operation("Relu", &[&sum]);
            let affine = network.tensor(&format!("norm{n}.affine"))?;
            let gain = self.tensor(&format!("norm{n}.gain"), &affine.get(0)?)?;
            let bias = self.tensor(&format!("norm{n}.bias"), &affine.get(1)?)?;
            x = self.fresh();
            let epsilon = Attribute::float("epsilon", kernels::layer_norm::EPSILON as f32);
            let attributes = vec![Attribute::integer("axis", -1), epsilon];
            self.push("LayerNormalization", &[&rectified, &gain, &bias], &[&x], attributes);
        }
        self.linear(network, &x, "linear.w", "linear.b")
    }

    fn linear(&mut self, network: &Exported, x: &str, w: &str, b: &str) -> anyhow::Result<String> {
        let (w, b) = (self.parameter(network, w)?, self.parameter(network, b)?);
        let product = self.operation("MatMul", &[x, &w]);
        Ok(self.operation("Add", &[&product, &b]))
    }

    /// Appends the input `embedding` [d] to each row.
    fn with_embedding(&mut self, rows: &str, d: usize) -> anyhow::Result<String> {
        self.message.input.push(Port::floats("embedding", false, d));
        let count = self.fresh();
        // The first number of the shape.
        self.push("Shape", &[rows], &[&count], vec![Attribute::integer("end", 1)]);
        let width = self.integers("embedding_width", &[i64::try_from(d).context("the feature_dim")?]);
        let shape = self.fresh();
        self.push("Concat", &[&count, &width], &[&shape], vec![Attribute::integer("axis", 0)]);
        let repeated = self.operation("Expand", &["embedding", &shape]);
        let joined = self.fresh();
        self.push("Concat", &[rows, &repeated], &[&joined], vec![Attribute::integer("axis", 1)]);
        Ok(joined)
    }

    fn rows_in(&mut self, name: &str, width: usize) -> String {
        self.message.input.push(Port::floats(name, true, width));
        name.into()
    }

    fn rows_out(&mut self, name: &str, width: usize) {
        self.message.output.push(Port::floats(name, true, width));
    }

    fn parameter(&mut self, network: &Exported, name: &str) -> anyhow::Result<String> {
        self.tensor(name, network.tensor(name)?)
    }

    fn tensor(&mut self, name: &str, tensor: &Tensor) -> anyhow::Result<String> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if values.iter().any(|value| !value.is_finite()) {
            bail!("\"{name}\" holds a number that is not finite");
        }
        let dims = tensor.dims().iter().map(|&size| size as i64).collect();
        self.initialise(name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect());
        Ok(name.into())
    }

    fn constant(&mut self, name: &str, value: f32) -> String {
        self.initialise(name, Vec::new(), FLOAT, value.to_le_bytes().to_vec())
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initialise(name, vec![values.len() as i64], INT64, bytes)
    }

    fn initialise(&mut self, name: &str, dims: Vec<i64>, data_type: i32, raw_data: Vec<u8>) -> String {
        self.message.initializer.push(Values { dims, data_type, name: name.into(), raw_data });
        name.into()
    }

    fn operation(&mut self, kind: &str, inputs: &[&str]) -> String {
        let output = self.fresh();
        self.push(kind, inputs, &[&output], Vec::new());
        output
    }

    fn operation_to(&mut self, output: &str, kind: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        self.push(kind, inputs, &[output], attributes);
    }

    fn push(&mut self, kind: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let name = format!("{kind}{}", self.message.node.len());
        let node =
            Node { input: owned(inputs), output: owned(outputs), name, op_type: kind.into(), attribute };
        self.message.node.push(node);
    }

    fn fresh(&mut self) -> String {
        self.unnamed += 1;
        format!("v{}", self.unnamed)
    }
}
