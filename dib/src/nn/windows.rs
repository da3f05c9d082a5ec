//! The patches of a shape for a convolution or a pool, and errors about them.

use kernels::convolution::Patches;

use super::shape::{self, Shape};

/// Window sizes from here on are refused, so that sums of them cannot overflow.
const ABSURD: usize = 1 << 31;

/// The patches of an image or of time steps (where only the first of two numbers counts), or a clause that says what is
/// wanted.
pub(super) fn patches(
    shape: Shape,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> Result<Patches, String> {
    // Time steps are an image of one line: the first size applies to its width.
    let line = |[first, _]: [usize; 2], other: usize| [other, first];
    let patches = match shape {
        Shape::Plane { channels, height, width } => {
            Patches { height, width, channels, kernel, stride, padding }
        }
        Shape::Line { steps, channels } => Patches {
            height: 1,
            width: steps,
            channels,
            kernel: line(kernel, 1),
            stride: line(stride, 1),
            padding: line(padding, 0),
        },
        Shape::Flat(_) => return Err("wants channels x height x width, or steps x channels".to_owned()),
    };
    let Patches { height, width, kernel, stride, padding, .. } = patches;
    if kernel.into_iter().chain(stride).any(|size| !(1..ABSURD).contains(&size)) {
        return Err("wants kernels and strides of at least 1".to_owned());
    }
    if padding.iter().zip(kernel).any(|(&padding, kernel)| padding >= kernel) {
        return Err("wants a padding that is smaller than its kernel".to_owned());
    }
    if patches.places() == 0 {
        let most = [height + 2 * padding[0], width + 2 * padding[1]];
        return Err(match shape {
            Shape::Plane { .. } => {
                format!("wants a kernel of at most {} x {}, paddings included", most[0], most[1])
            }
            _ => format!("wants a kernel of at most {}, paddings included", most[1]),
        });
    }
    if shape::product(&[kernel[0], kernel[1], patches.channels]).is_none() {
        return Err("wants a smaller kernel".to_owned());
    }
    Ok(patches)
}

/// The patches of a 1 x 1 map with strides from one shape to the positions of another; none if there is none.
pub(super) fn places_of(from: Shape, to: Shape) -> Option<Patches> {
    let stride = |from: usize, to: usize| Some(from.div_ceil(to)).filter(|&step| (from - 1) / step + 1 == to);
    match (from, to) {
        (Shape::Flat(width), Shape::Flat(_)) => {
            patches(Shape::Line { steps: 1, channels: width }, [1, 1], [1, 1], [0, 0]).ok()
        }
        (Shape::Line { steps, .. }, Shape::Line { steps: others, .. }) => {
            patches(from, [1, 1], [stride(steps, others)?, 1], [0, 0]).ok()
        }
        (Shape::Plane { height, width, .. }, Shape::Plane { height: lines, width: columns, .. }) => {
            patches(from, [1, 1], [stride(height, lines)?, stride(width, columns)?], [0, 0]).ok()
        }
        _ => None,
    }
}

/// The output shape for patches of a shape, with `channels` channels.
pub(super) fn output(shape: Shape, patches: Patches, channels: usize) -> Shape {
    let [height, width] = patches.output();
    match shape {
        Shape::Flat(_) => Shape::Flat(channels),
        Shape::Line { .. } => Shape::Line { steps: width, channels },
        Shape::Plane { .. } => Shape::Plane { channels, height, width },
    }
}
