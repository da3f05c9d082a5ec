use randomness::Stream;

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
    /// h = 0 with this probability, else 1.
    Erasure {
        /// Of a block.
        probability: f64,
    },
}

impl Fading {
    /// Draws real and imaginary part.
    pub(super) fn draw(&self, stream: &mut Stream) -> [f64; 2] {
        match *self {
            Fading::None => [1.0, 0.0],
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
        }
    }
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
        (0..count).map(|_| power(fading.draw(&mut stream))).collect()
    }

    #[test]
    fn powers_have_mean_one_and_the_variance_of_their_law() {
        const COUNT: usize = 200_000;
        let cases: [(Fading, f64); 8] = [
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
    fn so_many_blocks_are_erased() {
        let arrived: f64 = powers(Fading::Erasure { probability: 0.3 }, 30, 10_000).iter().sum();
        assert!((arrived - 7000.0).abs() < 4.0 * (10_000.0f64 * 0.21).sqrt(), "{arrived}");
    }
}
