use std::collections::BTreeMap;

use node::Context;

use crate::received::{Received, ReceivedEntry};

/// A granted entry of this receiver, and where its features are.
#[derive(Clone, Copy)]
pub(crate) struct GrantedEntry {
    pub(crate) tick: usize,
    pub(crate) k: usize,
    /// Its position among all (k, m).
    pub(crate) entry: usize,
    /// Its position among what has come of transmitter k.
    number: usize,
}

/// All granted entries of a part of a round (or of a piece), ordered by tick, then k, then m.
pub(crate) struct Granted<'a> {
    received: &'a [Received],
    /// The moment of its first tick: the tick of training, or the evaluation pass.
    moment: u64,
    pub(crate) entries: Vec<GrantedEntry>,
    /// The positions of the entries of each (k, m) that was granted at all, in (k, m) order, by tick.
    pub(crate) by_entry: BTreeMap<usize, Vec<usize>>,
    pub(crate) ticks: usize,
    pub(crate) per_transmitter: Vec<usize>,
}

impl<'a> Granted<'a> {
    pub(crate) fn new(context: &Context, moment: u64, received: &'a [Received]) -> Self {
        let mut entries = Vec::new();
        for (k, received) in received.iter().enumerate() {
            for (number, of) in received.entries.iter().enumerate() {
                let entry = context.entry(k, of.modality);
                entries.push(GrantedEntry { tick: of.tick, k, entry, number });
            }
        }
        entries.sort_by_key(|granted| (granted.tick, granted.entry));
        let mut by_entry: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, granted) in entries.iter().enumerate() {
            by_entry.entry(granted.entry).or_default().push(position);
        }
        let per_transmitter = received.iter().map(|received| received.entries.len()).collect();
        let ticks = received[0].all_granted.len();
        Granted { received, moment, entries, by_entry, ticks, per_transmitter }
    }

    pub(crate) fn entries_at(&self, tick: usize) -> usize {
        self.entries.iter().filter(|granted| granted.tick == tick).count()
    }

    /// Where draws for a sample of a tick are addressed.
    pub(crate) fn address(&self, tick: usize, sample: usize) -> (u64, u64) {
        (self.moment + tick as u64, sample as u64)
    }

    /// Samples of all entries together, of so many each.
    pub(crate) fn rows(&self, samples: usize) -> usize {
        self.entries.len() * samples
    }

    pub(crate) fn entries_of_ticks(&self) -> Vec<usize> {
        let mut counts = vec![0; self.ticks];
        for granted in &self.entries {
            counts[granted.tick] += 1;
        }
        counts
    }

    /// The sum of the rates of every tick in nats, in entry order.
    pub(crate) fn rates_of_ticks(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.ticks];
        for granted in &self.entries {
            sums[granted.tick] += self.received(granted).rate;
        }
        sums
    }

    /// (position among all (k, m), rate) of every entry.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (usize, f64)> {
        self.entries.iter().map(|granted| (granted.entry, self.received(granted).rate))
    }

    pub(crate) fn received(&self, granted: &GrantedEntry) -> &ReceivedEntry {
        &self.received[granted.k].entries[granted.number]
    }

    /// Turns the gradient of an entry's features of a tick of training into that of what its transmitter sent.
    pub(crate) fn pull_back(&self, granted: &GrantedEntry, gradient: &mut [f32]) {
        self.received[granted.k].pull_back(self.received(granted), gradient);
    }

    /// The features of the samples of an entry that have come, of `width` values each.
    pub(crate) fn features(&self, granted: &GrantedEntry, width: usize) -> &[f32] {
        self.received[granted.k].features(self.received(granted), width)
    }

    /// Adds the ticks at which each (k, m) was granted.
    pub(crate) fn count(&self, counts: &mut [u32]) {
        for granted in &self.entries {
            counts[granted.entry] += 1;
        }
    }
}
