//! Bits one after the other, for tables.

use super::CodeError;

/// Bits in the making; the first is the highest of the first byte.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    /// The lowest `digits` of a value, highest first.
    pub(super) fn put(&mut self, value: u64, digits: u32) {
        for digit in (0..digits).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> digit) as u8 & 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Exp-Golomb of an order: numbers up to 2^order cost the least.
    pub(super) fn put_golomb(&mut self, value: u64, order: u32) {
        let shifted = value + (1 << order);
        let digits = shifted.ilog2();
        self.put(0, digits - order);
        self.put(shifted, digits + 1);
    }

    /// The bytes, filled up with zeros.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bits that are read, never past their end.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, used: 0 }
    }

    /// Reads an unsigned number of `digits` binary digits, at most 63.
    pub(super) fn take(&mut self, digits: u32) -> Result<u64, CodeError> {
        let mut value = 0;
        for _ in 0..digits {
            let byte = self.bytes.get(self.used / 8).ok_or(CodeError::Ends)?;
            value = value << 1 | u64::from(byte >> (7 - self.used % 8) & 1);
            self.used += 1;
        }
        Ok(value)
    }

    /// What [`BitWriter::put_golomb`] put, if it is below 2^32.
    pub(super) fn take_golomb(&mut self, order: u32) -> Result<u64, CodeError> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 32 {
                return Err(CodeError::Damaged);
            }
        }
        let digits = zeros + order;
        Ok((1 << digits) + self.take(digits)? - (1 << order))
    }

    /// The end: less than a byte is left, and it is zero.
    pub(super) fn finish(mut self) -> Result<(), CodeError> {
        let left = 8 * self.bytes.len() - self.used;
        if left >= 8 {
            return Err(CodeError::Left { bytes: left / 8 });
        }
        if self.take(left as u32)? == 0 { Ok(()) } else { Err(CodeError::Damaged) }
    }
}

/// 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// And back.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec((0..1_u64 << 32, 0..12_u32), 0..40)) {
            let mut writer = BitWriter::default();
            values.iter().for_each(|&(value, order)| writer.put_golomb(value, order));
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(value, order) in &values {
                prop_assert_eq!(reader.take_golomb(order).unwrap(), value);
            }
            reader.finish().unwrap();
        }

        #[test]
        fn signs_come_back(value in any::<i32>()) {
            prop_assert_eq!(unzigzag(zigzag(value.into())), i64::from(value));
        }
    }

    #[test]
    fn bits_end_where_they_end() {
        let mut reader = BitReader::new(&[0x80]);
        assert_eq!(reader.take(8).unwrap(), 128);
        assert!(matches!(reader.take(1), Err(CodeError::Ends)));
        let mut reader = BitReader::new(&[0; 8]);
        assert!(matches!(reader.take_golomb(0), Err(CodeError::Damaged)));
        assert!(matches!(BitReader::new(&[0, 0]).finish(), Err(CodeError::Left { bytes: 2 })));
        let mut reader = BitReader::new(&[0x81]);
        reader.take(1).unwrap();
        assert!(matches!(reader.finish(), Err(CodeError::Damaged)));
    }
}
