//! Transposing in tiles, so that caches and vector units work on whole lines.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor};

use crate::Real;
use crate::access::{for_dtype, read};
use crate::operation::{Apply1, Cpu, Made, Operation};
use crate::threads::for_rows;

/// Rows and columns of a tile.
pub(crate) const TILE: usize = 16;

/// The transpose of every matrix of a list, [count, rows, columns] to [count, columns, rows], in new memory.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn transpose_each(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Operation(TransposeEach))
}

struct TransposeEach;

impl Apply1 for TransposeEach {
    fn name(&self) -> &'static str {
        "transpose-each"
    }

    fn on_cpu(&self, (x, layout): Cpu<'_>) -> Result<Made> {
        for_dtype!(x, self.name(), each(x, layout))
    }
}

fn each<T: Real>(x: &CpuStorage, layout: &Layout) -> Result<Made> {
    let (count, rows, columns) = layout.shape().dims3()?;
    let (x, size) = (read::<T>(x, layout)?, rows * columns);
    let mut target = vec![T::ZERO; count * size];
    for_rows(&mut target, size, |first, targets| {
        for (target, source) in targets.chunks_exact_mut(size).zip(x[first * size..].chunks_exact(size)) {
            // Writes go to contiguous lines; only the reads are scattered.
            for (column, line) in target.chunks_exact_mut(rows).enumerate() {
                for (row, value) in line.iter_mut().enumerate() {
                    *value = source[row * columns + column];
                }
            }
        }
    });
    Ok((T::to_cpu_storage_owned(target), Shape::from((count, columns, rows))))
}

/// Appends the rows of the transpose, [rows, columns], of a source whose lines are `stride` apart. A strip of rows is
/// assembled where it stays in the nearest cache.
#[inline(always)]
pub(crate) fn transpose_into<T: Real>(
    target: &mut Vec<T>,
    source: &[T],
    stride: usize,
    rows: usize,
    columns: usize,
) {
    let mut strip = vec![T::ZERO; TILE * columns];
    for top in (0..rows).step_by(TILE) {
        let height = TILE.min(rows - top);
        for left in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - left);
            if (width, height) == (TILE, TILE) {
                let mut tile = [[T::ZERO; TILE]; TILE];
                for (line, from) in tile.iter_mut().zip(source[left * stride + top..].chunks(stride)) {
                    line.copy_from_slice(&from[..TILE]);
                }
                let tile = riffle(riffle(riffle(riffle(tile))));
                for (to, line) in strip[left..].chunks_mut(columns).zip(&tile) {
                    to[..TILE].copy_from_slice(line);
                }
            } else {
                for column in left..left + width {
                    for row in 0..height {
                        strip[row * columns + column] = source[column * stride + top + row];
                    }
                }
            }
        }
        target.extend_from_slice(&strip[..height * columns]);
    }
}

/// Interleaves the lower half of the lines with the upper half, value by value. After four of these steps (log2 of 16),
/// lines and columns are exchanged; a vector unit does it with register shuffles.
#[inline(always)]
fn riffle<T: Real>(tile: [[T; TILE]; TILE]) -> [[T; TILE]; TILE] {
    let mut dealt = [[T::ZERO; TILE]; TILE];
    for line in 0..TILE / 2 {
        let (upper, lower) = (tile[line], tile[line + TILE / 2]);
        for place in 0..TILE / 2 {
            dealt[2 * line][2 * place] = upper[place];
            dealt[2 * line][2 * place + 1] = lower[place];
            dealt[2 * line + 1][2 * place] = upper[place + TILE / 2];
            dealt[2 * line + 1][2 * place + 1] = lower[place + TILE / 2];
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::product::tests::random;

    #[test]
    fn every_matrix_of_a_list_is_transposed() {
        for shape in [(0, 3, 4), (3, 1, 5), (200, 7, 33)] {
            let values = random::<f32>(1, shape.0 * shape.1 * shape.2);
            let x = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            let expected = x.transpose(1, 2).unwrap().contiguous().unwrap();
            let got = transpose_each(&x).unwrap();
            assert_eq!(got.dims(), expected.dims());
            assert_eq!(got.to_vec3::<f32>().unwrap(), expected.to_vec3::<f32>().unwrap());
        }
    }

    #[test]
    fn every_value_changes_places_in_whole_tiles_and_in_what_is_left_of_them() {
        for (rows, columns, stride) in [(16, 16, 16), (32, 48, 32), (17, 16, 20), (5, 33, 5), (40, 7, 512)] {
            let source = random::<f32>(1, columns * stride);
            let mut target = Vec::new();
            transpose_into(&mut target, &source, stride, rows, columns);
            let expected: Vec<f32> = (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(row, column)| source[column * stride + row])
                .collect();
            assert_eq!(target, expected, "{rows} x {columns}, lines {stride} apart");
        }
    }
}
