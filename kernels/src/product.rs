//! Matrix products of row-major tensors, where either operand may be transposed without a copy.
//!
//! The bits are specified: the depth is cut into pieces of 512; within a piece every element is one chain of fused
//! multiply-adds in order of depth, starting from 0; pieces are added in order. So an element depends only on its own
//! row and column. Large products use the `gemm` crate, whose kernels compute exactly this; small ones, for which it
//! takes other paths, use a plain loop.

use candle_core::{Result, Shape, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read, write};
use crate::gemm_call::{gemm_into, gemm_new};
use crate::lanes::vectorise;
use crate::operation::{Apply2, Cpu, CpuMut, Made, Operation, Update3};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, GpuMut, MadeOnGpu};
use crate::transpose::{TILE, transpose_into};

/// The depth of a piece. Up to this depth the `gemm` crate sums in one chain.
pub const DEPTH: usize = 512;
/// Up to this many elements the `gemm` crate may choose other kernels, with another order of sums.
const FEW: usize = 256;

/// Which operand of a product is transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transpose {
    /// A B.
    Neither,
    /// A^T B: a weight gradient.
    Left,
    /// A B^T: a gradient with respect to an input.
    Right,
}

/// The product, [m, n], in new memory.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn product(a: &Tensor, b: &Tensor, transpose: Transpose) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Operation(Product { transpose }))
}

/// Adds the product to `c`, [m, n], in place.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn accumulate_product(c: &Tensor, a: &Tensor, b: &Tensor, transpose: Transpose) -> Result<()> {
    c.inplace_op3(a, b, &Operation(Update { transpose, accumulate: true }))
}

/// Writes the product to `c`, [m, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn assign_product(c: &Tensor, a: &Tensor, b: &Tensor, transpose: Transpose) -> Result<()> {
    c.inplace_op3(a, b, &Operation(Update { transpose, accumulate: false }))
}

struct Product {
    transpose: Transpose,
}

struct Update {
    transpose: Transpose,
    accumulate: bool,
}

impl Apply2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn on_cpu(&self, (a, a_layout): Cpu<'_>, (b, b_layout): Cpu<'_>) -> Result<Made> {
        for_dtype!(a, "product", new_product(self.transpose, (a, a_layout), (b, b_layout)))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (a, a_layout): Gpu<'_>, (b, b_layout): Gpu<'_>) -> Result<MadeOnGpu> {
        let (left, right) = ((a, a_layout), (b, b_layout));
        for_cuda_dtype!(a, "product", crate::cuda::product::new_product(self.transpose, left, right))
    }
}

impl Update3 for Update {
    fn name(&self) -> &'static str {
        if self.accumulate { "accumulate-product" } else { "assign-product" }
    }

    fn on_cpu(
        &self,
        (c, c_layout): CpuMut<'_>,
        (a, a_layout): Cpu<'_>,
        (b, b_layout): Cpu<'_>,
    ) -> Result<()> {
        for_dtype!(a, self.name(), update(self, (c, c_layout), (a, a_layout), (b, b_layout)))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (c, c_layout): GpuMut<'_>,
        (a, a_layout): Gpu<'_>,
        (b, b_layout): Gpu<'_>,
    ) -> Result<()> {
        let &Update { transpose, accumulate } = self;
        let (target, left, right) = ((c, c_layout), (a, a_layout), (b, b_layout));
        for_cuda_dtype!(
            a,
            self.name(),
            crate::cuda::product::update(transpose, accumulate, target, left, right)
        )
    }
}

fn new_product<T: Real>(transpose: Transpose, a: Cpu<'_>, b: Cpu<'_>) -> Result<Made> {
    let (a, b) = operands::<T>(transpose, a, b)?;
    Ok((T::to_cpu_storage_owned(multiply(a, b)), Shape::from((a.rows, b.columns))))
}

fn update<T: Real>(kind: &Update, c: CpuMut<'_>, a: Cpu<'_>, b: Cpu<'_>) -> Result<()> {
    let (a, b) = operands::<T>(kind.transpose, a, b)?;
    if c.1.shape().dims() != [a.rows, b.columns] {
        bail!("a product of shape [{}, {}] cannot be added to {:?}", a.rows, b.columns, c.1.shape());
    }
    multiply_into(write(c.0, c.1)?, a, b, kind.accumulate);
    Ok(())
}

fn operands<'a, T: Real>(
    transpose: Transpose,
    (a, a_layout): Cpu<'a>,
    (b, b_layout): Cpu<'a>,
) -> Result<(Matrix<'a, T>, Matrix<'a, T>)> {
    let (a_rows, a_columns) = a_layout.shape().dims2()?;
    let (b_rows, b_columns) = b_layout.shape().dims2()?;
    let a = Matrix::new(read(a, a_layout)?, a_rows, a_columns);
    let b = Matrix::new(read(b, b_layout)?, b_rows, b_columns);
    let (a, b) = match transpose {
        Transpose::Neither => (a, b),
        Transpose::Left => (a.transposed(), b),
        Transpose::Right => (a, b.transposed()),
    };
    if a.columns != b.rows {
        bail!(
            "shapes {:?} and {:?} do not multiply ({transpose:?} transposed)",
            a_layout.shape(),
            b_layout.shape()
        );
    }
    Ok((a, b))
}

/// A matrix as slice, shape and strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, T: Copy> Matrix<'a, T> {
    /// A row-major matrix.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Matrix { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Matrix {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Columns `from..to`.
    fn columns(self, from: usize, to: usize) -> Self {
        Matrix { values: &self.values[from * self.column_stride..], columns: to - from, ..self }
    }

    /// Rows `from..to`.
    fn rows(self, from: usize, to: usize) -> Self {
        Matrix { values: &self.values[from * self.row_stride..], rows: to - from, ..self }
    }

    #[inline(always)]
    fn at(self, row: usize, column: usize) -> T {
        self.values[row * self.row_stride + column * self.column_stride]
    }
}

impl<T> Matrix<'_, T> {
    /// Whether shape and strides stay within the slice.
    pub(crate) fn fits(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < self.values.len()
    }
}

/// Whether the `gemm` crate takes one of its special paths for a piece.
fn special(rows: usize, depth: usize, columns: usize) -> bool {
    rows <= 1 || columns <= 1 || depth <= 2 || rows * columns <= FEW
}

/// A B in new memory.
fn multiply<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    if let Some(b_values) = straightened(a, b) {
        return multiply(a, Matrix::new(&b_values, b.rows, b.columns));
    }
    if a.columns <= DEPTH && !special(a.rows, a.columns, b.columns) {
        return gemm_new(a, b);
    }
    let mut c = vec![T::ZERO; a.rows * b.columns];
    multiply_into(&mut c, a, b, false);
    c
}

/// C = A B or C += A B, piece by piece.
pub(crate) fn multiply_into<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    if let Some(b_values) = straightened(a, b) {
        return multiply_into(c, a, Matrix::new(&b_values, b.rows, b.columns), accumulate);
    }
    for start in (0..a.columns).step_by(DEPTH) {
        let end = (start + DEPTH).min(a.columns);
        let (a, b) = (a.columns(start, end), b.rows(start, end));
        let accumulate = accumulate || start > 0;
        if special(a.rows, a.columns, b.columns) {
            vectorise(
                #[inline(always)]
                || accumulate_chain(c, a, b, accumulate),
            );
        } else {
            gemm_into(c, a, b, accumulate);
        }
    }
}

/// A row-major copy of a transposed B, where that is worth its while. The `gemm` crate would read such a B across its
/// lines, and long lines whose length is a power of two fight for the same few places of the cache; the plain loop
/// wants its operands side by side.
fn straightened<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Option<Vec<T>> {
    let is_transposed = b.row_stride == 1 && b.column_stride > 1;
    let is_long = b.column_stride >= LONG && a.rows >= TILE;
    (is_transposed && (is_long || special(a.rows, a.columns, b.columns))).then(|| {
        let mut values = Vec::with_capacity(b.rows * b.columns);
        vectorise(
            #[inline(always)]
            || transpose_into(&mut values, b.values, b.column_stride, b.rows, b.columns),
        );
        values
    })
}

/// From this length on, in numbers, the lines of a matrix are long.
const LONG: usize = 512;

/// The specification of one piece, in safe code: C = A B or C += A B.
#[inline(always)]
pub(crate) fn accumulate_chain<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    const WIDTH: usize = 64;
    for row in 0..a.rows {
        for start in (0..b.columns).step_by(WIDTH) {
            let width = WIDTH.min(b.columns - start);
            let mut sums = [T::ZERO; WIDTH];
            for depth in 0..a.columns {
                let factor = a.at(row, depth);
                let first = depth * b.row_stride + start * b.column_stride;
                if b.column_stride == 1 && width == WIDTH {
                    let values = &b.values[first..first + WIDTH];
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum = factor.mul_add(value, *sum);
                    }
                } else {
                    for (lane, sum) in sums[..width].iter_mut().enumerate() {
                        *sum = factor.mul_add(b.values[first + lane * b.column_stride], *sum);
                    }
                }
            }
            let target = &mut c[row * b.columns + start..][..width];
            for (value, &sum) in target.iter_mut().zip(&sums) {
                *value = if accumulate { *value + sum } else { sum };
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use candle_core::{DType, Device};
    use randomness::{Purpose, Seed};

    use super::*;

    /// Normal draws.
    pub(crate) fn random<T: Real>(number: u64, length: usize) -> Vec<T> {
        let mut stream = Seed::from_number(number).stream(Purpose::Test, &[], 0);
        (0..length).map(|_| T::from_f64(stream.normal())).collect()
    }

    /// A matrix of a logical shape, stored transposed or not.
    pub(crate) fn matrix<T: Real>(
        values: &[T],
        rows: usize,
        columns: usize,
        transposed: bool,
    ) -> Matrix<'_, T> {
        if transposed {
            Matrix::new(values, columns, rows).transposed()
        } else {
            Matrix::new(values, rows, columns)
        }
    }

    fn tensor<T: Real>(number: u64, rows: usize, columns: usize) -> Tensor {
        Tensor::from_vec(random::<T>(number, rows * columns), (rows, columns), &Device::Cpu).unwrap()
    }

    fn largest(tensor: &Tensor) -> f64 {
        let values = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        values.into_iter().fold(0.0, |largest, value| value.abs().max(largest))
    }

    fn agrees_with_candle<T: Real>(tolerance: f64) {
        let shapes =
            [(1, 1, 1), (1, 512, 512), (5, 7, 3), (40, 1, 33), (2, 700, 9), (65, 1031, 129), (400, 2, 512)];
        for (rows, depth, columns) in shapes {
            for transpose in [Transpose::Neither, Transpose::Left, Transpose::Right] {
                let a = tensor::<T>(1, rows, depth);
                let b = tensor::<T>(2, depth, columns);
                let start = tensor::<T>(3, rows, columns);
                let expected = a.matmul(&b).unwrap();
                let a = if transpose == Transpose::Left { a.t().unwrap().contiguous().unwrap() } else { a };
                let b = if transpose == Transpose::Right { b.t().unwrap().contiguous().unwrap() } else { b };
                let got = product(&a, &b, transpose).unwrap();
                let scale = (depth as f64).sqrt();
                assert!(largest(&(&got - &expected).unwrap()) < tolerance * scale);
                let sum = start.force_contiguous().unwrap();
                accumulate_product(&sum, &a, &b, transpose).unwrap();
                assert!(largest(&(sum - (start + expected).unwrap()).unwrap()) < tolerance * scale);
            }
        }
    }

    #[test]
    fn products_agree_with_candle() {
        agrees_with_candle::<f32>(1e-5);
        agrees_with_candle::<f64>(2e-14);
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for (depth, columns) in [(220, 512), (256, 48), (256, 3), (9, 1), (2, 40), (1031, 10)] {
            let a = tensor::<f32>(1, 400, depth);
            for (b, transpose) in [
                (tensor::<f32>(2, depth, columns), Transpose::Neither),
                (tensor::<f32>(2, columns, depth), Transpose::Right),
            ] {
                let whole = product(&a, &b, transpose).unwrap().to_vec2::<f32>().unwrap();
                for rows in [1, 2, 7, 40] {
                    let part = product(&a.narrow(0, 0, rows).unwrap(), &b, transpose).unwrap();
                    assert_eq!(part.to_vec2::<f32>().unwrap(), whole[..rows], "{rows} x {depth} x {columns}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_multiply_is_refused() {
        let (a, b) = (tensor::<f32>(1, 3, 4), tensor::<f32>(1, 3, 4));
        assert!(product(&a, &b, Transpose::Neither).is_err());
        assert!(product(&a, &b.to_dtype(DType::F64).unwrap(), Transpose::Left).is_err());
        assert!(
            product(&a, &b.t().unwrap(), Transpose::Neither)
                .unwrap_err()
                .to_string()
                .contains("not contiguous")
        );
        assert!(accumulate_product(&a, &a, &b, Transpose::Left).is_err());
        assert!(product(&a.to_dtype(DType::U32).unwrap(), &b, Transpose::Left).is_err());
    }
}
