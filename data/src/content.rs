//! A data set before its modalities are computed: pixels, waveforms and their digits.

use crate::{
    Needs, Task,
    error::DataError,
    modality::{MODALITY_NAMES, Modality},
    task::TASK_NAMES,
};

/// Pixels of an image's side.
pub(crate) const SIDE: usize = 28;

/// Pixels of an image.
pub(crate) const PIXELS: usize = SIDE * SIDE;

/// Which raw content to load; labels and clip names always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Pixels, for whatever is made of them.
    pub(crate) images: bool,
    /// Waveforms.
    pub(crate) clips: bool,
    /// Spectra of the pixels.
    pub(crate) spectra: bool,
    /// Pixels as they are.
    pub(crate) pixels: bool,
}

impl Wants {
    /// Checks the names in `needs` and says which raw content they take.
    pub(crate) fn of(needs: &Needs) -> Result<Self, DataError> {
        let mut wants = Wants::default();
        for name in needs.modalities {
            match Modality::named(name) {
                Some(Modality::Image) => (wants.images, wants.pixels) = (true, true),
                Some(Modality::Fft) => (wants.images, wants.spectra) = (true, true),
                Some(Modality::Mel) => wants.clips = true,
                Some(Modality::Noise) => {}
                None => {
                    let known = MODALITY_NAMES.join(", ");
                    return Err(DataError::UnknownModality { name: name.clone(), known });
                }
            }
        }
        match needs.tasks.iter().find(|name| Task::named(name).is_none()) {
            Some(name) => Err(DataError::UnknownTask { name: name.clone(), known: TASK_NAMES.join(", ") }),
            None => Ok(wants),
        }
    }
}

/// Both splits.
pub(crate) struct Content {
    pub(crate) train: Part,
    pub(crate) test: Part,
}

/// One split. Every digit that has an image has a clip.
pub(crate) struct Part {
    /// The digit of each image.
    pub(crate) labels: Vec<u8>,
    /// [`PIXELS`] bytes per image, row by row, when wanted.
    pub(crate) images: Option<Vec<u8>>,
    /// Who spoke what, in (digit, speaker, index) order.
    pub(crate) names: Vec<ClipName>,
    /// The waveform of each name, when wanted.
    pub(crate) clips: Option<Vec<Clip>>,
}

/// Who spoke what, for the how-manieth time. Ordered by digit, then speaker, then index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClipName {
    pub(crate) digit: u8,
    pub(crate) speaker: String,
    pub(crate) index: u32,
}

impl ClipName {
    /// Reads `{digit}_{speaker}_{index}.wav`; `None` for every other spelling.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (digit, rest) = file_name.strip_suffix(".wav")?.split_once('_')?;
        let (speaker, index) = rest.rsplit_once('_')?;
        let &[digit @ b'0'..=b'9'] = digit.as_bytes() else { return None };
        let is_plain =
            !speaker.is_empty() && speaker.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let name = ClipName { digit: digit - b'0', speaker: speaker.into(), index: index.parse().ok()? };
        // One spelling per clip: no `07`, no `+7`.
        (is_plain && name.file_name() == file_name).then_some(name)
    }

    /// `{digit}_{speaker}_{index}.wav`.
    pub(crate) fn file_name(&self) -> String {
        format!("{}_{}_{}.wav", self.digit, self.speaker, self.index)
    }
}

/// A recording: 8 kHz, mono, 16 bit.
pub(crate) struct Clip {
    pub(crate) samples: Vec<i16>,
    /// Root mean square of the samples, full scale being 1.
    pub(crate) rms: f32,
}

impl Clip {
    pub(crate) fn new(samples: Vec<i16>) -> Self {
        let energy: f64 = samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
        let rms = libm::sqrt(energy / samples.len().max(1) as f64) / 32768.0;
        Clip { samples, rms: rms as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_names_have_one_spelling() {
        let name = ClipName::parse("3_jackson_17.wav").unwrap();
        assert_eq!((name.digit, name.speaker.as_str(), name.index), (3, "jackson", 17));
        for wrong in [
            "3_jackson_017.wav",
            "3_jackson_+7.wav",
            "12_jackson_1.wav",
            "3__1.wav",
            "3_a/b_1.wav",
            "3_jackson.wav",
            "x",
        ] {
            assert_eq!(ClipName::parse(wrong), None, "{wrong}");
        }
    }
}
