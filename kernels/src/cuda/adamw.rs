//! One step of AdamW in a single pass over memory.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result};

use super::launch::{Argument, Grid, Module, count, launch, module, operand};
use crate::Real;
use crate::adamw::AdamWStep;

const MODULE: Module = module!("adamw");

pub(crate) fn step_all<T: Real>(
    state: &mut CudaStorage,
    layout: &Layout,
    length: usize,
    step: AdamWStep,
) -> Result<()> {
    let numbers = [step.keep, step.beta1, step.beta2, step.rate, step.second_scale, step.epsilon];
    let mut arguments = vec![Argument::Operand(operand::<T>(state, layout)?), count(length)?];
    arguments.extend(numbers.map(Argument::Number));
    launch::<T>(state.device(), &MODULE, "adamw", Grid::over(length), &arguments)
}
