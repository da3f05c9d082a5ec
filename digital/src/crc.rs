//! Cyclic redundancy checks, TS 38.212, 5.1.

/// A check by its generator polynomial, without the leading term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crc {
    polynomial: u32,
    /// How many bits it adds.
    pub(crate) bits: usize,
}

/// Of a short transport block.
pub(crate) const CRC16: Crc = Crc { polynomial: 0x1021, bits: 16 };
/// Of a long one.
pub(crate) const CRC24A: Crc = Crc { polynomial: 0x86_4cfb, bits: 24 };
/// Of each of several code blocks.
pub(crate) const CRC24B: Crc = Crc { polynomial: 0x80_0063, bits: 24 };

impl Crc {
    /// Adds the check's bits. Bits are 0 or 1, first to last.
    pub(crate) fn attach(self, bits: &mut Vec<u8>) {
        let remainder = self.remainder(bits);
        bits.extend((0..self.bits).rev().map(|at| (remainder >> at & 1) as u8));
    }

    /// Takes the check's bits off; none if they are wrong.
    pub(crate) fn detach(self, bits: &[u8]) -> Option<&[u8]> {
        (self.remainder(bits) == 0).then(|| &bits[..bits.len() - self.bits])
    }

    fn remainder(self, bits: &[u8]) -> u32 {
        let (top, mask) = (self.bits - 1, (1_u32 << self.bits) - 1);
        let step = |register: u32, bit: &u8| {
            let leaves = register >> top & 1 ^ u32::from(*bit);
            (register << 1 & mask) ^ (leaves * self.polynomial)
        };
        bits.iter().fold(0, step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect()
    }

    /// The check values of the catalogue of CRCs, of "123456789": CRC-16/XMODEM, CRC-24/LTE-A and CRC-24/LTE-B.
    #[test]
    fn checks_are_those_that_everybody_has() {
        for (crc, expected) in [(CRC16, 0x31c3), (CRC24A, 0xcd_e703), (CRC24B, 0x23_ef52)] {
            assert_eq!(crc.remainder(&bits(b"123456789")), expected);
        }
    }

    #[test]
    fn what_was_changed_is_seen() {
        for crc in [CRC16, CRC24A, CRC24B] {
            let mut sent = bits(b"feature");
            crc.attach(&mut sent);
            assert_eq!(crc.detach(&sent), Some(&bits(b"feature")[..]));
            for at in 0..sent.len() {
                sent[at] ^= 1;
                assert_eq!(crc.detach(&sent), None, "bit {at}");
                sent[at] ^= 1;
            }
        }
    }
}
