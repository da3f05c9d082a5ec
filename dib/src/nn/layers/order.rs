//! The memory order of an image: channel by channel at input and output, position by position between layers.

use std::any::Any;

use candle_core::Tensor;
use kernels::transpose::transpose_each;

use crate::Result;
use crate::nn::module::Kept;
use crate::nn::shape::Shape;
use crate::nn::stage::{Pass, Stage, Way};

/// Transposes rows x columns of a sample to columns x rows.
pub(crate) struct Turn {
    rows: usize,
    columns: usize,
}

impl Turn {
    /// From channel by channel to position by position; none if that is the same.
    pub(crate) fn to_places(shape: Shape) -> Option<Self> {
        let turn = Turn { rows: shape.channels(), columns: shape.places() };
        turn.is_needed(shape).then_some(turn)
    }

    /// From position by position to channel by channel; none if that is the same.
    pub(crate) fn to_channels(shape: Shape) -> Option<Self> {
        let turn = Turn { rows: shape.places(), columns: shape.channels() };
        turn.is_needed(shape).then_some(turn)
    }

    /// Only images are stored channels first.
    fn is_needed(&self, shape: Shape) -> bool {
        matches!(shape, Shape::Plane { .. }) && self.rows > 1 && self.columns > 1
    }
}

impl Stage for Turn {
    fn forward(&self, _: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        Ok((turned(&x, self.rows, self.columns)?, Box::new(())))
    }

    fn backward(&self, way: Way<'_>, _: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        way.to_input.then(|| turned(&upstream, self.columns, self.rows)).transpose()
    }
}

/// Every sample, rows x columns, transposed.
fn turned(x: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let samples = x.dim(0)?;
    let turned = transpose_each(&x.reshape((samples, rows, columns))?)?;
    Ok(turned.reshape((samples, rows * columns))?)
}
