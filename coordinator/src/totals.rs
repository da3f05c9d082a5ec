use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Missing;

/// Rounds over which late figures ("mass on noise") are taken.
const LATE: usize = 100;

/// Totals over all rounds of a run, over all interruptions; repeated rounds count once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Bytes on the wire.
    pub bytes: WireBytes,
    /// The largest number of transmitters that a receiver requested at a tick.
    pub most_asks: u32,
    /// The largest number of entries that a transmitter granted at a tick.
    pub most_entries: u32,
    /// Missing entries of receivers, under `straggler.policy = "skip"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Grants of noise entries, and of all entries, in each of the last 100 rounds.
    pub late: VecDeque<(u64, u64)>,
}

/// Bytes on the wire between transmitters and receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireBytes {
    /// Payload of features.
    pub feature: u64,
    /// Payload of gradients.
    pub gradient: u64,
    /// Tables of dithered features.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub table: u64,
    /// All bytes through the sockets.
    pub total: u64,
}

/// Leaves out zeros of counts that most runs do not have.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A round's contribution to the totals.
pub(crate) struct Tally {
    pub(crate) bytes: WireBytes,
    pub(crate) most_asks: u32,
    pub(crate) most_entries: u32,
    pub(crate) missing: Option<Missing>,
    /// Grants of noise entries, and of all entries.
    pub(crate) granted: (u64, u64),
}

impl Totals {
    pub(crate) fn add(&mut self, round: Tally) {
        self.bytes.feature += round.bytes.feature;
        self.bytes.gradient += round.bytes.gradient;
        self.bytes.table += round.bytes.table;
        self.bytes.total += round.bytes.total;
        self.most_asks = self.most_asks.max(round.most_asks);
        self.most_entries = self.most_entries.max(round.most_entries);
        if let Some(missing) = round.missing {
            self.missing.get_or_insert_default().add(missing);
        }
        self.late.push_back(round.granted);
        if self.late.len() > LATE {
            self.late.pop_front();
        }
    }

    /// The noise entries' share of all grants of the last 100 rounds; none without grants.
    pub(crate) fn noise_share(&self) -> Option<f64> {
        let sum = |of: fn(&(u64, u64)) -> u64| self.late.iter().map(of).sum::<u64>();
        let (on_noise, all) = (sum(|round| round.0), sum(|round| round.1));
        (all > 0).then(|| on_noise as f64 / all as f64)
    }
}
