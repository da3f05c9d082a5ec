//! Networks of every built-in kind as ONNX: see `dib::nn::Architecture`.

use anyhow::{Context, bail};
use candle_core::Tensor;
use dib::nn::LayerSummary;
use scenario::{Described, Kind};

use super::{graph::Graph, layers::Layers, network::Exported, onnx::Attribute};

/// A network of a run, as far as its graph needs to know it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) network: &'a Exported,
    pub(super) described: &'a Described,
    /// The axes of a row.
    pub(super) given: &'a [usize],
    /// Those that it sees: in its order, and with its shape.
    pub(super) axes: &'a [usize],
    pub(super) layers: &'a [LayerSummary],
}

impl Seen<'_> {
    /// Values of a row that goes in.
    pub(super) fn inputs(&self) -> usize {
        self.given.iter().product()
    }
}

impl Graph {
    /// What a network makes of rows, [rows, width], as the name of [rows, outputs].
    pub(super) fn network(&mut self, seen: &Seen<'_>, x: &str) -> anyhow::Result<String> {
        let Seen { network, described, given, axes, layers } = *seen;
        let ordered = described.model.order.as_ref().map(|order| {
            let shaped = self.with_axes(x, given);
            let order: Vec<i64> = [0].into_iter().chain(order.iter().map(|&axis| axis as i64 + 1)).collect();
            self.transpose(&shaped, &order)
        });
        let x = ordered.as_deref().unwrap_or(x);
        let last = match &described.model.kind {
            Kind::ResidualMlp { hidden } => return self.residual_mlp(network, hidden.len(), x),
            Kind::Sequential { layers: list } => {
                let x = self.with_axes(x, axes);
                Layers { graph: self, network, summaries: layers }.list(list, "", axes, x)?
            }
            Kind::Points { hidden } => {
                let mut x = self.with_axes(x, axes);
                for number in 1..=hidden.len() {
                    x = self.linear(network, &x, &format!("point{number}.w"), &format!("point{number}.b"))?;
                    x = self.operation("Relu", &[&x]);
                }
                self.over_axis("ReduceMax", &x, &[1])
            }
            &Kind::Gru { hidden, layers } => self.recurrent(network, x, axes, (hidden, layers), &GRU)?,
            &Kind::Lstm { hidden, layers } => self.recurrent(network, x, axes, (hidden, layers), &LSTM)?,
            &Kind::Attention { blocks, heads, width, patch } => {
                let mut x = self.patches(network, x, axes, patch)?;
                for number in 1..=blocks {
                    x = self.encoder_block(network, &x, number, (heads, width))?;
                }
                let normal = self.layer_norm(network, &x, "norm.affine")?;
                self.over_axis("ReduceMean", &normal, &[1])
            }
            &Kind::Film { values } => self.film(network, x, axes, values)?,
            Kind::Own { name, .. } => {
                bail!("{}: the kind \"{name}\" has no description as an ONNX graph", network.name)
            }
        };
        self.linear(network, &last, "output.w", "output.b")
    }

    /// Values modulated by the conditions behind them: see `Film` of `dib::nn`.
    fn film(&mut self, network: &Exported, x: &str, axes: &[usize], values: usize) -> anyhow::Result<String> {
        let conditions = axes.iter().product::<usize>() - values;
        let sizes = self.numbers(&[values as i64, conditions as i64]);
        let (h, c) = (self.fresh(), self.fresh());
        self.push("Split", &[x, &sizes], &[&h, &c], vec![Attribute::integer("axis", 1)]);
        let (gain, bias) = (self.parameter(network, "film.gain")?, self.parameter(network, "film.bias")?);
        let gain = self.operation("MatMul", &[&c, &gain]);
        let one = self.number(1.0);
        let gain = self.operation("Add", &[&gain, &one]);
        let bias = self.operation("MatMul", &[&c, &bias]);
        let product = self.operation("Mul", &[&h, &gain]);
        let sum = self.operation("Add", &[&product, &bias]);
        Ok(self.operation("Relu", &[&sum]))
    }

    /// Rows with axes of their own behind the first.
    pub(super) fn with_axes(&mut self, x: &str, axes: &[usize]) -> String {
        let shape: Vec<i64> = [-1].into_iter().chain(axes.iter().map(|&axis| axis as i64)).collect();
        let shape = self.numbers(&shape);
        self.operation("Reshape", &[x, &shape])
    }

    /// A reduction that leaves no axis behind.
    pub(super) fn over_axis(&mut self, kind: &str, x: &str, axes: &[i64]) -> String {
        let axes = self.numbers(axes);
        self.operation_with(kind, &[x, &axes], vec![Attribute::integer("keepdims", 0)])
    }

    pub(super) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.operation_with("Transpose", &[x], vec![Attribute::integers("perm", order)])
    }

    /// Normalisation of the last axis.
    pub(super) fn layer_norm(&mut self, network: &Exported, x: &str, affine: &str) -> anyhow::Result<String> {
        let values = network.tensor(affine)?;
        let gain = self.tensor(&format!("{affine}.gain"), &values.get(0)?)?;
        let bias = self.tensor(&format!("{affine}.bias"), &values.get(1)?)?;
        let epsilon = Attribute::float("epsilon", kernels::layer_norm::EPSILON as f32);
        let attributes = vec![Attribute::integer("axis", -1), epsilon];
        Ok(self.operation_with("LayerNormalization", &[x, &gain, &bias], attributes))
    }

    /// The last state of the last layer.
    fn recurrent(
        &mut self,
        network: &Exported,
        x: &str,
        axes: &[usize],
        (hidden, layers): (usize, usize),
        cell: &Cell,
    ) -> anyhow::Result<String> {
        let x = self.with_axes(x, axes);
        let mut x = self.transpose(&x, &[1, 0, 2]);
        let mut last = x.clone();
        for number in 1..=layers {
            let name = format!("layer{number}");
            let gates = |what: &str| cell.gates(network.tensor(&format!("{name}.{what}"))?, hidden);
            let both = Tensor::cat(&[gates("input.b")?, gates("state.b")?], 0)?.unsqueeze(0)?;
            let matrix = |what: &str| anyhow::Ok(gates(what)?.t()?.contiguous()?.unsqueeze(0)?);
            let w = self.tensor(&format!("{name}.input"), &matrix("input.w")?)?;
            let r = self.tensor(&format!("{name}.state"), &matrix("state.w")?)?;
            let b = self.tensor(&format!("{name}.bias"), &both)?;
            let (all, final_state) = (self.fresh(), self.fresh());
            let mut attributes = vec![Attribute::integer("hidden_size", hidden as i64)];
            attributes.extend(cell.resets_behind.then(|| Attribute::integer("linear_before_reset", 1)));
            self.push(cell.name, &[&x, &w, &r, &b], &[&all, &final_state], attributes);
            // Of one direction.
            let direction = self.numbers(&[1]);
            x = self.operation("Squeeze", &[&all, &direction]);
            let direction = self.numbers(&[0]);
            last = self.operation("Squeeze", &[&final_state, &direction]);
        }
        Ok(last)
    }

    /// Patches mapped linearly, with their positions: [rows, patches, width].
    fn patches(
        &mut self,
        network: &Exported,
        x: &str,
        axes: &[usize],
        patch: [usize; 2],
    ) -> anyhow::Result<String> {
        let cut = match *axes {
            [channels, height, width] => {
                let [high, wide] = patch;
                let (down, across) = (height / high, width / wide);
                let x = self.with_axes(x, &[channels, down, high, across, wide]);
                let x = self.transpose(&x, &[0, 2, 4, 3, 5, 1]);
                self.with_axes(&x, &[down * across, high * wide * channels])
            }
            [steps, channels] => self.with_axes(x, &[steps / patch[0], patch[0] * channels]),
            _ => bail!("{}: rows of {} axes have no patches", network.name, axes.len()),
        };
        let mapped = self.linear(network, &cut, "patch.w", "patch.b")?;
        let position = self.parameter(network, "position")?;
        Ok(self.operation("Add", &[&mapped, &position]))
    }

    /// See `EncoderBlock` of `dib::nn`.
    fn encoder_block(
        &mut self,
        network: &Exported,
        x: &str,
        number: usize,
        (heads, width): (usize, usize),
    ) -> anyhow::Result<String> {
        let name = |what: &str| format!("block{number}.{what}");
        let places = network.tensor("position")?.dim(0)?;
        let normal = self.layer_norm(network, x, &name("norm1.affine"))?;
        let all = self.linear(network, &normal, &name("qkv.w"), &name("qkv.b"))?;
        let mut of_heads = Vec::new();
        for part in 0..3 {
            let bounds = [part * width, (part + 1) * width].map(|bound| self.numbers(&[bound as i64]));
            let axis = self.numbers(&[-1]);
            let own = self.operation("Slice", &[&all, &bounds[0], &bounds[1], &axis]);
            let own = self.with_axes(&own, &[places, heads, width / heads]);
            // Keys are turned for the product.
            let order = if part == 1 { [0, 2, 3, 1] } else { [0, 2, 1, 3] };
            of_heads.push(self.transpose(&own, &order));
        }
        let scores = self.operation("MatMul", &[&of_heads[0], &of_heads[1]]);
        let root = self.number(((width / heads) as f32).sqrt());
        let scaled = self.operation("Div", &[&scores, &root]);
        let shares = self.operation_with("Softmax", &[&scaled], vec![Attribute::integer("axis", -1)]);
        let said = self.operation("MatMul", &[&shares, &of_heads[2]]);
        let said = self.transpose(&said, &[0, 2, 1, 3]);
        let said = self.with_axes(&said, &[places, width]);
        let out = self.linear(network, &said, &name("out.w"), &name("out.b"))?;
        let y = self.operation("Add", &[&out, x]);
        let normal = self.layer_norm(network, &y, &name("norm2.affine"))?;
        let wide = self.linear(network, &normal, &name("up.w"), &name("up.b"))?;
        let bent = self.operation("Gelu", &[&wide]);
        let down = self.linear(network, &bent, &name("down.w"), &name("down.b"))?;
        Ok(self.operation("Add", &[&down, &y]))
    }
}

/// How ONNX has a recurrence.
struct Cell {
    name: &'static str,
    /// Our gates in its order.
    order: &'static [usize],
    /// Whether the gate r is applied to the state behind its linear map, as ours is.
    resets_behind: bool,
}

/// r, z, n here; z, r, n there.
const GRU: Cell = Cell { name: "GRU", order: &[1, 0, 2], resets_behind: true };
/// i, f, g, o here; i, o, f, g there.
const LSTM: Cell = Cell { name: "LSTM", order: &[0, 3, 1, 2], resets_behind: false };

impl Cell {
    /// A tensor whose last axis has the gates, in the other order.
    fn gates(&self, tensor: &Tensor, hidden: usize) -> anyhow::Result<Tensor> {
        let last = tensor.rank().checked_sub(1).context("gates have an axis")?;
        let gate = |&gate: &usize| tensor.narrow(last, gate * hidden, hidden);
        let gates = self.order.iter().map(gate).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&gates, last)?)
    }
}
