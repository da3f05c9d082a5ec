//! How images and audio of digits are prepared: the keys `augmentation`, `image_scale` and `audio_scale`.

use serde::Deserialize;

use crate::{
    Normalisation, Settings,
    arrays::{Fit, Map},
    error::DataError,
};

/// How much the audio of training samples is augmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AugmentationKind {
    /// Noise, gain, shift, and masks of up to 4 of 32 frames and 2 of 16 bands, anew for every sample and epoch.
    #[default]
    Moderate,
    /// As the authors' script has it: masks of up to 20 frames and 10 bands, drawn once for each clip, of which there
    /// are 22 copies with noise, gain and shift of their own.
    Script,
    /// None: clips as they are.
    None,
}

/// How the spectra of images are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ImageScale {
    /// The range of all training values to 0 to 1: their rows have a norm of about 0.6.
    #[default]
    Range,
    /// Every position to mean 0 and variance 1 over the training images.
    Standard,
    /// The same of ln(1 + magnitude).
    Log,
}

/// How the spectra of audio are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AudioScale {
    /// The power of each clip to mean 0 and variance 1.
    #[default]
    Clip,
    /// Then every position to mean 0 and variance 1 over the training clips.
    Standard,
    /// Each clip's ln(power + a thousandth of the clip's mean power) to mean 0 and variance 1.
    Log,
}

/// All of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preparation {
    pub(crate) augmentation: AugmentationKind,
    pub(crate) image_scale: ImageScale,
    pub(crate) audio_scale: AudioScale,
    /// Whether audio is that of the first epoch in all of them.
    pub(crate) frozen_audio: bool,
}

impl Preparation {
    /// What a scenario says.
    pub(crate) fn of(settings: &Settings) -> Result<Self, DataError> {
        Ok(Preparation {
            augmentation: settings.key("augmentation")?.unwrap_or_default(),
            image_scale: settings.key("image_scale")?.unwrap_or_default(),
            audio_scale: settings.key("audio_scale")?.unwrap_or_default(),
            frozen_audio: settings.key("frozen_audio")?.unwrap_or(false),
        })
    }
}

/// Maps every position of rows of this width to mean 0 and variance 1 over these rows; constant positions become 0.
pub(crate) fn standard_over<'a>(width: usize, rows: impl Iterator<Item = &'a [f32]>) -> Map {
    let mut fit = Fit::new(Normalisation::Standard, width);
    let mut row_in_f64 = vec![0.0; width];
    for row in rows {
        row_in_f64.iter_mut().zip(row).for_each(|(wide, &value)| *wide = f64::from(value));
        fit.row(&row_in_f64);
    }
    fit.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_get_mean_zero_and_variance_one_and_constants_become_zero() {
        let rows = [[1.0, 7.0, -2.0], [3.0, 7.0, 4.0], [5.0, 7.0, 1.0]];
        let positions = standard_over(3, rows.iter().map(|row| &row[..]));
        let standard = rows.map(|mut row| {
            positions.apply_in_place(&mut row);
            row
        });
        let largest = 1.5f32.sqrt();
        let expected = [[-largest, 0.0, -largest], [0.0, 0.0, largest], [largest, 0.0, 0.0]];
        for (row, expected) in standard.iter().zip(expected) {
            for (value, expected) in row.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{standard:?}");
            }
        }
    }
}
