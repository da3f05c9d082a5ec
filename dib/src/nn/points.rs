//! Point clouds: the same small network for every point, and the maximum of its outputs over the points.

use std::any::Any;

use candle_core::Tensor;
use kernels::groups::{Summary as Of, summarise, summarise_gradient};

use super::builder::{Builder, Summary};
use super::kinds::Built;
use super::layers::dense::Dense;
use super::misfit::Misfit;
use super::module::{Kept, kept};
use super::shape::Shape;
use super::stage::{Pass, Stage, Way};
use crate::Result;

const KIND: &str = "points";

/// Linear layers with ReLU, `pointN`, for every point; then the maximum of each output over the points, and the linear
/// layer `output` (Qi et al., PointNet, 2017, without its transforms).
pub(super) fn build(hidden: &[usize], axes: &[usize], outputs: usize) -> std::result::Result<Built, Misfit> {
    let mut builder = Builder::new(KIND, axes)?;
    let Shape::Line { steps: points, channels } = builder.shape else {
        return Err(Misfit::of(KIND, axes, "wants points x channels"));
    };
    if hidden.is_empty() || hidden.contains(&0) {
        return Err(Misfit::of(KIND, &[], "wants at least one size in hidden, and no size of 0"));
    }
    let mut inputs = channels;
    for (number, &width) in (1..).zip(hidden) {
        let name = format!("point{number}");
        let dense = Dense::new(&mut builder.layout, &name, points, inputs, width, true);
        let summary =
            Summary { number: &name, kind: "linear and relu", sizes: String::new(), kept: points * inputs };
        builder.push(dense, summary, builder.shape.with_channels(width))?;
        inputs = width;
    }
    let summary =
        Summary { number: "max", kind: "max over points", sizes: String::new(), kept: points * inputs };
    builder.push(Largest { points }, summary, Shape::Flat(inputs))?;
    builder.finish(outputs)
}

/// The maximum of each channel over the points. Of several equal maxima only the first gets the gradient.
struct Largest {
    points: usize,
}

impl Stage for Largest {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let (samples, size) = x.dims2()?;
        let points = x.reshape((samples * self.points, size / self.points))?;
        let largest = summarise(&points, self.points, Of::Largest)?;
        Ok((largest, Box::new(points)))
    }

    fn backward(&self, way: Way<'_>, points: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        if !way.to_input {
            return Ok(None);
        }
        let points: &Tensor = kept(points)?;
        let gradient = summarise_gradient(points, &upstream, self.points, Of::Largest)?;
        let (samples, channels) = upstream.dims2()?;
        Ok(Some(gradient.reshape((samples, self.points * channels))?))
    }
}
