//! What the estimators of (17) are given: the densities to take, and the rows of a group.

use crate::Real;

/// The densities in (17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateEstimator {
    /// The sum of one-dimensional estimates: at most d ln N; in the population it overstates I(X;Z).
    PerDimension,
    /// The density of the whole vector: at most ln N; for finite N it understates I(X;Z).
    Joint,
}

/// The rows of a group: z, mu and std, each [rows, width].
#[derive(Clone, Copy)]
pub(crate) struct Group<'a, T> {
    pub(crate) width: usize,
    pub(crate) z: &'a [T],
    pub(crate) mu: &'a [T],
    pub(crate) std: &'a [T],
}

impl<'a, T: Real> Group<'a, T> {
    pub(crate) fn rows(&self) -> usize {
        self.z.len() / self.width
    }

    /// `rows` rows from `start`.
    pub(crate) fn part(&self, start: usize, rows: usize) -> Self {
        let range = start * self.width..(start + rows) * self.width;
        Group {
            width: self.width,
            z: &self.z[range.clone()],
            mu: &self.mu[range.clone()],
            std: &self.std[range],
        }
    }
}

/// Zeroed memory for the gradient of a group: slices like those of [`Group`].
pub(crate) struct GroupGradient<'a, T> {
    pub(crate) z: &'a mut [T],
    pub(crate) mu: &'a mut [T],
    pub(crate) std: &'a mut [T],
}
