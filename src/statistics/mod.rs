//! The statistics of claims: intervals over seeds and test recordings, of differences and of shares.
//!
//! Nothing here knows what is claimed; the rule that makes verdicts of intervals is `reproduce::verdict`.

mod beta;
mod bootstrap;
mod shares;
mod student;

pub(crate) use bootstrap::{Cluster, Resampled, resampled};
pub(crate) use shares::{clopper_pearson, holm};
pub(crate) use student::{Mean, Paired};

/// The part of an interval of 95 % that lies outside, on either side.
pub(crate) const TAIL: f64 = 0.025;

/// From here to there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }

    /// The wider of two.
    pub(crate) fn wider(self, other: Interval) -> Interval {
        if other.width() > self.width() { other } else { self }
    }
}
