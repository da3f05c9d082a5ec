//! A problem of discrete modalities whose samples can all be listed, so that the best decoder of any entries is known.

use candle_core::{Device, Tensor};
use dib::RateEstimator;

/// One modality of one transmitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    k: usize,
    m: usize,
}

impl Entry {
    /// The digit's high bit.
    pub(crate) const HIGH: Entry = Entry { k: 0, m: 0 };
    /// A bit that carries no information.
    pub(crate) const NOISE: Entry = Entry { k: 0, m: 1 };
    /// The low bit.
    pub(crate) const LOW: Entry = Entry { k: 1, m: 0 };
    /// The high bit, wrong in one sample of four.
    pub(crate) const UNSURE: Entry = Entry { k: 1, m: 1 };
    pub(crate) const ALL: [Entry; 4] = [Entry::HIGH, Entry::NOISE, Entry::LOW, Entry::UNSURE];
}

/// (9) and (10): how many transmitters a receiver may request, and how many entries a transmitter may encode.
const RECEIVER_LIMIT: usize = 2;
const TRANSMITTER_LIMIT: usize = 3;

/// The entries of each of the two receivers.
pub(crate) struct Sets(pub(crate) [Vec<Entry>; 2]);

/// Two bits, observed by two transmitters with two modalities each, for two receivers: one infers the digit, the other
/// its parity.
pub(crate) struct Problem {
    /// (high, low, flipped, noise), all equally probable.
    samples: Vec<[bool; 4]>,
}

impl Problem {
    pub(crate) fn new() -> Self {
        let bits = |number: usize| {
            [number & 1 == 1, number >> 1 & 1 == 1, number >> 2 & 3 == 3, number >> 4 & 1 == 1]
        };
        Problem { samples: (0..32).map(bits).collect() }
    }

    /// (P0) in nats, with encoders that send what they observe and the best decoders.
    pub(crate) fn objective(&self, sets: &Sets, beta: f64) -> f64 {
        let of = |t: usize| {
            let extras =
                sets.0[t].iter().map(|&entry| self.conditional_entropy(t, &[entry]) + self.rate(entry));
            self.conditional_entropy(t, &sets.0[t]) + beta * extras.sum::<f64>()
        };
        of(0) + of(1)
    }

    /// H(Y_t | Z) for some entries.
    pub(crate) fn conditional_entropy(&self, t: usize, entries: &[Entry]) -> f64 {
        self.cross_entropy(t, entries, |logit| logit)
    }

    /// The cross entropy of a decoder that sees these entries, each of its logits changed from the best decoder's.
    pub(crate) fn cross_entropy(
        &self,
        t: usize,
        entries: &[Entry],
        mut change: impl FnMut(f64) -> f64,
    ) -> f64 {
        let classes = [4, 2][t];
        let seen: Vec<Vec<bool>> = self.samples.iter().map(|sample| see(sample, entries)).collect();
        let labels: Vec<u32> = self.samples.iter().map(|sample| label(t, sample)).collect();
        // One row of logits for every possible observation.
        let mut patterns = seen.clone();
        patterns.sort();
        patterns.dedup();
        let mut table = Vec::new();
        for pattern in &patterns {
            let count = |class: u32| {
                let alike =
                    seen.iter().zip(&labels).filter(|(seen, label)| *seen == pattern && **label == class);
                alike.count() as f64
            };
            table.push(
                (0..classes).map(|class| change(count(class).max(1e-30).ln()) as f32).collect::<Vec<f32>>(),
            );
        }
        let row = |seen: &Vec<bool>| table[patterns.binary_search(seen).expect("it is among them")].clone();
        let logits: Vec<f32> = seen.iter().flat_map(row).collect();
        let logits = Tensor::from_vec(logits, (seen.len(), classes as usize), &Device::Cpu).unwrap();
        let labels = dib::Labels::new(&labels, classes as usize, &Device::Cpu).unwrap();
        let losses: Vec<f64> = dib::cross_entropy(&logits, &labels).unwrap().to_vec1().unwrap();
        losses.iter().sum::<f64>() / losses.len() as f64
    }

    /// I(X;Z) of an entry, by (17) over all samples: its values lie far apart.
    pub(crate) fn rate(&self, entry: Entry) -> f64 {
        let value = |sample: &[bool; 4]| if see(sample, &[entry])[0] { 1f32 } else { -1.0 };
        let z: Vec<f32> = self.samples.iter().map(value).collect();
        let z = Tensor::from_vec(z, (self.samples.len(), 1), &Device::Cpu).unwrap();
        let std = (z.ones_like().unwrap() * 0.01).unwrap();
        dib::rate(RateEstimator::Joint, &z, &z, &std, &[self.samples.len()]).unwrap()[0]
    }
}

fn label(t: usize, &[high, low, ..]: &[bool; 4]) -> u32 {
    match t {
        0 => 2 * u32::from(high) + u32::from(low),
        _ => u32::from(high != low),
    }
}

fn see(&[high, low, flipped, noise]: &[bool; 4], entries: &[Entry]) -> Vec<bool> {
    let of = |entry: &Entry| match *entry {
        Entry::HIGH => high,
        Entry::LOW => low,
        Entry::UNSURE => high != flipped,
        _ => noise,
    };
    entries.iter().map(of).collect()
}

impl Sets {
    /// (9) and (10).
    pub(crate) fn is_feasible(&self) -> bool {
        let within = self.0.iter().all(|entries| transmitters(entries) <= RECEIVER_LIMIT);
        within && (0..2).all(|k| self.encoded(k) <= TRANSMITTER_LIMIT) && self.serves_everybody()
    }

    pub(crate) fn is_at_all_limits(&self) -> bool {
        let receivers = self.0.iter().all(|entries| transmitters(entries) == RECEIVER_LIMIT);
        receivers && (0..2).all(|k| self.encoded(k) == TRANSMITTER_LIMIT)
    }

    /// Whether every receiver is granted an entry.
    pub(crate) fn serves_everybody(&self) -> bool {
        self.0.iter().all(|entries| !entries.is_empty())
    }

    /// The number of entries that transmitter k encodes.
    fn encoded(&self, k: usize) -> usize {
        self.0.iter().flatten().filter(|entry| entry.k == k).count()
    }
}

fn transmitters(entries: &[Entry]) -> usize {
    (0..2).filter(|&k| entries.iter().any(|entry| entry.k == k)).count()
}

/// All possible sets of entries of the two receivers.
pub(crate) fn all_sets() -> impl Iterator<Item = Sets> {
    let of = |bits: usize| {
        Entry::ALL
            .into_iter()
            .enumerate()
            .filter(move |(place, _)| bits >> place & 1 == 1)
            .map(|(_, entry)| entry)
    };
    (0usize..256).map(move |bits| Sets([of(bits & 15).collect(), of(bits >> 4).collect()]))
}
