//! Matrix products by cuBLAS.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape, bail};

use super::launch::{Fresh, Matrix, clear, multiply, operand};
use crate::Real;
use crate::product::Transpose;

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn new_product<T: Real>(
    transpose: Transpose,
    a: Operand<'_>,
    b: Operand<'_>,
) -> Result<(CudaStorage, Shape)> {
    let device = a.0.device();
    let (a, b) = operands::<T>(transpose, a, b)?;
    let ((rows, depth), (_, columns)) = (a.shape(), b.shape());
    let c = Fresh::<T>::new(device, rows * columns)?;
    into::<T>(device, c.operand(), a, b, depth, false)?;
    Ok((c.into_storage(), Shape::from((rows, columns))))
}

pub(crate) fn update<T: Real>(
    transpose: Transpose,
    accumulate: bool,
    c: (&mut CudaStorage, &Layout),
    a: Operand<'_>,
    b: Operand<'_>,
) -> Result<()> {
    let device = a.0.device();
    let (a, b) = operands::<T>(transpose, a, b)?;
    let ((rows, depth), (_, columns)) = (a.shape(), b.shape());
    if c.1.shape().dims() != [rows, columns] {
        bail!("a product of shape [{rows}, {columns}] cannot be added to {:?}", c.1.shape());
    }
    into::<T>(device, operand::<T>(c.0, c.1)?, a, b, depth, accumulate)
}

fn into<T: Real>(
    device: &candle_core::CudaDevice,
    c: super::launch::Operand,
    a: Matrix,
    b: Matrix,
    depth: usize,
    accumulate: bool,
) -> Result<()> {
    match (c.size, depth) {
        (0, _) => Ok(()),
        (_, 0) if accumulate => Ok(()),
        (_, 0) => clear::<T>(device, c),
        _ => multiply::<T>(device, c, a, b, accumulate),
    }
}

fn operands<T: Real>(transpose: Transpose, a: Operand<'_>, b: Operand<'_>) -> Result<(Matrix, Matrix)> {
    let matrix = |(storage, layout): Operand<'_>, transposed| {
        let (rows, columns) = layout.shape().dims2()?;
        Ok::<Matrix, candle_core::Error>(Matrix {
            operand: operand::<T>(storage, layout)?,
            rows,
            columns,
            transposed,
        })
    };
    let (left, right) = (matrix(a, transpose == Transpose::Left)?, matrix(b, transpose == Transpose::Right)?);
    if left.shape().1 != right.shape().0 {
        bail!("shapes {:?} and {:?} do not multiply ({transpose:?} transposed)", a.1.shape(), b.1.shape());
    }
    Ok((left, right))
}
