use bytes::Bytes;

use crate::{WireError, check_length};

/// Packs a bit for every tick, the first in the lowest bit of the first byte.
pub fn encode_ticks(ticks: &[bool]) -> Bytes {
    let mut bytes = vec![0u8; ticks.len().div_ceil(8)];
    for (tick, _) in ticks.iter().enumerate().filter(|(_, set)| **set) {
        bytes[tick / 8] |= 1 << (tick % 8);
    }
    bytes.into()
}

/// Unpacks a bit for every tick; the length must fit and no bit beyond the last tick may be set.
pub fn decode_ticks(bytes: &[u8], ticks: usize) -> Result<Vec<bool>, WireError> {
    check_length("asks", "bytes", bytes.len(), ticks.div_ceil(8))?;
    let bit = |tick: usize| bytes[tick / 8] >> (tick % 8) & 1 == 1;
    match (ticks..8 * bytes.len()).find(|&tick| bit(tick)) {
        None => Ok((0..ticks).map(bit).collect()),
        Some(tick) => Err(WireError::Index { what: "asks", got: tick, bound: ticks }),
    }
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
