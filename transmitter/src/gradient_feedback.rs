use node::Context;
use proto::{
    Payload, WireError, check_finite, check_length, decode_bits,
    v1::{Gradients, Used},
};

/// What a receiver sent back for a part of a round, checked.
pub(crate) struct GradientFeedback {
    /// Gradients of its objective with respect to the z that it used, `[entries, samples, feature_dim]`.
    pub(crate) z: Payload,
    /// Where the gradient of each granted entry stands in `z`; none for one that was lost or late.
    pub(crate) places: Vec<Option<usize>>,
    /// In the round's last part: its cost at every tick of the round, 0 where it sends none; with difference credit, less
    /// what the tick would have cost it without this transmitter. Else empty.
    pub(crate) costs: Vec<f64>,
}

/// Checks what a receiver sent back for the entries (tick, modality) that it was granted, as the machine does before it
/// computes with it. The gradients of a round's last part have costs: `cost_ticks` says of every tick of the round
/// whether [its cost is sent](Context::told_costs). It is `None` in the other parts.
///
/// # Errors
///
/// What breaks the protocol: gradients that are missing, unexpected, or of another shape or type.
pub fn check_gradients(
    context: &Context,
    granted: &[(usize, usize)],
    cost_ticks: Option<&[bool]>,
    gradients: Option<&Gradients>,
) -> Result<(), WireError> {
    GradientFeedback::check(context, granted, cost_ticks, gradients).map(drop)
}

impl GradientFeedback {
    /// Checks gradients against the entries that this receiver was granted and, in a round's last part, costs against
    /// `cost_ticks`.
    pub(crate) fn check(
        context: &Context,
        granted: &[(usize, usize)],
        cost_ticks: Option<&[bool]>,
        gradients: Option<&Gradients>,
    ) -> Result<Self, WireError> {
        let gradients = gradients.ok_or(WireError::Missing("gradients"))?;
        let used = used(context, granted.len(), gradients.used.as_ref())?;
        let shape = [used.iter().filter(|used| **used).count(), context.samples(), context.feature_dim()];
        let element = node::gradient_element(context.scenario.train.gradient_coding);
        let z = Payload::check_of(element, "gradient of z", gradients.z.as_ref(), &shape)?;
        let cost_ticks = cost_ticks.unwrap_or_default();
        let count = cost_ticks.iter().filter(|has_cost| **has_cost).count();
        check_length("costs", "values", gradients.costs.len(), count)?;
        check_finite("costs", &gradients.costs)?;
        Ok(GradientFeedback { z, places: places(&used), costs: spread(&gradients.costs, cost_ticks) })
    }
}

/// The costs of all ticks, given those that were sent. The others are 0: at these ticks no entry was chosen for the
/// receiver, so they judge no selection.
fn spread(costs: &[f64], cost_ticks: &[bool]) -> Vec<f64> {
    let mut costs = costs.iter().copied();
    let at = |has_cost: &bool| if *has_cost { costs.next().unwrap_or_default() } else { 0.0 };
    cost_ticks.iter().map(at).collect()
}

/// Which of so many granted entries the receiver used: all, unless it may go on without and says so.
fn used(context: &Context, granted: usize, used: Option<&Used>) -> Result<Vec<bool>, WireError> {
    match used {
        None => Ok(vec![true; granted]),
        Some(_) if !context.scenario.may_lose() => Err(WireError::Missing(
            "gradients of some entries, though straggler.policy is \"wait\", no link is digital and none is dropped",
        )),
        Some(used) if used.entries.is_empty() => Ok(vec![false; granted]),
        Some(used) => decode_bits("used entries", &used.entries, granted),
    }
}

/// Numbers those that were used.
fn places(used: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0..;
    used.iter().map(|used| if *used { next.next() } else { None }).collect()
}
