//! The statistics of claims: intervals over seeds and test recordings, of differences and of shares.
//!
//! This module does not know the claims; `reproduce::verdict` has the rule that turns intervals into verdicts.

mod beta;
mod bootstrap;
mod shares;
mod student;

pub(crate) use bootstrap::{Cluster, Resampled, over_seeds, resampled};
pub(crate) use shares::{clopper_pearson, holm};
pub(crate) use student::{Mean, Paired};

/// The probability outside a 95 % interval, on either side.
pub(crate) const TAIL: f64 = 0.025;

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }

    /// The wider of two intervals.
    pub(crate) fn wider(self, other: Interval) -> Interval {
        if other.width() > self.width() { other } else { self }
    }
}
