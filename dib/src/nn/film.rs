//! Feature-wise modulation (Perez et al., FiLM, 2018): one part of a row chooses gains and biases for the other part.

use std::any::Any;

use candle_core::Tensor;
use kernels::activation::{relu, relu_backward};
use kernels::product::{Transpose, product};
use randomness::Stream;

use super::builder::{Builder, Summary};
use super::gradient::add_weight_gradient;
use super::kinds::Built;
use super::misfit::Misfit;
use super::module::{Kept, Product, kept};
use super::parameter::{Layout, Parameter, draw_xavier};
use super::shape::Shape;
use super::stage::{Pass, Stage, Way};
use crate::Result;

const KIND: &str = "film";

/// Modulation and ReLU of the first `values` values of a row by all others, then the linear layer `output`.
pub(super) fn build(values: usize, axes: &[usize], outputs: usize) -> std::result::Result<Built, Misfit> {
    let mut builder = Builder::new(KIND, axes)?;
    let Shape::Flat(inputs) = builder.shape else {
        return Err(Misfit::of(KIND, axes, "wants one width"));
    };
    let Some(conditions) = inputs.checked_sub(values).filter(|&conditions| conditions > 0 && values > 0)
    else {
        let wants = format!("wants more than the {values} values that it modulates, and at least 1 of those");
        return Err(Misfit::of(KIND, axes, &wants));
    };
    let film = Film::new(&mut builder.layout, values, conditions);
    let summary = Summary {
        number: "film",
        kind: "modulation and relu",
        sizes: String::new(),
        kept: inputs + 2 * values,
    };
    builder.push(film, summary, Shape::Flat(values))?;
    builder.finish(outputs)
}

/// y = relu(h (1 + c G) + c B) of rows (h, c), value by value. Its parameters are `film.gain`, G, and `film.bias`, B,
/// both [conditions, values].
struct Film {
    values: usize,
    conditions: usize,
    gain: usize,
    bias: usize,
}

/// Intermediate values for the backward pass.
struct Activations {
    /// h, [rows, values].
    h: Tensor,
    /// c, [rows, conditions].
    c: Tensor,
    /// 1 + c G, [rows, values].
    gain: Tensor,
    /// [rows, values].
    output: Tensor,
}

impl Film {
    fn new(layout: &mut Layout, values: usize, conditions: usize) -> Self {
        let gain = layout.add("film.gain".to_owned(), &[conditions, values]);
        let bias = layout.add("film.bias".to_owned(), &[conditions, values]);
        Film { values, conditions, gain, bias }
    }
}

impl Stage for Film {
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        draw_xavier(&parameters[self.gain].value, stream)?;
        draw_xavier(&parameters[self.bias].value, stream)
    }

    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let value = |index: usize| &pass.parameters[index].value;
        let h = x.narrow(1, 0, self.values)?.force_contiguous()?;
        let c = x.narrow(1, self.values, self.conditions)?.force_contiguous()?;
        let gain = (product(&c, value(self.gain), Transpose::Neither)? + 1.0)?;
        let bias = product(&c, value(self.bias), Transpose::Neither)?;
        let output = relu(&((&h * &gain)? + bias)?)?;
        Ok((output.clone(), Box::new(Activations { h, c, gain, output })))
    }

    fn backward(
        &self,
        way: Way<'_>,
        activations: &(dyn Any + Send),
        upstream: Tensor,
    ) -> Result<Option<Tensor>> {
        let Activations { h, c, gain, output } = kept(activations)?;
        // From here on, `upstream` is the gradient before the ReLU, and so that of the bias.
        relu_backward(&upstream, output)?;
        let at_gain = (&upstream * h)?;
        let parameter = |index: usize| &way.parameters[index];
        add_weight_gradient(&parameter(self.gain).gradient, c, &at_gain, way.blocks)?;
        add_weight_gradient(&parameter(self.bias).gradient, c, &upstream, way.blocks)?;
        if !way.to_input {
            return Ok(None);
        }
        let at_h = (&upstream * gain)?;
        let at_c = (product(&at_gain, &parameter(self.gain).value, Transpose::Right)?
            + product(&upstream, &parameter(self.bias).value, Transpose::Right)?)?;
        Ok(Some(Tensor::cat(&[at_h, at_c], 1)?))
    }

    fn learns(&self) -> bool {
        true
    }

    fn products(&self) -> Vec<Product> {
        vec![Product { rows: 1, inner: self.conditions, columns: 2 * self.values, of_input: true }]
    }
}
