//! The `mel` modality: a power mel spectrogram, standardised per clip.
//!
//! 8000 samples of 8 kHz, centred frames of 2048 every 256 with reflection at both ends, a periodic Hann window, and 16
//! triangular bands of height 1, evenly spaced from 0 to 4000 Hz on the HTK mel scale. Torchaudio's `MelSpectrogram`
//! with its defaults, librosa's with `htk=True, norm=None`.

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};
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

/// The transform, made once and shared by all threads.
///
/// rustfft chooses its kernels by the processor: any two with AVX and FMA agree bit for bit.
pub(crate) struct Mel {
    fft: Arc<dyn RealToComplex<f32>>,
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
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
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
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        let hann = |n: usize| 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * n as f64 / WINDOW as f64);
        Mel { fft, window: (0..WINDOW).map(|n| hann(n) as f32).collect(), bands: bands() }
    }

    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            padded: vec![0.0; SAMPLES + 2 * MARGIN],
            frame: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            power: vec![0.0; BINS],
            fft: self.fft.make_scratch_vec(),
        }
    }

    /// The mel spectrogram of the scratch's waveform, band by band, [`WIDTH`] values of power.
    pub(crate) fn spectrogram(&self, scratch: &mut Scratch, out: &mut [f32]) {
        reflect(&mut scratch.padded);
        for frame in 0..FRAMES {
            let samples = &scratch.padded[frame * HOP..frame * HOP + WINDOW];
            // The spectrum of silence is zero: most clips are shorter than the second that they are padded to.
            if samples.iter().all(|&sample| sample == 0.0) {
                (0..BANDS).for_each(|band| out[band * FRAMES + frame] = 0.0);
                continue;
            }
            for ((value, sample), weight) in scratch.frame.iter_mut().zip(samples).zip(&self.window) {
                *value = sample * weight;
            }
            self.fft
                .process_with_scratch(&mut scratch.frame, &mut scratch.spectrum, &mut scratch.fft)
                .expect("the buffers were made by the plan");
            for (power, value) in scratch.power.iter_mut().zip(&scratch.spectrum) {
                *power = value.norm_sqr();
            }
            for (index, band) in self.bands.iter().enumerate() {
                let bins = &scratch.power[band.first..band.first + band.weights.len()];
                out[index * FRAMES + frame] = dot(bins, &band.weights);
            }
        }
    }
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

/// A sum of products over eight lanes, which the compiler turns into vector instructions.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (left_blocks, left_rest) = left.as_chunks::<8>();
    let (right_blocks, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..8 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    lanes.iter().sum::<f32>() + rest
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
