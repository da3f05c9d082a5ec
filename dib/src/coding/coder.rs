//! An entropy coder over integers alone: rANS (J. Duda, "Asymmetric numeral systems", 2013; F. Giesen's byte-wise
//! variant).
//!
//! A stream has one state of 24 bits, which starts at [`LOW`] and takes symbols last to first, so that they come out
//! first to last. After the last symbol the state must be back where it started and no byte left: whatever was damaged
//! on the way shows in that, or in a stream that ends early, but for one case in 65,536.

use super::CodeError;

/// Binary digits of a probability: counts of a table add up to 2^14.
pub const PRECISION: u32 = 14;
/// What the counts of a table add up to.
pub const TOTAL: u32 = 1 << PRECISION;
/// The state lies from here to 256 times as high.
const LOW: u32 = 1 << 16;
/// Bytes of a state.
const STATE_BYTES: usize = 3;
/// How many binary digits of an integer one symbol takes at most.
const DIGITS: u32 = 8;
/// The largest number of digits after the leading one of an Exp-Golomb number: enough for the difference of any two
/// i32.
const MOST_DIGITS: u32 = 33;

/// A part of [0, [`TOTAL`]): what a symbol is coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Where it begins.
    pub start: u32,
    /// How many counts it has, at least 1.
    pub count: u32,
}

/// A stream in the making.
///
/// ```
/// use pom2dib_dib::coding::{Decoder, Encoder, Share};
///
/// let (rare, common) = (Share { start: 0, count: 1 }, Share { start: 1, count: 16_383 });
/// let mut encoder = Encoder::default();
/// [common, rare, common].into_iter().for_each(|share| encoder.push(share));
/// let stream = encoder.finish();
///
/// let mut decoder = Decoder::new(&stream)?;
/// assert!(decoder.peek() >= 1);
/// decoder.take(common)?;
/// assert_eq!(decoder.peek(), 0);
/// decoder.take(rare)?;
/// decoder.take(common)?;
/// decoder.finish()?;
/// # Ok::<(), pom2dib_dib::coding::CodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    shares: Vec<Share>,
}

impl Encoder {
    /// One more symbol. Its share lies within [0, [`TOTAL`]) and has at least one count.
    pub fn push(&mut self, share: Share) {
        debug_assert!(share.count > 0 && share.start + share.count <= TOTAL);
        self.shares.push(share);
    }

    /// Codes a number of `digits` binary digits, all values being equally likely.
    pub fn push_digits(&mut self, value: u64, digits: u32) {
        let mut left = digits;
        while left > 0 {
            let here = left.min(DIGITS);
            left -= here;
            let part = (value >> left) as u32 & ((1 << here) - 1);
            self.push(equal(part, here));
        }
    }

    /// Any number, small ones in fewer bits: order-0 Exp-Golomb.
    pub fn push_any(&mut self, value: u64) {
        let digits = (value + 1).ilog2();
        (0..digits).for_each(|_| self.push_digits(0, 1));
        self.push_digits(1, 1);
        self.push_digits((value + 1) & !(1 << digits), digits);
    }

    /// Adds all symbols of another stream.
    pub fn extend(&mut self, other: &Encoder) {
        self.shares.extend_from_slice(&other.shares);
    }

    /// Whether every symbol so far has a share within [0, [`TOTAL`]) with at least one count, without which there is no
    /// stream.
    pub fn is_sound(&self) -> bool {
        let is_sound =
            |share: &Share| (1..=TOTAL).contains(&share.count) && share.start <= TOTAL - share.count;
        self.shares.iter().all(is_sound)
    }

    /// How many bits the symbols so far are worth: the cross entropy that the stream is measured against.
    pub fn ideal_bits(&self) -> f64 {
        self.ideal_bits_from(0)
    }

    /// Those of the symbols from one on.
    pub fn ideal_bits_from(&self, symbol: usize) -> f64 {
        let bits = |share: &Share| f64::from(PRECISION) - libm::log2(f64::from(share.count));
        self.shares[symbol..].iter().map(bits).sum()
    }

    /// How many symbols there are so far.
    pub fn symbols(&self) -> usize {
        self.shares.len()
    }

    /// The stream; of no symbols, an empty one.
    pub fn finish(self) -> Vec<u8> {
        if self.shares.is_empty() {
            return Vec::new();
        }
        let mut state = LOW;
        let mut reversed = Vec::new();
        for Share { start, count } in self.shares.into_iter().rev() {
            while state >= count << (24 - PRECISION) {
                reversed.push(state as u8);
                state >>= 8;
            }
            state = ((state / count) << PRECISION) + state % count + start;
        }
        reversed.extend_from_slice(&state.to_le_bytes()[..STATE_BYTES]);
        reversed.reverse();
        reversed
    }
}

/// A stream that is read. It never reads past the end of its bytes.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    state: u32,
}

impl<'a> Decoder<'a> {
    /// Begins to read. An empty stream has no symbols.
    ///
    /// # Errors
    /// If it is shorter than a state, or begins with what is none.
    pub fn new(bytes: &'a [u8]) -> Result<Self, CodeError> {
        if bytes.is_empty() {
            return Ok(Decoder { bytes, state: LOW });
        }
        let Some(([high, middle, low], rest)) = bytes.split_first_chunk::<STATE_BYTES>() else {
            return Err(CodeError::Ends);
        };
        let state = u32::from_be_bytes([0, *high, *middle, *low]);
        if state < LOW {
            return Err(CodeError::Damaged);
        }
        Ok(Decoder { bytes: rest, state })
    }

    /// A number below [`TOTAL`] that lies in the next symbol's share.
    pub fn peek(&self) -> u32 {
        self.state & (TOTAL - 1)
    }

    /// Takes the symbol whose share that number lies in.
    ///
    /// # Errors
    /// If the stream ends before.
    pub fn take(&mut self, Share { start, count }: Share) -> Result<(), CodeError> {
        let within =
            self.peek().checked_sub(start).filter(|within| *within < count).ok_or(CodeError::Damaged)?;
        self.state = count * (self.state >> PRECISION) + within;
        while self.state < LOW {
            let (&byte, rest) = self.bytes.split_first().ok_or(CodeError::Ends)?;
            self.state = self.state << 8 | u32::from(byte);
            self.bytes = rest;
        }
        Ok(())
    }

    /// What [`Encoder::push_digits`] pushed.
    ///
    /// # Errors
    /// If the stream ends before.
    pub fn digits(&mut self, digits: u32) -> Result<u64, CodeError> {
        let (mut value, mut left) = (0, digits);
        while left > 0 {
            let here = left.min(DIGITS);
            left -= here;
            let part = self.peek() >> (PRECISION - here);
            self.take(equal(part, here))?;
            value = value << here | u64::from(part);
        }
        Ok(value)
    }

    /// What [`Encoder::push_any`] pushed.
    ///
    /// # Errors
    /// If the stream ends before, or the number has more digits than any that is sent.
    pub fn any(&mut self) -> Result<u64, CodeError> {
        let mut digits = 0;
        while self.digits(1)? == 0 {
            digits += 1;
            if digits > MOST_DIGITS {
                return Err(CodeError::Damaged);
            }
        }
        Ok((1 << digits) + self.digits(digits)? - 1)
    }

    /// The end, after the last symbol.
    ///
    /// # Errors
    /// If anything is left.
    pub fn finish(self) -> Result<(), CodeError> {
        if !self.bytes.is_empty() {
            return Err(CodeError::Left { bytes: self.bytes.len() });
        }
        if self.state == LOW { Ok(()) } else { Err(CodeError::Damaged) }
    }
}

/// The share of one of 2^digits equally likely values.
fn equal(value: u32, digits: u32) -> Share {
    Share { start: value << (PRECISION - digits), count: 1 << (PRECISION - digits) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A cut of [0, TOTAL) at some counts, and symbols of it.
    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let share = (0..TOTAL).prop_flat_map(|start| (Just(start), 1..=TOTAL - start));
        prop::collection::vec(share.prop_map(|(start, count)| Share { start, count }), 0..200)
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_and_nothing_is_left(shares in shares()) {
            let mut encoder = Encoder::default();
            shares.iter().for_each(|&share| encoder.push(share));
            let stream = encoder.finish();
            let mut decoder = Decoder::new(&stream).unwrap();
            for &share in &shares {
                let at = decoder.peek();
                prop_assert!((share.start..share.start + share.count).contains(&at));
                decoder.take(share).unwrap();
            }
            decoder.finish().unwrap();
        }

        #[test]
        fn any_number_comes_back(numbers in prop::collection::vec(0..=(1_u64 << 33), 1..20)) {
            let mut encoder = Encoder::default();
            numbers.iter().for_each(|&number| encoder.push_any(number));
            let stream = encoder.finish();
            let mut decoder = Decoder::new(&stream).unwrap();
            for &number in &numbers {
                prop_assert_eq!(decoder.any().unwrap(), number);
            }
            decoder.finish().unwrap();
        }

        #[test]
        fn no_bytes_are_read_past_their_end(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let Ok(mut decoder) = Decoder::new(&bytes) else { return Ok(()) };
            // 400 numbers are more than 40 bytes can hold: the decoder must report the end.
            let outcome = (0..400).try_for_each(|_| decoder.any().map(drop));
            prop_assert!(outcome.is_err() || bytes.is_empty());
        }
    }

    #[test]
    fn a_million_symbols_take_their_cross_entropy() {
        // A skewed cut: one symbol almost always.
        let cut = [0, 16_000, 16_300, 16_383, 16_384];
        let share = |symbol: usize| Share { start: cut[symbol], count: cut[symbol + 1] - cut[symbol] };
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 50) as u32;
            cut[1..].iter().position(|&end| at < end).unwrap()
        };
        let symbols: Vec<usize> = (0..1_000_000).map(|_| draw()).collect();
        let mut encoder = Encoder::default();
        symbols.iter().for_each(|&symbol| encoder.push(share(symbol)));
        let ideal = encoder.ideal_bits();
        let stream = encoder.finish();
        let bits = 8.0 * stream.len() as f64;
        assert!((bits / ideal - 1.0).abs() < 1e-3, "{bits} bits for {ideal}");
        let mut decoder = Decoder::new(&stream).unwrap();
        for symbol in symbols {
            let at = decoder.peek();
            assert_eq!(cut[1..].iter().position(|&end| at < end).unwrap(), symbol);
            decoder.take(share(symbol)).unwrap();
        }
        decoder.finish().unwrap();
    }

    #[test]
    fn a_damaged_stream_is_refused() {
        let mut encoder = Encoder::default();
        (0..300).for_each(|value| encoder.push_any(value));
        let stream = encoder.finish();
        let read = |bytes: &[u8]| -> Result<(), CodeError> {
            let mut decoder = Decoder::new(bytes)?;
            for value in 0..300 {
                if decoder.any()? != value {
                    return Err(CodeError::Damaged);
                }
            }
            decoder.finish()
        };
        read(&stream).unwrap();
        assert!(matches!(read(&stream[..stream.len() - 1]), Err(CodeError::Ends)));
        assert!(matches!(read(&[&stream[..], &[0]].concat()), Err(CodeError::Left { bytes: 1 })));
        for position in 0..stream.len() {
            let mut damaged = stream.clone();
            damaged[position] ^= 1;
            assert!(read(&damaged).is_err(), "byte {position}");
        }
    }
}
