//! Constellations with Gray mapping, TS 38.211, 5.1, and what is heard of them.

/// How many bits a symbol carries, and where it lies. The mean power of a symbol is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Modulation {
    /// One bit, on the real axis.
    Bpsk,
    /// Two bits, one on each axis.
    Qpsk,
    /// Four bits.
    Qam16,
    /// Six bits.
    Qam64,
}

/// What is heard of a symbol s: y = h s + n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// y.
    pub value: [f64; 2],
    /// h, which the receiver knows.
    pub gain: [f64; 2],
    /// N0, the variance of n.
    pub noise: f64,
}

impl Heard {
    /// h* y / |h|^2, and |h|^2 / N0; none where h = 0, of which nothing is heard.
    fn equalised(&self) -> Option<([f64; 2], f64)> {
        let ([a, b], [re, im]) = (self.gain, self.value);
        let power = a * a + b * b;
        let value = [(a * re + b * im) / power, (a * im - b * re) / power];
        (power > 0.0).then_some((value, power / self.noise.max(f64::MIN_POSITIVE)))
    }
}

impl Modulation {
    /// All of them.
    pub const ALL: [Modulation; 4] =
        [Modulation::Bpsk, Modulation::Qpsk, Modulation::Qam16, Modulation::Qam64];

    /// Bits a symbol.
    pub const fn bits(self) -> usize {
        match self {
            Modulation::Bpsk => 1,
            Modulation::Qpsk => 2,
            Modulation::Qam16 => 4,
            Modulation::Qam64 => 6,
        }
    }

    /// The symbol of [`bits`](Modulation::bits) bits, each 0 or 1: even ones lie on the real axis, odd ones on the
    /// imaginary one.
    pub fn symbol(self, bits: &[u8]) -> [f64; 2] {
        let axis = |first: usize| {
            let bits: Vec<u8> = bits.iter().skip(first).step_by(2).copied().collect();
            self.scale() * amplitude(&bits)
        };
        [axis(0), if self == Modulation::Bpsk { 0.0 } else { axis(1) }]
    }

    /// Adds the log-likelihood ratios of a symbol's bits, log P(y | 0) - log P(y | 1), all symbols being equally
    /// likely.
    pub fn llrs(self, heard: &Heard, into: &mut Vec<f64>) {
        let Some((value, snr)) = heard.equalised() else {
            into.extend(std::iter::repeat_n(0.0, self.bits()));
            return;
        };
        let start = into.len();
        into.resize(start + self.bits(), 0.0);
        let axes = if self == Modulation::Bpsk { 1 } else { 2 };
        for (axis, at) in value.into_iter().enumerate().take(axes) {
            for (number, llr) in self.axis_llrs(at, snr).into_iter().enumerate() {
                into[start + axes * number + axis] = llr;
            }
        }
    }

    /// Those of the bits of one axis, at which a value lies.
    fn axis_llrs(self, at: f64, snr: f64) -> Vec<f64> {
        let width = self.bits().div_ceil(2);
        let exponent = |level: usize| {
            let bits: Vec<u8> = (0..width).map(|bit| bit_of(level, bit)).collect();
            let away = at - self.scale() * amplitude(&bits);
            -snr * away * away
        };
        let exponents: Vec<f64> = (0..1 << width).map(exponent).collect();
        let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = exponents.iter().map(|exponent| libm::exp(exponent - most)).collect();
        let llr = |bit: usize| {
            let log = |wanted: u8| {
                let of_bit = (0..weights.len()).filter(|&level| bit_of(level, bit) == wanted);
                libm::log(of_bit.map(|level| weights[level]).sum::<f64>().max(f64::MIN_POSITIVE))
            };
            log(0) - log(1)
        };
        (0..width).map(llr).collect()
    }

    /// What makes the mean power 1.
    fn scale(self) -> f64 {
        let power = match self {
            Modulation::Bpsk => return 1.0,
            Modulation::Qpsk => 2.0,
            Modulation::Qam16 => 10.0,
            Modulation::Qam64 => 42.0,
        };
        1.0 / libm::sqrt(power)
    }
}

/// The `bit`-th bit of a level of an axis.
fn bit_of(level: usize, bit: usize) -> u8 {
    (level >> bit & 1) as u8
}

/// Of the bits of one axis: an odd integer. The first bit is its sign, each further one halves what is left.
fn amplitude(bits: &[u8]) -> f64 {
    let sign = |bit: u8| 1.0 - 2.0 * f64::from(bit);
    let inner = bits[1..]
        .iter()
        .rev()
        .fold((1.0, 2.0), |(inner, reach): (f64, f64), &bit| (reach - sign(bit) * inner, 2.0 * reach));
    sign(bits[0]) * inner.0
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use randomness::{Purpose, Seed};

    use super::*;

    fn constellation(modulation: Modulation) -> Vec<(Vec<u8>, [f64; 2])> {
        let bits = |number: usize| (0..modulation.bits()).map(|bit| bit_of(number, bit)).collect::<Vec<u8>>();
        (0..1 << modulation.bits()).map(|number| (bits(number), modulation.symbol(&bits(number)))).collect()
    }

    fn distance([a, b]: [f64; 2], [c, d]: [f64; 2]) -> f64 {
        (a - c) * (a - c) + (b - d) * (b - d)
    }

    #[test]
    fn power_is_1_and_neighbours_differ_in_one_bit() {
        for modulation in Modulation::ALL {
            let symbols = constellation(modulation);
            let power = symbols.iter().map(|(_, symbol)| distance(*symbol, [0.0; 2])).sum::<f64>();
            assert!((power / symbols.len() as f64 - 1.0).abs() < 1e-12, "{modulation:?}");
            let pairs = || symbols.iter().flat_map(|one| symbols.iter().map(move |other| (one, other)));
            let apart = pairs().map(|(one, other)| distance(one.1, other.1)).filter(|apart| *apart > 0.0);
            let least = apart.fold(f64::INFINITY, f64::min);
            for (one, other) in pairs().filter(|(one, other)| distance(one.1, other.1) < 1.01 * least) {
                let differ = one.0.iter().zip(&other.0).filter(|(a, b)| a != b).count();
                assert!(differ <= 1, "{modulation:?}: {one:?} and {other:?}");
            }
        }
    }

    /// Examples of TS 38.211, 5.1.3 to 5.1.5.
    #[test]
    fn bits_lie_where_the_standard_puts_them() {
        let of = |modulation: Modulation, bits: &[u8], by: f64| {
            modulation.symbol(bits).map(|value| (value * by).round())
        };
        assert_eq!(of(Modulation::Bpsk, &[1], 1.0), [-1.0, 0.0]);
        assert_eq!(of(Modulation::Qpsk, &[0, 1], 2.0_f64.sqrt()), [1.0, -1.0]);
        assert_eq!(of(Modulation::Qam16, &[0, 1, 1, 0], 10.0_f64.sqrt()), [3.0, -1.0]);
        assert_eq!(of(Modulation::Qam64, &[0, 0, 0, 0, 0, 0], 42.0_f64.sqrt()), [3.0, 3.0]);
        assert_eq!(of(Modulation::Qam64, &[1, 0, 1, 0, 1, 1], 42.0_f64.sqrt()), [-7.0, 1.0]);
    }

    /// Against the sums over the whole constellation.
    #[test]
    fn ratios_are_those_of_all_symbols_together() {
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        for modulation in Modulation::ALL {
            for _ in 0..200 {
                let mut normal = || [stream.normal(), stream.normal()];
                let heard = Heard { value: normal(), gain: normal(), noise: 0.3 };
                let mut llrs = Vec::new();
                modulation.llrs(&heard, &mut llrs);
                assert_eq!(llrs.len(), modulation.bits());
                let [a, b] = heard.gain;
                let likelihood = |[re, im]: [f64; 2]| {
                    (-distance(heard.value, [a * re - b * im, a * im + b * re]) / heard.noise).exp()
                };
                for (bit, llr) in llrs.into_iter().enumerate() {
                    let sum = |wanted: u8| {
                        let symbols = constellation(modulation);
                        let of_bit = symbols.into_iter().filter(|(bits, _)| bits[bit] == wanted);
                        of_bit.map(|(_, symbol)| likelihood(symbol)).sum::<f64>()
                    };
                    assert!((llr - (sum(0) / sum(1)).ln()).abs() < 1e-6 * llr.abs().max(1.0), "{llr}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_of_what_is_not_heard_and_ratios_stay_finite() {
        for modulation in Modulation::ALL {
            for (gain, noise) in [([0.0, 0.0], 1.0), ([1.0, 0.0], 0.0), ([1e3, 0.0], 1e-20)] {
                let mut llrs = Vec::new();
                modulation.llrs(&Heard { value: [0.3, -0.2], gain, noise }, &mut llrs);
                assert!(llrs.iter().all(|llr| llr.is_finite()));
                assert!(gain[0] > 0.0 || llrs.iter().all(|llr| *llr == 0.0));
            }
        }
    }

    fn q(x: f64) -> f64 {
        0.5 * libm::erfc(x / 2.0_f64.sqrt())
    }

    /// Symbol error rate over AWGN at Es/N0 = `snr` (J. Proakis, Digital Communications, 4.3).
    fn awgn(modulation: Modulation, snr: f64) -> f64 {
        let m = f64::from(1 << modulation.bits());
        if modulation == Modulation::Bpsk {
            return q((2.0 * snr).sqrt());
        }
        let (edge, tail) = (1.0 - 1.0 / m.sqrt(), q((3.0 * snr / (m - 1.0)).sqrt()));
        4.0 * edge * tail - 4.0 * edge * edge * tail * tail
    }

    /// Its mean over flat Rayleigh fading (M. Simon and M.-S. Alouini, Digital Communication over Fading Channels,
    /// 8.2).
    fn rayleigh(modulation: Modulation, snr: f64) -> f64 {
        let m = f64::from(1 << modulation.bits());
        if modulation == Modulation::Bpsk {
            return 0.5 * (1.0 - (snr / (1.0 + snr)).sqrt());
        }
        let edge = 1.0 - 1.0 / m.sqrt();
        let mu = (1.5 * snr / (m - 1.0 + 1.5 * snr)).sqrt();
        2.0 * edge * (1.0 - mu) - edge * edge * (1.0 - 4.0 / PI * mu * (1.0 / mu).atan())
    }

    /// 10^6 symbols, at 6 SNRs, over AWGN and flat Rayleigh: the errors of the nearest symbol against closed forms,
    /// within 4 sigma. All share the draws of bits, gain and noise.
    #[test]
    fn uncoded_symbols_err_as_often_as_closed_forms_say() {
        const SYMBOLS: usize = 1_000_000;
        let snrs = [-3.0, 1.0, 5.0, 9.0, 13.0, 17.0].map(|db: f64| 10.0_f64.powf(db / 10.0));
        let constellations = Modulation::ALL.map(constellation);
        let mut errors = [[[0_u32; 2]; 6]; 4];
        let mut stream = Seed::from_number(2).stream(Purpose::Test, &[], 0);
        let half = 0.5_f64.sqrt();
        for _ in 0..SYMBOLS {
            let number = stream.below(64) as usize;
            let mut normal = || [half * stream.normal(), half * stream.normal()];
            let (fading, noise) = (normal(), normal());
            for (of_modulation, symbols) in errors.iter_mut().zip(&constellations) {
                let sent = symbols[number % symbols.len()].1;
                for (of_snr, snr) in of_modulation.iter_mut().zip(snrs) {
                    for (count, [a, b]) in of_snr.iter_mut().zip([[1.0, 0.0], fading]) {
                        // z = s + n / h: all that turns noise leaves it what it is.
                        let power = snr * (a * a + b * b);
                        let turned = [(a * noise[0] + b * noise[1]), (a * noise[1] - b * noise[0])];
                        let factor = snr.sqrt() / power;
                        let heard = [sent[0] + factor * turned[0], sent[1] + factor * turned[1]];
                        let far = distance(heard, sent);
                        *count += u32::from(symbols.iter().any(|(_, other)| distance(heard, *other) < far));
                    }
                }
            }
        }
        for (of_modulation, modulation) in errors.iter().zip(Modulation::ALL) {
            for (of_snr, snr) in of_modulation.iter().zip(snrs) {
                let expected = [awgn(modulation, snr), rayleigh(modulation, snr)];
                for (count, expected) in of_snr.iter().zip(expected) {
                    let deviation = (expected * (1.0 - expected) * SYMBOLS as f64).sqrt();
                    let away = f64::from(*count) - expected * SYMBOLS as f64;
                    // Where next to no error is due, as many as a Poisson law has once in 10^5 cases.
                    assert!(
                        away.abs() <= 4.0 * deviation.max(1.0),
                        "{modulation:?} at {snr}: {count} errors for {}",
                        expected * SYMBOLS as f64
                    );
                }
            }
        }
    }
}
