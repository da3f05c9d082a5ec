use randomness::Stream;

use super::{GainTrace, air::times};

/// What the gain h of a link is drawn from, once a block. On average |h|^2 is 1, but of [`Fading::Erasure`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fading {
    /// h = 1.
    None,
    /// h ~ CN(0, 1): both parts normal with variance 1/2.
    Rayleigh,
    /// A line of sight, sqrt(K / (K + 1)), which the receiver is in phase with, and CN(0, 1 / (K + 1)) around it.
    Rician {
        /// K, the power of the line of sight over that of the rest. 0 is Rayleigh.
        k_factor: f64,
    },
    /// |h|^2 ~ Gamma(m, 1 / m), at a uniform phase.
    Nakagami {
        /// m, from 1/2. 1 is Rayleigh.
        shape: f64,
    },
    /// OFDM over a tapped delay line: paths h_l ~ CN(0, p_l) at whole sample delays l = 0, 1, ... whose powers fall as
    /// p_l ~ exp(-decay l) and add up to 1. A symbol on subcarrier i meets h = sum over l of h_l exp(-2 pi j i l /
    /// subcarriers). The cyclic prefix is longer than the delays, so that no symbol meets another.
    Multipath {
        /// How many paths, from 1 to `subcarriers`.
        taps: usize,
        /// The decay of power from one path to the next, in nepers of power; 0: all are alike.
        decay: f64,
        /// How many subcarriers. Symbol i of a feature lies on subcarrier i mod `subcarriers`.
        subcarriers: usize,
        /// K of a line of sight on the first path beside all of these, as in `Rician`; 0: there is none.
        k_factor: f64,
    },
    /// The gains of a trace, as they are: a time of it for every block, whatever their mean power. Nothing is drawn.
    Trace(&'static GainTrace),
    /// h = 0 with this probability, else 1.
    Erasure {
        /// Of a block.
        probability: f64,
    },
}

impl Fading {
    /// Draws the gains h of `symbols` consecutive symbols: a single gain for all of them, or one gain for each
    /// subcarrier in use.
    pub(super) fn draw(&self, stream: &mut Stream, symbols: usize) -> Vec<[f64; 2]> {
        vec![match *self {
            Fading::Multipath { taps, decay, subcarriers, k_factor } => {
                return multipath(stream, &powers(taps, decay), k_factor, subcarriers, symbols);
            }
            // Whose they are, the crossing says.
            Fading::None | Fading::Trace(_) => [1.0, 0.0],
            Fading::Rayleigh => scattered(stream, 1.0),
            Fading::Rician { k_factor } => {
                let [re, im] = scattered(stream, 1.0 / (k_factor + 1.0));
                [libm::sqrt(k_factor / (k_factor + 1.0)) + re, im]
            }
            Fading::Nakagami { shape } => {
                let magnitude = libm::sqrt(gamma(shape, stream) / shape);
                let (sine, cosine) = libm::sincos(2.0 * std::f64::consts::PI * stream.uniform());
                [magnitude * cosine, magnitude * sine]
            }
            Fading::Erasure { probability } => [f64::from(u8::from(stream.uniform() >= probability)), 0.0],
        }]
    }
}

/// p_l: the mean powers of the paths, which add up to 1.
fn powers(taps: usize, decay: f64) -> Vec<f64> {
    let relative: Vec<f64> = (0..taps).map(|tap| libm::exp(-decay * tap as f64)).collect();
    let sum: f64 = relative.iter().sum();
    relative.iter().map(|power| power / sum).collect()
}

/// h of the first subcarriers, as many as symbols need.
fn multipath(
    stream: &mut Stream,
    powers: &[f64],
    k_factor: f64,
    subcarriers: usize,
    symbols: usize,
) -> Vec<[f64; 2]> {
    let mut paths: Vec<[f64; 2]> =
        powers.iter().map(|power| scattered(stream, power / (k_factor + 1.0))).collect();
    paths[0][0] += libm::sqrt(k_factor / (k_factor + 1.0));
    let turn = |product: usize| {
        let angle = -2.0 * std::f64::consts::PI * (product % subcarriers) as f64 / subcarriers as f64;
        let (sine, cosine) = libm::sincos(angle);
        [cosine, sine]
    };
    let at = |carrier: usize| {
        let turned = paths.iter().enumerate().map(|(delay, path)| times(*path, turn(carrier * delay)));
        turned.fold([0.0; 2], |[re, im], [a, b]| [re + a, im + b])
    };
    (0..symbols.min(subcarriers)).map(at).collect()
}

/// CN(0, power).
fn scattered(stream: &mut Stream, power: f64) -> [f64; 2] {
    let deviation = libm::sqrt(power / 2.0);
    [deviation * stream.normal(), deviation * stream.normal()]
}

/// A draw from Gamma(shape, 1): Marsaglia and Tsang, A simple method for generating gamma variables (2000).
fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        // Their remark on small shapes: a draw of the next shape, times a power of a uniform one from (0, 1].
        let boost = libm::pow(1.0 - stream.uniform(), 1.0 / shape);
        return gamma(shape + 1.0, stream) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = stream.normal();
        let cubed = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
        let uniform = 1.0 - stream.uniform();
        if cubed > 0.0 && libm::log(uniform) < 0.5 * x * x + d - d * cubed + d * libm::log(cubed) {
            return d * cubed;
        }
    }
}

#[cfg(test)]
mod tests {
    use randomness::{Purpose, Seed};

    use super::*;

    /// |h|^2 of so many draws.
    fn powers(fading: Fading, number: u64, count: usize) -> Vec<f64> {
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[number], 0);
        let power = |[re, im]: [f64; 2]| re * re + im * im;
        (0..count).map(|_| power(fading.draw(&mut stream, 1)[0])).collect()
    }

    #[test]
    fn powers_have_mean_one_and_the_variance_of_their_law() {
        const COUNT: usize = 200_000;
        let multipath = |k_factor| Fading::Multipath { taps: 3, decay: 0.5, subcarriers: 8, k_factor };
        let cases: [(Fading, f64); 10] = [
            (multipath(0.0), 1.0),
            (multipath(4.0), 9.0 / 25.0),
            (Fading::None, 0.0),
            (Fading::Rayleigh, 1.0),
            (Fading::Rician { k_factor: 0.0 }, 1.0),
            (Fading::Rician { k_factor: 4.0 }, 9.0 / 25.0),
            (Fading::Rician { k_factor: 1e6 }, 2e-6),
            (Fading::Nakagami { shape: 0.5 }, 2.0),
            (Fading::Nakagami { shape: 1.0 }, 1.0),
            (Fading::Nakagami { shape: 3.0 }, 1.0 / 3.0),
        ];
        for (number, (fading, variance)) in cases.into_iter().enumerate() {
            let powers = powers(fading, number as u64, COUNT);
            let mean = powers.iter().sum::<f64>() / COUNT as f64;
            let spread =
                |order: i32| powers.iter().map(|power| (power - 1.0).powi(order)).sum::<f64>() / COUNT as f64;
            let count = (COUNT as f64).sqrt();
            assert!((mean - 1.0).abs() <= 4.0 * variance.sqrt() / count, "{fading:?}: mean {mean}");
            let error = (spread(4) - variance * variance).max(0.0).sqrt() / count;
            assert!((spread(2) - variance).abs() <= 4.0 * error + 1e-12, "{fading:?}: {}", spread(2));
        }
    }

    #[test]
    fn a_nakagami_power_of_shape_one_is_exponential() {
        // The Kolmogorov-Smirnov distance, at 99.9 %.
        let mut powers = powers(Fading::Nakagami { shape: 1.0 }, 20, 20_000);
        powers.sort_by(f64::total_cmp);
        let count = powers.len() as f64;
        let distance =
            |(at, power): (usize, &f64)| ((at as f64 + 0.5) / count - (1.0 - (-power).exp())).abs();
        let largest = powers.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(largest < 1.95 / count.sqrt(), "{largest}");
    }

    #[test]
    fn subcarriers_are_as_alike_as_the_paths_make_them() {
        // E h_i h*_j = sum over l of p_l exp(-2 pi j (i - j) l / subcarriers): the definition, summed the other way
        // round.
        const COUNT: usize = 20_000;
        let (taps, decay, subcarriers) = (3, 0.5, 8);
        let fading = Fading::Multipath { taps, decay, subcarriers, k_factor: 0.0 };
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[40], 0);
        let draws: Vec<Vec<[f64; 2]>> = (0..COUNT).map(|_| fading.draw(&mut stream, 20)).collect();
        assert!(draws.iter().all(|draw| draw.len() == subcarriers));
        assert_eq!(fading.draw(&mut stream, 2).len(), 2);
        for (i, j) in [(0, 0), (1, 0), (4, 0), (7, 3), (2, 5)] {
            let products = draws.iter().map(|draw| times(draw[i], [draw[j][0], -draw[j][1]]));
            let [re, im] = products.fold([0.0; 2], |[re, im], [a, b]| [re + a, im + b]);
            let weights = [1.0, (-0.5f64).exp(), (-1.0f64).exp()];
            let expected = weights.iter().enumerate().fold([0.0; 2], |[re, im], (delay, weight)| {
                let angle = -2.0 * std::f64::consts::PI * (i as f64 - j as f64) * delay as f64 / 8.0;
                let power = weight / weights.iter().sum::<f64>();
                [re + power * angle.cos(), im + power * angle.sin()]
            });
            let error = 4.0 / (COUNT as f64).sqrt();
            assert!((re / COUNT as f64 - expected[0]).abs() < error, "({i}, {j}): {re} for {expected:?}");
            assert!((im / COUNT as f64 - expected[1]).abs() < error, "({i}, {j}): {im} for {expected:?}");
        }
    }

    #[test]
    fn so_many_blocks_are_erased() {
        let arrived: f64 = powers(Fading::Erasure { probability: 0.3 }, 30, 10_000).iter().sum();
        assert!((arrived - 7000.0).abs() < 4.0 * (10_000.0f64 * 0.21).sqrt(), "{arrived}");
    }
}
