//! Image patches for a convolution: laid out side by side as rows of a matrix, and summed back.

use std::ops::Range;

use candle_core::{Result, bail};

use crate::Real;
use crate::lanes::combine_short;

/// An image and the patches of it that a convolution sees. Images are stored position by position, with the channels of
/// a position side by side; time steps are an image of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Lines of the image.
    pub height: usize,
    /// Positions in a line.
    pub width: usize,
    /// Values at a position.
    pub channels: usize,
    /// Lines and positions of a patch.
    pub kernel: [usize; 2],
    /// Stride down and right.
    pub stride: [usize; 2],
    /// Lines and positions of zeros on each side of the image.
    pub padding: [usize; 2],
}

/// Consecutive patches of one output line.
struct Line {
    sample: usize,
    /// Its number, from the top.
    number: usize,
    patches: Range<usize>,
}

impl Patches {
    /// How many patches there are vertically and in a line: none where a patch is larger than the padded image.
    pub fn output(&self) -> [usize; 2] {
        let count = |size: usize, axis: usize| {
            let free = (size + 2 * self.padding[axis]).checked_sub(self.kernel[axis]);
            free.map_or(0, |free| free / self.stride[axis] + 1)
        };
        [count(self.height, 0), count(self.width, 1)]
    }

    /// The number of patches of an image.
    pub fn places(&self) -> usize {
        let [lines, columns] = self.output();
        lines * columns
    }

    /// The number of values of an image.
    pub fn size(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether a patch is a single position: then no rearrangement is needed.
    pub(crate) fn is_places(&self) -> bool {
        (self.kernel, self.stride, self.padding) == ([1, 1], [1, 1], [0, 0])
    }

    pub(crate) fn check(&self, name: &str) -> Result<()> {
        if self.stride.contains(&0) || self.kernel.contains(&0) || self.size() == 0 || self.places() == 0 {
            bail!("{name}: {self:?} has no patches");
        }
        Ok(())
    }

    /// The number of values in a patch of `channels` channels.
    pub(crate) fn depth(&self, channels: usize) -> usize {
        self.kernel[0] * self.kernel[1] * channels
    }

    /// The output lines of consecutive patches, counted over all images.
    fn lines(&self, places: Range<usize>) -> impl Iterator<Item = Line> {
        let [lines, columns] = self.output();
        let mut place = places.start;
        std::iter::from_fn(move || {
            (place < places.end).then(|| {
                let (line, first) = (place / columns, place % columns);
                let last = columns.min(first + places.end - place);
                place += last - first;
                Line { sample: line / lines, number: line % lines, patches: first..last }
            })
        })
    }

    /// The line of the image that an output line sees at vertical tap `tap`; none if it is padding.
    fn source(&self, line: &Line, tap: usize) -> Option<Range<usize>> {
        let y = (line.number * self.stride[0] + tap).checked_sub(self.padding[0])?;
        let start = (line.sample * self.height + y) * self.width * self.channels;
        (y < self.height).then_some(start..start + self.width * self.channels)
    }

    /// Where the first of a line's patches begins, after `padding` positions of zeros.
    fn start(&self, line: &Line) -> usize {
        line.patches.start * self.stride[1] * self.channels
    }

    /// Values of a padded line, and values of the padding on one side.
    fn padded(&self) -> (usize, usize) {
        let side = self.padding[1] * self.channels;
        (self.width * self.channels + 2 * side, side)
    }

    /// Writes consecutive patches, counted over all images, one for each row: their taps line by line, each with the
    /// channels of a group.
    pub(crate) fn gather<T: Real>(
        &self,
        x: &[T],
        places: Range<usize>,
        group: Range<usize>,
        lines: &mut [T],
    ) {
        let run = self.kernel[1] * group.len();
        let depth = self.kernel[0] * run;
        let (width, side) = self.padded();
        // In a padded line, the ends need no special case.
        let (mut padded, zeros) = (vec![T::ZERO; width], vec![T::ZERO; width]);
        let mut start = 0;
        for line in self.lines(places) {
            let end = start + line.patches.len() * depth;
            for tap in 0..self.kernel[0] {
                let seen = match self.source(&line, tap) {
                    Some(source) if side == 0 => &x[source],
                    Some(source) => {
                        padded[side..width - side].copy_from_slice(&x[source]);
                        &padded
                    }
                    None => &zeros,
                };
                self.gather_line(
                    &seen[self.start(&line)..],
                    &line,
                    &group,
                    &mut lines[start + tap * run..end],
                );
            }
            start = end;
        }
    }

    /// Copies what the patches of an output line see of one line of the image, to the beginnings of rows that lie a
    /// patch's depth apart.
    fn gather_line<T: Real>(&self, from: &[T], line: &Line, group: &Range<usize>, to: &mut [T]) {
        let step = self.stride[1] * self.channels;
        let depth = self.depth(group.len());
        // All channels of neighbouring positions are contiguous.
        let (taps, length) = match group.len() == self.channels {
            true => (1, self.kernel[1] * self.channels),
            false => (self.kernel[1], group.len()),
        };
        for tap in 0..taps {
            let from = &from[tap * self.channels + group.start..];
            copy(from, step, &mut to[tap * length..], depth, length, line.patches.len());
        }
    }

    /// Adds every value of the patches to its value of the image: the transpose of [`Patches::gather`]. In the order of
    /// the patches.
    #[inline(always)]
    pub(crate) fn scatter<T: Real>(
        &self,
        lines: &[T],
        places: Range<usize>,
        group: Range<usize>,
        x: &mut [T],
    ) {
        let run = self.kernel[1] * group.len();
        let depth = self.kernel[0] * run;
        let (width, side) = self.padded();
        let mut padded = vec![T::ZERO; width];
        let mut start = 0;
        for line in self.lines(places) {
            for tap in 0..self.kernel[0] {
                let Some(target) = self.source(&line, tap) else { continue };
                // Values that fall on padding are dropped.
                padded[side..width - side].copy_from_slice(&x[target.clone()]);
                self.scatter_line(
                    &lines[start + tap * run..],
                    &line,
                    &group,
                    &mut padded[self.start(&line)..],
                );
                x[target].copy_from_slice(&padded[side..width - side]);
            }
            start += line.patches.len() * depth;
        }
    }

    #[inline(always)]
    fn scatter_line<T: Real>(&self, from: &[T], line: &Line, group: &Range<usize>, to: &mut [T]) {
        let step = self.stride[1] * self.channels;
        let depth = self.depth(group.len());
        let (taps, length) = match group.len() == self.channels {
            true => (1, self.kernel[1] * self.channels),
            false => (self.kernel[1], group.len()),
        };
        for patch in 0..line.patches.len() {
            for tap in 0..taps {
                let to = &mut to[patch * step + tap * self.channels + group.start..][..length];
                let from = &from[patch * depth + tap * length..][..length];
                combine_short(to, from, |to, from| to + from);
            }
        }
    }
}

/// Copies `count` runs of equal length, `step` apart, to positions `depth` apart.
fn copy<T: Real>(from: &[T], step: usize, to: &mut [T], depth: usize, length: usize, count: usize) {
    // A call of the copy routine costs more than a short copy.
    match length {
        1 => copy_short::<T, 1>(from, step, to, depth, count),
        2 => copy_short::<T, 2>(from, step, to, depth, count),
        3 => copy_short::<T, 3>(from, step, to, depth, count),
        4 => copy_short::<T, 4>(from, step, to, depth, count),
        5 => copy_short::<T, 5>(from, step, to, depth, count),
        6 => copy_short::<T, 6>(from, step, to, depth, count),
        7 => copy_short::<T, 7>(from, step, to, depth, count),
        8 => copy_short::<T, 8>(from, step, to, depth, count),
        9 => copy_short::<T, 9>(from, step, to, depth, count),
        12 => copy_short::<T, 12>(from, step, to, depth, count),
        16 => copy_short::<T, 16>(from, step, to, depth, count),
        24 => copy_short::<T, 24>(from, step, to, depth, count),
        48 => copy_short::<T, 48>(from, step, to, depth, count),
        _ => {
            for number in 0..count {
                to[number * depth..][..length].copy_from_slice(&from[number * step..][..length]);
            }
        }
    }
}

#[inline(always)]
fn copy_short<T: Real, const LENGTH: usize>(
    from: &[T],
    step: usize,
    to: &mut [T],
    depth: usize,
    count: usize,
) {
    for number in 0..count {
        let run: &[T] = &from[number * step..][..LENGTH];
        to[number * depth..][..LENGTH].copy_from_slice(run);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::product::tests::random;

    /// Odd cases, with padding, strides that do not divide, and patches that see only zeros on one side.
    pub(crate) const ODD: [Patches; 7] = [
        Patches { height: 5, width: 7, channels: 1, kernel: [3, 3], stride: [1, 1], padding: [1, 1] },
        Patches { height: 5, width: 7, channels: 4, kernel: [3, 2], stride: [2, 3], padding: [0, 1] },
        Patches { height: 1, width: 9, channels: 6, kernel: [1, 4], stride: [1, 2], padding: [0, 3] },
        Patches { height: 6, width: 4, channels: 2, kernel: [1, 1], stride: [2, 2], padding: [0, 0] },
        Patches { height: 3, width: 2, channels: 2, kernel: [5, 5], stride: [1, 1], padding: [2, 2] },
        Patches { height: 4, width: 20, channels: 2, kernel: [2, 11], stride: [3, 1], padding: [1, 0] },
        Patches { height: 8, width: 9, channels: 2, kernel: [2, 2], stride: [3, 4], padding: [0, 0] },
    ];

    /// The values that a patch sees, by definition.
    fn seen(patches: &Patches, x: &[f64], place: usize, group: &Range<usize>) -> Vec<f64> {
        let [lines, columns] = patches.output();
        let (sample, line, column) = (place / (lines * columns), place / columns % lines, place % columns);
        let mut values = Vec::new();
        for dy in 0..patches.kernel[0] {
            for dx in 0..patches.kernel[1] {
                let y = (line * patches.stride[0] + dy).checked_sub(patches.padding[0]);
                let x_of = (column * patches.stride[1] + dx).checked_sub(patches.padding[1]);
                for channel in group.clone() {
                    values.push(match (y, x_of) {
                        (Some(y), Some(at)) if y < patches.height && at < patches.width => {
                            x[((sample * patches.height + y) * patches.width + at) * patches.channels
                                + channel]
                        }
                        _ => 0.0,
                    });
                }
            }
        }
        values
    }

    #[test]
    fn patches_follow_their_definition_in_any_pieces() {
        for patches in ODD {
            let x: Vec<f64> = random(1, 3 * patches.size());
            for group in [0..patches.channels, patches.channels / 2..patches.channels] {
                let depth = patches.depth(group.len());
                let total = 3 * patches.places();
                for piece in [1, 4, total] {
                    for start in (0..total).step_by(piece) {
                        let end = (start + piece).min(total);
                        let mut lines = vec![f64::NAN; (end - start) * depth];
                        patches.gather(&x, start..end, group.clone(), &mut lines);
                        for (place, line) in (start..end).zip(lines.chunks_exact(depth)) {
                            assert_eq!(line, seen(&patches, &x, place, &group), "{patches:?} {place}");
                        }
                    }
                }
            }
        }
    }

    /// <gather(x), y> = <x, scatter(y)>, and scattering in pieces gives the same bits.
    #[test]
    fn scattering_is_the_transpose_of_gathering() {
        for patches in ODD {
            for group in [0..patches.channels, patches.channels / 2..patches.channels] {
                let (total, depth) = (2 * patches.places(), patches.depth(group.len()));
                let x: Vec<f64> = random(1, 2 * patches.size());
                let y: Vec<f64> = random(2, total * depth);
                let mut gathered = vec![0.0; y.len()];
                patches.gather(&x, 0..total, group.clone(), &mut gathered);
                let scattered = |piece: usize| {
                    let mut back = vec![0.0; x.len()];
                    for start in (0..total).step_by(piece) {
                        let end = (start + piece).min(total);
                        patches.scatter(&y[start * depth..], start..end, group.clone(), &mut back);
                    }
                    back
                };
                let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let back = scattered(total);
                assert!((inner(&gathered, &y) - inner(&x, &back)).abs() < 1e-10, "{patches:?}");
                assert_eq!(back, scattered(1));
                assert_eq!(back, scattered(3));
            }
        }
    }
}
