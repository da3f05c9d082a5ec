//! One step of AdamW in a single pass over memory.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, write};
use crate::lanes::vectorise;
#[cfg(feature = "cuda")]
use crate::operation::GpuMut;
use crate::operation::{CpuMut, Operation, Update1};

/// The numbers of a step, as in torch.optim.AdamW.
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// 1 - rate * weight decay: the factor of a value before the step proper.
    pub keep: f64,
    /// beta1: the factor of the first moment.
    pub beta1: f64,
    /// beta2: the factor of the second moment.
    pub beta2: f64,
    /// rate / (1 - beta1^t).
    pub rate: f64,
    /// 1 / sqrt(1 - beta2^t).
    pub second_scale: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

/// Steps every parameter of `state`, [4, n]: the rows are value, gradient, first moment and second moment. The gradient
/// is not changed.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn adamw(state: &Tensor, step: AdamWStep) -> Result<()> {
    state.inplace_op1(&Operation(AdamW { step }))
}

struct AdamW {
    step: AdamWStep,
}

impl Update1 for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn on_cpu(&self, (state, layout): CpuMut<'_>) -> Result<()> {
        let length = parameters(layout)?;
        for_dtype!(state, "adamw", step_all(state, layout, length, self.step))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (state, layout): GpuMut<'_>) -> Result<()> {
        let length = parameters(layout)?;
        for_cuda_dtype!(state, "adamw", crate::cuda::adamw::step_all(state, layout, length, self.step))
    }
}

/// The number of parameters in a state.
fn parameters(state: &Layout) -> Result<usize> {
    match state.shape().dims() {
        &[4, length] => Ok(length),
        other => bail!("adamw wants a state of shape [4, n], not {other:?}"),
    }
}

fn step_all<T: Real>(state: &mut CpuStorage, layout: &Layout, length: usize, step: AdamWStep) -> Result<()> {
    let (value, rest) = write::<T>(state, layout)?.split_at_mut(length);
    let (gradient, rest) = rest.split_at_mut(length);
    let (first, second) = rest.split_at_mut(length);
    vectorise(
        #[inline(always)]
        || step_slices(value, gradient, first, second, step),
    );
    Ok(())
}

#[inline(always)]
fn step_slices<T: Real>(value: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], step: AdamWStep) {
    let [keep, beta2, rate] = [step.keep, step.beta2, step.rate].map(T::from_f64);
    let [new1, new2] = [1.0 - step.beta1, 1.0 - step.beta2].map(T::from_f64);
    let [second_scale, epsilon] = [step.second_scale, step.epsilon].map(T::from_f64);
    let moments = first.iter_mut().zip(second);
    for ((value, gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
        let g = *gradient;
        *first += new1 * (g - *first);
        *second = *second * beta2 + new2 * g * g;
        let scale = second.sqrt() * second_scale + epsilon;
        *value = *value * keep - rate * (*first / scale);
    }
}
