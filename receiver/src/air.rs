use std::collections::BTreeMap;

use dib::{Channel, Crossing, Measure, channel_uses};
use node::Context;
use proto::v1::Air;

/// Adds up what entries spend in the air.
#[derive(Clone, Debug, Default)]
pub(crate) struct AirCount {
    /// Sums over samples.
    sums: Air,
    /// Whether the rate of something that arrived is not counted.
    unknown: bool,
    /// Uses of each entry (k, m).
    of_entries: BTreeMap<(usize, usize), f64>,
}

/// Channel uses of some entries together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent<'a> {
    /// How many.
    pub(crate) uses: usize,
    /// How many it would be if the values of each entry were sent by themselves.
    pub(crate) plain: usize,
    /// Whose: (k, m). They share alike, so that the uses of all entries add up to all uses.
    pub(crate) entries: &'a [(usize, usize)],
}

impl AirCount {
    /// Adds some samples of an entry that cross a channel.
    pub(crate) fn cross(
        &mut self,
        channel: &dyn Channel<f32>,
        crossing: &Crossing,
        samples: usize,
        feature_dim: usize,
    ) {
        if let Some(measure) = channel.measure(crossing, samples) {
            let uses = samples * channel_uses(feature_dim);
            let entries = &[(crossing.transmitter, crossing.modality)];
            self.count(measure, Spent { uses, plain: uses, entries });
        }
    }

    /// Adds uses that met this.
    pub(crate) fn count(&mut self, measure: Measure, spent: Spent<'_>) {
        let uses = spent.uses as f64;
        self.sums.uses += uses;
        self.sums.plain_uses += spent.plain as f64;
        if let (Some(snr_db), Some(capacity)) = (measure.snr_db, measure.capacity) {
            self.sums.noisy_uses += uses;
            self.sums.snr += uses * snr_db;
            self.sums.capacity += uses * capacity;
        }
        for &entry in spent.entries {
            *self.of_entries.entry(entry).or_default() += uses / spent.entries.len() as f64;
        }
    }

    /// Adds the rates of an entry of so many samples that crosses a channel, in nats.
    pub(crate) fn rate(&mut self, samples: usize, sent: f64, received: Option<f64>) {
        self.sums.sent += samples as f64 * sent;
        match received {
            Some(received) => *self.sums.received.get_or_insert(0.0) += samples as f64 * received,
            None => self.unknown = true,
        }
    }

    /// Adds what another counted.
    pub(crate) fn add(&mut self, other: &AirCount) {
        let Air { uses, noisy_uses, snr, capacity, sent, received, plain_uses } = other.sums;
        self.sums.uses += uses;
        self.sums.noisy_uses += noisy_uses;
        self.sums.snr += snr;
        self.sums.capacity += capacity;
        self.sums.sent += sent;
        self.sums.plain_uses += plain_uses;
        if let Some(received) = received {
            *self.sums.received.get_or_insert(0.0) += received;
        }
        self.unknown |= other.unknown;
        for (&entry, uses) in &other.of_entries {
            *self.of_entries.entry(entry).or_default() += uses;
        }
    }

    /// A sample's share of all that was counted, for a report; none where nothing can cross a channel.
    pub(crate) fn report(&self, context: &Context, samples: usize) -> Option<Air> {
        let of_each = |sum: f64| sum / samples as f64;
        let Air { uses, noisy_uses, snr, capacity, sent, received, plain_uses } = self.sums;
        can_cross(context).then(|| Air {
            uses: of_each(uses),
            noisy_uses: of_each(noisy_uses),
            snr: of_each(snr),
            capacity: of_each(capacity),
            sent: of_each(sent),
            received: received.filter(|_| !self.unknown).map(of_each),
            plain_uses: of_each(plain_uses),
        })
    }

    /// A sample's share of every entry's uses, in (k, m) order; empty where nothing can cross a channel.
    pub(crate) fn entry_uses(&self, context: &Context, samples: usize) -> Vec<f64> {
        if !can_cross(context) {
            return Vec::new();
        }
        let mut uses = vec![0.0; context.scenario.entries_per_receiver()];
        for (&(k, m), sum) in &self.of_entries {
            uses[context.entry(k, m)] = sum / samples as f64;
        }
        uses
    }
}

/// Whether any entry that this receiver is granted crosses a channel.
fn can_cross(context: &Context) -> bool {
    context.scenario.channels().any(|(_, t, _)| t == context.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_share_a_slot_share_its_uses() {
        let measure = Measure { snr_db: None, capacity: None };
        let mut first = AirCount::default();
        first.count(measure, Spent { uses: 6, plain: 12, entries: &[(0, 1), (2, 0)] });
        first.count(measure, Spent { uses: 6, plain: 6, entries: &[(0, 1)] });
        let mut all = first.clone();
        all.add(&first);
        assert_eq!((all.sums.uses, all.sums.plain_uses), (24.0, 36.0));
        assert_eq!(all.of_entries, BTreeMap::from([((0, 1), 18.0), ((2, 0), 6.0)]));
    }
}
