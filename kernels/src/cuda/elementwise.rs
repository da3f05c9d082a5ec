//! Biases, ReLU, column sums, and other single passes over memory.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result};

use super::launch::{Argument, Fresh, Grid, Module, clear, copy, count, launch, module, operand};
use crate::Real;
use crate::elementwise::Update;

const MODULE: Module = module!("elementwise");

/// Columns that a block of threads sums.
pub(super) const COLUMNS: usize = 32;
/// Number of pieces in which squares are summed.
const PIECES: usize = 64;

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn update<T: Real>(
    kind: &Update,
    target: (&mut CudaStorage, &Layout),
    source: Operand<'_>,
) -> Result<()> {
    let device = source.0.device();
    let (to, from) = (operand::<T>(target.0, target.1)?, operand::<T>(source.0, source.1)?);
    if to.size == 0 || from.size == 0 {
        return Ok(());
    }
    let with = |sizes: &[usize]| {
        let mut arguments = vec![Argument::Operand(to), Argument::Operand(from)];
        for &size in sizes {
            arguments.push(count(size)?);
        }
        Ok::<Vec<Argument<'_>>, candle_core::Error>(arguments)
    };
    let elements = |kernel: &'static str, sizes: &[usize]| {
        launch::<T>(device, &MODULE, kernel, Grid::over(to.size), &with(sizes)?)
    };
    match kind {
        Update::AddBias => elements("add_bias", &[to.size, from.size]),
        Update::AddBiasRelu => elements("add_bias_relu", &[to.size, from.size]),
        Update::MaskRelu => elements("mask_relu", &[to.size]),
        Update::Add => elements("add", &[to.size]),
        Update::Assign => copy::<T>(device, to, from),
        Update::AccumulateRows => {
            let grid = Grid { blocks: (to.size.div_ceil(COLUMNS), 1), threads: (32, 32) };
            launch::<T>(device, &MODULE, "accumulate_rows", grid, &with(&[from.size / to.size, to.size])?)
        }
    }
}

pub(crate) fn clear_all<T: Real>(values: &mut CudaStorage, layout: &Layout) -> Result<()> {
    let target = operand::<T>(values, layout)?;
    if target.size == 0 {
        return Ok(());
    }
    clear::<T>(values.device(), target)
}

pub(crate) fn clip<T: Real>(values: &mut CudaStorage, layout: &Layout, norm: f64) -> Result<()> {
    let device = values.device();
    let target = operand::<T>(values, layout)?;
    let pieces = Fresh::<f64>::new(device, PIECES)?;
    let (size, pieces) = (count(target.size)?, || Argument::Operand(pieces.operand()));
    let grid = Grid { blocks: (PIECES, 1), threads: (256, 1) };
    launch::<T>(
        device,
        &MODULE,
        "square_pieces",
        grid,
        &[Argument::Operand(target), pieces(), count(target.size)?],
    )?;
    let arguments = [Argument::Operand(target), pieces(), count(PIECES)?, Argument::Number(norm), size];
    launch::<T>(device, &MODULE, "clip", Grid::over(target.size), &arguments)
}
