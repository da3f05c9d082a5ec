//! The rate (17) of a group of samples, by its formula, with the logarithm of the mixture taken directly.

use std::f64::consts::PI;

use candle_core::{Result, Tensor};
use scenario::RateEstimator;

/// 1/N sum_i [ log p(z_i|x_i) - log( 1/N sum_j p(z_i|x_j) ) ] in nats: z, mu and std are [N, d].
pub(crate) fn rate(estimator: RateEstimator, z: &Tensor, mu: &Tensor, std: &Tensor) -> Result<Tensor> {
    // [N, d], and for every pair (i, j) [N, N, d].
    let own = log_density(z, mu, std)?;
    let samples = z.dim(0)?;
    let pairs = |tensor: &Tensor| tensor.broadcast_as((samples, samples, z.dim(1)?));
    let every = log_density(&pairs(&z.unsqueeze(1)?)?, &pairs(mu)?, &pairs(std)?)?;
    let (own, every) = match estimator {
        RateEstimator::PerDimension => (own, every),
        RateEstimator::Joint => (own.sum_keepdim(1)?, every.sum_keepdim(2)?),
        RateEstimator::Prior => candle_core::bail!("a rate against a prior is of no mixture"),
    };
    let mixture = every.exp()?.mean(1)?.log()?;
    (own - mixture)?.sum(1)?.mean(0)
}

/// log p(z|x_i) - log( 1/N sum_j p(z|x_j) ) in nats of one sample z [1, d] of x_i: its term in the rate of N samples,
/// whose mu and std are [N, d].
pub(crate) fn term(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    i: usize,
) -> Result<Tensor> {
    let every = log_density(&z.broadcast_as(mu.shape())?, mu, std)?;
    let every = match estimator {
        RateEstimator::PerDimension => every,
        RateEstimator::Joint => every.sum_keepdim(1)?,
        RateEstimator::Prior => candle_core::bail!("a rate against a prior is of no mixture"),
    };
    let mixture = every.exp()?.mean(0)?.log()?;
    (every.get(i)? - mixture)?.sum_all()
}

fn log_density(z: &Tensor, mu: &Tensor, std: &Tensor) -> Result<Tensor> {
    let deviation = ((z - mu)? / std)?;
    ((deviation.sqr()? * -0.5)? - std.log()?)? - 0.5 * (2.0 * PI).ln()
}
