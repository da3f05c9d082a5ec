//! What the rate of an entry is under each kind of coding.

use candle_core::Tensor;
use dib::{Features, Posterior, RateEstimator, coding::uniform_rates};
use node::{Context, NodeError};
use scenario::{Coding, Rate};

use crate::{priors::values, round_groups::RoundGroups};

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

/// Whose rates make up those of the entries.
pub(crate) enum RateGroups {
    /// For every entry the sizes of its own groups: the tick; in evaluation several.
    Own(Vec<Vec<usize>>),
    /// Where a tick has one sample only, the round's: an entry has what it adds.
    Round(RoundGroups),
}

/// The rates of a modality's entries.
pub(crate) struct Rated {
    pub(crate) groups: RateGroups,
    /// Of what is sent.
    pub(crate) sent: GroupRates,
    /// Of what arrives, where that is counted.
    pub(crate) received: Option<GroupRates>,
}

impl Rated {
    /// Those of entries that have none.
    pub(crate) fn nothing() -> Self {
        Rated { groups: RateGroups::Own(Vec::new()), sent: GroupRates::Known(Vec::new()), received: None }
    }

    /// The rates that are where they were computed: of what is sent, then of what arrives.
    pub(crate) fn estimated(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.sent).chain(&self.received).filter_map(|rates| match rates {
            GroupRates::Estimated(rates) => Some(rates),
            GroupRates::Known(_) => None,
        })
    }

    /// The rate of every entry in nats, given those of all groups (or rows): the mean over its own, by samples.
    pub(crate) fn of_entries(&self, found: &[f64]) -> Vec<f64> {
        let groups = match &self.groups {
            RateGroups::Own(groups) => groups,
            RateGroups::Round(groups) => return groups.in_order_of_rows(found),
        };
        let mut rates = found.iter();
        let mean = |groups: &Vec<usize>| {
            let weighted: f64 =
                groups.iter().zip(rates.by_ref()).map(|(&size, &rate)| size as f64 * rate).sum();
            weighted / groups.iter().sum::<usize>() as f64
        };
        groups.iter().map(mean).collect()
    }
}

/// The rate of every group of consecutive samples, in nats: as the method counts it. A coding of a user's program says
/// its rates itself.
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
