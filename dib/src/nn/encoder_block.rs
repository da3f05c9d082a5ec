//! A block of a transformer encoder.

use std::any::Any;

use candle_core::Tensor;
use kernels::activation::{gelu, gelu_backward};
use kernels::attention::{attend, attend_gradient};
use kernels::elementwise::{add, assign};
use kernels::layer_norm::{accumulate_affine_gradient, backward_alone, layer_norm};
use randomness::Stream;

use super::gradient::Blocks;
use super::layer::Linear;
use super::module::{Kept, Product, kept};
use super::parameter::{Layout, Parameter, draw_xavier};
use super::stage::{Pass, Stage, Way};
use crate::Result;

/// The width of a block's network relative to a position's vector.
const EXPANSION: usize = 4;

/// y = x + out(attention(norm1(x))), then y + down(gelu(up(norm2(y)))), at every position except for the attention:
/// queries, keys and values of all heads are one linear map, `NAME.qkv`, side by side. Weights are Xavier-uniform,
/// biases zero, gains one.
pub(super) struct EncoderBlock {
    places: usize,
    heads: usize,
    width: usize,
    /// Gain and bias, the rows of one tensor.
    norm1: usize,
    qkv: Linear,
    out: Linear,
    norm2: usize,
    up: Linear,
    down: Linear,
}

/// Intermediate values for the backward pass, each [samples * places, ...].
struct Activations {
    x: Tensor,
    /// norm1(x).
    first: Tensor,
    /// Queries, keys and values.
    qkv: Tensor,
    /// The output of the heads.
    said: Tensor,
    y: Tensor,
    /// norm2(y).
    second: Tensor,
    /// Before and after the GELU.
    wide: Tensor,
    bent: Tensor,
}

impl EncoderBlock {
    /// Vectors of its width that are stored for a position.
    pub(super) const KEPT: usize = 8 + 2 * EXPANSION;

    /// Adds its parameters to the layout.
    pub(super) fn new(layout: &mut Layout, name: &str, places: usize, heads: usize, width: usize) -> Self {
        let norm1 = layout.add(format!("{name}.norm1.affine"), &[2, width]);
        let qkv = Linear::new(layout, &format!("{name}.qkv"), width, 3 * width);
        let out = Linear::new(layout, &format!("{name}.out"), width, width);
        let norm2 = layout.add(format!("{name}.norm2.affine"), &[2, width]);
        let up = Linear::new(layout, &format!("{name}.up"), width, EXPANSION * width);
        let down = Linear::new(layout, &format!("{name}.down"), EXPANSION * width, width);
        EncoderBlock { places, heads, width, norm1, qkv, out, norm2, up, down }
    }

    /// Backward pass of the network half: its gradient with respect to y, given that with respect to the block's
    /// output.
    fn backward_through_network(
        &self,
        parameters: &[Parameter],
        kept: &Activations,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<Tensor> {
        let Activations { y, second, wide, bent, .. } = kept;
        let at_wide = self.down.backward(parameters, bent, upstream, blocks)?;
        gelu_backward(&at_wide, wide)?;
        let gradient = self.up.backward(parameters, second, &at_wide, blocks)?;
        normalisation_backward(&parameters[self.norm2], y, &gradient, blocks)?;
        add(&gradient, upstream)?;
        Ok(gradient)
    }

    /// Backward pass of the attention half: its gradient with respect to x, given that with respect to y.
    fn backward_through_attention(
        &self,
        parameters: &[Parameter],
        kept: &Activations,
        upstream: &Tensor,
        blocks: Blocks<'_>,
    ) -> Result<Tensor> {
        let Activations { x, first, qkv, said, .. } = kept;
        let at_said = self.out.backward(parameters, said, upstream, blocks)?;
        let at_qkv = attend_gradient(qkv, &at_said, self.places, self.heads)?;
        let gradient = self.qkv.backward(parameters, first, &at_qkv, blocks)?;
        normalisation_backward(&parameters[self.norm1], x, &gradient, blocks)?;
        add(&gradient, upstream)?;
        Ok(gradient)
    }
}

impl Stage for EncoderBlock {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        for linear in [self.qkv, self.out, self.up, self.down] {
            draw_xavier(&parameters[linear.weight()].value, stream)?;
        }
        for norm in [self.norm1, self.norm2] {
            let gain = parameters[norm].value.get(0)?;
            assign(&gain, &gain.ones_like()?)?;
        }
        Ok(())
    }

    fn forward(&self, Pass { parameters, .. }: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let shape = x.shape().clone();
        let x = x.reshape((x.dim(0)? * self.places, self.width))?;
        let first = layer_norm(&x, &parameters[self.norm1].value)?;
        let qkv = self.qkv.forward(parameters, &first)?;
        let said = attend(&qkv, self.places, self.heads)?;
        let y = self.out.forward(parameters, &said)?;
        add(&y, &x)?;
        let second = layer_norm(&y, &parameters[self.norm2].value)?;
        let wide = self.up.forward(parameters, &second)?;
        let bent = gelu(&wide)?;
        let output = self.down.forward(parameters, &bent)?;
        add(&output, &y)?;
        let activations = Activations { x, first, qkv, said, y, second, wide, bent };
        Ok((output.reshape(shape)?, Box::new(activations)))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let kept: &Activations = kept(activations)?;
        let shape = upstream.shape().clone();
        let upstream = upstream.reshape((upstream.dim(0)? * self.places, self.width))?;
        let rows: Vec<usize> = way.blocks.rows.iter().map(|rows| rows * self.places).collect();
        let blocks = Blocks { rows: &rows, ..way.blocks };
        let at_y = self.backward_through_network(way.parameters, kept, &upstream, blocks)?;
        let at_x = self.backward_through_attention(way.parameters, kept, &at_y, blocks)?;
        Ok(Some(at_x.reshape(shape)?))
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        let of = |rows, inner, columns| Product { rows, inner, columns, of_input: false };
        let (places, width) = (self.places, self.width);
        // Scores and weighted values, all heads together.
        let attention = [of(places, width, places), of(places, places, width)];
        let maps = [
            Product { of_input: true, ..of(places, width, 3 * width) },
            of(places, width, width),
            of(places, width, EXPANSION * width),
            of(places, EXPANSION * width, width),
        ];
        maps.into_iter().chain(attention).collect()
    }
}

/// Adds the gradient of gain and bias, block by block, and replaces the gradient with respect to the normalised rows by
/// that with respect to `x`.
pub(super) fn normalisation_backward(
    affine: &Parameter,
    x: &Tensor,
    gradient: &Tensor,
    blocks: Blocks<'_>,
) -> Result<()> {
    blocks.clear_first(&affine.gradient)?;
    blocks.each(|_, start, rows| {
        let (x, gradient) = (x.narrow(0, start, rows)?, gradient.narrow(0, start, rows)?);
        Ok(accumulate_affine_gradient(&affine.gradient, &x, &gradient)?)
    })?;
    Ok(backward_alone(gradient, x, &affine.value)?)
}
