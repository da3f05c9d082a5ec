//! The patches of an image that a convolution, or a pool, looks at.

use candle_core::{Result, bail};

/// An image, and the patches of it that a convolution looks at. Images lie place by place, each with its channels side
/// by side; time steps are an image of one line.
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
}

#[cfg(test)]
pub(crate) mod tests {
    use std::ops::Range;

    use super::*;
    use crate::Real;

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

    /// Where the values of a patch stand among those of all images, by its definition; none of zeros.
    fn stand(patches: &Patches, place: usize, group: &Range<usize>) -> Vec<Option<usize>> {
        let [lines, columns] = patches.output();
        let (sample, line, column) = (place / (lines * columns), place / columns % lines, place % columns);
        let mut stand = Vec::new();
        for dy in 0..patches.kernel[0] {
            for dx in 0..patches.kernel[1] {
                let y = (line * patches.stride[0] + dy).checked_sub(patches.padding[0]);
                let x = (column * patches.stride[1] + dx).checked_sub(patches.padding[1]);
                let y = y.filter(|&y| y < patches.height);
                let x = x.filter(|&x| x < patches.width);
                let at = y.zip(x).map(|(y, x)| (sample * patches.height + y) * patches.width + x);
                stand.extend(group.clone().map(|channel| Some(at? * patches.channels + channel)));
            }
        }
        stand
    }

    /// Patches, one a line.
    pub(crate) fn gathered<T: Real>(
        patches: &Patches,
        x: &[T],
        places: Range<usize>,
        group: &Range<usize>,
    ) -> Vec<T> {
        let stand = places.flat_map(|place| stand(patches, place, group));
        stand.map(|at| at.map_or(T::ZERO, |at| x[at])).collect()
    }

    /// Adds every value of patches to the one that it stands for.
    pub(crate) fn scatter<T: Real>(
        patches: &Patches,
        lines: &[T],
        places: Range<usize>,
        group: &Range<usize>,
        x: &mut [T],
    ) {
        let stand = places.flat_map(|place| stand(patches, place, group));
        for (at, &value) in stand.zip(lines) {
            if let Some(at) = at {
                x[at] += value;
            }
        }
    }
}
