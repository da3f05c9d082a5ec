//! The costs of all receivers in a round, as transmitters tell them where the worst receiver counts.

use node::Context;
use proto::{When, WireError, check_finite, check_length, v1::Features};

/// What transmitter k tells: by receiver, its cost at every tick of a round in which this receiver had its `own`.
///
/// # Errors
///
/// If the message is of another moment, has other than costs, or not those that this receiver sent.
pub(crate) fn check(
    context: &Context,
    k: usize,
    when: When,
    own: &[f64],
    features: &Features,
) -> Result<Vec<Vec<f64>>, WireError> {
    context.link(k, context.index).check(features.stamp.as_ref(), when)?;
    let rest = Features { stamp: None, costs: Vec::new(), ..features.clone() };
    if rest != Features::default() {
        return Err(WireError::Missing("message of costs alone"));
    }
    let (receivers, ticks) = (context.scenario.receivers(), context.ticks());
    check_length("costs", "values", features.costs.len(), receivers * ticks)?;
    check_finite("costs", &features.costs)?;
    let all: Vec<Vec<f64>> = features.costs.chunks(ticks).map(<[f64]>::to_vec).collect();
    match all[context.index] == own {
        true => Ok(all),
        false => Err(WireError::Missing("costs of this receiver as it sent them")),
    }
}
