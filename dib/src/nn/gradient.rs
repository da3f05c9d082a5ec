//! Gradients of parameters, summed over blocks of rows in order.
//!
//! Each block's part is computed separately: a schedule that processes the same blocks one at a time gets the same
//! bits.

use candle_core::Tensor;
use kernels::elementwise::{accumulate_rows, clear};
use kernels::product::{Transpose, accumulate_product, assign_product};

use crate::Result;

/// The gradient blocks of a backward pass: the row counts of consecutive blocks of rows.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// The row counts of the blocks; their sum is the number of rows of the pass.
    pub rows: &'a [usize],
    /// Whether the gradients hold those of an earlier step, which must be overwritten.
    pub is_fresh: bool,
}

impl Blocks<'_> {
    /// Calls `add(is first block of a fresh gradient, start, rows)` for every nonempty block.
    ///
    /// # Errors
    /// The first error of `add`.
    pub fn each(self, mut add: impl FnMut(bool, usize, usize) -> Result<()>) -> Result<()> {
        let mut start = 0;
        for &rows in self.rows.iter().filter(|&&rows| rows > 0) {
            add(self.is_fresh && start == 0, start, rows)?;
            start += rows;
        }
        Ok(())
    }

    /// Calls `add` with the blocks counted in positions, `places` for each sample: those of a matrix [samples x places,
    /// channels].
    ///
    /// # Errors
    /// Those of `add`.
    pub(crate) fn of_places(self, places: usize, add: impl FnOnce(Blocks<'_>) -> Result<()>) -> Result<()> {
        let rows: Vec<usize> = self.rows.iter().map(|rows| rows * places).collect();
        add(Blocks { rows: &rows, ..self })
    }

    /// Clears a gradient of an earlier step, where blocks do not overwrite it completely.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clear_first(self, gradient: &Tensor) -> Result<()> {
        if self.is_fresh {
            clear(gradient)?;
        }
        Ok(())
    }
}

/// Adds x^T upstream to the gradient of a weight, block by block: gradient [inputs, outputs], x [rows, inputs],
/// upstream [rows, outputs].
///
/// # Errors
/// If shapes do not fit.
pub fn add_weight_gradient(
    gradient: &Tensor,
    x: &Tensor,
    upstream: &Tensor,
    blocks: Blocks<'_>,
) -> Result<()> {
    blocks.each(|is_first, start, rows| {
        let (x, upstream) = (x.narrow(0, start, rows)?, upstream.narrow(0, start, rows)?);
        let add = if is_first { assign_product } else { accumulate_product };
        Ok(add(gradient, &x, &upstream, Transpose::Left)?)
    })
}

/// Adds the sum of upstream's rows to the gradient of a bias, block by block: gradient \[outputs\], upstream
/// [rows, outputs].
///
/// # Errors
/// If shapes do not fit.
pub fn add_bias_gradient(gradient: &Tensor, upstream: &Tensor, blocks: Blocks<'_>) -> Result<()> {
    blocks.clear_first(gradient)?;
    blocks.each(|_, start, rows| Ok(accumulate_rows(gradient, &upstream.narrow(0, start, rows)?)?))
}
