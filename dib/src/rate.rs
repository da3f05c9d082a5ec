//! The rate of an encoder, (17): an estimate of I(X;Z) in nats.

use candle_core::Tensor;
pub use kernels::rate::RateEstimator;

use crate::Result;

/// One rate in nats for each group of consecutive rows, (17): z, mu and std are [rows, d], and the sizes in `groups`
/// add up to the rows.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use pom2dib_dib::{RateEstimator, rate};
///
/// // Two samples with features far apart tell which of the two it was: one bit, ln 2 nats.
/// let mu = Tensor::new(&[[-9f32], [9.0]], &Device::Cpu)?;
/// let std = mu.ones_like()?;
/// let rates = rate(RateEstimator::Joint, &mu, &mu, &std, &[2])?;
/// assert!((rates[0] - 2f64.ln()).abs() < 1e-6);
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
///
/// # Errors
///
/// If shapes do not fit.
pub fn rate(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<Vec<f64>> {
    Ok(rates(estimator, z, mu, std, groups)?.to_vec1()?)
}

/// The same on z's device, an f64 tensor \[groups\], without waiting for it.
///
/// # Errors
///
/// If shapes do not fit.
pub fn rates(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<Tensor> {
    let (z, mu, std) = (z.contiguous()?, mu.contiguous()?, std.contiguous()?);
    Ok(kernels::rate::rates(estimator, &z, &mu, &std, groups)?)
}

/// Every row's term in the rate of its group, in nats, an f64 tensor \[rows\]: the mean over the group is its [`rate`].
/// In a round with one sample a tick, the sample's term of (P3).
///
/// # Errors
///
/// If shapes do not fit.
pub fn row_rates(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<Tensor> {
    let (z, mu, std) = (z.contiguous()?, mu.contiguous()?, std.contiguous()?);
    Ok(kernels::rate::row_rates(estimator, &z, &mu, &std, groups)?)
}

/// The gradient of the sum of the groups' rates with respect to z, mu and std, each [rows, d]: through z and through
/// every component of the mixture. The three count as independent: the encoder applies z = mu + std * noise.
///
/// # Errors
///
/// If shapes do not fit.
pub fn rate_gradient(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<(Tensor, Tensor, Tensor)> {
    let (z, mu, std) = (z.contiguous()?, mu.contiguous()?, std.contiguous()?);
    let weights = vec![1.0; groups.len()];
    let packed = kernels::rate::rate_gradient(estimator, &z, &mu, &std, groups, &weights, None)?;
    Ok((packed.get(0)?, packed.get(1)?, packed.get(2)?))
}

/// One joint estimate over all rows, in nats: for large numbers of rows, with memory linear in their number.
///
/// # Errors
///
/// If shapes do not fit.
pub fn joint_rate(z: &Tensor, mu: &Tensor, std: &Tensor) -> Result<f64> {
    let rows = z.dim(0)?;
    if rows == 0 {
        return Ok(0.0);
    }
    Ok(rate(RateEstimator::Joint, z, mu, std, &[rows])?[0])
}
