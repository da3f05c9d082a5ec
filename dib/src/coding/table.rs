//! Integer tables: what a dithered value is coded with.
//!
//! A table belongs to one dimension of an entry. It holds the cumulative counts of the prior's mass at multiples of
//! step / 32. With the dither u = (j - 16) / 32 the interval of the integer q reaches from (32 q - j) / 32 steps to a
//! step more: its edges stand in the table whatever j is, so that one table serves all 32 dithers. Whoever owns the
//! prior makes it, once; everybody else reads integers, and no function of a number with a point is ever computed at
//! two places.

use super::bits::{BitReader, BitWriter, unzigzag, zigzag};
use super::coder::{Decoder, Encoder, Share, TOTAL};
use super::{CodeError, DITHERS, MOST_STEP, Marginal};

/// Edges of a table to a step.
const PER_STEP: usize = DITHERS as usize;
/// Steps that a table covers at least.
const FEWEST: i64 = 1;
/// And at most. Beyond lies what escapes.
const MOST: i64 = 512;
/// A table begins and ends within this many steps of 0.
const FARTHEST: i64 = 1 << 26;
/// The mass on each side that may escape: there the escape symbol costs less than the longer table.
const TAIL: f64 = 1.0 / 4096.0;

/// The tables of an entry's dimensions, and the steps that their intervals are measured in.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryTable {
    dimensions: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq)]
struct Table {
    /// The width of an interval.
    step: f32,
    /// Steps from 0 at which the table begins.
    low: i64,
    /// Counts up to every edge, from 0 at the first: 32 edges a step, and the last. (Of an interval there is one more.)
    cumulative: Vec<u32>,
}

impl EntryTable {
    /// Of every dimension's prior and step.
    pub fn new(dimensions: &[(Marginal, f32)]) -> Self {
        let table = |(prior, step): &(Marginal, f32)| Table::new(prior, *step);
        EntryTable { dimensions: dimensions.iter().map(table).collect() }
    }

    /// How many dimensions an entry has.
    pub fn len(&self) -> usize {
        self.dimensions.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// The step of a dimension.
    pub fn step(&self, dimension: usize) -> f32 {
        self.dimensions[dimension].step
    }

    /// Codes an integer, which was made with the `dither`-th of [`DITHERS`].
    pub fn encode(&self, dimension: usize, dither: u8, value: i32, encoder: &mut Encoder) {
        let table = self.dimensions[dimension].at(dither);
        let place = i64::from(value) - table.first;
        if let Some(share) = usize::try_from(place).ok().and_then(|place| table.share(place)) {
            encoder.push(share);
            return;
        }
        encoder.push(table.escape());
        let (below, above) = (-1 - place, place - table.intervals as i64);
        encoder.push_any(if place < 0 { 2 * below as u64 + 1 } else { 2 * above as u64 });
    }

    /// The integer that was coded with that dither.
    ///
    /// # Errors
    /// If the stream ends before, or its escape leads out of all integers.
    pub fn decode(&self, dimension: usize, dither: u8, decoder: &mut Decoder<'_>) -> Result<i32, CodeError> {
        let table = self.dimensions[dimension].at(dither);
        let value = match table.find(decoder.peek()) {
            Some((place, share)) => {
                decoder.take(share)?;
                table.first + place as i64
            }
            None => {
                decoder.take(table.escape())?;
                let coded = decoder.any()?;
                let far = (coded / 2) as i64;
                if coded % 2 == 1 {
                    table.first - 1 - far
                } else {
                    table.first + table.intervals as i64 + far
                }
            }
        };
        i32::try_from(value).map_err(|_| CodeError::Damaged)
    }

    /// The tables as they travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = BitWriter::default();
        self.dimensions.iter().for_each(|table| table.write(&mut writer));
        writer.finish()
    }

    /// The tables of an entry of so many dimensions, as they came.
    ///
    /// # Errors
    /// If they are none that [`EntryTable::to_bytes`] gives.
    pub fn from_bytes(bytes: &[u8], dimensions: usize) -> Result<Self, CodeError> {
        let mut reader = BitReader::new(bytes);
        let dimensions = (0..dimensions).map(|_| Table::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(EntryTable { dimensions })
    }
}

impl Table {
    fn new(prior: &Marginal, step: f32) -> Self {
        let at = |edge: f64| edge * f64::from(step);
        let below = |edge: i64| prior.below(at(edge as f64));
        let above = |edge: i64| prior.above(at(edge as f64));
        let low = last(|edge| below(edge) <= TAIL);
        let high = last(|edge| above(edge) > TAIL) + 1;
        let (low, high) = match high - low {
            wide if wide > MOST => {
                let middle = last(|edge| below(edge) <= 0.5).clamp(MOST - FARTHEST, FARTHEST - MOST);
                (middle - MOST / 2, middle + MOST / 2)
            }
            narrow if narrow < FEWEST => (low.min(FARTHEST - FEWEST), low.min(FARTHEST - FEWEST) + FEWEST),
            _ => (low, high),
        };
        let steps = (high - low) as u32;
        // A count for every interval, of which those at the ends may lie there in part, and one to escape with.
        let shared = f64::from(TOTAL - steps - 2);
        let start = prior.below(at(low as f64));
        let mut most = 0;
        let cumulative = |edge: u32| {
            let mass = prior.below(at(low as f64 + f64::from(edge) / PER_STEP as f64)) - start;
            most = most.max((shared * mass.clamp(0.0, 1.0)) as u32);
            most
        };
        Table { step, low, cumulative: (0..=steps * PER_STEP as u32).map(cumulative).collect() }
    }

    fn at(&self, dither: u8) -> Shifted<'_> {
        let begin = PER_STEP - usize::from(dither) % PER_STEP;
        let edges = self.cumulative.len() - 1;
        Shifted {
            cumulative: &self.cumulative,
            begin,
            intervals: 1 + (edges - begin).div_ceil(PER_STEP),
            first: self.low,
        }
    }

    fn write(&self, writer: &mut BitWriter) {
        writer.put(self.step.to_bits().into(), 32);
        writer.put_golomb(zigzag(self.low), 2);
        writer.put_golomb((self.cumulative.len() / PER_STEP) as u64, 2);
        let mut differences = Differences::default();
        for edge in 1..self.cumulative.len() {
            let change = differences.change(self.cumulative[edge] - self.cumulative[edge - 1]);
            writer.put_golomb(change, differences.order);
            differences.follow(change);
        }
    }

    fn read(reader: &mut BitReader<'_>) -> Result<Self, CodeError> {
        let step = f32::from_bits(reader.take(32)? as u32);
        if !(1.0 / MOST_STEP..=MOST_STEP).contains(&step) {
            return Err(CodeError::Step { step });
        }
        let (low, steps) = (unzigzag(reader.take_golomb(2)?), reader.take_golomb(2)? as i64);
        if low.abs() > FARTHEST || !(FEWEST..=MOST).contains(&steps) {
            return Err(CodeError::Damaged);
        }
        let mut cumulative = vec![0];
        let mut differences = Differences::default();
        let mut sum = 0;
        for _ in 0..steps as usize * PER_STEP {
            let change = reader.take_golomb(differences.order)?;
            sum += differences.follow(change).ok_or(CodeError::Damaged)?;
            // Every interval has a count more, and one is left to escape with.
            if sum + steps as u32 + 1 >= TOTAL {
                return Err(CodeError::Damaged);
            }
            cumulative.push(sum);
        }
        Ok(Table { step, low, cumulative })
    }
}

/// How much neighbouring counts differ, and how many digits that is worth.
#[derive(Default)]
struct Differences {
    last: i64,
    /// Twice the mean of what was coded of late.
    mean: u64,
    order: u32,
}

impl Differences {
    /// What is coded for the next count.
    fn change(&self, count: u32) -> u64 {
        zigzag(i64::from(count) - self.last)
    }

    /// The count that a change leads to; none if there is no such count.
    fn follow(&mut self, change: u64) -> Option<u32> {
        self.last += unzigzag(change);
        self.mean = self.mean / 2 + change;
        self.order = (self.mean / 2 + 1).ilog2();
        u32::try_from(self.last).ok().filter(|count| *count < TOTAL)
    }
}

/// A table as it is with one dither: the intervals of whole steps, and what is left of those at its ends.
struct Shifted<'a> {
    cumulative: &'a [u32],
    /// Where the first interval ends, in edges.
    begin: usize,
    intervals: usize,
    /// The integer of the first interval.
    first: i64,
}

impl Shifted<'_> {
    /// Counts below an interval, of so many from the first: a count of its own for each.
    fn edge(&self, place: usize) -> u32 {
        let edge = match place {
            0 => 0,
            place => (self.begin + (place - 1) * PER_STEP).min(self.cumulative.len() - 1),
        };
        self.cumulative[edge] + place as u32
    }

    fn share(&self, place: usize) -> Option<Share> {
        (place < self.intervals).then(|| {
            let start = self.edge(place);
            Share { start, count: self.edge(place + 1) - start }
        })
    }

    /// What is left: of all integers outside together.
    fn escape(&self) -> Share {
        let start = self.edge(self.intervals);
        Share { start, count: TOTAL - start }
    }

    /// The interval that a number lies in; none if it escapes.
    fn find(&self, at: u32) -> Option<(usize, Share)> {
        if at >= self.edge(self.intervals) {
            return None;
        }
        let (mut low, mut high) = (0, self.intervals);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.edge(middle) <= at { low = middle } else { high = middle }
        }
        self.share(low).map(|share| (low, share))
    }
}

/// The last number of steps of which something is true that is true up to some number and no further.
fn last(is_so: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (-FARTHEST, FARTHEST);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if is_so(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::{prelude::*, test_runner::TestRunner};
    use randomness::{Purpose, Seed, Stream};

    use super::*;
    use crate::coding::{Component, quantise, restore};

    fn component() -> impl Strategy<Value = Component> {
        (0.01..1.0, -50.0..50.0, -7.0..7.0_f64).prop_map(|(weight, location, log_scale)| Component {
            weight,
            location,
            scale: log_scale.exp(),
        })
    }

    fn marginal() -> impl Strategy<Value = Marginal> {
        prop::collection::vec(component(), 1..4).prop_map(Marginal::new)
    }

    /// The prior and the step of every dimension.
    fn dimensions() -> impl Strategy<Value = Vec<(Marginal, f32)>> {
        prop::collection::vec((marginal(), (-7.0..7.0_f32).prop_map(f32::exp)), 1..4)
    }

    fn table() -> impl Strategy<Value = EntryTable> {
        dimensions().prop_map(|dimensions| EntryTable::new(&dimensions))
    }

    /// An integer near 0, any integer, or an end of the range.
    fn any_integer(stream: &mut Stream) -> i32 {
        match stream.below(8) {
            0 => [i32::MIN, i32::MIN + 1, -1, 0, i32::MAX - 1, i32::MAX][stream.below(6) as usize],
            1 => stream.below(1 << 32) as u32 as i32,
            _ => stream.below(81) as i32 - 40,
        }
    }

    fn any_dither(stream: &mut Stream) -> u8 {
        stream.below(DITHERS.into()) as u8
    }

    /// Encodes and decodes a message of (dimension, dither, integer). Returns its cross entropy against the tables in
    /// bits, and its number of bytes.
    fn there_and_back(table: &EntryTable, message: &[(usize, u8, i32)]) -> (f64, usize) {
        let mut encoder = Encoder::default();
        for &(dimension, dither, value) in message {
            table.encode(dimension, dither, value, &mut encoder);
        }
        let ideal = encoder.ideal_bits();
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes).unwrap();
        for &(dimension, dither, value) in message {
            assert_eq!(table.decode(dimension, dither, &mut decoder).unwrap(), value);
        }
        decoder.finish().unwrap();
        (ideal, bytes.len())
    }

    proptest! {
        #[test]
        fn every_interval_has_a_count_with_every_dither(table in table()) {
            for table in &table.dimensions {
                for dither in 0..DITHERS {
                    let table = table.at(dither);
                    prop_assert!(table.intervals >= 1 && table.escape().count >= 1);
                    prop_assert_eq!(table.share(0).unwrap().start, 0);
                    prop_assert!((0..table.intervals).all(|place| table.share(place).unwrap().count >= 1));
                    let end = table.escape();
                    prop_assert_eq!(end.start + end.count, TOTAL);
                }
            }
        }

        #[test]
        fn tables_come_back(table in table()) {
            let bytes = table.to_bytes();
            prop_assert_eq!(EntryTable::from_bytes(&bytes, table.len()).unwrap(), table.clone());
            prop_assert!(EntryTable::from_bytes(&bytes[..bytes.len() - 1], table.len()).is_err());
            prop_assert!(EntryTable::from_bytes(&[&bytes[..], &[0]].concat(), table.len()).is_err());
        }

        #[test]
        fn any_integer_comes_back(
            table in table(),
            values in prop::collection::vec((any::<i32>(), -40..40_i32, any::<bool>(), 0..DITHERS), 0..60),
        ) {
            let values: Vec<(i32, u8)> =
                values.into_iter().map(|(far, near, is_near, dither)| (if is_near { near } else { far }, dither)).collect();
            let all = [(i32::MIN, 0), (i32::MAX, 31), (i32::MIN, 31), (i32::MAX, 0), (0, 16)].iter().chain(&values);
            let mut encoder = Encoder::default();
            for (position, &(value, dither)) in all.clone().enumerate() {
                table.encode(position % table.len(), dither, value, &mut encoder);
            }
            let stream = encoder.finish();
            let mut decoder = Decoder::new(&stream).unwrap();
            for (position, &(value, dither)) in all.enumerate() {
                prop_assert_eq!(table.decode(position % table.len(), dither, &mut decoder).unwrap(), value);
            }
            decoder.finish().unwrap();
        }

        #[test]
        fn damaged_tables_are_refused_or_good(table in table(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = table.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            // A flipped bit may give another table; whatever is let in can be coded with.
            let Ok(other) = EntryTable::from_bytes(&bytes, table.len()) else { return Ok(()) };
            let mut encoder = Encoder::default();
            (0..DITHERS).for_each(|dither| other.encode(0, dither, 3, &mut encoder));
            let stream = encoder.finish();
            let mut decoder = Decoder::new(&stream).unwrap();
            for dither in 0..DITHERS {
                prop_assert_eq!(other.decode(0, dither, &mut decoder).unwrap(), 3);
            }
        }

        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(table) = EntryTable::from_bytes(&bytes, 2) {
                prop_assert_eq!(table.to_bytes(), bytes);
            }
        }
    }

    /// 500 random tables, each with an empty message and one of at least 2,000 random dithers and integers, the ends of
    /// their range among them.
    #[test]
    fn a_million_symbols_are_decoded_as_they_were_encoded() {
        let mut runner = TestRunner::new(ProptestConfig::with_cases(500));
        let symbols = Cell::new(0);
        let outcome = runner.run(&(table(), 2000..4000_usize, any::<u64>()), |(table, length, seed)| {
            let mut stream = Seed::from_number(seed).stream(Purpose::Test, &[], 0);
            let drawn = (0..length)
                .map(|at| (at % table.len(), any_dither(&mut stream), any_integer(&mut stream)))
                .collect::<Vec<_>>();
            there_and_back(&table, &drawn);
            prop_assert_eq!(there_and_back(&table, &[]), (0.0, 0));
            symbols.set(symbols.get() + length);
            Ok(())
        });
        outcome.unwrap();
        assert!(symbols.get() >= 1_000_000, "{} symbols", symbols.get());
    }

    /// Messages with values of random priors: those of 200 bytes and more are within 2 % of their cross entropy against
    /// the tables. (The overhead of a stream, its initial state and its last byte, is 16 to 24 bits at any length.)
    #[test]
    fn messages_of_any_prior_take_their_cross_entropy() {
        let mut runner = TestRunner::new(ProptestConfig::with_cases(400));
        let long = Cell::new(0);
        let message = (dimensions(), 1..3000_usize, any::<u64>());
        let outcome = runner.run(&message, |(dimensions, length, seed)| {
            let mut stream = Seed::from_number(seed).stream(Purpose::Test, &[], 0);
            let draw = |at: usize| {
                let (prior, step) = &dimensions[at % dimensions.len()];
                let mu = prior.sample(stream.uniform(), stream.uniform()) as f32;
                let dither = any_dither(&mut stream);
                (at % dimensions.len(), dither, quantise(mu, *step, dither))
            };
            let drawn: Vec<_> = (0..length).map(draw).collect();
            let (ideal, bytes) = there_and_back(&EntryTable::new(&dimensions), &drawn);
            let bits = 8.0 * bytes as f64;
            prop_assert!(bits <= 1.02 * ideal + 32.0, "{} bits for {}", bits, ideal);
            if bytes >= 200 {
                prop_assert!((bits / ideal - 1.0).abs() <= 0.02, "{} bits for {}", bits, ideal);
                long.set(long.get() + 1);
            }
            Ok(())
        });
        outcome.unwrap();
        assert!(long.get() >= 100, "only {} messages of 200 bytes", long.get());
    }

    /// Values of the prior, coded: within 2 % of what the prior says they are worth, and of the tables' cross entropy.
    #[test]
    fn messages_take_their_cross_entropy() {
        let mut stream = Seed::from_number(3).stream(Purpose::Test, &[], 0);
        let component = |weight, location, scale| Component { weight, location, scale };
        let prior = Marginal::new(vec![component(0.7, -1.0, 0.4), component(0.3, 3.0, 0.2)]);
        for (step, values) in [(2.0_f32, 1200), (1.0, 20_000), (0.25, 500)] {
            let table = EntryTable::new(&[(prior.clone(), step)]);
            let mut encoder = Encoder::default();
            let (mut worth, mut coded) = (0.0, Vec::new());
            for _ in 0..values {
                let (location, scale) = if stream.uniform() < 0.7 { (-1.0, 0.4) } else { (3.0, 0.2) };
                let at = stream.uniform();
                let mu = (location + scale * (at / (1.0 - at)).ln()) as f32;
                let dither = stream.below(DITHERS.into()) as u8;
                let value = quantise(mu, step, dither);
                let z = f64::from(restore(value, step, dither));
                let half = f64::from(step) / 2.0;
                worth -= (prior.below(z + half) - prior.below(z - half)).log2();
                table.encode(0, dither, value, &mut encoder);
                coded.push((dither, value));
            }
            let ideal = encoder.ideal_bits();
            let bytes = encoder.finish();
            let bits = 8.0 * bytes.len() as f64;
            assert!(bytes.len() >= 200 && bits < 1.02 * ideal && bits >= ideal - 1.0, "{bits} for {ideal}");
            assert!((ideal / worth - 1.0).abs() < 0.01, "{ideal} for {worth}");
            let mut decoder = Decoder::new(&bytes).unwrap();
            for (dither, value) in coded {
                assert_eq!(table.decode(0, dither, &mut decoder).unwrap(), value);
            }
            decoder.finish().unwrap();
        }
    }

    /// Tables, streams and what is decoded are the same on every machine, in every build.
    #[test]
    fn a_table_and_a_stream_are_pinned() {
        let component = |weight, location, scale| Component { weight, location, scale };
        let one = Marginal::new(vec![component(0.7, -1.0, 0.4), component(0.3, 3.0, 0.2)]);
        let other = Marginal::new(vec![component(1.0, 0.1, 0.05)]);
        let table = EntryTable::new(&[(one, 0.7), (other, 1.5)]);
        let mut encoder = Encoder::default();
        let values = [(0, 3, -2), (1, 17, 0), (0, 31, 6), (1, 0, 0), (0, 9, 100), (1, 30, -7)];
        values
            .iter()
            .for_each(|&(dimension, dither, value)| table.encode(dimension, dither, value, &mut encoder));
        let hash = |bytes: &[u8]| {
            bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            })
        };
        assert_eq!((hash(&table.to_bytes()), hash(&encoder.finish())), PINNED);
    }
    const PINNED: (u64, u64) = (0x9536_08f0_89ab_da18, 0xaa06_061d_2d32_c94a);

    /// A dimension that tells next to nothing costs next to nothing: its mass lies within a step, wherever that begins.
    #[test]
    fn what_everybody_knows_costs_nothing() {
        let mut stream = Seed::from_number(4).stream(Purpose::Test, &[], 0);
        for location in [-7.3, -0.5, 0.02, 0.5, 31.9_f64] {
            let prior = Marginal::new(vec![Component { weight: 1.0, location, scale: 0.01 }]);
            let table = EntryTable::new(&[(prior.clone(), 1.0)]);
            let (mut encoder, mut worth) = (Encoder::default(), 0.0);
            for _ in 0..4000 {
                let at = stream.uniform();
                let mu = (location + 0.01 * (at / (1.0 - at)).ln()) as f32;
                let dither = stream.below(DITHERS.into()) as u8;
                let value = quantise(mu, 1.0, dither);
                let z = f64::from(restore(value, 1.0, dither));
                worth -= (prior.below(z + 0.5) - prior.below(z - 0.5)).log2();
                table.encode(0, dither, value, &mut encoder);
            }
            let (coded, worth) = (encoder.ideal_bits() / 4000.0, worth / 4000.0);
            assert!(coded < worth + 0.004, "at {location} {coded} bits a value for {worth}");
        }
    }

    #[test]
    fn a_table_takes_few_bytes() {
        let prior = |scale| Marginal::new(vec![Component { weight: 1.0, location: 0.3, scale }]);
        let bytes = |scale, step| EntryTable::new(&[(prior(scale), step)]).to_bytes().len();
        assert!(bytes(1.0, 2.0) < 150, "{}", bytes(1.0, 2.0));
        assert!(bytes(0.01, 1.0) < 40, "{}", bytes(0.01, 1.0));
    }
}
