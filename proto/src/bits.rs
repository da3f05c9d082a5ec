use bytes::Bytes;

use crate::{WireError, check_length};

/// Packs bits, the first into the lowest bit of the first byte.
pub fn encode_bits(bits: &[bool]) -> Bytes {
    let mut bytes = vec![0u8; bits.len().div_ceil(8)];
    for (place, _) in bits.iter().enumerate().filter(|(_, set)| **set) {
        bytes[place / 8] |= 1 << (place % 8);
    }
    bytes.into()
}

/// Unpacks `count` bits; the length must match, and no bit beyond the last may be set.
///
/// # Errors
///
/// [`WireError`] if the length does not match or a later bit is set.
pub fn decode_bits(what: &'static str, bytes: &[u8], count: usize) -> Result<Vec<bool>, WireError> {
    check_length(what, "bytes", bytes.len(), count.div_ceil(8))?;
    let bit = |place: usize| bytes[place / 8] >> (place % 8) & 1 == 1;
    match (count..8 * bytes.len()).find(|&place| bit(place)) {
        None => Ok((0..count).map(bit).collect()),
        Some(place) => Err(WireError::Index { what, got: place, bound: count }),
    }
}

/// The places of the bits that are set, in order.
pub fn set_bits(bytes: &[u8]) -> impl Iterator<Item = usize> {
    (0..8 * bytes.len()).filter(|place| bytes[place / 8] >> (place % 8) & 1 == 1)
}

/// A bit for every tick: does the receiver request?
pub fn encode_ticks(ticks: &[bool]) -> Bytes {
    encode_bits(ticks)
}

/// Unpacks the bits of [`encode_ticks`].
///
/// # Errors
///
/// As [`decode_bits`].
pub fn decode_ticks(bytes: &[u8], ticks: usize) -> Result<Vec<bool>, WireError> {
    decode_bits("requests", bytes, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_come_back() {
        for count in [1, 7, 8, 9, 20] {
            let ticks: Vec<bool> = (0..count).map(|tick| tick % 3 == 0).collect();
            assert_eq!(decode_ticks(&encode_ticks(&ticks), count).unwrap(), ticks);
        }
    }

    #[test]
    fn a_wrong_length_or_a_stray_bit_is_refused() {
        assert!(decode_ticks(&[0, 0], 8).is_err());
        assert!(decode_ticks(&[0b1000_0000], 7).unwrap_err().to_string().contains("names 7"));
    }
}
