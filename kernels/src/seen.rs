//! Products of the patches of images that read the image where it lies: no patch is laid out.
//!
//! Sums are those of [`product`](crate::product) of the whole matrix of patches, in its order.

use std::ops::Range;

use crate::Real;
use crate::patches::Patches;
use crate::product::DEPTH;

/// Numbers behind the last of an image, so that tiles may read beyond a patch.
const BEYOND: usize = 16;

/// An image, and how many lines and places of zeros stand around it.
struct Ground {
    height: usize,
    width: usize,
    channels: usize,
    /// Above and below.
    lines: [usize; 2],
    /// On the left and on the right.
    places: [usize; 2],
}

impl Ground {
    /// Values of a line and its zeros.
    fn line(&self) -> usize {
        (self.width + self.places[0] + self.places[1]) * self.channels
    }
}

/// What the patches of images of one kind see of images that have their zeros around them.
pub(crate) struct Sight {
    /// Values of an image, and of one of its lines.
    bare: [usize; 2],
    /// The same with zeros.
    surrounded: [usize; 2],
    /// Where the first value of an image stands then.
    first: usize,
    /// Where each patch of an image begins.
    starts: Vec<usize>,
    /// Where each run of values that lie side by side begins, from where the patch does.
    taps: Vec<usize>,
    /// Values of a run.
    run: usize,
    /// Values between one group's channels and the next one's.
    group: usize,
}

impl Sight {
    /// What patches see.
    pub(crate) fn new(patches: Patches, groups: usize) -> Self {
        let Patches { height, width, channels, kernel, stride, padding } = patches;
        let [lines, places] = padding.map(|padding| [padding, padding]);
        let ground = Ground { height, width, channels, lines, places };
        let (line, [lines, columns]) = (ground.line(), patches.output());
        let start = |y: usize, x: usize| y * stride[0] * line + x * stride[1] * channels;
        let starts = (0..lines).flat_map(|y| (0..columns).map(move |x| start(y, x))).collect();
        Sight::of(&ground, kernel, groups, starts)
    }

    /// Of several groups, the channels of one at a time.
    fn of(ground: &Ground, kernel: [usize; 2], groups: usize, starts: Vec<usize>) -> Self {
        let (line, channels) = (ground.line(), ground.channels);
        let (taps, run) = match groups {
            1 => ((0..kernel[0]).map(|y| y * line).collect(), kernel[1] * channels),
            _ => {
                let tap = |tap: usize| tap / kernel[1] * line + tap % kernel[1] * channels;
                ((0..kernel[0] * kernel[1]).map(tap).collect(), channels / groups)
            }
        };
        let bare = ground.width * channels;
        Sight {
            bare: [ground.height * bare, bare],
            surrounded: [(ground.lines[0] + ground.height + ground.lines[1]) * line, line],
            first: ground.lines[0] * line + ground.places[0] * channels,
            starts,
            taps,
            run,
            group: channels / groups,
        }
    }

    /// How many patches an image has.
    pub(crate) fn places(&self) -> usize {
        self.starts.len()
    }

    /// Puts images into memory with zeros around each.
    pub(crate) fn surround<T: Real>(&self, images: &[T], memory: &mut Vec<T>) {
        let ([size, bare], [surrounded, line]) = (self.bare, self.surrounded);
        memory.clear();
        memory.resize(images.len() / size * surrounded + BEYOND, T::ZERO);
        for (image, target) in images.chunks_exact(size).zip(memory.chunks_exact_mut(surrounded)) {
            for (number, from) in image.chunks_exact(bare).enumerate() {
                target[self.first + number * line..][..bare].copy_from_slice(from);
            }
        }
    }

    /// Where consecutive patches begin, counted over all images, of the channels of a group.
    pub(crate) fn starts(&self, places: Range<usize>, group: usize, starts: &mut Vec<usize>) {
        let count = self.starts.len();
        starts.clear();
        let mut place = places.start;
        while place < places.end {
            let (image, first) = (place / count, place % count);
            let last = count.min(first + places.end - place);
            let offset = image * self.surrounded[0] + group * self.group;
            starts.extend(self.starts[first..last].iter().map(|start| offset + start));
            place += last - first;
        }
    }
}

/// The places of an image, of those that lie as many places apart as patches move on, and what of the patches' results
/// comes back to them: a convolution of these with some taps of the kernel.
pub(crate) struct Back {
    pub(crate) sight: Sight,
    /// Which of the kernel's taps, in the order in which they are seen.
    pub(crate) taps: Vec<usize>,
    /// Where the places lie in the image.
    pub(crate) targets: Vec<usize>,
}

/// The same along one axis.
struct BackAxis {
    /// The kernel's taps, in the order in which they are seen.
    taps: Vec<usize>,
    /// The places' numbers.
    targets: Vec<usize>,
    /// How many zeros stand before and behind the results.
    zeros: [usize; 2],
    /// Where what comes back to the first place begins, in results with zeros.
    start: usize,
}

impl BackAxis {
    /// A tap of number `shift + j * stride` of the patch that begins at `(q - j) * stride - padding` sees the place `q * stride + shift
    /// - padding`, for every q and j.
    fn new(patches: &Patches, axis: usize, shift: usize) -> Option<Self> {
        let (kernel, stride, padding) = (patches.kernel[axis], patches.stride[axis], patches.padding[axis]);
        let (size, results) = ([patches.height, patches.width][axis], patches.output()[axis]);
        let count = kernel.checked_sub(shift).filter(|&left| left > 0)?.div_ceil(stride);
        let first = padding.saturating_sub(shift).div_ceil(stride);
        let last = (size - 1 + padding).checked_sub(shift)? / stride;
        let zeros = [(count - 1).saturating_sub(first), (last + 1).saturating_sub(results)];
        let targets: Vec<usize> = (first..=last).map(|q| q * stride + shift - padding).collect();
        let taps = (0..count).rev().map(|j| shift + j * stride).collect();
        (!targets.is_empty()).then(|| BackAxis { taps, targets, zeros, start: first + zeros[0] + 1 - count })
    }
}

impl Back {
    /// To the places that lie so far behind multiples of the stride, of patches with so many results each; none if no
    /// patch sees them.
    pub(crate) fn new(patches: &Patches, outputs: usize, groups: usize, shifts: [usize; 2]) -> Option<Self> {
        let [down, across] = [BackAxis::new(patches, 0, shifts[0])?, BackAxis::new(patches, 1, shifts[1])?];
        let [height, width] = patches.output();
        let ground = Ground { height, width, channels: outputs, lines: down.zeros, places: across.zeros };
        let (line, channels) = (ground.line(), patches.channels);
        let (mut starts, mut targets) = (Vec::new(), Vec::new());
        for (y, &line_of_target) in down.targets.iter().enumerate() {
            for (x, &target) in across.targets.iter().enumerate() {
                starts.push((down.start + y) * line + (across.start + x) * outputs);
                targets.push((line_of_target * patches.width + target) * channels);
            }
        }
        let taps = down.taps.iter().flat_map(|y| across.taps.iter().map(move |x| y * patches.kernel[1] + x));
        let kernel = [down.taps.len(), across.taps.len()];
        Some(Back { taps: taps.collect(), sight: Sight::of(&ground, kernel, groups, starts), targets })
    }
}

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
    use crate::patches::tests::{ODD, gathered};
    use crate::product::tests::random;

    #[test]
    fn what_is_seen_is_the_patch_wherever_it_lies() {
        for patches in ODD {
            for groups in [1, patches.channels] {
                let (sight, places) = (Sight::new(patches, groups), patches.places());
                let x = random::<f64>(1, 3 * patches.size());
                let (mut surrounded, mut starts) = (Vec::new(), Vec::new());
                sight.surround(&x, &mut surrounded);
                for group in 0..groups {
                    let width = patches.channels / groups;
                    let depth = patches.depth(width);
                    let channels = group * width..(group + 1) * width;
                    let lines = gathered(&patches, &x, 0..3 * places, &channels);
                    let own = places / 2..2 * places + 1;
                    sight.starts(own.clone(), group, &mut starts);
                    assert_eq!(starts.len(), own.len());
                    for (place, &start) in own.zip(&starts) {
                        let run = |&tap: &usize| &surrounded[start + tap..][..sight.run];
                        let seen: Vec<f64> = sight.taps.iter().flat_map(run).copied().collect();
                        assert_eq!(seen, lines[place * depth..(place + 1) * depth], "{patches:?} {place}");
                    }
                }
            }
        }
    }

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
