use node::Context;
use proto::{Payload, WireError, check_finite, check_length, v1::Gradients};

/// What a receiver sent back for a part of a round, checked.
pub(crate) struct Learned {
    /// Gradients of its objective with respect to the z that it was sent, `[entries, samples, feature_dim]`.
    pub(crate) z: Payload,
    /// Its cost at every tick of the round, if this is the round's last part; else none.
    pub(crate) costs: Vec<f64>,
}

/// Checks what a receiver sent back for the entries (tick, modality) that it was granted, as the machine does before it
/// computes with it.
pub fn check_gradients(
    context: &Context,
    granted: &[(usize, usize)],
    is_last: bool,
    gradients: Option<&Gradients>,
) -> Result<(), WireError> {
    Learned::check(context, granted, is_last, gradients).map(drop)
}

impl Learned {
    /// Checks gradients against what this receiver was granted.
    pub(crate) fn check(
        context: &Context,
        granted: &[(usize, usize)],
        is_last: bool,
        gradients: Option<&Gradients>,
    ) -> Result<Self, WireError> {
        let gradients = gradients.ok_or(WireError::Missing("gradients"))?;
        let shape = [granted.len(), context.samples(), context.feature_dim()];
        let z = Payload::check("gradient of z", gradients.z.as_ref(), &shape)?;
        let costs = if is_last { context.ticks() } else { 0 };
        check_length("costs", "values", gradients.costs.len(), costs)?;
        check_finite("costs", &gradients.costs)?;
        Ok(Learned { z, costs: gradients.costs.clone() })
    }
}
