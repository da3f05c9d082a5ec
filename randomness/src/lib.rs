//! Addressed randomness: every draw of a run is a pure function of (seed, purpose, indices, tick).
//!
//! The coordinator sends every node one 32-byte [`Seed`]. A draw is addressed, never replayed: the key of a ChaCha20
//! stream is the SHA-256 of (seed, purpose, indices), its stream number is the tick. So any node can compute any draw
//! of any tick directly, and draws with different addresses never overlap.
//!
//! Transcendental functions come from the `libm` crate, so that every host computes the same bits.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};

/// The purpose of a draw. Each purpose has its own family of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The common randomness u_n of a training tick.
    Common,
    /// The common randomness u of an evaluation pass.
    EvaluationCommon,
    /// Which samples belong to a tick: one permutation per epoch.
    Batch,
    /// Which clip accompanies which image in which epoch.
    Pairing,
    /// Augmentation of a sample in an epoch.
    Augmentation,
    /// A noise modality of a sample in an epoch.
    Noise,
    /// The fixed embeddings of receivers and of (transmitter, modality) pairs.
    Embedding,
    /// The choices that survive the cap of a transmitter.
    Cap,
    /// A selector's own draw.
    Selection,
    /// A selector's own draw in an evaluation pass.
    EvaluationSelection,
    /// The noise of the reparameterisation trick.
    Reparameterisation,
    /// The same in an evaluation pass.
    EvaluationReparameterisation,
    /// The dithers of an entry's quantiser, at both ends.
    Dither,
    /// The same in an evaluation pass.
    EvaluationDither,
    /// The proposals of an entry whose features are simulated, at both ends; in evaluation only.
    Proposal,
    /// Their arrival times.
    Arrival,
    /// Which way a receiver rounds the gradients that it sends back.
    GradientRounding,
    /// What an emulated link does to an entry of a training tick.
    Loss,
    /// The same in an evaluation pass.
    EvaluationLoss,
    /// Whether training drops an entry at a tick.
    ModalityDropout,
    /// The gain of a channel in a block of training.
    Gain,
    /// The same in an evaluation pass.
    EvaluationGain,
    /// A channel's SNR at a training tick.
    Snr,
    /// The same in an evaluation pass.
    EvaluationSnr,
    /// The noise that a channel adds to an entry of a training tick.
    AirNoise,
    /// The same in an evaluation pass.
    EvaluationAirNoise,
    /// Initial weights of a network.
    Weights,
    /// Draws of a network's module in training, such as a dropout's masks.
    Module,
    /// The training rows held out for validation.
    HoldOut,
    /// Content of built-in data sets.
    Content,
    /// Resampling for confidence intervals.
    Bootstrap,
    /// Reserved for tests and benchmarks.
    Test,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Purpose::Common => "common",
            Purpose::EvaluationCommon => "evaluation-common",
            Purpose::Batch => "batch",
            Purpose::Pairing => "pairing",
            Purpose::Augmentation => "augmentation",
            Purpose::Noise => "noise",
            Purpose::Embedding => "embedding",
            Purpose::Cap => "cap",
            Purpose::Selection => "selection",
            Purpose::EvaluationSelection => "evaluation-selection",
            Purpose::Reparameterisation => "reparameterisation",
            Purpose::EvaluationReparameterisation => "evaluation-reparameterisation",
            Purpose::Dither => "dither",
            Purpose::EvaluationDither => "evaluation-dither",
            Purpose::Proposal => "proposal",
            Purpose::Arrival => "arrival",
            Purpose::GradientRounding => "gradient-rounding",
            Purpose::Loss => "loss",
            Purpose::EvaluationLoss => "evaluation-loss",
            Purpose::ModalityDropout => "modality-dropout",
            Purpose::Gain => "gain",
            Purpose::EvaluationGain => "evaluation-gain",
            Purpose::Snr => "snr",
            Purpose::EvaluationSnr => "evaluation-snr",
            Purpose::AirNoise => "air-noise",
            Purpose::EvaluationAirNoise => "evaluation-air-noise",
            Purpose::Weights => "weights",
            Purpose::Module => "module",
            Purpose::HoldOut => "hold-out",
            Purpose::Content => "content",
            Purpose::Bootstrap => "bootstrap",
            Purpose::Test => "test",
        }
    }
}

/// The 32 bytes from which all randomness of a run derives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seed(..)")
    }
}

impl Seed {
    /// The seed for the scenario's number.
    pub fn from_number(number: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"pom2dib seed v1");
        hash.update(number.to_le_bytes());
        Seed(hash.finalize().into())
    }

    /// A seed from the wire.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Seed(bytes)
    }

    /// The bytes, for the wire.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The stream of draws at an address. `indices` identify the object; `tick` the time.
    pub fn stream(self, purpose: Purpose, indices: &[u64], tick: u64) -> Stream {
        self.derive(purpose, |hash| {
            for index in indices {
                hash.update(index.to_le_bytes());
            }
            tick
        })
    }

    /// Like [`Seed::stream`], for objects with a name (a noise modality, a network).
    pub fn named_stream(self, purpose: Purpose, name: &str, indices: &[u64], tick: u64) -> Stream {
        self.derive(purpose, |hash| {
            hash.update(b"name");
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            for index in indices {
                hash.update(index.to_le_bytes());
            }
            tick
        })
    }

    fn derive(self, purpose: Purpose, address: impl FnOnce(&mut Sha256) -> u64) -> Stream {
        let label = purpose.label();
        let mut hash = Sha256::new();
        hash.update(b"pom2dib draw v1");
        hash.update(self.0);
        hash.update((label.len() as u64).to_le_bytes());
        hash.update(label.as_bytes());
        let tick = address(&mut hash);
        let mut generator = ChaCha20Rng::from_seed(hash.finalize().into());
        generator.set_stream(tick);
        Stream { generator, spare: None }
    }
}

/// A stream of draws at one address.
///
/// ```
/// use pom2dib_randomness::{Purpose, Seed};
///
/// let seed = Seed::from_number(1);
/// // The noise of entry (k, t, m) = (0, 2, 1) at tick 300, without drawing what came before; twice the same.
/// let noise = || seed.stream(Purpose::Reparameterisation, &[0, 2, 1], 300).normal();
/// assert_eq!(noise(), noise());
/// assert_ne!(noise(), seed.stream(Purpose::Reparameterisation, &[0, 2, 1], 301).normal());
/// ```
pub struct Stream {
    generator: ChaCha20Rng,
    /// The second normal of the last Box-Muller pair.
    spare: Option<f64>,
}

impl Stream {
    /// A uniform draw from [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.generator.next_u64() >> 11) as f64 * STEP
    }

    /// A uniform draw from `low..high`.
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform integer below `bound`, without bias. `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an integer below 0 was asked for");
        // Lemire's multiplication with rejection of the uneven remainder.
        loop {
            let product = u128::from(self.generator.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// A standard normal draw (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - uniform lies in (0, 1]: its logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        let (sine, cosine) = libm::sincos(2.0 * std::f64::consts::PI * self.uniform());
        self.spare = Some(radius * sine);
        radius * cosine
    }

    /// Goes on as if `count` standard normals had been drawn from here, without drawing them.
    pub fn skip_normals(&mut self, count: u64) {
        /// A pair takes two draws of 64 bits, each of two words.
        const WORDS: u128 = 4;
        if count == 0 {
            return;
        }
        let count = count - u64::from(self.spare.take().is_some());
        self.generator.set_word_pos(self.generator.get_word_pos() + WORDS * u128::from(count / 2));
        if count % 2 == 1 {
            self.normal();
        }
    }

    /// Fills a slice with standard normals.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for value in out {
            *value = self.normal() as f32;
        }
    }

    /// Fills a slice with uniform integers below 32.
    pub fn fill_below_32(&mut self, out: &mut [u8]) {
        // Twelve of five bits from one draw.
        for chunk in out.chunks_mut(12) {
            let mut bits = self.generator.next_u64();
            for value in chunk {
                *value = (bits & 31) as u8;
                bits >>= 5;
            }
        }
    }

    /// A uniform permutation of `0..length` (Fisher-Yates).
    pub fn permutation(&mut self, length: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..length as u32).collect();
        for last in (1..length).rev() {
            let other = self.below(last as u64 + 1) as usize;
            order.swap(last, other);
        }
        order
    }

    /// A uniform subset of `size` of `0..length`, in increasing order. `size` must not exceed `length`.
    pub fn subset(&mut self, length: usize, size: usize) -> Vec<usize> {
        assert!(size <= length, "a subset of {size} of {length} was asked for");
        // Floyd's algorithm would do too; partial Fisher-Yates is plainer.
        let mut order: Vec<usize> = (0..length).collect();
        for position in 0..size {
            let other = position + self.below((length - position) as u64) as usize;
            order.swap(position, other);
        }
        order.truncate(size);
        order.sort_unstable();
        order
    }
}

/// Bytes as hexadecimal text, two letters each: how seeds, digests and names are shown.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Seed {
        Seed::from_number(1)
    }

    #[test]
    fn normals_that_are_skipped_are_as_if_they_had_been_drawn() {
        for (first, skipped) in [(0, 0), (0, 1), (0, 24), (0, 9599), (1, 1), (1, 2), (3, 7), (2, 30)] {
            let mut all = vec![0.0; first + skipped + 5];
            let stream = || seed().stream(Purpose::Test, &[4], 2);
            stream().fill_normal(&mut all);
            let mut skipping = stream();
            for _ in 0..first {
                skipping.normal();
            }
            skipping.skip_normals(skipped as u64);
            let mut rest = [0.0; 5];
            skipping.fill_normal(&mut rest);
            assert_eq!(rest, all[first + skipped..], "{first}, {skipped}");
        }
    }

    #[test]
    fn a_draw_is_a_function_of_its_address() {
        let draw = |purpose, indices: &[u64], tick| seed().stream(purpose, indices, tick).uniform();
        let base = draw(Purpose::Common, &[1, 2], 3);
        assert_eq!(base, draw(Purpose::Common, &[1, 2], 3));
        assert_ne!(base, draw(Purpose::Cap, &[1, 2], 3));
        assert_ne!(base, draw(Purpose::Common, &[2, 1], 3));
        assert_ne!(base, draw(Purpose::Common, &[1, 2, 0], 3));
        assert_ne!(base, draw(Purpose::Common, &[1, 2], 4));
        assert_ne!(base, Seed::from_number(2).stream(Purpose::Common, &[1, 2], 3).uniform());
        assert_ne!(base, seed().named_stream(Purpose::Common, "a", &[1, 2], 3).uniform());
    }

    #[test]
    fn draws_are_pinned_so_that_published_runs_stay_reproducible() {
        let mut stream = seed().stream(Purpose::Test, &[7], 11);
        let drawn = [stream.below(1_000_000), stream.below(1_000_000), stream.below(1_000_000)];
        assert_eq!(drawn, PINNED);
    }
    const PINNED: [u64; 3] = [410_933, 56_414, 82_775];

    #[test]
    fn normals_have_the_moments_of_a_standard_normal() {
        let mut stream = seed().stream(Purpose::Test, &[], 0);
        let count = 200_000;
        let (mut first, mut second, mut fourth) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let value = stream.normal();
            first += value;
            second += value * value;
            fourth += value.powi(4);
        }
        let count = f64::from(count);
        // Four standard errors each: 1, 2 and 96 are the variances of x, x^2 and x^4.
        assert!((first / count).abs() < 4.0 / count.sqrt());
        assert!((second / count - 1.0).abs() < 4.0 * (2.0 / count).sqrt());
        assert!((fourth / count - 3.0).abs() < 4.0 * (96.0 / count).sqrt());
    }

    #[test]
    fn bounded_integers_are_uniform() {
        let mut stream = seed().stream(Purpose::Test, &[], 1);
        let mut counts = [0f64; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1.0;
        }
        let chi_squared: f64 = counts.iter().map(|count| (count - 1e4).powi(2) / 1e4).sum();
        // The 99.9 % quantile of chi-squared with 6 degrees of freedom.
        assert!(chi_squared < 22.46, "{chi_squared}");
    }

    #[test]
    fn integers_below_32_are_uniform_and_pinned() {
        let mut stream = seed().stream(Purpose::Test, &[], 3);
        let mut drawn = vec![0; 320_000];
        stream.fill_below_32(&mut drawn);
        assert_eq!(drawn[..4], PINNED_BELOW_32);
        let mut counts = [0f64; 32];
        drawn.iter().for_each(|&value| counts[usize::from(value)] += 1.0);
        let chi_squared: f64 = counts.iter().map(|count| (count - 1e4).powi(2) / 1e4).sum();
        // The 99.9 % quantile of chi-squared with 31 degrees of freedom.
        assert!(chi_squared < 61.1, "{chi_squared}");
    }
    const PINNED_BELOW_32: [u8; 4] = [18, 14, 2, 17];

    #[test]
    fn permutations_and_subsets_hold_every_element_once() {
        let mut stream = seed().stream(Purpose::Test, &[], 2);
        let mut order = stream.permutation(1000);
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..1000));
        let subset = stream.subset(10, 4);
        assert_eq!(subset.len(), 4);
        assert!(subset.windows(2).all(|pair| pair[0] < pair[1]) && subset[3] < 10);
    }
}
