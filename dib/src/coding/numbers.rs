//! The numbers of chosen proposals as bits.

use super::{CodeError, Decoder, Encoder, MOST_PROPOSALS, Share, TOTAL};

/// Binary digits of a proposal's number after the leading one.
const MOST_DIGITS: usize = 20;

/// The numbers of chosen proposals as bits: their lengths by how often each has come, and the other digits one bit
/// each. Both ends count.
#[derive(Clone, Debug)]
pub struct Numbers {
    seen: [u32; MOST_DIGITS + 1],
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers { seen: [1; MOST_DIGITS + 1] }
    }
}

impl Numbers {
    /// At so many counts, all are halved.
    const MOST: u32 = 1 << 12;

    /// Codes a number below [`MOST_PROPOSALS`].
    pub fn encode(&mut self, number: u32, encoder: &mut Encoder) {
        let digits = (number + 1).ilog2();
        encoder.push(self.share(digits as usize));
        self.count(digits as usize);
        encoder.push_digits(u64::from(number + 1) & !(1 << digits), digits);
    }

    /// The same back.
    ///
    /// # Errors
    /// If the stream ends before, or the number is too large.
    pub fn decode(&mut self, decoder: &mut Decoder<'_>) -> Result<u32, CodeError> {
        let at = decoder.peek();
        let found =
            (0..self.seen.len()).find(|&digits| at < self.share(digits).start + self.share(digits).count);
        let digits = found.ok_or(CodeError::Damaged)?;
        decoder.take(self.share(digits))?;
        self.count(digits);
        let number = (1 << digits) + decoder.digits(digits as u32)? as u32 - 1;
        if number < MOST_PROPOSALS { Ok(number) } else { Err(CodeError::Damaged) }
    }

    fn share(&self, digits: usize) -> Share {
        let all: u32 = self.seen.iter().sum();
        let before: u32 = self.seen[..digits].iter().sum();
        let (start, end) = (TOTAL * before / all, TOTAL * (before + self.seen[digits]) / all);
        Share { start, count: end - start }
    }

    fn count(&mut self, digits: usize) {
        self.seen[digits] += 1;
        if self.seen.iter().sum::<u32>() >= Numbers::MOST {
            self.seen.iter_mut().for_each(|seen| *seen = seen.div_ceil(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(list in prop::collection::vec((0..MOST_PROPOSALS, 0..21_u32), 0..50)) {
            let list: Vec<u32> = list.into_iter().map(|(number, shift)| number >> shift).collect();
            let (mut encoder, mut numbers) = (Encoder::default(), Numbers::default());
            list.iter().for_each(|&number| numbers.encode(number, &mut encoder));
            let stream = encoder.finish();
            let (mut decoder, mut numbers) = (Decoder::new(&stream).unwrap(), Numbers::default());
            for &number in &list {
                prop_assert_eq!(numbers.decode(&mut decoder).unwrap(), number);
            }
            decoder.finish().unwrap();
        }
    }
}
