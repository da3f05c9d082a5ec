//! Dropout in training.

use std::any::Any;

use candle_core::Tensor;

use crate::Result;
use crate::common::Phase;
use crate::nn::module::{Draws, Kept, kept};
use crate::nn::stage::{Pass, Stage, Way};

/// Drops values with probability `rate`, and divides the rest by 1 - `rate`; in evaluation, does nothing. The mask of a
/// sample follows from (network, number, tick, sample).
pub(crate) struct Dropout {
    rate: f64,
    /// Its number among the network's layers that draw.
    number: u64,
}

impl Dropout {
    /// A layer with a probability below 1.
    pub(crate) fn new(rate: f64, number: u64) -> Self {
        Dropout { rate, number }
    }

    /// The factor of each value, drawn sample by sample.
    fn mask(&self, x: &Tensor, draws: Draws<'_>) -> Result<Tensor> {
        let (samples, size) = x.dims2()?;
        let kept = 1.0 / (1.0 - self.rate);
        let mut mask = Vec::with_capacity(samples * size);
        for sample in 0..samples {
            let mut stream = draws.stream(self.number, sample)?;
            mask.extend((0..size).map(|_| if stream.uniform() < self.rate { 0.0 } else { kept }));
        }
        let mask = Tensor::from_vec(mask, (samples, size), &candle_core::Device::Cpu)?;
        Ok(mask.to_dtype(x.dtype())?.to_device(x.device())?)
    }
}

impl Stage for Dropout {
    fn forward(&self, pass: Pass<'_>, x: Tensor) -> Result<(Tensor, Kept)> {
        let mask = match pass.phase {
            Phase::Train => Some(self.mask(&x, pass.draws)?),
            Phase::Evaluate => None,
        };
        let output = match &mask {
            Some(mask) => x.mul(mask)?,
            None => x,
        };
        Ok((output, Box::new(mask)))
    }

    fn backward(&self, way: Way<'_>, mask: &(dyn Any + Send), upstream: Tensor) -> Result<Option<Tensor>> {
        let mask: &Option<Tensor> = kept(mask)?;
        match mask {
            Some(mask) if way.to_input => Ok(Some(upstream.mul(mask)?)),
            _ => Ok(way.to_input.then_some(upstream)),
        }
    }
}
