//! The quantising encoder's head.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result};

use super::gaussian::MODULE;
use super::launch::{Argument, Fresh, Grid, count, launch, operand};
use crate::Real;

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn quantise_all<T: Real>(output: &CudaStorage, layout: &Layout, top: f64) -> Result<CudaStorage> {
    let (device, output) = (output.device(), operand::<T>(output, layout)?);
    let z = Fresh::<T>::new(device, output.size)?;
    let arguments = [
        Argument::Operand(z.operand()),
        Argument::Operand(output),
        Argument::Number(top),
        count(output.size)?,
    ];
    launch::<T>(device, &MODULE, "quantise", Grid::over(output.size), &arguments)?;
    Ok(z.into_storage())
}

pub(crate) fn backward_all<T: Real>(gradient: Operand<'_>, output: Operand<'_>) -> Result<CudaStorage> {
    let device = gradient.0.device();
    let (gradient, output) = (operand::<T>(gradient.0, gradient.1)?, operand::<T>(output.0, output.1)?);
    let result = Fresh::<T>::new(device, output.size)?;
    let arguments = [
        Argument::Operand(result.operand()),
        Argument::Operand(gradient),
        Argument::Operand(output),
        count(output.size)?,
    ];
    launch::<T>(device, &MODULE, "quantise_backward", Grid::over(output.size), &arguments)?;
    Ok(result.into_storage())
}
