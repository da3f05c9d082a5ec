//! A transport block's check, its code blocks, and the code that they share: TS 38.212, 5.2.2, 6.2 and 7.2.

use std::ops::Range;

use crate::{
    crc::{CRC16, CRC24A, CRC24B, Crc},
    ldpc::{Graph, liftings},
};

/// The longest transport block with the short check, in bits.
const MOST_SHORT: usize = 3824;

/// How a transport block becomes code blocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segments {
    pub(crate) graph: Graph,
    /// Z, by which the base graph is lifted.
    pub(crate) lifting: usize,
    /// How many code blocks.
    pub(crate) blocks: usize,
    /// Bits of each that are no filler, with all checks.
    pub(crate) bits: usize,
    /// The transport block's check.
    crc: Crc,
    /// Its length without check.
    payload: usize,
}

/// The CRC for a transport block with the given number of bits.
pub(crate) fn check(payload: usize) -> Crc {
    if payload > MOST_SHORT { CRC24A } else { CRC16 }
}

impl Segments {
    /// The code blocks of a transport block with the given number of bits, at about this code rate.
    pub(crate) fn new(payload: usize, rate: f64) -> Self {
        let crc = check(payload);
        let is_small = payload <= 292 || (payload <= MOST_SHORT && rate <= 0.67) || rate <= 0.25;
        let graph = if is_small { Graph::Two } else { Graph::One };
        let whole = payload + crc.bits;
        let blocks = match graph.most() {
            most if whole <= most => 1,
            most => whole.div_ceil(most - CRC24B.bits),
        };
        let of_blocks = if blocks > 1 { blocks * CRC24B.bits } else { 0 };
        let bits = (whole + of_blocks).div_ceil(blocks);
        let columns = graph.columns_for(whole);
        let lifting = liftings().filter(|lifting| columns * lifting >= bits).min();
        let lifting = lifting.expect("no code block has more bits than the largest code");
        Segments { graph, lifting, blocks, bits, crc, payload }
    }

    /// Bits of a codeword before some are left out.
    pub(crate) fn codeword(&self) -> usize {
        (self.graph.information() + self.graph.rows()) * self.lifting
    }

    /// The places in a codeword that hold nothing: zeros that both ends know.
    pub(crate) fn filler(&self) -> Range<usize> {
        self.bits..self.graph.information() * self.lifting
    }

    /// The information of every code block, filler included. What the last one lacks are zeros.
    pub(crate) fn cut(&self, payload: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = payload.to_vec();
        self.crc.attach(&mut whole);
        let own = self.own_bits();
        let mut parts: Vec<Vec<u8>> = whole.chunks(own).map(<[u8]>::to_vec).collect();
        parts.resize(self.blocks, Vec::new());
        for part in &mut parts {
            part.resize(own, 0);
            if self.blocks > 1 {
                CRC24B.attach(part);
            }
            part.resize(self.graph.information() * self.lifting, 0);
        }
        parts
    }

    /// The transport block of what was decoded; none if a check fails.
    pub(crate) fn join(&self, decoded: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut whole = Vec::with_capacity(self.blocks * self.bits);
        for part in decoded {
            let part = &part[..self.bits];
            whole.extend_from_slice(if self.blocks > 1 { CRC24B.detach(part)? } else { part });
        }
        self.crc.detach(&whole[..self.payload + self.crc.bits]).map(<[u8]>::to_vec)
    }

    /// Bits of the transport block in each code block.
    fn own_bits(&self) -> usize {
        self.bits - if self.blocks > 1 { CRC24B.bits } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_standard() {
        // (bits, rate) -> graph, blocks, lifting.
        for (payload, rate, expected) in [
            (24, 0.5, (Graph::Two, 1, 7)),
            (292, 0.9, (Graph::Two, 1, 40)),
            (1000, 0.5, (Graph::Two, 1, 104)),
            (1000, 0.8, (Graph::One, 1, 48)),
            (3824, 0.67, (Graph::Two, 1, 384)),
            (3825, 0.5, (Graph::One, 1, 176)),
            (8424, 0.5, (Graph::One, 1, 384)),
            (8425, 0.5, (Graph::One, 2, 208)),
            (20_000, 0.2, (Graph::Two, 6, 352)),
        ] {
            let segments = Segments::new(payload, rate);
            assert_eq!((segments.graph, segments.blocks, segments.lifting), expected, "{payload} at {rate}");
        }
    }

    #[test]
    fn a_transport_block_comes_back_and_damage_is_seen() {
        for payload in [24, 1000, 8425, 20_001] {
            let bits: Vec<u8> = (0..payload).map(|at| (at * at / 7 % 2) as u8).collect();
            let segments = Segments::new(payload, 0.5);
            let mut blocks = segments.cut(&bits);
            assert!(
                blocks.iter().all(|block| block.len() == segments.graph.information() * segments.lifting)
            );
            assert_eq!(segments.join(&blocks), Some(bits));
            blocks.last_mut().unwrap()[3] ^= 1;
            assert_eq!(segments.join(&blocks), None);
        }
    }
}
