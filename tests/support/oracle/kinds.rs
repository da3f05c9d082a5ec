//! Networks over points, time steps and images, from the formulas, in f64: rows are [samples, places, channels].

use candle_core::{D, Result, Tensor};

use super::network::{Variables, Window, layer_norm, linear, relu};

/// The same linear layers for every point, and the maximum over the points.
pub(super) fn points(variables: &Variables, name: &str, layers: usize, x: &Tensor) -> Result<Tensor> {
    let each = (1..=layers)
        .try_fold(x.clone(), |x, number| relu(&linear(variables, &format!("{name}/point{number}"), &x)?))?;
    linear(variables, &format!("{name}/output"), &each.max(1)?)
}

/// h = (1 - z) n + z h, step by step.
pub(super) fn gru(variables: &Variables, name: &str, hidden: usize, x: &Tensor) -> Result<Tensor> {
    let (samples, steps, _) = x.dims3()?;
    let mut h = Tensor::zeros((samples, hidden), x.dtype(), x.device())?;
    for step in 0..steps {
        let of_input =
            linear(variables, &format!("{name}/layer1.input"), &x.narrow(1, step, 1)?.squeeze(1)?)?;
        let of_state = linear(variables, &format!("{name}/layer1.state"), &h)?;
        let gate = |from: &Tensor, number: usize| from.narrow(1, number * hidden, hidden);
        let r = sigmoid(&(gate(&of_input, 0)? + gate(&of_state, 0)?)?)?;
        let z = sigmoid(&(gate(&of_input, 1)? + gate(&of_state, 1)?)?)?;
        let n = (gate(&of_input, 2)? + (r * gate(&of_state, 2)?)?)?.tanh()?;
        h = (&n + (z * (h - &n)?)?)?;
    }
    linear(variables, &format!("{name}/output"), &h)
}

/// c = f c + i g, h = o tanh(c), step by step.
pub(super) fn lstm(variables: &Variables, name: &str, hidden: usize, x: &Tensor) -> Result<Tensor> {
    let (samples, steps, _) = x.dims3()?;
    let mut h = Tensor::zeros((samples, hidden), x.dtype(), x.device())?;
    let mut c = h.clone();
    for step in 0..steps {
        let now = x.narrow(1, step, 1)?.squeeze(1)?;
        let of_input = linear(variables, &format!("{name}/layer1.input"), &now)?;
        let all = (of_input + linear(variables, &format!("{name}/layer1.state"), &h)?)?;
        let gate = |number: usize| all.narrow(1, number * hidden, hidden);
        let (i, f, o) = (sigmoid(&gate(0)?)?, sigmoid(&gate(1)?)?, sigmoid(&gate(3)?)?);
        c = ((f * c)? + (i * gate(2)?.tanh()?)?)?;
        h = (o * c.tanh()?)?;
    }
    linear(variables, &format!("{name}/output"), &h)
}

/// What each tap of a window sees of images [samples, channels, height, width], line by line: each as high and wide as
/// what comes out.
fn taps(Window { kernel, stride, padding }: &Window, x: &Tensor) -> Result<Vec<Tensor>> {
    let [down, across] = *padding;
    let x = x.pad_with_zeros(2, down, down)?.pad_with_zeros(3, across, across)?;
    let every = |axis: usize, first: usize| {
        let count = (x.dim(2 + axis)? - kernel[axis]) / stride[axis] + 1;
        let numbers = (0..count).map(|number| (first + number * stride[axis]) as u32);
        Tensor::from_iter(numbers, x.device())
    };
    let mut seen = Vec::new();
    for dy in 0..kernel[0] {
        for dx in 0..kernel[1] {
            seen.push(x.index_select(&every(0, dy)?, 2)?.index_select(&every(1, dx)?, 3)?);
        }
    }
    Ok(seen)
}

/// Weights are [groups, taps x channels of a group, outputs of a group].
pub(super) fn conv2d(
    variables: &Variables,
    name: &str,
    window: &Window,
    groups: usize,
    x: &Tensor,
) -> Result<Tensor> {
    let (weight, bias) = (&variables[&format!("{name}.w")], &variables[&format!("{name}.b")]);
    let channels = x.dim(1)? / groups;
    let seen = taps(window, x)?;
    let of_group = |group: usize| {
        let mut sum: Option<Tensor> = None;
        for (tap, seen) in seen.iter().enumerate() {
            let own = seen.narrow(1, group * channels, channels)?.permute((0, 2, 3, 1))?.contiguous()?;
            let (samples, height, width, _) = own.dims4()?;
            let weight = weight.get(group)?.narrow(0, tap * channels, channels)?;
            let product = own.reshape(((), channels))?.matmul(&weight)?;
            let product = product.reshape((samples, height, width, weight.dim(1)?))?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
        Ok(sum.expect("a window has taps"))
    };
    let groups = (0..groups).map(of_group).collect::<Result<Vec<Tensor>>>()?;
    Tensor::cat(&groups, 3)?.broadcast_add(bias)?.permute((0, 3, 1, 2))?.contiguous()
}

/// The largest that a window sees, channel by channel.
pub(super) fn max_pool(window: &Window, x: &Tensor) -> Result<Tensor> {
    Tensor::stack(&taps(window, x)?, 0)?.max(0)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

/// A transformer encoder with pre-normalisation, over patches of `patch` steps.
pub(super) fn attention(
    variables: &Variables,
    name: &str,
    (blocks, heads, steps): (usize, usize, usize),
    x: &Tensor,
) -> Result<Tensor> {
    let (samples, time, channels) = x.dims3()?;
    let part = |part: &str| format!("{name}/{part}");
    let patches = x.reshape((samples, time / steps, steps * channels))?;
    let mut x = linear(variables, &part("patch"), &patches)?.broadcast_add(&variables[&part("position")])?;
    for number in 1..=blocks {
        let part = |part: &str| format!("{name}/block{number}.{part}");
        let norm = |which: &str, x: &Tensor| layer_norm(&variables[&part(which)], x);
        let qkv = linear(variables, &part("qkv"), &norm("norm1.affine", &x)?)?;
        let said = linear(variables, &part("out"), &attend(&qkv, heads)?)?;
        x = (x + said)?;
        let wide = linear(variables, &part("up"), &norm("norm2.affine", &x)?)?.gelu_erf()?;
        x = (x + linear(variables, &part("down"), &wide)?)?;
    }
    let mean = layer_norm(&variables[&part("norm.affine")], &x)?.mean(1)?;
    linear(variables, &part("output"), &mean)
}

/// The output of each head at each position: the values of all positions, weighted by how well their keys match its
/// query.
fn attend(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let width = qkv.dim(2)? / 3;
    let size = width / heads;
    let of_head = |head: usize| {
        let of = |which: usize| qkv.narrow(2, which * width + head * size, size)?.contiguous();
        let (query, key, value) = (of(0)?, of(1)?, of(2)?);
        let scores = (query.matmul(&key.transpose(1, 2)?.contiguous()?)? / (size as f64).sqrt())?;
        let masses = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        masses.broadcast_div(&masses.sum_keepdim(D::Minus1)?)?.matmul(&value)
    };
    let said = (0..heads).map(of_head).collect::<Result<Vec<Tensor>>>()?;
    Tensor::cat(&said, 2)
}
