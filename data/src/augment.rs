//! Augmentation of training audio: noise, gain and shift of the waveform, masks over time and frequency.
//!
//! Moderate on purpose: a clip must stay recognisable. The gain matters because the noise's level does not follow it:
//! a spectrogram is standardised, so that gain alone would leave it as it was.

use crate::{
    content::Clip,
    mel::{BANDS, FRAMES, SAMPLES},
};
use randomness::{Purpose, Seed, Stream};

/// A clip's loudness is multiplied by a factor between these, evenly in its logarithm.
const GAIN: (f64, f64) = (0.5, 2.0);

/// The noise's root mean square is up to this fraction of the clip's before its gain.
const NOISE: f64 = 0.1;

/// A clip starts up to 400 samples (50 ms) early, losing what comes before the start, or up to 800 late.
const SHIFT: (i64, i64) = (-400, 800);

/// Up to this many neighbouring frames (of 32) are silenced.
const MASKED_FRAMES: u64 = 4;

/// Up to this many neighbouring bands (of 16) are silenced.
const MASKED_BANDS: u64 = 2;

/// The same numbers in the authors' script.
const SCRIPT_FRAMES: u64 = 20;
const SCRIPT_BANDS: u64 = 10;

/// Copies of a clip in the authors' script: 60,000 images share 2,700 clips.
pub(crate) const COPIES: u64 = 22;

/// One sample's augmentation.
pub(crate) struct Augmentation {
    gain: f32,
    /// Noise level as a fraction of the clip's root mean square; its sign turns the noise.
    noise: f32,
    noise_start: usize,
    shift: i64,
    frames: std::ops::Range<usize>,
    bands: std::ops::Range<usize>,
}

impl Augmentation {
    /// Draws from the stream of a (sample, epoch).
    pub(crate) fn draw(stream: &mut Stream) -> Self {
        Augmentation {
            gain: libm::exp(stream.uniform_in(libm::log(GAIN.0), libm::log(GAIN.1))) as f32,
            noise: stream.uniform_in(-NOISE, NOISE) as f32,
            noise_start: stream.below((NoiseBank::LENGTH - SAMPLES) as u64) as usize,
            shift: SHIFT.0 + stream.below((SHIFT.1 - SHIFT.0 + 1) as u64) as i64,
            frames: mask(stream, MASKED_FRAMES, FRAMES),
            bands: mask(stream, MASKED_BANDS, BANDS),
        }
    }

    /// The clip as it is.
    pub(crate) fn none() -> Self {
        Augmentation { gain: 1.0, noise: 0.0, noise_start: 0, shift: 0, frames: 0..0, bands: 0..0 }
    }

    /// Draws masks of the authors' script instead of its own.
    pub(crate) fn mask_as_the_script(&mut self, stream: &mut Stream) {
        self.frames = mask(stream, SCRIPT_FRAMES, FRAMES);
        self.bands = mask(stream, SCRIPT_BANDS, BANDS);
    }

    /// Writes the augmented clip to a waveform of [`SAMPLES`] values. Noise covers the clip and not the silence that
    /// pads it, which is exact silence in the test set too.
    pub(crate) fn waveform(&self, clip: &Clip, bank: &NoiseBank, out: &mut [f32]) {
        let skipped = usize::try_from(-self.shift).unwrap_or(0).min(clip.samples.len());
        let start = usize::try_from(self.shift).unwrap_or(0);
        let length = (clip.samples.len() - skipped).min(SAMPLES - start);
        let (gain, level) = (self.gain / 32768.0, self.noise * clip.rms);
        let noise = &bank.values[self.noise_start..self.noise_start + length];
        out[..start].fill(0.0);
        for ((value, &sample), noise) in out[start..].iter_mut().zip(&clip.samples[skipped..]).zip(noise) {
            *value = gain * f32::from(sample) + level * noise;
        }
        out[start + length..].fill(0.0);
    }

    /// Silences what is masked of a spectrogram, band by band.
    pub(crate) fn masks(&self, spectrogram: &mut [f32]) {
        for (band, frames) in spectrogram.chunks_exact_mut(FRAMES).enumerate() {
            if self.bands.contains(&band) {
                frames.fill(0.0);
            } else {
                frames[self.frames.clone()].fill(0.0);
            }
        }
    }
}

/// Up to `most` neighbours of `0..length`, anywhere.
fn mask(stream: &mut Stream, most: u64, length: usize) -> std::ops::Range<usize> {
    let size = stream.below(most + 1) as usize;
    let start = stream.below((length - size + 1) as u64) as usize;
    start..start + size
}

/// Writes a clip as it is, cut or padded to [`SAMPLES`] values.
pub(crate) fn plain_waveform(clip: &Clip, out: &mut [f32]) {
    out.fill(0.0);
    for (value, &sample) in out.iter_mut().zip(&clip.samples) {
        *value = f32::from(sample) / 32768.0;
    }
}

/// Standard normals drawn once per run. A sample's noise is a stretch of it, from a drawn start and with a drawn sign:
/// drawing thousands of normals for every sample would cost more than its spectrogram.
pub(crate) struct NoiseBank {
    values: Vec<f32>,
}

impl NoiseBank {
    const LENGTH: usize = 1 << 17;

    pub(crate) fn new(seed: Seed) -> Self {
        let mut values = vec![0.0; Self::LENGTH];
        seed.named_stream(Purpose::Augmentation, "noise bank", &[], 0).fill_normal(&mut values);
        NoiseBank { values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waveform(augmentation: &Augmentation, clip: &Clip) -> Vec<f32> {
        let bank = NoiseBank { values: vec![1.0; NoiseBank::LENGTH] };
        let mut out = vec![f32::NAN; SAMPLES];
        augmentation.waveform(clip, &bank, &mut out);
        out
    }

    fn augmentation(shift: i64) -> Augmentation {
        Augmentation { gain: 2.0, noise: -0.5, noise_start: 0, shift, frames: 1..3, bands: 4..5 }
    }

    #[test]
    fn clips_are_shifted_scaled_and_noisy_where_they_sound() {
        // Root mean square and every sample: a quarter.
        let clip = Clip::new(vec![8192; 1000]);
        for (shift, start, end) in [(0, 0, 1000), (-400, 0, 600), (800, 800, 1800)] {
            let out = waveform(&augmentation(shift), &clip);
            let expected = |at: usize| if (start..end).contains(&at) { 0.375 } else { 0.0 };
            assert!(out.iter().enumerate().all(|(at, &value)| value == expected(at)), "{shift}");
        }
    }

    #[test]
    fn short_and_long_clips_fit() {
        assert!(waveform(&augmentation(-400), &Clip::new(vec![8192; 100])).iter().all(|&value| value == 0.0));
        assert!(
            waveform(&augmentation(0), &Clip::new(vec![8192; 20_000])).iter().all(|&value| value == 0.375)
        );
        assert_eq!(waveform(&augmentation(800), &Clip::new(vec![8192; 20_000]))[799..801], [0.0, 0.375]);
    }

    #[test]
    fn masks_silence_their_bands_and_frames() {
        let mut spectrogram = vec![1.0; BANDS * FRAMES];
        augmentation(0).masks(&mut spectrogram);
        for (at, value) in spectrogram.into_iter().enumerate() {
            let masked = at / FRAMES == 4 || (1..3).contains(&(at % FRAMES));
            assert_eq!(value, f32::from(u8::from(!masked)));
        }
    }
}
