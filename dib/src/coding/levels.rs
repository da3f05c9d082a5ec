//! Quantised features as bits: both ends count, message by message, how often a dimension has had which level, and code
//! the next by that. No table travels, and of what is not known yet the bits of a level cost what they are: one each.

use std::collections::BTreeMap;

use super::CodeError;
use super::coder::{Decoder, Encoder, Share, TOTAL};

/// How many of a level's leading bits are counted; the others cost a bit each.
const COUNTED: u32 = 6;
/// At so many counts of a bit, all are halved.
const MOST: u32 = 1 << 12;

/// What has been seen of the levels of a message.
pub struct Levels {
    bits: u32,
    d: usize,
    /// By modality: of each dimension, and the leading bits of a level so far, how often 0 and 1 came next.
    seen: BTreeMap<usize, Vec<[u32; 2]>>,
}

impl Levels {
    /// Nothing has been seen. Features have d values of so many bits, 1 to 16.
    pub fn new(bits: u32, d: usize) -> Self {
        Levels { bits, d, seen: BTreeMap::new() }
    }

    /// Codes rows of d values between 0 and 1, each at a level of 2^bits.
    pub fn encode(&mut self, modality: usize, values: &[f32], encoder: &mut Encoder) {
        let (bits, top, d) = (self.bits, self.top(), self.d);
        let nodes = self.nodes(modality);
        for (at, value) in values.iter().enumerate() {
            let level = (value * top).round() as u32;
            let mut node = Node::first(at % d);
            for bit in (0..bits.min(COUNTED)).map(|place| level >> (bits - 1 - place) & 1) {
                let seen = &mut nodes[node.index()];
                encoder.push(share(*seen, bit));
                count(seen, bit);
                node.follow(bit);
            }
            encoder.push_digits(u64::from(level), bits.saturating_sub(COUNTED));
        }
    }

    /// So many rows of d values that were coded.
    ///
    /// # Errors
    /// If the stream ends before.
    pub fn decode(
        &mut self,
        modality: usize,
        rows: usize,
        decoder: &mut Decoder<'_>,
        values: &mut Vec<f32>,
    ) -> Result<(), CodeError> {
        let (bits, top, d) = (self.bits, self.top(), self.d);
        let nodes = self.nodes(modality);
        for at in 0..rows * d {
            let mut node = Node::first(at % d);
            let mut level = 0;
            for _ in 0..bits.min(COUNTED) {
                let seen = &mut nodes[node.index()];
                let bit = u32::from(decoder.peek() >= share(*seen, 0).count);
                decoder.take(share(*seen, bit))?;
                count(seen, bit);
                node.follow(bit);
                level = level << 1 | bit;
            }
            let rest = bits.saturating_sub(COUNTED);
            level = level << rest | decoder.digits(rest)? as u32;
            values.push(level as f32 / top);
        }
        Ok(())
    }

    /// The number of the highest level.
    fn top(&self) -> f32 {
        ((1_u32 << self.bits) - 1) as f32
    }

    fn nodes(&mut self, modality: usize) -> &mut [[u32; 2]] {
        self.seen.entry(modality).or_insert_with(|| vec![[0; 2]; self.d << COUNTED])
    }
}

/// The leading bits of a level of a dimension: a 1, and they.
struct Node {
    dimension: usize,
    bits: u32,
}

impl Node {
    fn first(dimension: usize) -> Self {
        Node { dimension, bits: 1 }
    }

    fn follow(&mut self, bit: u32) {
        self.bits = self.bits << 1 | bit;
    }

    fn index(&self) -> usize {
        (self.dimension << COUNTED) + self.bits as usize
    }
}

/// A bit's share of what may come: as often as it has come and half a time more (R. Krichevsky and V. Trofimov, 1981).
fn share(seen: [u32; 2], bit: u32) -> Share {
    let zeros = (TOTAL * (2 * seen[0] + 1) / (2 * (seen[0] + seen[1] + 1))).clamp(1, TOTAL - 1);
    match bit {
        0 => Share { start: 0, count: zeros },
        _ => Share { start: zeros, count: TOTAL - zeros },
    }
}

fn count(seen: &mut [u32; 2], bit: u32) {
    seen[bit as usize] += 1;
    if seen[0] + seen[1] >= MOST {
        seen.iter_mut().for_each(|seen| *seen /= 2);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use randomness::{Purpose, Seed};

    use super::*;

    /// Levels as the quantising encoder puts them out.
    fn values(bits: u32, levels: &[u32]) -> Vec<f32> {
        let top = ((1_u32 << bits) - 1) as f32;
        levels.iter().map(|level| (level & ((1 << bits) - 1)) as f32 / top).collect()
    }

    proptest! {
        #[test]
        fn levels_come_back_to_the_bit(
            bits in 1..=16_u32,
            d in 1..4_usize,
            entries in prop::collection::vec((0..3_usize, prop::collection::vec(any::<u32>(), 0..20)), 0..5),
        ) {
            let whole = |levels: &[u32]| values(bits, &levels[..levels.len() / d * d]);
            let entries: Vec<(usize, Vec<f32>)> = entries.iter().map(|(m, levels)| (*m, whole(levels))).collect();
            let (mut encoder, mut levels) = (Encoder::default(), Levels::new(bits, d));
            entries.iter().for_each(|(m, values)| levels.encode(*m, values, &mut encoder));
            let stream = encoder.finish();
            let (mut decoder, mut levels) = (Decoder::new(&stream).unwrap(), Levels::new(bits, d));
            for (m, expected) in &entries {
                let mut found = Vec::new();
                levels.decode(*m, expected.len() / d, &mut decoder, &mut found).unwrap();
                prop_assert_eq!(&found, expected);
            }
            decoder.finish().unwrap();
        }

        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60), bits in 1..=16_u32) {
            let Ok(mut decoder) = Decoder::new(&bytes) else { return Ok(()) };
            let mut found = Vec::new();
            let read = Levels::new(bits, 3).decode(0, 50, &mut decoder, &mut found);
            prop_assert!(read.is_err() || found.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }

    #[test]
    fn a_level_costs_what_it_tells() {
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        // Of two dimensions of 1 bit one is 1 in a tenth of all rows, and the other always 0.
        let rows = 2000;
        let drawn: Vec<f32> =
            (0..rows).flat_map(|_| [if stream.uniform() < 0.1 { 1.0 } else { 0.0 }, 0.0]).collect();
        let (mut encoder, mut levels) = (Encoder::default(), Levels::new(1, 2));
        levels.encode(0, &drawn, &mut encoder);
        let share = drawn.iter().sum::<f32>() as f64 / rows as f64;
        let entropy = -(share * share.log2() + (1.0 - share) * (1.0 - share).log2());
        let bits = 8.0 * encoder.finish().len() as f64 / rows as f64;
        assert!((0.99..1.04).contains(&(bits / entropy)), "{bits} bits a row for {entropy}");
        // And what tells all its bits costs no more than them, but for what learning that takes.
        let even: Vec<f32> = (0..4000).map(|_| stream.below(16) as f32 / 15.0).collect();
        let (mut encoder, mut levels) = (Encoder::default(), Levels::new(4, 1));
        levels.encode(0, &even, &mut encoder);
        let bits = 8.0 * encoder.finish().len() as f64 / 4000.0;
        assert!((3.95..4.1).contains(&bits), "{bits} bits a value");
    }
}
