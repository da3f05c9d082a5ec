//! What transmitters observe.

use crate::{content::SIDE, fft, mel};

/// The names that scenarios may use. Two transmitters with the same noise see the same noise.
pub(crate) const MODALITY_NAMES: [&str; 12] = [
    "fft", "mel", "noise-1", "noise-2", "noise-3", "noise-4", "noise-5", "noise-6", "noise-7", "noise-8",
    "noise-9", "image",
];

/// The names of noise, which every data set but those of one's own has.
pub(crate) const NOISE_NAMES: [&str; 9] =
    ["noise-1", "noise-2", "noise-3", "noise-4", "noise-5", "noise-6", "noise-7", "noise-8", "noise-9"];

/// Whether a modality of that name is noise, whatever the data set.
pub fn is_noise(name: &str) -> bool {
    Modality::named(name) == Some(Modality::Noise)
}

/// The kinds of modality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modality {
    /// The pixels of an image, standardised.
    Image,
    /// The scaled 2-D spectrum of an image.
    Fft,
    /// The standardised mel spectrogram of a clip.
    Mel,
    /// Standard normals that know nothing of the sample.
    Noise,
}

impl Modality {
    /// The modality of that name.
    pub(crate) fn named(name: &str) -> Option<Modality> {
        match name {
            "image" => Some(Modality::Image),
            "fft" => Some(Modality::Fft),
            "mel" => Some(Modality::Mel),
            _ => MODALITY_NAMES.contains(&name).then_some(Modality::Noise),
        }
    }

    /// Rows and columns. Noise has the shape of an image's spectrum.
    pub(crate) fn shape(self) -> [usize; 2] {
        match self {
            Modality::Image => [SIDE, SIDE],
            Modality::Fft | Modality::Noise => [fft::CROP, fft::CROP],
            Modality::Mel => [mel::BANDS, mel::FRAMES],
        }
    }

    /// The axes that networks see: one channel, rows and columns.
    pub(crate) fn axes(self) -> Vec<usize> {
        [&[1], &self.shape()[..]].concat()
    }

    /// Values per sample.
    pub(crate) fn width(self) -> usize {
        self.shape().iter().product()
    }
}
