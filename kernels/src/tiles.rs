//! Matrix products with few columns, in tiles of registers: the `gemm` crate's kernels are made for wider ones.

use crate::Real;
use crate::product::Matrix;

/// C = A B of one piece, or C += A B, with the bits that [`product`](crate::product) specifies: rows of C are `line`
/// apart, A or its transpose is row-major, and B's columns are contiguous.
#[inline(always)]
pub(crate) fn multiply_tiles<T: Real>(
    c: &mut [T],
    line: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    accumulate: bool,
) {
    let mut column = 0;
    while column < b.columns {
        column += match b.columns - column {
            8.. => strip::<T, 6, 8>(c, line, a, b, column, accumulate),
            4.. => strip::<T, 6, 4>(c, line, a, b, column, accumulate),
            _ => strip::<T, 8, 1>(c, line, a, b, column, accumulate),
        };
    }
}

/// Computes some columns of C from a first one on; returns how many.
#[inline(always)]
fn strip<T: Real, const ROWS: usize, const COLUMNS: usize>(
    c: &mut [T],
    line: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    column: usize,
    accumulate: bool,
) -> usize {
    let mut row = 0;
    while row < a.rows {
        let c = &mut c[row * line + column..];
        row += match a.rows - row {
            left if left >= ROWS => tile::<T, ROWS, COLUMNS>(c, line, a, row, b, column, accumulate),
            3.. => tile::<T, 3, COLUMNS>(c, line, a, row, b, column, accumulate),
            2 => tile::<T, 2, COLUMNS>(c, line, a, row, b, column, accumulate),
            _ => tile::<T, 1, COLUMNS>(c, line, a, row, b, column, accumulate),
        };
    }
    COLUMNS
}

/// Computes a tile of C from a first row and column on; returns its number of rows. Every element is one chain of fused
/// multiply-adds in order of depth. Loops of known lengths over arrays, without iterators: unrolled values stay in
/// registers.
#[inline(always)]
fn tile<T: Real, const ROWS: usize, const COLUMNS: usize>(
    c: &mut [T],
    line: usize,
    a: Matrix<'_, T>,
    row: usize,
    b: Matrix<'_, T>,
    column: usize,
    accumulate: bool,
) -> usize {
    let mut sums = [[T::ZERO; COLUMNS]; ROWS];
    let depth = a.columns;
    let of_b = |place: usize| &b.values[place * b.row_stride + column..][..COLUMNS];
    // A is row-major: each row is read along the depth.
    if a.column_stride == 1 {
        let mut lines: [&[T]; ROWS] = [&[]; ROWS];
        let mut number = 0;
        while number < ROWS {
            lines[number] = &a.values[(row + number) * a.row_stride..][..depth];
            number += 1;
        }
        let mut place = 0;
        while place < depth {
            let mut factors = [T::ZERO; COLUMNS];
            factors.copy_from_slice(of_b(place));
            let mut number = 0;
            while number < ROWS {
                let factor = lines[number][place];
                let mut lane = 0;
                while lane < COLUMNS {
                    sums[number][lane] = factor.mul_add(factors[lane], sums[number][lane]);
                    lane += 1;
                }
                number += 1;
            }
            place += 1;
        }
    } else {
        for place in 0..depth {
            let mut factors = [T::ZERO; COLUMNS];
            factors.copy_from_slice(of_b(place));
            // A is transposed: the factors of all rows are contiguous at each depth.
            let others = &a.values[row + place * a.column_stride..][..ROWS];
            let mut number = 0;
            while number < ROWS {
                let mut lane = 0;
                while lane < COLUMNS {
                    sums[number][lane] = others[number].mul_add(factors[lane], sums[number][lane]);
                    lane += 1;
                }
                number += 1;
            }
        }
    }
    let mut number = 0;
    while number < ROWS {
        let values = &mut c[number * line..][..COLUMNS];
        let mut lane = 0;
        while lane < COLUMNS {
            let sum = sums[number][lane];
            values[lane] = if accumulate { values[lane] + sum } else { sum };
            lane += 1;
        }
        number += 1;
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::vectorise;
    use crate::product::accumulate_chain;
    use crate::product::tests::{matrix, random};

    #[test]
    fn tiles_have_the_bits_of_the_specification() {
        for (rows, depth, columns) in [(1, 1, 1), (9, 512, 8), (40, 3, 31), (17, 27, 16), (8, 5, 13)] {
            for transposed in [false, true] {
                let (a, b) = (random::<f32>(1, rows * depth), random::<f32>(2, depth * columns));
                let (a, b) = (matrix(&a, rows, depth, transposed), Matrix::new(&b, depth, columns));
                for accumulate in [false, true] {
                    let mut expected = random::<f32>(3, rows * columns);
                    let line = columns + 3;
                    let mut got = vec![7.0; rows * line];
                    for (got, start) in got.chunks_exact_mut(line).zip(expected.chunks_exact(columns)) {
                        got[..columns].copy_from_slice(start);
                    }
                    accumulate_chain(&mut expected, a, b, accumulate);
                    vectorise(
                        #[inline(always)]
                        || multiply_tiles(&mut got, line, a, b, accumulate),
                    );
                    for (got, expected) in got.chunks_exact(line).zip(expected.chunks_exact(columns)) {
                        assert_eq!(got[..columns], *expected, "{rows} {depth} {columns}");
                        assert_eq!(got[columns..], [7.0; 3]);
                    }
                }
            }
        }
    }
}
