//! Which bits of a codeword are sent, in which order: TS 38.212, 5.4.2, without retransmissions.

use crate::{modulation::Modulation, segments::Segments};

/// The positions in the codeword of the bits that a code block sends, in order. They are taken around a circular
/// buffer, without the first two columns of the base graph and without the filler; then interleaved, so that the first
/// of them, which are information, become the most reliable bits of symbols. Number of bits: a multiple of those of a
/// symbol.
pub(crate) fn places(segments: &Segments, bits: usize, modulation: Modulation) -> Vec<usize> {
    let (start, end) = (2 * segments.lifting, segments.codeword());
    let is_sent = |place: &usize| !segments.filler().contains(place);
    let selected: Vec<usize> = (start..end).filter(is_sent).cycle().take(bits).collect();
    let (width, rows) = (modulation.bits(), bits / modulation.bits());
    (0..bits).map(|at| selected[at % width * rows + at / width]).collect()
}

/// How many symbols each of a number of code blocks gets of all: as alike as can be, more for the last ones.
pub(crate) fn shares(symbols: usize, blocks: usize) -> impl Iterator<Item = usize> {
    let larger = symbols % blocks;
    (0..blocks).map(move |block| symbols / blocks + usize::from(block + larger >= blocks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_comes_first_and_then_all_again() {
        let segments = Segments::new(400, 0.5);
        let (lifting, filler) = (segments.lifting, segments.filler());
        let all = segments.codeword() - 2 * lifting - filler.len();
        let once = places(&segments, all, Modulation::Bpsk);
        assert_eq!(once[..3], [2 * lifting, 2 * lifting + 1, 2 * lifting + 2]);
        assert!(once.iter().all(|place| !filler.contains(place)) && once.is_sorted());
        let more = places(&segments, all + 5, Modulation::Bpsk);
        assert_eq!(more[all..], once[..5]);
        let interleaved = places(&segments, 40, Modulation::Qam16);
        assert_eq!(interleaved[..5], [0, 10, 20, 30, 1].map(|at| once[at]));
    }

    #[test]
    fn shares_add_up() {
        assert_eq!(shares(10, 3).collect::<Vec<_>>(), [3, 3, 4]);
        assert_eq!(shares(9, 3).collect::<Vec<_>>(), [3, 3, 3]);
    }
}
