//! The shape of a sample between two layers.

use super::misfit::Misfit;

/// The most numbers that a sample may have between two layers, and that a network may learn: 8 GiB of f32.
const LARGEST: usize = 1 << 31;

/// A sample's axes. In memory a sample is always place by place, each with its channels side by side, so that a convolution is
/// a product of matrices and a normalisation of channels goes along a line: a plane is turned so when it comes in, and back
/// when it is made flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One width.
    Flat(usize),
    /// Time steps x channels, or points x channels.
    Line { steps: usize, channels: usize },
    /// Channels x height x width.
    Plane { channels: usize, height: usize, width: usize },
}

impl Shape {
    /// That of samples with these axes, outermost first, for a kind that describes them axis by axis.
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

    /// How many places it has: 1 if it is flat.
    pub(crate) fn places(self) -> usize {
        match self {
            Shape::Flat(_) => 1,
            Shape::Line { steps, .. } => steps,
            Shape::Plane { height, width, .. } => height * width,
        }
    }

    /// How many values stand at a place.
    pub(crate) fn channels(self) -> usize {
        match self {
            Shape::Flat(width) => width,
            Shape::Line { channels, .. } | Shape::Plane { channels, .. } => channels,
        }
    }

    /// The same places with so many values each.
    pub(crate) fn with_channels(self, channels: usize) -> Self {
        match self {
            Shape::Flat(_) => Shape::Flat(channels),
            Shape::Line { steps, .. } => Shape::Line { steps, channels },
            Shape::Plane { height, width, .. } => Shape::Plane { channels, height, width },
        }
    }

    /// How many values a sample has.
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

/// The product of sizes, if it is not beyond all measure.
pub(crate) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |size, &next| size.checked_mul(next)).filter(|&size| size <= LARGEST)
}

/// The sum of sizes, if it is not beyond all measure.
pub(crate) fn sum(mut sizes: impl Iterator<Item = Option<usize>>) -> Option<usize> {
    sizes.try_fold(0usize, |sum, size| sum.checked_add(size?)).filter(|&sum| sum <= LARGEST)
}
