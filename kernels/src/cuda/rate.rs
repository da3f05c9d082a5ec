//! The rate of an encoder, (17): the table of groups is a launch argument.
#![expect(unsafe_code, reason = "promises that the table of groups is laid out as its kernels declare it")]

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape, bail};

use super::launch::{self, Argument, Fresh, Grid, Marks, Module, count, launch, module, operand};
use crate::Real;
use crate::rate::group::RateEstimator;

const MODULE: Module = module!("rate");
/// Largest number of groups in a launch.
const MOST: usize = 128;
const THREADS: u32 = 128;

/// The layout that rate.cu declares.
#[repr(C)]
struct GroupTable {
    start: [u32; MOST + 1],
    square: [u32; MOST + 1],
    weight: [f64; MOST],
}

// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for GroupTable {}

type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// z, mu and std on the device, and the division of a launch's rows.
struct Rows {
    operands: [launch::Operand; 3],
    width: usize,
}

/// Groups of one launch.
struct Batch {
    table: GroupTable,
    groups: usize,
    /// Rows of the largest group.
    largest: usize,
    /// Sum of the squared group sizes.
    squares: usize,
}

/// One rate for each group.
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
    let surplus = Surplus::new(device, &rows, estimator)?;
    let mut done = 0;
    for batch in batches(groups, None)? {
        surplus.fill::<T>(device, &rows, &batch)?;
        let target =
            launch::Operand { pointer: rates.operand().pointer + 8 * done as u64, size: batch.groups };
        let grid = Grid { blocks: (batch.groups, 1), threads: (THREADS, 1) };
        surplus.sum(device, "rate_sum", grid, target, &batch)?;
        done += batch.groups;
    }
    Ok((rates.into_storage(), Shape::from(groups.len())))
}

/// Every row's term in its group's rate.
pub(crate) fn row_values<T: Real>(
    estimator: RateEstimator,
    z: Operand<'_>,
    mu: Operand<'_>,
    std: Operand<'_>,
    groups: &[usize],
) -> Result<(CudaStorage, Shape)> {
    let (device, total) = (z.0.device(), z.1.shape().dims2()?.0);
    let rows = Rows::new::<T>(z, mu, std)?;
    let values = Fresh::<f64>::new(device, total)?;
    let surplus = Surplus::new(device, &rows, estimator)?;
    for batch in batches(groups, None)? {
        surplus.fill::<T>(device, &rows, &batch)?;
        surplus.sum(device, "rate_rows", batch.grid(1), values.operand(), &batch)?;
    }
    Ok((values.into_storage(), Shape::from(total)))
}

/// The gradient of the sum of the groups' rates, each times its weight: [3, rows, width]. `paid`: the rows that count,
/// if not all do.
pub(crate) fn gradients<T: Real>(
    estimator: RateEstimator,
    (z, mu, std): (Operand<'_>, Operand<'_>, Operand<'_>),
    groups: &[usize],
    weights: &[f64],
    paid: Option<&[bool]>,
) -> Result<(CudaStorage, Shape)> {
    let (device, shape) = (z.0.device(), z.1.shape().dims2()?);
    let rows = Rows::new::<T>(z, mu, std)?;
    let size = rows.operands[0].size;
    let paid = paid.map(|paid| Marks::new(device, paid)).transpose()?;
    // A null pointer means that all rows count.
    let all = launch::Operand { pointer: 0, size: 0 };
    let paid = || Argument::Operand(paid.as_ref().map_or(all, Marks::operand));
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
                arguments.push(paid());
                launch::<T>(device, &MODULE, "joint_shares", batch.grid(1), &arguments)?;
                ("joint_gradient", squares)
            }
        };
        let mut arguments = vec![Argument::Operand(packed.operand()), Argument::Operand(noted.operand())];
        rows.describe(&mut arguments, &batch)?;
        arguments.push(count(size)?);
        if estimator == RateEstimator::PerDimension {
            arguments.push(paid());
        }
        launch::<T>(device, &MODULE, kernel, batch.grid(rows.width), &arguments)?;
    }
    Ok((packed.into_storage(), Shape::from((3, shape.0, shape.1))))
}

/// The logarithm of every row's own density over the mixture's: of the vector, or of each dimension.
struct Surplus {
    values: Fresh<f64>,
    is_joint: bool,
    lanes: usize,
}

impl Surplus {
    fn new(device: &CudaDevice, rows: &Rows, estimator: RateEstimator) -> Result<Self> {
        let is_joint = estimator == RateEstimator::Joint;
        let lanes = if is_joint { 1 } else { rows.width };
        let values = Fresh::new(device, rows.operands[0].size / rows.width * lanes)?;
        Ok(Surplus { values, is_joint, lanes })
    }

    fn fill<T: Real>(&self, device: &CudaDevice, rows: &Rows, batch: &Batch) -> Result<()> {
        if !self.is_joint {
            return rows.mix::<T>(device, batch, &self.values).map(drop);
        }
        let mut arguments = vec![Argument::Operand(self.values.operand())];
        rows.describe(&mut arguments, batch)?;
        launch::<T>(device, &MODULE, "joint_mix", batch.grid(1), &arguments)
    }

    fn sum(
        &self,
        device: &CudaDevice,
        kernel: &'static str,
        grid: Grid,
        target: launch::Operand,
        batch: &Batch,
    ) -> Result<()> {
        let arguments = [
            Argument::Operand(target),
            Argument::Operand(self.values.operand()),
            Argument::Table(&batch.table),
            count(self.lanes)?,
        ];
        launch::<f64>(device, &MODULE, kernel, grid, &arguments)
    }
}

impl Rows {
    fn new<T: Real>(z: Operand<'_>, mu: Operand<'_>, std: Operand<'_>) -> Result<Self> {
        let width = z.1.shape().dims2()?.1;
        let operands = [operand::<T>(z.0, z.1)?, operand::<T>(mu.0, mu.1)?, operand::<T>(std.0, std.1)?];
        Ok(Rows { operands, width })
    }

    /// Arguments of all kernels: z, mu and std, the groups, and the width.
    fn describe<'a>(&self, arguments: &mut Vec<Argument<'a>>, batch: &'a Batch) -> Result<()> {
        arguments.extend(self.operands.map(Argument::Operand));
        arguments.extend([Argument::Table(&batch.table), count(self.width)?]);
        Ok(())
    }

    /// The logarithms of the mixtures' densities at every row and dimension; and the surpluses.
    fn mix<T: Real>(&self, device: &CudaDevice, batch: &Batch, surplus: &Fresh<f64>) -> Result<Fresh<T>> {
        let mixture = Fresh::<T>::new(device, self.operands[0].size)?;
        let mut arguments = vec![Argument::Operand(mixture.operand()), Argument::Operand(surplus.operand())];
        self.describe(&mut arguments, batch)?;
        launch::<T>(device, &MODULE, "rate_mix", batch.grid(self.width), &arguments)?;
        Ok(mixture)
    }
}

impl Batch {
    /// A grid for kernels whose threads take a row and one of `lanes` lanes each.
    fn grid(&self, lanes: usize) -> Grid {
        Grid {
            blocks: ((self.largest * lanes).div_ceil(THREADS as usize), self.groups),
            threads: (THREADS, 1),
        }
    }
}

/// All groups, batched by launch; without weights each has weight 1.
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
