//! A gain as networks see it, and as links are compared by it.

use super::{Air, Crossing, Snr};

/// Mean of |h|^2 of a Rayleigh gain in dB: -10 gamma / ln 10, with Euler's gamma.
const MEAN_DB: f64 = -2.506_815_7;

/// Its standard deviation: 10 pi / (sqrt(6) ln 10).
const DEVIATION_DB: f64 = 5.570_042_5;

/// What a network sees is at most so many standard deviations from the mean: of a link that is erased, |h|^2 is 0.
const FARTHEST: f64 = 4.0;

/// dB of a link over which nothing comes.
const NOTHING_DB: f64 = -200.0;

impl Air {
    /// |h|^2 Es/N0 at a crossing's tick, in dB: that of its first row, mean over its symbols. Without noise that of |h|^2 alone. Where
    /// nothing comes, -200.
    pub fn strength_db(&self, crossing: &Crossing) -> f64 {
        (self.gain_db(crossing) + self.snr_db(crossing).unwrap_or(0.0)).max(NOTHING_DB)
    }

    /// The same as networks see it: less the centre of its Es/N0, standardised as |h|^2 of a Rayleigh gain is to mean 0
    /// and deviation 1. All links have one scale, whatever their law.
    pub fn seen(&self, crossing: &Crossing) -> f32 {
        let from_centre = match (self.snr, self.snr_db(crossing)) {
            (Some(Snr::Range(low, high)), Some(snr_db)) => snr_db - (low + high) / 2.0,
            _ => 0.0,
        };
        let standardised = (self.gain_db(crossing) + from_centre - MEAN_DB) / DEVIATION_DB;
        standardised.clamp(-FARTHEST, FARTHEST) as f32
    }

    fn gain_db(&self, crossing: &Crossing) -> f64 {
        let gains = self.gains(crossing, 0);
        let power = gains.iter().map(|[re, im]| re * re + im * im).sum::<f64>() / gains.len() as f64;
        if power > 0.0 { 10.0 * libm::log10(power) } else { NOTHING_DB }
    }
}

#[cfg(test)]
mod tests {
    use randomness::Seed;

    use super::*;
    use crate::{
        Phase,
        channel::{Block, Csi, Fading},
    };

    fn air(fading: Fading, snr: Option<Snr>) -> Air {
        let seed = Seed::from_number(1);
        Air { seed, feature_dim: 4, ticks_per_round: 20, fading, block: Block::Tick, snr, csi: Csi::Unknown }
    }

    fn crossing(tick: u64) -> Crossing {
        Crossing { phase: Phase::Train, pass: 0, transmitter: 0, receiver: 0, modality: 0, tick }
    }

    #[test]
    fn what_is_seen_of_a_rayleigh_gain_has_mean_0_and_deviation_1() {
        const COUNT: usize = 40_000;
        let air = air(Fading::Rayleigh, Some(Snr::Fixed(7.0)));
        let seen: Vec<f64> = (0..COUNT as u64).map(|tick| air.seen(&crossing(tick)).into()).collect();
        let mean = seen.iter().sum::<f64>() / COUNT as f64;
        let deviation = (seen.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / COUNT as f64).sqrt();
        // Four standard errors; what is cut off at -4 lies within them.
        assert!(mean.abs() < 4.0 / (COUNT as f64).sqrt() + 2e-3, "{mean}");
        assert!((deviation - 1.0).abs() < 0.03, "{deviation}");
        let strongest = (0..100).max_by(|&one, &other| {
            air.strength_db(&crossing(one)).total_cmp(&air.strength_db(&crossing(other)))
        });
        let most_seen =
            (0..100).max_by(|&one, &other| air.seen(&crossing(one)).total_cmp(&air.seen(&crossing(other))));
        assert_eq!(strongest, most_seen);
    }

    #[test]
    fn an_snr_that_is_drawn_is_seen_like_a_gain_and_what_is_erased_as_the_least() {
        let range = air(Fading::None, Some(Snr::Range(0.0, 10.0)));
        for tick in 0..20 {
            let crossing = crossing(tick);
            let strength = range.strength_db(&crossing);
            assert!((0.0..10.0).contains(&strength), "{strength}");
            let expected = (strength - 5.0 - MEAN_DB) / DEVIATION_DB;
            assert!((f64::from(range.seen(&crossing)) - expected).abs() < 1e-6);
        }
        let erased = air(Fading::Erasure { probability: 1.0 }, None);
        assert_eq!((erased.seen(&crossing(0)), erased.strength_db(&crossing(0))), (-4.0, -200.0));
        let whole = air(Fading::Erasure { probability: 0.0 }, None);
        assert_eq!(whole.strength_db(&crossing(0)), 0.0);
    }
}
