use randomness::Seed;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Listed, MODALITY_NAMES, MmFi, Progress, Protocol, SplitRule, TASK_NAMES, describe, notes, verify,
};
use crate::{Dataset, Info, Needs, Report, Settings, Source, error::DataError, held_out::HoldOut};

/// `data.source = "mmfi"`: the published tree of files, or a synthetic one.
pub(crate) struct MmFiTree;

/// The section `[mmfi]` of a scenario.
#[derive(Deserialize)]
struct Keys {
    protocol: u8,
    standardise: bool,
    split: Split,
    split_ratio: f64,
    split_seed: u32,
    train_subjects: Option<Vec<u8>>,
    train_actions: Option<Vec<u8>>,
    test_subjects: Option<Vec<u8>>,
    test_actions: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Split {
    Random,
    CrossSubject,
    CrossScene,
    Manual,
}

impl MmFi {
    /// What a scenario says of it: which frames of a tree are its samples.
    fn of(settings: &Settings) -> Result<Self, DataError> {
        let folder = settings.files_or(", or run it with --synthetic")?;
        let Some(keys) = settings.key::<Keys>("mmfi")? else { return Ok(MmFi::at(folder.into())) };
        let unknown = || DataError::Key {
            key: "mmfi.protocol".into(),
            problem: format!("is {}; it must be 1, 2 or 3", keys.protocol),
        };
        let protocol = Protocol::numbered(keys.protocol).ok_or_else(unknown)?;
        let [train, test] = SplitRule::manual_defaults();
        let split = match keys.split {
            Split::Random => SplitRule::Random { ratio: keys.split_ratio, seed: keys.split_seed },
            Split::CrossSubject => SplitRule::CrossSubject,
            Split::CrossScene => SplitRule::CrossScene,
            Split::Manual => SplitRule::Manual {
                train: listed(train, keys.train_subjects, keys.train_actions),
                test: listed(test, keys.test_subjects, keys.test_actions),
            },
        };
        let modalities = settings.modalities();
        Ok(MmFi { folder: folder.into(), protocol, split, standardise: keys.standardise, modalities })
    }
}

/// What is listed in place of the default.
fn listed(default: Listed, subjects: Option<Vec<u8>>, actions: Option<Vec<u8>>) -> Listed {
    Listed { subjects: subjects.unwrap_or(default.subjects), actions: actions.unwrap_or(default.actions) }
}

impl Source for MmFiTree {
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
        MmFi::of(settings)?.open_without(&HoldOut::of(settings, seed)?, seed, needs)
    }

    /// Indexes the files.
    fn prepare(&self, settings: &Settings, progress: Progress<'_>) -> Result<(), DataError> {
        MmFi::of(settings)?.index(progress)
    }

    fn notes(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        // A run that lacks its folder says so itself.
        settings.folder.as_deref().map_or(Ok(Vec::new()), notes)
    }

    fn check(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        MmFi::of(settings)?.info()?;
        self.notes(settings)
    }

    /// The files are many and large: over their frames, sizes and ground truth.
    fn contents(&self, settings: &Settings, _needs: &Needs) -> Result<[u8; 32], DataError> {
        MmFi::of(settings)?.contents()
    }

    fn info(&self, settings: &Settings) -> Result<Info, DataError> {
        MmFi::of(settings)?.info()
    }

    fn describe(&self, settings: &Settings, progress: Progress<'_>) -> Result<Report, DataError> {
        match settings.has_nodes() {
            true => Ok(self.info(settings)?.report()),
            false => Ok(describe(settings.files()?.into(), progress)?.report()),
        }
    }

    fn verify(
        &self,
        settings: &Settings,
        _published: bool,
        progress: Progress<'_>,
    ) -> Result<Report, DataError> {
        let folder = settings.files_or(", or run it with --synthetic")?;
        let mut report = verify(folder, progress)?.report(folder);
        if settings.has_nodes() {
            // Files may be sound and yet be none of the split's, or lack a modality that the scenario reads.
            let (modalities, tasks) = (settings.modalities(), settings.task_names());
            let needs = Needs { modalities: &modalities, tasks: &tasks };
            let opened = MmFi::of(settings)?.open(Seed::from_number(0), &needs);
            report.refusal = opened.err().map(|error| error.to_string());
        }
        Ok(report)
    }
}

impl MmFi {
    /// SHA-256 over frames, sizes and ground truth.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn contents(&self) -> Result<[u8; 32], DataError> {
        let info = self.info()?;
        Ok(Sha256::digest(format!("pom2dib mmfi contents v1\n{}\n{}\n", info.digest, info.bytes)).into())
    }
}
