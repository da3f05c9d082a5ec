//! What the rate of an entry is under each kind of coding.

use dib::{Coding, Features, RateEstimator};
use node::{Context, NodeError};

/// The rate of every group of consecutive samples, in nats: an estimate of the information in Gaussian features; the bits of
/// quantised ones; and of deterministic ones an entropy, which is no information.
pub(crate) fn group_rates(
    context: &Context,
    estimator: RateEstimator,
    features: &Features,
    groups: &[usize],
) -> Result<Vec<f64>, NodeError> {
    Ok(match (&features.posterior, node::coding(&context.scenario.train)) {
        (Some(posterior), _) => dib::rate(estimator, &features.z, &posterior.mu, &posterior.std, groups)?,
        (None, Coding::Quantised { bits }) => vec![nats(context, bits); groups.len()],
        (None, _) => dib::entropy(&features.z, groups)?,
    })
}

/// What every sample adds to the rate of its group: the mean over the group is [`group_rates`].
pub(crate) fn row_rates(
    context: &Context,
    features: &Features,
    groups: &[usize],
) -> Result<Vec<f64>, NodeError> {
    let train = &context.scenario.train;
    let estimator = node::rate_estimator(train.rate_estimator);
    Ok(match (&features.posterior, node::coding(train)) {
        (Some(posterior), _) => {
            dib::row_rates(estimator, &features.z, &posterior.mu, &posterior.std, groups)?
        }
        (None, Coding::Quantised { bits }) => vec![nats(context, bits); groups.iter().sum()],
        (None, _) => dib::row_entropies(&features.z, groups)?,
    })
}

/// The bits of a quantised feature.
fn nats(context: &Context, bits: u32) -> f64 {
    (context.feature_dim() * bits as usize) as f64 * std::f64::consts::LN_2
}
