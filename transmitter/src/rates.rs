//! What the rate of an entry is under each kind of coding.

use candle_core::Tensor;
use dib::{Coding, Features, RateEstimator};
use node::{Context, NodeError};

/// The rates of groups of samples, or of the samples, in nats.
pub(crate) enum GroupRates {
    /// Where they were computed, an f64 vector.
    Estimated(Tensor),
    /// On this machine.
    Known(Vec<f64>),
}

impl GroupRates {
    /// The rates, once they are known.
    pub(crate) fn to_vec(&self) -> Result<Vec<f64>, NodeError> {
        match self {
            GroupRates::Estimated(rates) => Ok(rates.to_vec1()?),
            GroupRates::Known(rates) => Ok(rates.clone()),
        }
    }
}

/// The rate of every group of consecutive samples, in nats: an estimate of the information in Gaussian features; the bits of
/// quantised ones; and of deterministic ones an entropy, which is no information.
pub(crate) fn group_rates(
    context: &Context,
    estimator: RateEstimator,
    features: &Features,
    groups: &[usize],
) -> Result<GroupRates, NodeError> {
    Ok(match (&features.posterior, node::coding(&context.scenario.train)) {
        (Some(posterior), _) => {
            GroupRates::Estimated(dib::rates(estimator, &features.z, &posterior.mu, &posterior.std, groups)?)
        }
        (None, Coding::Quantised { bits }) => GroupRates::Known(vec![nats(context, bits); groups.len()]),
        (None, _) => GroupRates::Known(dib::entropy(&features.z, groups)?),
    })
}

/// What every sample adds to the rate of its group: the mean over the group is [`group_rates`].
pub(crate) fn row_rates(
    context: &Context,
    features: &Features,
    groups: &[usize],
) -> Result<GroupRates, NodeError> {
    let train = &context.scenario.train;
    let estimator = node::rate_estimator(train.rate_estimator);
    Ok(match (&features.posterior, node::coding(train)) {
        (Some(posterior), _) => GroupRates::Estimated(dib::row_rates(
            estimator,
            &features.z,
            &posterior.mu,
            &posterior.std,
            groups,
        )?),
        (None, Coding::Quantised { bits }) => {
            GroupRates::Known(vec![nats(context, bits); groups.iter().sum()])
        }
        (None, _) => GroupRates::Known(dib::row_entropies(&features.z, groups)?),
    })
}

/// The bits of a quantised feature.
fn nats(context: &Context, bits: u32) -> f64 {
    (context.feature_dim() * bits as usize) as f64 * std::f64::consts::LN_2
}
