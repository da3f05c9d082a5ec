//! The base network, from the formulas.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor, Var};

/// Residual block to 512, layer normalisation, residual block to 256, layer normalisation, linear.
pub(crate) fn forward(variables: &BTreeMap<String, Var>, name: &str, x: &Tensor) -> Result<Tensor> {
    let parameter = |part: &str| variables.get(&format!("{name}/{part}"));
    let weights = |part: &str| parameter(part).unwrap_or_else(|| panic!("{name} has no {part}"));
    let x = residual_block(&parameter, "block1", x)?;
    let x = layer_norm(weights("norm1.affine"), &x)?;
    let x = residual_block(&parameter, "block2", &x)?;
    let x = layer_norm(weights("norm2.affine"), &x)?;
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

/// With derivative 0 at 0, where candle's own has 1: the units of a decoder that is given zeros stand exactly there.
fn relu(x: &Tensor) -> Result<Tensor> {
    x * x.detach().gt(0.0)?.to_dtype(x.dtype())?
}

/// `affine` [2, n]: gain and bias.
fn layer_norm(affine: &Var, x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
    centred.broadcast_div(&deviation)?.broadcast_mul(&affine.get(0)?)?.broadcast_add(&affine.get(1)?)
}
