use node::Context;
use proto::{WireError, check_finite, check_length, decode_tensor, v1::Gradients};

/// What a receiver sent back for a round, checked.
pub(crate) struct Learned {
    /// Gradients of its objective with respect to the z that it was sent, `[entries, samples, feature_dim]`.
    pub(crate) z: Vec<f32>,
    /// Its cost at every tick of the round.
    pub(crate) costs: Vec<f64>,
}

impl Learned {
    /// Checks gradients against what this receiver was granted.
    pub(crate) fn check(
        context: &Context,
        granted: &[(usize, usize)],
        gradients: Option<&Gradients>,
    ) -> Result<Self, WireError> {
        let gradients = gradients.ok_or(WireError::Missing("gradients"))?;
        let shape = [granted.len(), context.samples(), context.feature_dim()];
        let z = decode_tensor("gradient of z", gradients.z.as_ref(), &shape)?;
        check_length("costs", "values", gradients.costs.len(), context.ticks())?;
        check_finite("costs", &gradients.costs)?;
        Ok(Learned { z, costs: gradients.costs.clone() })
    }
}
