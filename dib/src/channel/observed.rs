//! What arrives of features, for the rate (17) of what arrives.

use candle_core::{DType, Device, Tensor};
use kernels::{Numbers, with_numbers};

use super::{Channel, Crossing};
use crate::{Features, Posterior, Result};

/// What arrives of features over channels whose gains are known, and what pulls gradients back.
pub struct Observed {
    /// z', with the mean and deviation of p(z'|x, gains).
    pub features: Features,
    /// What each value of z and mu was multiplied with.
    gains: Vec<f64>,
    /// Deviations before and after.
    stds: [Vec<f64>; 2],
}

impl Observed {
    /// What arrives of Gaussian features: of so many rows each over these channels, in order. None of others, which
    /// have no density.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn new<'a>(
        features: &Features,
        crossings: impl Iterator<Item = (&'a dyn Channel<f64>, Crossing, usize)>,
    ) -> Result<Option<Self>> {
        let width = features.z.dim(1)?;
        let Ok([mut z, mut mu, mut std]) = <[Vec<f64>; 3]>::try_from(host(features)?) else {
            return Ok(None);
        };
        let before = std.clone();
        let mut gains = Vec::with_capacity(z.len());
        let mut start = 0;
        for (channel, crossing, rows) in crossings {
            let values = start..start + rows * width;
            start = values.end;
            let parts = [&mut z[values.clone()], &mut mu[values.clone()], &mut std[values]];
            gains.extend(channel.observe(&crossing, rows, parts));
        }
        let like = |values: &[f64]| tensor(values, &features.z);
        let posterior = Some(Posterior { mu: like(&mu)?, std: like(&std)? });
        let features = Features { z: like(&z)?, posterior };
        Ok(Some(Observed { features, gains, stds: [before, std] }))
    }

    /// From a gradient with respect to z', mu' and std' to that with respect to z, mu and std, each packed as [3, rows,
    /// feature_dim].
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn pull_back(&self, gradient: &Tensor) -> Result<Tensor> {
        let mut parts = pieces(gradient)?;
        for part in &mut parts[..2] {
            part.iter_mut().zip(&self.gains).for_each(|(value, gain)| *value *= gain);
        }
        let [before, after] = &self.stds;
        // std'^2 = gain^2 std^2 + noise.
        let ratios = before.iter().zip(after).map(|(before, after)| before / after);
        for ((value, ratio), gain) in parts[2].iter_mut().zip(ratios).zip(&self.gains) {
            *value *= gain * gain * ratio;
        }
        packed(&parts, &gradient.get(0)?)
    }
}

/// z, then mu and std if there are any.
pub(super) fn host(features: &Features) -> Result<Vec<Vec<f64>>> {
    let mut tensors = vec![features.z.contiguous()?];
    if let Some(Posterior { mu, std }) = &features.posterior {
        tensors.extend([mu.contiguous()?, std.contiguous()?]);
    }
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    Ok(with_numbers(&tensors, |numbers| numbers.iter().map(|numbers| in_f64(*numbers)).collect())?)
}

/// The parts of a tensor [parts, rows, width].
pub(super) fn pieces(tensor: &Tensor) -> Result<Vec<Vec<f64>>> {
    let tensor = tensor.contiguous()?;
    let size = tensor.dim(1)? * tensor.dim(2)?;
    let all = with_numbers(&[&tensor], |numbers| in_f64(numbers[0]))?;
    Ok(all.chunks(size.max(1)).map(<[f64]>::to_vec).collect())
}

/// Parts of the shape of a tensor [rows, width], one after the other, of its type and where it is.
pub(super) fn packed(parts: &[Vec<f64>], like: &Tensor) -> Result<Tensor> {
    let (rows, width) = like.dims2()?;
    made(&parts.concat(), (parts.len(), rows, width), like)
}

/// Values of the shape and type of a tensor, and where it is.
pub(super) fn tensor(values: &[f64], like: &Tensor) -> Result<Tensor> {
    made(values, like.dims2()?, like)
}

fn made(values: &[f64], shape: impl Into<candle_core::Shape>, like: &Tensor) -> Result<Tensor> {
    let tensor = match like.dtype() {
        DType::F64 => Tensor::from_slice(values, shape, &Device::Cpu)?,
        _ => {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::from_vec(values, shape, &Device::Cpu)?
        }
    };
    Ok(tensor.to_device(like.device())?)
}

fn in_f64(numbers: Numbers<'_>) -> Vec<f64> {
    match numbers {
        Numbers::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Numbers::F64(values) => values.to_vec(),
    }
}
