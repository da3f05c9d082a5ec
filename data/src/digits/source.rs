use std::path::Path;

use randomness::Seed;

use crate::{
    Dataset, Info, Needs, Settings, Source,
    content::Wants,
    digits,
    error::DataError,
    held_out::HoldOut,
    held_recordings::HeldRecordings,
    info::info_of_content,
    modality::MODALITY_NAMES,
    paired::{PairedDigits, digest},
    preparation::Preparation,
    task::TASK_NAMES,
};

/// `data.source = "digits"`: drawn and spoken by code, without files.
pub(crate) struct Digits;

impl Source for Digits {
    fn modalities(&self) -> Vec<String> {
        MODALITY_NAMES.map(String::from).to_vec()
    }

    fn tasks(&self) -> Vec<String> {
        TASK_NAMES.map(String::from).to_vec()
    }

    fn clusters_are(&self) -> &'static str {
        "recordings"
    }

    fn open(&self, settings: &Settings, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        Ok(Box::new(opened(settings, seed, needs)?))
    }

    fn open_shared(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
    ) -> Result<Box<dyn Dataset>, DataError> {
        Ok(Box::new(PairedDigits::shared(settings, seed, needs, |needs| opened(settings, seed, needs))?))
    }

    fn check(&self, _settings: &Settings) -> Result<Vec<String>, DataError> {
        Ok(Vec::new())
    }

    /// They are made by code, and another build is what may change them.
    fn contents(&self, _settings: &Settings, _needs: &Needs) -> Result<[u8; 32], DataError> {
        Ok(digest(&digits::make(Wants::default())))
    }

    fn info(&self, settings: &Settings) -> Result<Info, DataError> {
        Ok(info_of_content(&settings.source, &digits::make(Wants::default())))
    }
}

fn opened(settings: &Settings, seed: Seed, needs: &Needs) -> Result<PairedDigits, DataError> {
    let wants = Wants::of(needs)?;
    let content = digits::make(wants);
    let held = HeldRecordings::of(&content.train, &HoldOut::of(settings, seed)?)
        .map_err(|problem| DataError::malformed(Path::new(&settings.source), problem))?;
    Ok(PairedDigits::new(content, wants, seed, Preparation::of(settings)?, held))
}
