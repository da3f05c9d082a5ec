//! The rate of an encoder, (17): the groups travel with the launch.

use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape, bail};

use super::launch::{self, Argument, Fresh, Grid, Module, count, launch, module, operand};
use crate::Real;
use crate::rate::RateEstimator;

const MODULE: Module = module!("rate");
/// Groups of a launch.
const MOST: usize = 128;
const THREADS: u32 = 128;

/// As rate.cu declares it.
#[repr(C)]
pub(crate) struct GroupTable {
    start: [u32; MOST + 1],
    square: [u32; MOST + 1],
    weight: [f64; MOST],
}

type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// z, mu and std on the device, and how the rows of a launch are divided.
struct Rows {
    operands: [launch::Operand; 3],
    width: usize,
}

/// Groups of one launch.
struct Batch {
    table: GroupTable,
    groups: usize,
    /// Rows of the largest.
    largest: usize,
    /// Numbers in all squares.
    squares: usize,
}

/// One rate a group.
pub(crate) fn values<T: Real>(
    estimator: RateEstimator,
    z: Operand<'_>,
    mu: Operand<'_>,
    std: Operand<'_>,
    groups: &[usize],
) -> Result<(CudaStorage, Shape)> {
    let device = z.0.device();
    let rows = Rows::new::<T>(z, mu, std)?;
    let rates = Fresh::<f64>::new(device, groups.len())?;
    let is_joint = estimator == RateEstimator::Joint;
    // Of every row, or of every row and dimension.
    let lanes = if is_joint { 1 } else { rows.width };
    let surplus = Fresh::<f64>::new(device, rows.operands[0].size / rows.width * lanes)?;
    let mut done = 0;
    for batch in batches(groups, None)? {
        if is_joint {
            let mut arguments = vec![Argument::Operand(surplus.operand())];
            rows.describe(&mut arguments, &batch)?;
            launch::<T>(device, &MODULE, "joint_mix", batch.grid(1), &arguments)?;
        } else {
            rows.mix::<T>(device, &batch, &surplus)?;
        }
        let target = launch::Operand { pointer: rates.operand().pointer + 8 * done as u64, size: batch.groups };
        let arguments = [
            Argument::Operand(target),
            Argument::Operand(surplus.operand()),
            Argument::Groups(&batch.table),
            count(lanes)?,
        ];
        let grid = Grid { blocks: (batch.groups, 1), threads: (THREADS, 1) };
        launch::<f64>(device, &MODULE, "rate_sum", grid, &arguments)?;
        done += batch.groups;
    }
    Ok((rates.into_storage(), Shape::from(groups.len())))
}

/// The gradient of the sum of the groups' rates, each times its weight: [3, rows, width].
pub(crate) fn gradients<T: Real>(
    estimator: RateEstimator,
    z: Operand<'_>,
    mu: Operand<'_>,
    std: Operand<'_>,
    groups: &[usize],
    weights: &[f64],
) -> Result<(CudaStorage, Shape)> {
    let (device, shape) = (z.0.device(), z.1.shape().dims2()?);
    let rows = Rows::new::<T>(z, mu, std)?;
    let size = rows.operands[0].size;
    let packed = Fresh::<T>::new(device, 3 * size)?;
    for batch in batches(groups, Some(weights))? {
        let (kernel, noted) = match estimator {
            RateEstimator::PerDimension => {
                let surplus = Fresh::<f64>::new(device, size)?;
                ("rate_gradient", rows.mix::<T>(device, &batch, &surplus)?)
            }
            RateEstimator::Joint => {
                let squares = Fresh::<T>::new(device, batch.squares)?;
                let mut arguments = vec![Argument::Operand(squares.operand())];
                rows.describe(&mut arguments, &batch)?;
                launch::<T>(device, &MODULE, "joint_shares", batch.grid(1), &arguments)?;
                ("joint_gradient", squares)
            }
        };
        let mut arguments = vec![Argument::Operand(packed.operand()), Argument::Operand(noted.operand())];
        rows.describe(&mut arguments, &batch)?;
        arguments.push(count(size)?);
        launch::<T>(device, &MODULE, kernel, batch.grid(rows.width), &arguments)?;
    }
    Ok((packed.into_storage(), Shape::from((3, shape.0, shape.1))))
}

impl Rows {
    fn new<T: Real>(z: Operand<'_>, mu: Operand<'_>, std: Operand<'_>) -> Result<Self> {
        let width = z.1.shape().dims2()?.1;
        let operands =
            [operand::<T>(z.0, z.1)?, operand::<T>(mu.0, mu.1)?, operand::<T>(std.0, std.1)?];
        Ok(Rows { operands, width })
    }

    /// What all kernels are given: z, mu and std, the groups, and the width.
    fn describe<'a>(&self, arguments: &mut Vec<Argument<'a>>, batch: &'a Batch) -> Result<()> {
        arguments.extend(self.operands.map(Argument::Operand));
        arguments.extend([Argument::Groups(&batch.table), count(self.width)?]);
        Ok(())
    }

    /// The logs of the mixtures' densities at every row and dimension; and the surpluses.
    fn mix<T: Real>(&self, device: &CudaDevice, batch: &Batch, surplus: &Fresh<f64>) -> Result<Fresh<T>> {
        let mixture = Fresh::<T>::new(device, self.operands[0].size)?;
        let mut arguments = vec![Argument::Operand(mixture.operand()), Argument::Operand(surplus.operand())];
        self.describe(&mut arguments, batch)?;
        launch::<T>(device, &MODULE, "rate_mix", batch.grid(self.width), &arguments)?;
        Ok(mixture)
    }
}

impl Batch {
    /// For kernels of which a thread takes a row and one of so many lanes.
    fn grid(&self, lanes: usize) -> Grid {
        Grid {
            blocks: ((self.largest * lanes).div_ceil(THREADS as usize), self.groups),
            threads: (THREADS, 1),
        }
    }
}

/// All groups, launch by launch; those without a weight weigh 1.
fn batches(groups: &[usize], weights: Option<&[f64]>) -> Result<Vec<Batch>> {
    let mut start = 0;
    let mut batches = Vec::new();
    for (number, groups) in groups.chunks(MOST).enumerate() {
        let mut table = GroupTable { start: [0; MOST + 1], square: [0; MOST + 1], weight: [1.0; MOST] };
        let mut squares = 0;
        table.start[0] = small(start)?;
        for (position, &rows) in groups.iter().enumerate() {
            start += rows;
            squares += rows * rows;
            table.start[position + 1] = small(start)?;
            table.square[position + 1] = small(squares)?;
            if let Some(weights) = weights {
                table.weight[position] = weights[number * MOST + position];
            }
        }
        let largest = groups.iter().copied().max().unwrap_or(0);
        batches.push(Batch { table, groups: groups.len(), largest, squares });
    }
    Ok(batches)
}

fn small(rows: usize) -> Result<u32> {
    match u32::try_from(rows) {
        Ok(rows) => Ok(rows),
        Err(_) => bail!("rate: groups of {rows} rows are too large for a kernel"),
    }
}
