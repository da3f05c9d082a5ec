use proto::v1;
use serde::{Deserialize, Serialize};

/// Entries that receivers went without under `straggler.policy = "skip"`. In evaluation, an entry's samples of a tick
/// count as an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Entries that arrived.
    pub used: u64,
    /// Entries that emulated links lost.
    pub lost: u64,
    /// Entries that took longer than `straggler.deadline`.
    pub late: u64,
    /// Messages that had not arrived when `straggler.patience` ended. Unless it is 0, the run depends on the clock.
    pub absent: u64,
}

impl Missing {
    /// The sum of the nodes' reports; none without reports.
    pub(crate) fn sum<'a>(reports: impl Iterator<Item = &'a v1::Missing>) -> Option<Self> {
        reports.map(Missing::from).reduce(|mut sum, report| {
            sum.add(report);
            sum
        })
    }

    pub(crate) fn add(&mut self, other: Missing) {
        self.used = self.used.saturating_add(other.used);
        self.lost = self.lost.saturating_add(other.lost);
        self.late = self.late.saturating_add(other.late);
        self.absent = self.absent.saturating_add(other.absent);
    }

    /// Lost and late entries as a share of all entries in the messages that arrived.
    pub fn share(&self) -> f64 {
        let missing = self.lost + self.late;
        missing as f64 / (missing + self.used).max(1) as f64
    }
}

impl From<&v1::Missing> for Missing {
    fn from(report: &v1::Missing) -> Self {
        let sum = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum();
        Missing {
            used: report.used,
            lost: sum(&report.lost),
            late: sum(&report.late),
            absent: report.absent.into(),
        }
    }
}
