//! The stochastic encoder's head.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result};

use super::launch::{Argument, Fresh, Grid, Module, count, launch, module, operand};
use crate::Real;
use crate::gaussian::SHIFT;

pub(super) const MODULE: Module = module!("gaussian");

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn sample_all<T: Real>(
    output: Operand<'_>,
    noise: Operand<'_>,
    width: usize,
) -> Result<CudaStorage> {
    let (device, noise) = (noise.0.device(), operand::<T>(noise.0, noise.1)?);
    let packed = Fresh::<T>::new(device, 3 * noise.size)?;
    let arguments = [
        Argument::Operand(packed.operand()),
        Argument::Operand(operand::<T>(output.0, output.1)?),
        Argument::Operand(noise),
        count(noise.size / width)?,
        count(width)?,
        Argument::Number(SHIFT),
    ];
    launch::<T>(device, &MODULE, "gaussian_sample", Grid::over(noise.size), &arguments)?;
    Ok(packed.into_storage())
}

pub(crate) fn backward_all<T: Real>(
    gradient: Operand<'_>,
    output: Operand<'_>,
    noise: Operand<'_>,
    width: usize,
) -> Result<CudaStorage> {
    let (device, noise) = (noise.0.device(), operand::<T>(noise.0, noise.1)?);
    let result = Fresh::<T>::new(device, 2 * noise.size)?;
    let arguments = [
        Argument::Operand(result.operand()),
        Argument::Operand(operand::<T>(gradient.0, gradient.1)?),
        Argument::Operand(operand::<T>(output.0, output.1)?),
        Argument::Operand(noise),
        count(noise.size / width)?,
        count(width)?,
        Argument::Number(SHIFT),
    ];
    launch::<T>(device, &MODULE, "gaussian_backward", Grid::over(noise.size), &arguments)?;
    Ok(result.into_storage())
}
