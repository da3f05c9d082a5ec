//! What features come to, in nats, bits and bytes.

use dib::RateEstimator;
use node::{Context, NodeError};
use proto::v1::{Features, Spent};
use scenario::Rate;

use crate::{coded::Coded, rates::group_rates};

/// Adds a message of features to what was spent.
pub(crate) fn add_message(spent: &mut Spent, features: &Features) {
    let (whole, tables) = proto::feature_message_bytes(features);
    spent.message_bytes += whole - tables;
    spent.table_bytes += tables;
    if let Some(coded) = &features.coded {
        *spent.coded_bits.get_or_insert(0.0) += 8.0 * coded.stream.len() as f64;
    }
}

/// Adds the rates of a piece of an evaluation, of which a sample's sum over all entries is `rates`: against priors
/// where there are any, and then by (17) beside them.
pub(crate) fn add_rates(
    spent: &mut Spent,
    context: &Context,
    coded: &Coded,
    samples: usize,
    rates: f64,
) -> Result<(), NodeError> {
    let train = &context.scenario.train;
    if train.rate() != Rate::Information {
        return Ok(());
    }
    if !train.has_priors() {
        *spent.estimate.get_or_insert(0.0) += samples as f64 * rates;
        return Ok(());
    }
    *spent.prior.get_or_insert(0.0) += samples as f64 * rates;
    for coded in coded.modalities.iter().flatten() {
        let groups: Vec<usize> = coded.entries.iter().flat_map(|_| context.rate_groups(samples)).collect();
        let found = group_rates(context, RateEstimator::PerDimension, &coded.features, &groups)?.to_vec()?;
        let sum: f64 = found.iter().zip(&groups).map(|(rate, &group)| rate * group as f64).sum();
        *spent.estimate.get_or_insert(0.0) += sum;
    }
    Ok(())
}
