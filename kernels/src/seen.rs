//! Products of the patches of images that read the image where it lies: no patch is laid out.
//!
//! Sums are those of [`product`](crate::product) of the whole matrix of patches, in its order.

use crate::Real;
use crate::product::DEPTH;
use crate::sight::Sight;

/// Patches in images that are surrounded with zeros.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a, T> {
    pub(crate) sight: &'a Sight,
    pub(crate) values: &'a [T],
    /// Where they begin.
    pub(crate) starts: &'a [usize],
}

/// The columns of a matrix in strips as wide as a tile, one behind the other, with zeros where the last has too few.
pub(crate) struct Strips<T> {
    values: Vec<T>,
    lines: usize,
    columns: usize,
    /// Columns of a tile of the widest kind.
    widest: usize,
}

/// Columns of a strip where registers are narrow, or few columns are left.
const NARROW: usize = 8;
/// Columns of a strip where registers are wide.
const WIDE: usize = 16;

impl<T: Real> Strips<T> {
    /// Of a row-major matrix, or of columns that lie side by side in longer lines.
    pub(crate) fn of(matrix: &[T], line: usize, lines: usize, columns: usize, is_wide: bool) -> Self {
        let widest = if is_wide { WIDE } else { NARROW };
        let mut strips = Strips { values: Vec::new(), lines, columns, widest };
        strips.fill(matrix, line);
        strips
    }

    /// The same with other numbers.
    fn fill(&mut self, matrix: &[T], line: usize) {
        self.values.clear();
        for (column, width) in self.widths() {
            let used = width.min(self.columns - column);
            let start = self.values.len();
            self.values.resize(start + self.lines * width, T::ZERO);
            let targets = self.values[start..].chunks_exact_mut(width);
            for (number, target) in targets.enumerate() {
                target[..used].copy_from_slice(&matrix[number * line + column..][..used]);
            }
        }
    }

    /// Where each strip begins, and how wide it is.
    fn widths(&self) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let (columns, widest) = (self.columns, self.widest);
        let mut column = 0;
        std::iter::from_fn(move || {
            let width = if columns.checked_sub(column)? > NARROW { widest } else { NARROW };
            let strip = (column < columns).then_some((column, width));
            column += width;
            strip
        })
    }
}

/// Patches times weights, plus a bias, and the larger of that and 0 if it `rectifies`: into lines that lie `line`
/// apart.
#[inline(always)]
pub(crate) fn multiply_seen<T: Real>(
    output: &mut [T],
    line: usize,
    seen: Seen<'_, T>,
    weights: &Strips<T>,
    (bias, rectifies): (&[T], bool),
) {
    let mut values = weights.values.as_slice();
    for (column, width) in weights.widths() {
        let (strip, rest) = values.split_at(weights.lines * width);
        values = rest;
        let (output, bias) = (&mut output[column..], &bias[column..(column + width).min(bias.len())]);
        match (width, weights.lines > DEPTH) {
            (WIDE, false) => strip_of_places::<T, WIDE, false>(output, line, seen, strip, (bias, rectifies)),
            (WIDE, true) => strip_of_places::<T, WIDE, true>(output, line, seen, strip, (bias, rectifies)),
            (_, false) => strip_of_places::<T, NARROW, false>(output, line, seen, strip, (bias, rectifies)),
            (_, true) => strip_of_places::<T, NARROW, true>(output, line, seen, strip, (bias, rectifies)),
        }
    }
}

#[inline(always)]
fn strip_of_places<T: Real, const COLUMNS: usize, const DEEP: bool>(
    output: &mut [T],
    line: usize,
    seen: Seen<'_, T>,
    strip: &[T],
    (bias, rectifies): (&[T], bool),
) {
    const ROWS: usize = 8;
    let count = seen.starts.len();
    let mut factors = [T::ZERO; COLUMNS];
    factors[..bias.len()].copy_from_slice(bias);
    let used = bias.len();
    let mut first = 0;
    while first < count {
        // The last tile begins so that it is whole: what it computes again comes to the same.
        if count >= ROWS {
            first = first.min(count - ROWS);
            let sums = tile_of_places::<T, ROWS, COLUMNS, DEEP>(seen, first, strip);
            let mut number = 0;
            while number < ROWS {
                finish(&mut output[(first + number) * line..], sums[number], &factors, used, rectifies);
                number += 1;
            }
            first += ROWS;
        } else {
            let [sums] = tile_of_places::<T, 1, COLUMNS, DEEP>(seen, first, strip);
            finish(&mut output[first * line..], sums, &factors, used, rectifies);
            first += 1;
        }
    }
}

/// Writes what is used of a line.
#[inline(always)]
fn finish<T: Real, const COLUMNS: usize>(
    output: &mut [T],
    mut sums: [T; COLUMNS],
    bias: &[T; COLUMNS],
    used: usize,
    rectifies: bool,
) {
    let mut lane = 0;
    while lane < COLUMNS {
        let sum = sums[lane] + bias[lane];
        sums[lane] = if rectifies { T::ZERO.larger(sum) } else { sum };
        lane += 1;
    }
    match used == COLUMNS {
        true => output[..COLUMNS].copy_from_slice(&sums),
        false => output[..used].copy_from_slice(&sums[..used]),
    }
}

/// Every element is one chain of fused multiply-adds in the order of the patch; of one that is `DEEP`er than [`DEPTH`],
/// several, which are added up.
#[inline(always)]
fn tile_of_places<T: Real, const ROWS: usize, const COLUMNS: usize, const DEEP: bool>(
    Seen { sight, values, starts }: Seen<'_, T>,
    first: usize,
    strip: &[T],
) -> [[T; COLUMNS]; ROWS] {
    let run = sight.run;
    let mut sums = [[T::ZERO; COLUMNS]; ROWS];
    let mut before: Option<[[T; COLUMNS]; ROWS]> = None;
    let (mut factors, mut length) = (strip, 0);
    for &tap in &sight.taps {
        let mut at = 0;
        while at < run {
            let count = if DEEP { (run - at).min(DEPTH - length) } else { run };
            let mut lines: [&[T]; ROWS] = [&[]; ROWS];
            let mut number = 0;
            while number < ROWS {
                lines[number] = &values[starts[first + number] + tap + at..][..count];
                number += 1;
            }
            let (own, rest) = factors.split_at(count * COLUMNS);
            factors = rest;
            let own = own.as_chunks::<COLUMNS>().0;
            let mut place = 0;
            while place < count && place < own.len() {
                let factors = own[place];
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
            (at, length) = (at + count, length + count);
            if DEEP && length == DEPTH && !factors.is_empty() {
                before = Some(added(before, sums));
                (sums, length) = ([[T::ZERO; COLUMNS]; ROWS], 0);
            }
        }
    }
    added(before, sums)
}

#[inline(always)]
fn added<T: Real, const ROWS: usize, const COLUMNS: usize>(
    before: Option<[[T; COLUMNS]; ROWS]>,
    mut sums: [[T; COLUMNS]; ROWS],
) -> [[T; COLUMNS]; ROWS] {
    let Some(before) = before else { return sums };
    let mut number = 0;
    while number < ROWS {
        let mut lane = 0;
        while lane < COLUMNS {
            sums[number][lane] = before[number][lane] + sums[number][lane];
            lane += 1;
        }
        number += 1;
    }
    sums
}

/// gradient += patches, transposed, times what comes back of them: of at most [`DEPTH`] places, in strips. The gradient
/// is row-major.
#[inline(always)]
pub(crate) fn accumulate_seen<T: Real>(gradient: &mut [T], seen: Seen<'_, T>, upstream: &Strips<T>) {
    let columns = upstream.columns;
    let mut values = upstream.values.as_slice();
    for (column, width) in upstream.widths() {
        let (strip, rest) = values.split_at(upstream.lines * width);
        values = rest;
        let (gradient, used) = (&mut gradient[column..], width.min(columns - column));
        match width {
            WIDE => strip_of_weights::<T, WIDE>(gradient, (columns, used), seen, strip),
            _ => strip_of_weights::<T, NARROW>(gradient, (columns, used), seen, strip),
        }
    }
}

#[inline(always)]
fn strip_of_weights<T: Real, const COLUMNS: usize>(
    gradient: &mut [T],
    line_and_used: (usize, usize),
    seen: Seen<'_, T>,
    strip: &[T],
) {
    let Sight { taps, run, .. } = seen.sight;
    let mut first = 0;
    while first < taps.len() {
        let mut at = 0;
        let together = if *run <= 4 { 3 } else { 1 };
        while at < *run {
            let corner = (first, at);
            at += match run - at {
                9.. => tile_of_weights::<T, 1, 12, COLUMNS>(gradient, line_and_used, seen, corner, strip),
                _ if together == 3 => {
                    tile_of_weights::<T, 3, 4, COLUMNS>(gradient, line_and_used, seen, corner, strip)
                }
                _ => tile_of_weights::<T, 1, 8, COLUMNS>(gradient, line_and_used, seen, corner, strip),
            };
        }
        first += together;
    }
}

/// A tile of some runs with some values of each; how many values. What a tile has beyond the last run or value is left.
#[inline(always)]
fn tile_of_weights<T: Real, const TAPS: usize, const ROWS: usize, const COLUMNS: usize>(
    gradient: &mut [T],
    (line, used): (usize, usize),
    Seen { sight, values, starts }: Seen<'_, T>,
    (first, at): (usize, usize),
    strip: &[T],
) -> usize {
    let mut sums = [[[T::ZERO; COLUMNS]; ROWS]; TAPS];
    let mut offsets = [0; TAPS];
    let mut tap = 0;
    while tap < TAPS {
        offsets[tap] = sight.taps[(first + tap).min(sight.taps.len() - 1)] + at;
        tap += 1;
    }
    let upstream = strip.as_chunks::<COLUMNS>().0;
    let mut place = 0;
    while place < starts.len() && place < upstream.len() {
        let factors = upstream[place];
        let start = starts[place];
        let mut tap = 0;
        while tap < TAPS {
            let others = &values[start + offsets[tap]..][..ROWS];
            let mut number = 0;
            while number < ROWS {
                let mut lane = 0;
                while lane < COLUMNS {
                    sums[tap][number][lane] = others[number].mul_add(factors[lane], sums[tap][number][lane]);
                    lane += 1;
                }
                number += 1;
            }
            tap += 1;
        }
        place += 1;
    }
    let taps = TAPS.min(sight.taps.len() - first);
    let rows = ROWS.min(sight.run - at);
    for (tap, sums) in sums.iter().enumerate().take(taps) {
        for (number, sums) in sums.iter().enumerate().take(rows) {
            let start = ((first + tap) * sight.run + at + number) * line;
            for (value, &sum) in gradient[start..][..used].iter_mut().zip(sums) {
                *value += sum;
            }
        }
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_are_the_columns_with_zeros_behind() {
        let matrix: Vec<f32> = (0..60).map(|number| number as f32).collect();
        let strips = Strips::of(&matrix[1..], 20, 3, 19, true);
        assert_eq!(strips.widths().collect::<Vec<_>>(), [(0, 16), (16, 8)]);
        assert_eq!(strips.values[16..19], [21.0, 22.0, 23.0]);
        assert_eq!(strips.values[48..56], [17.0, 18.0, 19.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let strips = Strips::of(&matrix, 20, 3, 20, false);
        assert_eq!(strips.widths().collect::<Vec<_>>(), [(0, 8), (8, 8), (16, 8)]);
    }
}
