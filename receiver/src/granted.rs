use std::collections::BTreeMap;

use dib::Mac;
use node::{AirTime, Context};

use crate::{
    mac::{self, Slots},
    received::{Received, ReceivedEntry},
};

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

/// A tick of which only the entries of some transmitters are left.
#[derive(PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) tick: usize,
    /// The transmitters, in index order.
    pub(crate) left: Vec<usize>,
}

/// All granted entries of a part of a round (or of a piece), ordered by tick, then k, then m.
pub(crate) struct Granted<'a> {
    received: &'a [Received],
    /// When its first tick is.
    time: AirTime,
    /// How many ticks later each of its ticks is.
    later: Vec<usize>,
    pub(crate) entries: Vec<GrantedEntry>,
    /// The positions of the entries of each (k, m) that was granted at all, in (k, m) order, by tick.
    pub(crate) by_entry: BTreeMap<usize, Vec<usize>>,
    pub(crate) ticks: usize,
    pub(crate) per_transmitter: Vec<usize>,
}

impl<'a> Granted<'a> {
    pub(crate) fn new(context: &Context, time: AirTime, received: &'a [Received]) -> Self {
        let mut entries = Vec::new();
        for (k, received) in received.iter().enumerate() {
            for (number, of) in received.entries.iter().enumerate() {
                let entry = context.entry(k, of.modality);
                entries.push(GrantedEntry { tick: of.tick, k, entry, number });
            }
        }
        entries.sort_by_key(|granted| (granted.tick, granted.entry));
        let by_entry = by_entry(&entries);
        let per_transmitter = received.iter().map(|received| received.entries.len()).collect();
        let ticks = received[0].all_granted.len();
        let later = (0..ticks).collect();
        Granted { received, time, later, entries, by_entry, ticks, per_transmitter }
    }

    /// Cases of these ticks side by side, each as a tick of its own.
    pub(crate) fn cases(&self, cases: &[Case]) -> Self {
        let mut entries: Vec<GrantedEntry> = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let entry = |position: usize| GrantedEntry { tick: number, ..self.entries[position] };
            entries.extend(self.left(case).map(entry));
        }
        let mut per_transmitter = vec![0; self.received.len()];
        entries.iter().for_each(|granted| per_transmitter[granted.k] += 1);
        Granted {
            received: self.received,
            time: self.time,
            later: cases.iter().map(|case| self.later[case.tick]).collect(),
            by_entry: by_entry(&entries),
            entries,
            ticks: cases.len(),
            per_transmitter,
        }
    }

    /// The positions of the entries that are left in a case, in order.
    pub(crate) fn left(&self, case: &Case) -> impl Iterator<Item = usize> {
        let before = |end: usize| self.entries.partition_point(|granted| granted.tick < end);
        let of_tick = before(case.tick)..before(case.tick + 1);
        of_tick.filter(|&position| case.left.contains(&self.entries[position].k))
    }

    /// How many entries a transmitter grants to all receivers at a tick, as far as this one is told.
    pub(crate) fn granted_to_all(&self, k: usize, tick: usize) -> usize {
        self.received[k].all_granted[tick]
    }

    pub(crate) fn entries_at(&self, tick: usize) -> usize {
        self.entries.iter().filter(|granted| granted.tick == tick).count()
    }

    /// Where draws for a sample of a tick of training are addressed.
    pub(crate) fn address(&self, tick: usize, sample: usize) -> (u64, u64) {
        (self.time.tick + self.later[tick] as u64, sample as u64)
    }

    /// When a group of samples of a tick meets its gains.
    pub(crate) fn time(&self, tick: usize, group: usize) -> AirTime {
        self.time.later(self.later[tick] + group)
    }

    /// For every transmitter, whether it granted anything at a tick.
    pub(crate) fn granters(&self, tick: usize) -> Vec<bool> {
        let mut granters = vec![false; self.received.len()];
        let at = |granted: &&GrantedEntry| granted.tick == tick;
        self.entries.iter().filter(at).for_each(|granted| granters[granted.k] = true);
        granters
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

    /// Turns the gradients of what was heard together into those of what was sent: of all entries, in their order.
    pub(crate) fn pull_back_together(&self, context: &Context, mac: &Mac, gradients: &mut [Vec<f32>]) {
        let position = |k: usize, number: usize| {
            self.entries.iter().position(|granted| (granted.k, granted.number) == (k, number))
        };
        for (tick, slot, senders) in Slots::new(context, self.received).iter() {
            let positions: Vec<(usize, usize)> =
                senders.iter().filter_map(|&(k, number)| Some((k, position(k, number)?))).collect();
            let mut taken: Vec<Vec<f32>> =
                positions.iter().map(|&(_, position)| std::mem::take(&mut gradients[position])).collect();
            let mut together: Vec<(usize, &mut [f32])> =
                positions.iter().map(|(k, _)| *k).zip(taken.iter_mut().map(Vec::as_mut_slice)).collect();
            mac::pull_back(mac, self.received, (tick, slot), &mut together);
            positions.iter().zip(taken).for_each(|(&(_, position), own)| gradients[position] = own);
        }
    }

    /// Turns the gradient of an entry's features of a tick of training into that of what its transmitter sent.
    ///
    /// # Errors
    /// That of a channel of a user's program.
    pub(crate) fn pull_back(&self, granted: &GrantedEntry, gradient: &mut [f32]) -> dib::Result<()> {
        self.received[granted.k].pull_back(self.received(granted), gradient)
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

/// The positions of the entries of each (k, m) that is among them.
fn by_entry(entries: &[GrantedEntry]) -> BTreeMap<usize, Vec<usize>> {
    let mut by_entry: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, granted) in entries.iter().enumerate() {
        by_entry.entry(granted.entry).or_default().push(position);
    }
    by_entry
}
