//! AdamW, as torch.optim.AdamW computes it; and the place of a module's own optimizer.

use std::collections::HashMap;

use candle_core::Tensor;
use kernels::adamw::AdamWStep;

use super::parameter::Parameter;
use crate::Result;

/// An optimizer that a module brings along, and that steps its parameters in the place of AdamW. It holds its state
/// between steps, which goes into checkpoints with the network's.
pub trait OwnOptimizer {
    /// Steps the parameters by their gradients.
    ///
    /// # Errors
    /// If a value becomes infinite or NaN, or the optimizer fails.
    fn step(&self, parameters: &[Parameter]) -> Result<()>;

    /// Copies of its state, by names within the network.
    ///
    /// # Errors
    /// If it has state that is no numbers.
    fn export(&self) -> Result<Vec<(String, Tensor)>>;

    /// Restores what [`export`](OwnOptimizer::export) gave; nothing is the state before the first step.
    ///
    /// # Errors
    /// For state that does not fit.
    fn import(&self, state: &HashMap<String, Tensor>) -> Result<()>;
}

/// The optimizer's settings; the moments and the step count live with each network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The learning rate.
    pub rate: f64,
    /// Decoupled weight decay: each step first multiplies every parameter by 1 - rate * decay.
    pub decay: f64,
    /// Factor of the first moment.
    pub beta1: f64,
    /// Factor of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl AdamW {
    /// Settings with a learning rate, and the usual decay 1e-4, betas 0.9 and 0.999, epsilon 1e-8.
    pub fn new(rate: f64) -> Self {
        AdamW { rate, decay: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// The coefficients of step `step`, counted from 1.
    pub(super) fn at(&self, step: u32) -> AdamWStep {
        let correction = |beta: f64| 1.0 - libm::pow(beta, f64::from(step));
        AdamWStep {
            keep: 1.0 - self.rate * self.decay,
            beta1: self.beta1,
            beta2: self.beta2,
            rate: self.rate / correction(self.beta1),
            second_scale: 1.0 / correction(self.beta2).sqrt(),
            epsilon: self.epsilon,
        }
    }
}
