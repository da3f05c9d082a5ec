use anyhow::{Context, bail};
use candle_core::Tensor;
use dib::EncoderKind;
use prost::Message;

use super::{
    kinds::Seen,
    network::Exported,
    onnx::{Attribute, FLOAT, GraphMessage, INT64, Model, Node, Port, Values},
};

/// An ONNX graph under construction.
pub(super) struct Graph {
    message: GraphMessage,
    /// Number of values with generated names.
    unnamed: usize,
    /// What the names of parameters begin with.
    prefix: &'static str,
}

impl Graph {
    fn new(name: &str) -> Self {
        Graph {
            message: GraphMessage { name: name.into(), ..GraphMessage::default() },
            unnamed: 0,
            prefix: "",
        }
    }

    /// The graph of an encoder, from `x` [rows, width], the receiver's `embedding` and, where it draws, `noise` [rows,
    /// d], to `z` [rows, d] and what that was drawn from, `mu` and `std`. What a trunk makes of `x` goes on to the
    /// head. The `embedding` has d values; where the head has a place for each receiver, a one-hot vector of the
    /// receivers comes first.
    pub(super) fn of_encoder(
        trunk: Option<Seen<'_>>,
        head: Seen<'_>,
        (places, d): (usize, usize),
        kind: EncoderKind,
    ) -> anyhow::Result<Vec<u8>> {
        let mut graph = Graph::new(&head.network.name);
        let width = trunk.as_ref().map_or(head.inputs() - d, Seen::inputs);
        let mut x = graph.rows_in("x", width);
        if let Some(trunk) = trunk {
            graph.prefix = "trunk.";
            x = graph.network(&trunk, &x)?;
            graph.prefix = "";
        }
        let joined = match places {
            1 => graph.with_embedding(&x, d)?,
            _ => graph.in_place(&x, (head.inputs() - d) / places, (places, d))?,
        };
        let output = graph.network(&head, &joined)?;
        match kind {
            EncoderKind::Gaussian => graph.draw(&output, d),
            EncoderKind::Deterministic | EncoderKind::Outputs { .. } => {
                graph.operation_to("z", "Identity", &[&output], Vec::new());
            }
            EncoderKind::Quantised { bits } => {
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

    /// The graph of a decoder, from `z` [rows, inputs] to `output` [rows, outputs]; a local decoder's also from the
    /// entry's `embedding` [d].
    pub(super) fn of_decoder(
        decoder: Seen<'_>,
        embedding: Option<usize>,
        outputs: usize,
    ) -> anyhow::Result<Vec<u8>> {
        let mut graph = Graph::new(&decoder.network.name);
        let z = graph.rows_in("z", decoder.inputs() - embedding.unwrap_or(0));
        let input = match embedding {
            Some(d) => graph.with_embedding(&z, d)?,
            None => z,
        };
        let output = graph.network(&decoder, &input)?;
        graph.operation_to("output", "Identity", &[&output], Vec::new());
        graph.rows_out("output", outputs);
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

    /// Residual blocks, each with a layer normalisation behind it, then a linear layer: see `dib::nn::ResidualMlp`.
    pub(super) fn residual_mlp(
        &mut self,
        network: &Exported,
        blocks: usize,
        input: &str,
    ) -> anyhow::Result<String> {
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
            x = self.layer_norm(network, &rectified, &format!("norm{n}.affine"))?;
        }
        self.linear(network, &x, "linear.w", "linear.b")
    }

    pub(super) fn linear(&mut self, network: &Exported, x: &str, w: &str, b: &str) -> anyhow::Result<String> {
        let (w, b) = (self.parameter(network, w)?, self.parameter(network, b)?);
        let product = self.operation("MatMul", &[x, &w]);
        Ok(self.operation("Add", &[&product, &b]))
    }

    /// Appends the input `embedding` [d] to each row.
    fn with_embedding(&mut self, rows: &str, d: usize) -> anyhow::Result<String> {
        let repeated = self.embedding_of(rows, d)?;
        let joined = self.fresh();
        self.push("Concat", &[rows, &repeated], &[&joined], vec![Attribute::integer("axis", 1)]);
        Ok(joined)
    }

    /// Puts rows of `width` values into the receiver's place among all receivers', zeros elsewhere, and appends its
    /// embedding.
    fn in_place(&mut self, rows: &str, width: usize, (places, d): (usize, usize)) -> anyhow::Result<String> {
        let repeated = self.embedding_of(rows, places + d)?;
        let sizes = self.numbers(&[places as i64, d as i64]);
        let (one_hot, embedding, joined) = (self.fresh(), self.fresh(), self.fresh());
        self.push(
            "Split",
            &[&repeated, &sizes],
            &[&one_hot, &embedding],
            vec![Attribute::integer("axis", 1)],
        );
        let columns = self.with_axes(&one_hot, &[places, 1]);
        let values = self.with_axes(rows, &[1, width]);
        let placed = self.operation("Mul", &[&columns, &values]);
        let placed = self.with_axes(&placed, &[places * width]);
        self.push("Concat", &[&placed, &embedding], &[&joined], vec![Attribute::integer("axis", 1)]);
        Ok(joined)
    }

    /// The input `embedding` [d], once for each row.
    fn embedding_of(&mut self, rows: &str, d: usize) -> anyhow::Result<String> {
        self.message.input.push(Port::floats("embedding", false, d));
        let count = self.fresh();
        // The first number of the shape.
        self.push("Shape", &[rows], &[&count], vec![Attribute::integer("end", 1)]);
        let width = self.integers("embedding_width", &[i64::try_from(d).context("the feature_dim")?]);
        let shape = self.fresh();
        self.push("Concat", &[&count, &width], &[&shape], vec![Attribute::integer("axis", 0)]);
        Ok(self.operation("Expand", &["embedding", &shape]))
    }

    fn rows_in(&mut self, name: &str, width: usize) -> String {
        self.message.input.push(Port::floats(name, true, width));
        name.into()
    }

    fn rows_out(&mut self, name: &str, width: usize) {
        self.message.output.push(Port::floats(name, true, width));
    }

    pub(super) fn parameter(&mut self, network: &Exported, name: &str) -> anyhow::Result<String> {
        self.tensor(name, network.tensor(name)?)
    }

    pub(super) fn tensor(&mut self, name: &str, tensor: &Tensor) -> anyhow::Result<String> {
        let name = format!("{}{name}", self.prefix);
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if values.iter().any(|value| !value.is_finite()) {
            bail!("\"{name}\" holds a number that is not finite");
        }
        let dims = tensor.dims().iter().map(|&size| size as i64).collect();
        self.initialise(&name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect());
        Ok(name)
    }

    /// A number.
    pub(super) fn number(&mut self, value: f32) -> String {
        let name = self.fresh();
        self.constant(&name, value)
    }

    /// A list of whole numbers.
    pub(super) fn numbers(&mut self, values: &[i64]) -> String {
        let name = self.fresh();
        self.integers(&name, values)
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

    pub(super) fn operation(&mut self, kind: &str, inputs: &[&str]) -> String {
        self.operation_with(kind, inputs, Vec::new())
    }

    pub(super) fn operation_with(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let output = self.fresh();
        self.push(kind, inputs, &[&output], attributes);
        output
    }

    fn operation_to(&mut self, output: &str, kind: &str, inputs: &[&str], attributes: Vec<Attribute>) {
        self.push(kind, inputs, &[output], attributes);
    }

    pub(super) fn push(&mut self, kind: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let name = format!("{kind}{}", self.message.node.len());
        let node =
            Node { input: owned(inputs), output: owned(outputs), name, op_type: kind.into(), attribute };
        self.message.node.push(node);
    }

    pub(super) fn fresh(&mut self) -> String {
        self.unnamed += 1;
        format!("v{}", self.unnamed)
    }
}
