//! Which modulation and code rate a transport block gets.

use crate::{modulation::Modulation, segments::check};

/// The highest code rate: beyond it the code's first columns, which are never sent, cannot be found again.
const MOST_RATE: f64 = 0.925;
/// Up to this code rate the smaller constellation is better than the next one: where 5G's tables of modulations and
/// rates turn.
const TURN: f64 = 2.0 / 3.0;

/// How a transport block is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Format {
    /// The constellation of all its symbols.
    pub modulation: Modulation,
    /// Bytes of the transport block.
    payload: usize,
    /// Symbols.
    uses: usize,
}

impl Format {
    /// The format of a transport block with the given number of bytes and a target of `uses` channel uses. Missing
    /// values are chosen: without a code rate, the uses are met exactly, as long as what is sent fits into them at a
    /// rate of 0.925 (else it takes as many as that needs); without a modulation, it is the one that fits that rate,
    /// or, if a rate is given, comes nearest to the uses. A code rate counts the check as information.
    pub fn new(payload: usize, uses: usize, modulation: Option<Modulation>, rate: Option<f64>) -> Self {
        let bits = 8 * payload + check(8 * payload).bits;
        let at = |modulation: Modulation, rate: f64| {
            let uses = libm::ceil(bits as f64 / rate / modulation.bits() as f64) as usize;
            Format { modulation, payload, uses: uses.max(1) }
        };
        let all = [Modulation::Qpsk, Modulation::Qam16, Modulation::Qam64];
        match (modulation, rate) {
            (Some(modulation), Some(rate)) => at(modulation, rate),
            (None, Some(rate)) => {
                let formats = Modulation::ALL.map(|modulation| at(modulation, rate));
                let nearest = formats.into_iter().min_by_key(|format| format.uses.abs_diff(uses));
                nearest.expect("there are modulations")
            }
            (modulation, None) => {
                let fits = |other: &Modulation| bits as f64 <= TURN * (uses * other.bits()) as f64;
                let chosen = modulation.or_else(|| all.into_iter().find(fits)).unwrap_or(Modulation::Qam64);
                let least = at(chosen, MOST_RATE);
                Format { uses: least.uses.max(uses), ..least }
            }
        }
    }

    /// How many symbols it takes.
    pub fn uses(&self) -> usize {
        self.uses
    }

    /// Bits of the transport block, without its check.
    pub(crate) fn payload_bits(&self) -> usize {
        8 * self.payload
    }

    /// Bits of the transport block over bits that are sent.
    pub fn rate(&self) -> f64 {
        self.payload_bits() as f64 / (self.uses * self.modulation.bits()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_met_by_the_modulation_that_fits() {
        for (payload, expected) in [
            (10, Modulation::Qpsk),
            (38, Modulation::Qpsk),
            (50, Modulation::Qam16),
            (100, Modulation::Qam64),
        ] {
            let format = Format::new(payload, 240, None, None);
            assert_eq!((format.modulation, format.uses()), (expected, 240), "{payload} bytes");
        }
        // More than 240 symbols of 6 bits can carry.
        let long = Format::new(300, 240, None, None);
        assert_eq!(
            (long.modulation, long.uses()),
            (Modulation::Qam64, (2416.0_f64 / 0.925 / 6.0).ceil() as usize)
        );
        assert_eq!(Format::new(30, 240, Some(Modulation::Bpsk), None).uses(), 277);
    }

    #[test]
    fn a_given_rate_is_kept() {
        let format = Format::new(50, 240, Some(Modulation::Qam16), Some(0.5));
        assert_eq!(format.uses(), 208);
        assert!((format.rate() - 0.5 * 400.0 / 416.0).abs() < 1e-12);
        // 416 bits at rate 1/3: 1248, 624, 312 or 208 symbols.
        let nearest = Format::new(50, 240, None, Some(1.0 / 3.0));
        assert_eq!((nearest.modulation, nearest.uses()), (Modulation::Qam64, 208));
    }
}
