//! The shape of a sample between two layers.

use super::misfit::Misfit;

/// Upper limit on the values of a sample between two layers, and on the parameters of a network: 8 GiB of f32.
const LARGEST: usize = 1 << 31;

/// A sample's axes. In memory a sample is always stored position by position, each with its channels side by side, so
/// that a convolution is a matrix product and a normalisation of channels runs along a row: an image is transposed
/// accordingly on input, and back when it is flattened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One axis.
    Flat(usize),
    /// Time steps x channels, or points x channels.
    Line { steps: usize, channels: usize },
    /// Channels x height x width.
    Plane { channels: usize, height: usize, width: usize },
}

impl Shape {
    /// The shape of samples with these axes, outermost first; `kind` is for error messages.
    pub(crate) fn of(kind: &'static str, axes: &[usize]) -> Result<Self, Misfit> {
        let shape = match *axes {
            [width] => Shape::Flat(width),
            [steps, channels] => Shape::Line { steps, channels },
            [channels, height, width] => Shape::Plane { channels, height, width },
            _ => {
                return Err(Misfit::of(kind, axes, "wants samples of one to three axes"));
            }
        };
        checked_size(kind, axes)?;
        Ok(shape)
    }

    /// The axes, outermost first.
    pub(crate) fn axes(self) -> Vec<usize> {
        match self {
            Shape::Flat(width) => vec![width],
            Shape::Line { steps, channels } => vec![steps, channels],
            Shape::Plane { channels, height, width } => vec![channels, height, width],
        }
    }

    /// The number of positions: 1 if it is flat.
    pub(crate) fn places(self) -> usize {
        match self {
            Shape::Flat(_) => 1,
            Shape::Line { steps, .. } => steps,
            Shape::Plane { height, width, .. } => height * width,
        }
    }

    /// The number of values at a position.
    pub(crate) fn channels(self) -> usize {
        match self {
            Shape::Flat(width) => width,
            Shape::Line { channels, .. } | Shape::Plane { channels, .. } => channels,
        }
    }

    /// The same positions with `channels` values each.
    pub(crate) fn with_channels(self, channels: usize) -> Self {
        match self {
            Shape::Flat(_) => Shape::Flat(channels),
            Shape::Line { steps, .. } => Shape::Line { steps, channels },
            Shape::Plane { height, width, .. } => Shape::Plane { channels, height, width },
        }
    }

    /// The number of values of a sample.
    pub(crate) fn size(self) -> usize {
        self.places() * self.channels()
    }
}

/// The product of sizes, each at least 1.
pub(crate) fn checked_size(kind: &'static str, sizes: &[usize]) -> Result<usize, Misfit> {
    if sizes.contains(&0) {
        return Err(Misfit::of(kind, sizes, "wants sizes of at least 1"));
    }
    match product(sizes) {
        Some(size) => Ok(size),
        None => Err(Misfit::of(kind, sizes, format!("wants at most {LARGEST} numbers"))),
    }
}

/// The product of sizes, unless it overflows.
pub(crate) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |size, &next| size.checked_mul(next)).filter(|&size| size <= LARGEST)
}

/// The sum of sizes, unless it overflows.
pub(crate) fn sum(mut sizes: impl Iterator<Item = Option<usize>>) -> Option<usize> {
    sizes.try_fold(0usize, |sum, size| sum.checked_add(size?)).filter(|&sum| sum <= LARGEST)
}
