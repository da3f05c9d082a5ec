//! The `mel` modality: a power mel spectrogram, standardised per clip.
//!
//! 8000 samples of 8 kHz, centred frames of 2048 every 256 with reflection at both ends, a periodic Hann window, and 16
//! triangular bands of height 1, evenly spaced from 0 to 4000 Hz on the HTK mel scale. Torchaudio's `MelSpectrogram`
//! with its defaults, librosa's with `htk=True, norm=None`.

use pulp::Arch;
use rustfft::{Fft, FftPlanner, num_complex::Complex};
use std::sync::Arc;

/// Samples of a waveform: one second.
pub(crate) const SAMPLES: usize = 8000;

/// Mel bands.
pub(crate) const BANDS: usize = 16;

/// Frames in time.
pub(crate) const FRAMES: usize = SAMPLES / HOP + 1;

/// Values per sample: all frames of the lowest band first.
pub(crate) const WIDTH: usize = BANDS * FRAMES;

const RATE: f64 = 8000.0;
const WINDOW: usize = 2048;
const HOP: usize = 256;
const MARGIN: usize = WINDOW / 2;
const BINS: usize = WINDOW / 2 + 1;

/// Frames that share a transform: one is its real part, the other its imaginary part.
const PAIR: usize = 2;

/// Running sums side by side.
const LANES: usize = 8;

const _: () = assert!(FRAMES.is_multiple_of(PAIR));

/// The transform, made once and shared by all threads.
///
/// rustfft chooses its kernels by the processor: any two with AVX and FMA agree bit for bit.
pub(crate) struct Mel {
    fft: Arc<dyn Fft<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
}

/// A triangular filter: the bins that it does not ignore.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

/// Buffers of one computation, kept from clip to clip.
pub(crate) struct Scratch {
    /// The waveform between margins of [`MARGIN`] values.
    padded: Vec<f32>,
    /// Two frames, and then their spectrum.
    frames: Vec<Complex<f32>>,
    /// The power spectra of both.
    powers: [Vec<f32>; PAIR],
    fft: Vec<Complex<f32>>,
}

impl Scratch {
    /// The waveform, to be written before [`Mel::spectrogram`].
    pub(crate) fn waveform(&mut self) -> &mut [f32] {
        &mut self.padded[MARGIN..MARGIN + SAMPLES]
    }
}

impl Mel {
    pub(crate) fn new() -> Self {
        let fft = FftPlanner::new().plan_fft_forward(WINDOW);
        let hann = |n: usize| 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * n as f64 / WINDOW as f64);
        Mel { fft, window: (0..WINDOW).map(|n| hann(n) as f32).collect(), bands: bands() }
    }

    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            padded: vec![0.0; SAMPLES + 2 * MARGIN],
            frames: vec![Complex::default(); WINDOW],
            powers: [vec![0.0; BINS], vec![0.0; BINS]],
            fft: vec![Complex::default(); self.fft.get_inplace_scratch_len()],
        }
    }

    /// The mel spectrogram of the scratch's waveform, band by band, [`WIDTH`] values of power.
    pub(crate) fn spectrogram(&self, scratch: &mut Scratch, out: &mut [f32]) {
        reflect(&mut scratch.padded);
        let sound = sound(&scratch.padded);
        for first in (0..FRAMES).step_by(PAIR) {
            let heard = [first, first + 1].map(|frame| overlaps(frame, &sound));
            if heard.contains(&true) {
                self.powers(scratch, first);
            }
            for (number, heard) in heard.into_iter().enumerate() {
                let power = &scratch.powers[number];
                for (index, band) in self.bands.iter().enumerate() {
                    // The spectrum of silence is zero: most clips are shorter than the second that they are padded to.
                    let value = if heard { band.of(power) } else { 0.0 };
                    out[index * FRAMES + first + number] = value;
                }
            }
        }
    }

    /// The power spectra of frame `first` and of the next. Both are real, so that one complex transform has them all:
    /// what is even in its bins is the first's, what is odd the second's.
    fn powers(&self, scratch: &mut Scratch, first: usize) {
        let samples = &scratch.padded[first * HOP..][..HOP + WINDOW];
        let Scratch { frames, powers: [first, second], fft, .. } = scratch;
        // Compiled for the best instruction set of this machine; the bits do not depend on it.
        let machine = Arch::new();
        machine.dispatch(
            #[inline(always)]
            || weigh(frames, samples, &self.window),
        );
        self.fft.process_with_scratch(frames, fft);
        machine.dispatch(
            #[inline(always)]
            || separate(frames, first, second),
        );
    }
}

/// Two neighbouring frames, windowed, as one of complex numbers.
#[inline(always)]
fn weigh(frames: &mut [Complex<f32>], samples: &[f32], window: &[f32]) {
    let pairs = samples.iter().zip(&samples[HOP..]).zip(window);
    for (value, ((first, second), weight)) in frames.iter_mut().zip(pairs) {
        *value = Complex::new(first * weight, second * weight);
    }
}

/// The squared magnitudes of both frames' spectra. The lowest and the highest bin lie in no band, and are left out.
#[inline(always)]
fn separate(spectrum: &[Complex<f32>], first: &mut [f32], second: &mut [f32]) {
    let mirrored = spectrum[BINS..].iter().rev();
    let powers = first[1..BINS - 1].iter_mut().zip(&mut second[1..BINS - 1]);
    for ((z, y), (first, second)) in spectrum[1..BINS - 1].iter().zip(mirrored).zip(powers) {
        let (sum, difference) = (z + y, z - y);
        *first = 0.25 * (sum.re * sum.re + difference.im * difference.im);
        *second = 0.25 * (sum.im * sum.im + difference.re * difference.re);
    }
}

/// Where the first and the last sample are that are not silent; empty if all are.
fn sound(padded: &[f32]) -> std::ops::Range<usize> {
    let first = padded.iter().position(|&sample| sample != 0.0).unwrap_or(0);
    let end = padded.iter().rposition(|&sample| sample != 0.0).map_or(first, |last| last + 1);
    first..end
}

/// Whether any of a frame's samples is not silent.
fn overlaps(frame: usize, sound: &std::ops::Range<usize>) -> bool {
    frame * HOP < sound.end && sound.start < frame * HOP + WINDOW
}

/// Gives a spectrogram mean 0 and (population) standard deviation 1; a constant one becomes 0.
pub(crate) fn standardise(values: &mut [f32]) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance =
        values.iter().map(|&value| (f64::from(value) - mean) * (f64::from(value) - mean)).sum::<f64>()
            / count;
    let deviation = libm::sqrt(variance);
    // A spread that is only rounding is none.
    let factor = if deviation > 1e-6 * mean.abs() { 1.0 / deviation } else { 0.0 };
    for value in values {
        *value = ((f64::from(*value) - mean) * factor) as f32;
    }
}

/// Fills both margins with the mirror image of what lies beside them; the outermost sample is not repeated.
fn reflect(padded: &mut [f32]) {
    for distance in 1..=MARGIN {
        padded[MARGIN - distance] = padded[MARGIN + distance];
        padded[MARGIN + SAMPLES - 1 + distance] = padded[MARGIN + SAMPLES - 1 - distance];
    }
}

fn bands() -> Vec<Band> {
    let top = hertz_to_mel(RATE / 2.0);
    let corner = |index: usize| mel_to_hertz(top * index as f64 / (BANDS + 1) as f64);
    (0..BANDS).map(|band| Band::new(corner(band), corner(band + 1), corner(band + 2))).collect()
}

impl Band {
    /// A triangle over frequencies that rises from `low` to 1 at `peak` and falls to `high`.
    fn new(low: f64, peak: f64, high: f64) -> Self {
        let weight = |bin: usize| {
            let frequency = bin as f64 * RATE / WINDOW as f64;
            ((frequency - low) / (peak - low)).min((high - frequency) / (high - peak)).max(0.0) as f32
        };
        let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        Band { first, weights: (first..BINS).map(weight).take_while(|&weight| weight > 0.0).collect() }
    }

    /// The band's share of a power spectrum.
    fn of(&self, power: &[f32]) -> f32 {
        let power = &power[self.first..][..self.weights.len()];
        let mut lanes = [0f32; LANES];
        let (weights, weights_rest) = self.weights.as_chunks::<LANES>();
        let (power, power_rest) = power.as_chunks::<LANES>();
        for (weights, power) in weights.iter().zip(power) {
            for lane in 0..LANES {
                lanes[lane] += weights[lane] * power[lane];
            }
        }
        let rest: f32 = weights_rest.iter().zip(power_rest).map(|(weight, power)| weight * power).sum();
        lanes.iter().sum::<f32>() + rest
    }
}

/// The HTK mel scale.
fn hertz_to_mel(hertz: f64) -> f64 {
    2595.0 * libm::log10(1.0 + hertz / 700.0)
}

fn mel_to_hertz(mel: f64) -> f64 {
    700.0 * (libm::exp10(mel / 2595.0) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use randomness::{Purpose, Seed};

    /// What librosa gives; `tests/fixtures/mel.py` says how.
    const CHIRP: &str = include_str!("../tests/fixtures/mel-chirp.txt");

    fn spectrogram(waveform: impl Fn(usize) -> f64) -> Vec<f32> {
        let mel = Mel::new();
        let mut scratch = mel.scratch();
        let mut out = vec![0.0; WIDTH];
        for (at, value) in scratch.waveform().iter_mut().enumerate() {
            *value = waveform(at) as f32;
        }
        mel.spectrogram(&mut scratch, &mut out);
        out
    }

    fn chirp(at: usize) -> f64 {
        let t = at as f64 / RATE;
        let wave = |cycles: f64| libm::sin(std::f64::consts::TAU * cycles);
        if at < 5000 { 0.5 * wave(200.0 * t + 1500.0 * t * t) + 0.25 * wave(1000.0 * t) } else { 0.0 }
    }

    #[test]
    fn a_chirp_has_the_spectrogram_that_librosa_gives_it() {
        let expected: Vec<f32> = CHIRP
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.split(' ').map(|value| value.parse::<f32>().unwrap()))
            .collect();
        let computed = spectrogram(chirp);
        assert_eq!((computed.len(), expected.len()), (WIDTH, WIDTH));
        let loudest = expected.iter().fold(0.0, |most: f32, &value| most.max(value));
        for (at, (computed, expected)) in computed.iter().zip(&expected).enumerate() {
            let allowed = 1e-4 * expected + 1e-7 * loudest;
            assert!(
                (computed - expected).abs() <= allowed,
                "value {at}: {computed}, but librosa has {expected}"
            );
        }
    }

    #[test]
    fn buffers_remember_nothing() {
        let mel = Mel::new();
        let mut scratch = mel.scratch();
        let (mut first, mut second) = (vec![0.0; WIDTH], vec![0.0; WIDTH]);
        let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
        for out in [&mut first, &mut second] {
            for (at, value) in scratch.waveform().iter_mut().enumerate() {
                *value = chirp(at) as f32;
            }
            mel.spectrogram(&mut scratch, out);
            stream.fill_normal(scratch.waveform());
            mel.spectrogram(&mut scratch, &mut vec![0.0; WIDTH]);
        }
        assert_eq!(first, second);
    }

    #[test]
    fn standardised_spectrograms_have_mean_zero_and_deviation_one_and_silence_stays_zero() {
        let mut values = spectrogram(chirp);
        standardise(&mut values);
        let mean = values.iter().sum::<f32>() / WIDTH as f32;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / WIDTH as f32;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");

        let mut silence = spectrogram(|_| 0.0);
        standardise(&mut silence);
        assert_eq!(silence, vec![0.0; WIDTH]);
        let mut constant = vec![0.1; WIDTH];
        standardise(&mut constant);
        assert_eq!(constant, vec![0.0; WIDTH]);
    }
}
