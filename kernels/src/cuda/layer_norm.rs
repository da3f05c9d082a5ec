//! Layer normalisation: one block of threads for each row.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape};

use super::elementwise::COLUMNS;
use super::launch::{Argument, Fresh, Grid, Module, count, launch, module, operand};
use crate::Real;
use crate::layer_norm::EPSILON;

const MODULE: Module = module!("layer_norm");
/// Threads for a row.
const THREADS: u32 = 128;

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn forward<T: Real>(input: Operand<'_>, affine: Operand<'_>) -> Result<(CudaStorage, Shape)> {
    let (rows, width) = input.1.shape().dims2()?;
    let device = input.0.device();
    let output = Fresh::<T>::new(device, rows * width)?;
    let arguments = [
        Argument::Operand(output.operand()),
        Argument::Operand(operand::<T>(input.0, input.1)?),
        Argument::Operand(operand::<T>(affine.0, affine.1)?),
        count(width)?,
        Argument::Number(EPSILON),
    ];
    launch::<T>(device, &MODULE, "layer_norm", by_row(rows), &arguments)?;
    Ok((output.into_storage(), input.1.shape().clone()))
}

pub(crate) fn affine_gradient<T: Real>(
    sums: (&mut CudaStorage, &Layout),
    input: Operand<'_>,
    upstream: Operand<'_>,
) -> Result<()> {
    let (rows, width) = input.1.shape().dims2()?;
    let device = input.0.device();
    let notes = Fresh::<T>::new(device, 2 * rows)?;
    let input = operand::<T>(input.0, input.1)?;
    let arguments = [
        Argument::Operand(notes.operand()),
        Argument::Operand(input),
        count(width)?,
        Argument::Number(EPSILON),
    ];
    launch::<T>(device, &MODULE, "row_statistics", by_row(rows), &arguments)?;
    let arguments = [
        Argument::Operand(operand::<T>(sums.0, sums.1)?),
        Argument::Operand(notes.operand()),
        Argument::Operand(input),
        Argument::Operand(operand::<T>(upstream.0, upstream.1)?),
        count(rows)?,
        count(width)?,
    ];
    let grid = Grid { blocks: (width.div_ceil(COLUMNS), 1), threads: (32, 32) };
    launch::<T>(device, &MODULE, "affine_gradient", grid, &arguments)
}

pub(crate) fn backward<T: Real>(
    gradient: (&mut CudaStorage, &Layout),
    input: Operand<'_>,
    affine: Operand<'_>,
) -> Result<()> {
    let (rows, width) = input.1.shape().dims2()?;
    let arguments = [
        Argument::Operand(operand::<T>(gradient.0, gradient.1)?),
        Argument::Operand(operand::<T>(input.0, input.1)?),
        Argument::Operand(operand::<T>(affine.0, affine.1)?),
        count(width)?,
        Argument::Number(EPSILON),
    ];
    launch::<T>(input.0.device(), &MODULE, "layer_norm_backward", by_row(rows), &arguments)
}

fn by_row(rows: usize) -> Grid {
    Grid { blocks: (rows, 1), threads: (THREADS, 1) }
}
