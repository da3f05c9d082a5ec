//! What the rate of an entry is under each kind of coding.

use candle_core::Tensor;
use dib::{Features, Posterior, RateEstimator, coding::uniform_rates};
use node::{Context, NodeError};
use scenario::{Coding, Rate};

use crate::priors::values;

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

/// The rate of every group of consecutive samples, in nats: as the method counts it.
pub(crate) fn group_rates(
    context: &Context,
    estimator: RateEstimator,
    features: &Features,
    groups: &[usize],
) -> Result<GroupRates, NodeError> {
    Ok(match context.scenario.train.rate() {
        Rate::Information if context.scenario.train.coding() == Coding::Dithered => {
            let Posterior { mu, std } = posterior(features)?;
            // The posterior's deviation is that of noise uniform over a step.
            let widths: Vec<f32> = values(std)?.iter().map(|std| std * 12_f32.sqrt()).collect();
            let of = [&values(&features.z)?[..], &values(mu)?, &widths];
            GroupRates::Known(uniform_rates(estimator, of, context.feature_dim(), groups))
        }
        Rate::Information => {
            let Posterior { mu, std } = posterior(features)?;
            GroupRates::Estimated(dib::rates(estimator, &features.z, mu, std, groups)?)
        }
        Rate::Bits => GroupRates::Known(vec![bits_in_nats(context); groups.len()]),
        Rate::Entropy => GroupRates::Known(dib::entropy(&features.z, groups)?),
    })
}

/// What every sample adds to the rate of its group: the mean over the group is [`group_rates`].
pub(crate) fn row_rates(
    context: &Context,
    features: &Features,
    groups: &[usize],
) -> Result<GroupRates, NodeError> {
    let train = &context.scenario.train;
    Ok(match train.rate() {
        Rate::Information => {
            let Posterior { mu, std } = posterior(features)?;
            let estimator = node::rate_estimator(train.rate_estimator);
            GroupRates::Estimated(dib::row_rates(estimator, &features.z, mu, std, groups)?)
        }
        Rate::Bits => GroupRates::Known(vec![bits_in_nats(context); groups.iter().sum()]),
        Rate::Entropy => GroupRates::Known(dib::row_entropies(&features.z, groups)?),
    })
}

fn posterior(features: &Features) -> Result<&Posterior, NodeError> {
    let missing = || NodeError::Input("only features with a density have the rate (17)".into());
    features.posterior.as_ref().ok_or_else(missing)
}

/// The bits of a quantised feature, or of its indices.
fn bits_in_nats(context: &Context) -> f64 {
    let train = &context.scenario.train;
    let bits = match train.coding() {
        Coding::CodeBook => train.code_groups * train.code_bits as usize,
        _ => context.feature_dim() * train.bits as usize,
    };
    bits as f64 * std::f64::consts::LN_2
}
