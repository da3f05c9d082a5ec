use std::path::{Path, PathBuf};

use randomness::Seed;

use super::{HandWritten, MNIST_NAMES, check_handwritten, find_mnist, load, notes, recordings};
use crate::{
    Dataset, Info, Needs, Report, Settings, Source, SpeakerInfo, Split, Trained, content::Wants,
    contents::of_content, error::DataError, held_out::HoldOut, held_recordings::HeldRecordings,
    info::info_of_content, mmfi::Progress, modality::MODALITY_NAMES, paired::PairedDigits,
    preparation::Preparation, rows::in_place_of_the_test_split, task::TASK_NAMES, verify::verify_handwritten,
};

/// `data.source = "handwritten"`: MNIST images paired with FSDD recordings.
pub(crate) struct HandWrittenFiles;

impl HandWritten {
    /// What a scenario says of it.
    fn of(settings: &Settings) -> Result<Self, DataError> {
        Ok(HandWritten {
            folder: settings.files()?.into(),
            validation: settings.key("validation")?.unwrap_or(false),
            test_speaker: settings.key("test_speaker")?,
        })
    }
}

impl Source for HandWrittenFiles {
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

    /// Recordings of another folder may be too few to hold any out. If they lack the network's test speaker, or have no
    /// other speaker, takes 0 to 4 of every speaker are the test set.
    fn open_rows(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
        split: Split,
        _trained: &Trained,
    ) -> Result<Box<dyn Dataset>, DataError> {
        let own = HandWritten::of(settings)?;
        let wants = Wants::of(needs)?;
        let content = match load(&own, wants) {
            // The test speaker is missing, or is the only one.
            Err(DataError::Key { .. }) => load(&HandWritten { test_speaker: None, ..own }, wants)?,
            content => content?,
        };
        let held = HeldRecordings::of(&content.train, &HoldOut::of(settings, seed)?).unwrap_or_default();
        let dataset = Box::new(PairedDigits::new(content, wants, seed, Preparation::of(settings)?, held));
        Ok(Box::new(in_place_of_the_test_split(dataset, split)))
    }

    fn notes(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        // A run that lacks its folder says so itself.
        Ok(settings.folder.as_deref().map(notes).unwrap_or_default())
    }

    /// Reads labels and names.
    fn check(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        Ok(self.info(settings)?.notes)
    }

    fn contents(&self, settings: &Settings, needs: &Needs) -> Result<[u8; 32], DataError> {
        Ok(of_content(&load(&HandWritten::of(settings)?, Wants::of(needs)?)?))
    }

    /// Describes it from its labels and names alone: quick, and no check of images or waveforms.
    fn info(&self, settings: &Settings) -> Result<Info, DataError> {
        let own = HandWritten::of(settings)?;
        let content = load(&own, Wants::default())?;
        let names = [&content.train, &content.test].into_iter().flat_map(|part| &part.names);
        let takes = recordings::takes(names).into_iter();
        Ok(Info {
            bytes: bytes(&own.folder)?,
            speakers: takes.map(|(name, takes)| SpeakerInfo { name, takes }).collect(),
            notes: notes(&own.folder),
            folder: Some(own.folder),
            ..info_of_content(&settings.source, &content)
        })
    }

    fn verify(&self, settings: &Settings, published: bool, _: Progress<'_>) -> Result<Report, DataError> {
        let own = HandWritten::of(settings)?;
        let report = if published { verify_handwritten(&own.folder)? } else { check_handwritten(&own)? };
        Ok(report.report(published))
    }
}

fn opened(settings: &Settings, seed: Seed, needs: &Needs) -> Result<PairedDigits, DataError> {
    let own = HandWritten::of(settings)?;
    let wants = Wants::of(needs)?;
    let content = load(&own, wants)?;
    let folder = recordings::folder(&own.folder)?;
    let held = HeldRecordings::of(&content.train, &HoldOut::of(settings, seed)?)
        .map_err(|problem| DataError::malformed(&folder, problem))?;
    Ok(PairedDigits::new(content, wants, seed, Preparation::of(settings)?, held))
}

/// The size of all files that opening may read.
fn bytes(folder: &Path) -> Result<u64, DataError> {
    let size = |path: PathBuf| match path.metadata() {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(DataError::io(&path, source)),
    };
    let mut total = 0;
    for name in MNIST_NAMES {
        total += size(find_mnist(folder, name)?)?;
    }
    let recordings = recordings::folder(folder)?;
    for name in recordings::list(folder)? {
        total += size(recordings.join(name.file_name()))?;
    }
    Ok(total)
}
