//! The networks that a scenario describes, by their formulas.

use std::collections::BTreeMap;

use candle_core::{D, Device, Result, Tensor, Var};
use randomness::{Purpose, Seed};
use scenario::{Described, Kind, Layer, Model};

use super::kinds;

/// The parameters of all networks.
pub(super) type Variables = BTreeMap<String, Var>;

/// What a network's masks are drawn from at a tick.
#[derive(Clone, Copy)]
pub(crate) struct Draws {
    pub(crate) seed: Seed,
    pub(crate) tick: u64,
}

impl Draws {
    /// What remains of the values of samples that are dropped with a probability, scaled so that their mean is theirs.
    /// Of images they are drawn place by place, with the channels of each side by side.
    fn remaining(self, network: &str, number: u64, rate: f64, x: &Tensor) -> Result<Tensor> {
        let samples = x.dim(0)?;
        let mut mask = Vec::new();
        for sample in 0..samples as u64 {
            let mut stream = self.seed.named_stream(Purpose::Module, network, &[number, sample], self.tick);
            let of_value = |_| if stream.uniform() < rate { 0.0 } else { (1.0 - rate).recip() };
            mask.extend((0..x.elem_count() / samples).map(of_value));
        }
        let mask = match *x.dims() {
            [samples, channels, height, width] => {
                let by_place = Tensor::from_vec(mask, (samples, height, width, channels), &Device::Cpu)?;
                by_place.permute((0, 3, 1, 2))?.contiguous()?
            }
            _ => Tensor::from_vec(mask, x.shape(), &Device::Cpu)?,
        };
        x * mask
    }
}

/// A network of whatever kind, of the rows of a tick's samples, [rows, values].
pub(crate) fn described(
    variables: &Variables,
    name: &str,
    Described { model, .. }: &Described,
    x: &Tensor,
    draws: Draws,
) -> Result<Tensor> {
    match &model.kind {
        Kind::ResidualMlp { .. } => forward(variables, name, x),
        Kind::Sequential { layers } => {
            let mut dropping = 0..;
            let y = layers.iter().enumerate().try_fold(as_seen(model, x)?, |x, (number, layer)| {
                let layer_name = format!("{name}/layer{}", number + 1);
                match layer {
                    Layer::Linear { .. } => linear(variables, &layer_name, &x),
                    &Layer::Conv2d { kernel, stride, padding, groups, .. } => {
                        let window = Window { kernel, stride, padding };
                        kinds::conv2d(variables, &layer_name, &window, groups, &x)
                    }
                    &Layer::MaxPool { kernel, stride } => {
                        kinds::max_pool(&Window { kernel, stride, padding: [0, 0] }, &x)
                    }
                    &Layer::Dropout { rate } => {
                        let number = dropping.next().expect("there are numbers enough");
                        draws.remaining(name, number, rate, &x)
                    }
                    Layer::Relu => relu(&x),
                    Layer::Gelu => x.gelu_erf(),
                    Layer::Flatten => x.flatten_from(1),
                    other => panic!("the oracle knows no {other:?}"),
                }
            })?;
            linear(variables, &format!("{name}/output"), &y)
        }
        Kind::Points { hidden } => kinds::points(variables, name, hidden.len(), &as_seen(model, x)?),
        Kind::Gru { hidden, layers: 1 } => kinds::gru(variables, name, *hidden, &as_seen(model, x)?),
        Kind::Lstm { hidden, layers: 1 } => kinds::lstm(variables, name, *hidden, &as_seen(model, x)?),
        Kind::Attention { blocks, heads, patch: [steps, 1], .. } => {
            kinds::attention(variables, name, (*blocks, *heads, *steps), &as_seen(model, x)?)
        }
        &Kind::Film { values } => {
            let part = |part: &str| &variables[&format!("{name}/film.{part}")];
            let (h, c) = (x.narrow(1, 0, values)?, x.narrow(1, values, x.dim(1)? - values)?.contiguous()?);
            let modulated = (&h + (&h * c.matmul(part("gain"))?)? + c.matmul(part("bias"))?)?;
            linear(variables, &format!("{name}/output"), &relu(&modulated)?)
        }
        Kind::Gru { .. } | Kind::Lstm { .. } | Kind::Attention { .. } => {
            panic!("the oracle knows one layer of a GRU or LSTM, and attention over time")
        }
        Kind::Own { .. } => panic!("the oracle knows no kinds of anybody's own"),
    }
}

/// The last linear layer of receiver t alone, of the values of a trunk and of its task input.
pub(super) fn own_layer(
    variables: &Variables,
    name: &str,
    t: usize,
    h: &Tensor,
    task_input: &Tensor,
) -> Result<Tensor> {
    let part = |part: &str| &variables[&format!("{name}/output.{part}")];
    let (all, values) = (part("w"), h.dim(1)?);
    let own = all.narrow(0, t * values, values)?;
    let others = all.dim(0)? - task_input.dim(1)?;
    let of_task = all.narrow(0, others, task_input.dim(1)?)?;
    (h.matmul(&own)? + task_input.contiguous()?.matmul(&of_task)?)?.broadcast_add(part("b"))
}

/// What of an image is seen at once.
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

/// Rows with the axes that a model gives them.
fn as_seen(model: &Model, x: &Tensor) -> Result<Tensor> {
    match &model.shape {
        Some(shape) => x.reshape([&[x.dim(0)?], shape.as_slice()].concat()),
        None => Ok(x.clone()),
    }
}

/// x W + b along the last axis.
pub(super) fn linear(variables: &Variables, name: &str, x: &Tensor) -> Result<Tensor> {
    let part = |part: &str| &variables[&format!("{name}.{part}")];
    let (w, b) = (part("w"), part("b"));
    let (mut axes, inputs) = (x.dims().to_vec(), x.dim(D::Minus1)?);
    let y = x.reshape(((), inputs))?.matmul(w)?.broadcast_add(b)?;
    *axes.last_mut().expect("there are rows") = y.dim(1)?;
    y.reshape(axes)
}

/// Residual blocks, each followed by layer normalisation, then a linear layer.
fn forward(variables: &Variables, name: &str, x: &Tensor) -> Result<Tensor> {
    let parameter = |part: &str| variables.get(&format!("{name}/{part}"));
    let weights = |part: &str| parameter(part).unwrap_or_else(|| panic!("{name} has no {part}"));
    let mut x = x.clone();
    for n in (1..).take_while(|n| parameter(&format!("block{n}.w1")).is_some()) {
        x = residual_block(&parameter, &format!("block{n}"), &x)?;
        x = layer_norm(weights(&format!("norm{n}.affine")), &x)?;
    }
    x.matmul(weights("linear.w"))?.broadcast_add(weights("linear.b"))
}

/// relu(W2 relu(W1 x + b1) + b2 + Ws x), where Ws is a map only if the sizes differ.
fn residual_block<'a>(
    parameter: &impl Fn(&str) -> Option<&'a Var>,
    block: &str,
    x: &Tensor,
) -> Result<Tensor> {
    let part = |part: &str| parameter(&format!("{block}.{part}"));
    let linear = |x: &Tensor, w: &str, b: &str| {
        let (w, b) = (part(w).expect("a weight"), part(b).expect("a bias"));
        x.matmul(w)?.broadcast_add(b)
    };
    let hidden = relu(&linear(x, "w1", "b1")?)?;
    let shortcut = match part("shortcut") {
        Some(shortcut) => x.matmul(shortcut)?,
        None => x.clone(),
    };
    relu(&(linear(&hidden, "w2", "b2")? + shortcut)?)
}

/// With derivative 0 at 0, where candle's own has 1: the units of a decoder with zero input are exactly there.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x * x.detach().gt(0.0)?.to_dtype(x.dtype())?
}

/// `affine` [2, n]: gain and bias.
pub(super) fn layer_norm(affine: &Var, x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
    centred.broadcast_div(&deviation)?.broadcast_mul(&affine.get(0)?)?.broadcast_add(&affine.get(1)?)
}
