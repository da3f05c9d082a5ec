//! What the patches of images see of images that have their zeros around them, and what comes back of it.

use std::ops::Range;

use crate::Real;
use crate::patches::Patches;

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
    pub(crate) taps: Vec<usize>,
    /// Values of a run.
    pub(crate) run: usize,
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
    /// For the places at offset `shifts` from multiples of the stride; `outputs` values a patch. None if no patch covers
    /// them.
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
}
