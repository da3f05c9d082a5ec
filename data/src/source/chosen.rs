use std::{path::Path, sync::Arc};

use randomness::Seed;

use super::{Report, Settings, Source, source, source_names};
use crate::{
    Dataset, Divided, Info, Needs, Split, Trained,
    error::DataError,
    held_out::{bring, hold_out},
    mmfi::Progress,
};

/// A data set of a scenario, with its settings.
#[derive(Clone)]
pub struct Chosen {
    source: Arc<dyn Source>,
    settings: Settings,
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(formatter)
    }
}

impl Chosen {
    /// The data set that the settings name.
    ///
    /// # Errors
    /// A name that this process does not know.
    pub fn new(settings: Settings) -> Result<Self, DataError> {
        let unknown = || {
            let known: Vec<String> = source_names().iter().map(|name| format!("`{name}`")).collect();
            let (name, known) = (&settings.source, known.join(", "));
            let problem = format!("is \"{name}\", which is no data set of this program: it has {known}");
            DataError::Key { key: "data.source".into(), problem }
        };
        let source = source(&settings.source).ok_or_else(unknown)?;
        Ok(Chosen { source, settings })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of its modalities and of its tasks, as [`Source`] says them.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        (self.source.modalities(), self.source.tasks())
    }

    /// Checks the keys that a data set of one's own has, and all names of modalities and tasks; looks at no file.
    ///
    /// # Errors
    /// The key of the scenario, and what it may say.
    pub fn check_names(&self, own_keys: &[String]) -> Result<(), DataError> {
        let known = self.source.keys();
        if let Some(key) = own_keys.iter().find(|key| !known.contains(key)) {
            let name = &self.settings.source;
            let has = if known.is_empty() { "no keys of its own".into() } else { known.join(", ") };
            return Err(self.settings.invalid(key, format!("is unknown: the data set \"{name}\" has {has}")));
        }
        self.source.check_names(&self.settings)
    }

    /// As [`Source::clusters_are`].
    pub fn clusters_are(&self) -> &'static str {
        self.source.clusters_are()
    }

    /// Opens it for a run with this seed and loads what is needed.
    ///
    /// # Errors
    /// One line: an unknown modality or task by its name, or the file that is missing, truncated or wrong.
    pub fn open(&self, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        self.source.open(&self.settings, seed, needs)
    }

    /// As [`Source::open_shared`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_shared(&self, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        self.source.open_shared(&self.settings, seed, needs)
    }

    /// As [`Source::open_rows`].
    ///
    /// # Errors
    /// As [`open`](Self::open); the file that does not fit what the network was trained on.
    pub fn open_rows(
        &self,
        seed: Seed,
        needs: &Needs,
        split: Split,
        trained: &Trained,
    ) -> Result<Box<dyn Dataset>, DataError> {
        self.source.open_rows(&self.settings, seed, needs, split, trained)
    }

    /// Divides what a node has opened into rows to train on and rows to validate on: those that the data set brings for
    /// validation, or a share of the training rows, drawn from the seed. A share of 0 leaves it as it is.
    ///
    /// # Errors
    /// As [`Source::open_validation`]; that too few rows are left.
    pub fn divide(
        &self,
        dataset: Box<dyn Dataset>,
        seed: Seed,
        needs: &Needs,
        share: f64,
    ) -> Result<Divided, DataError> {
        if share == 0.0 {
            return Ok(Divided { train: dataset.into(), validation: None });
        }
        match self.source.open_validation(&self.settings, seed, needs, dataset.as_ref())? {
            Some(validation) => Ok(bring(dataset, validation)),
            None => {
                let folder = self.settings.folder.as_deref().unwrap_or(Path::new(&self.settings.source));
                hold_out(dataset, seed, share, folder)
            }
        }
    }

    /// As [`Source::prepare`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn prepare(&self, progress: Progress<'_>) -> Result<(), DataError> {
        self.source.prepare(&self.settings, progress)
    }

    /// As [`Source::notes`].
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn notes(&self) -> Result<Vec<String>, DataError> {
        self.source.notes(&self.settings)
    }

    /// As [`Source::check`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn check(&self) -> Result<Vec<String>, DataError> {
        self.source.check(&self.settings)
    }

    /// As [`Source::contents`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn contents(&self, needs: &Needs) -> Result<[u8; 32], DataError> {
        self.source.contents(&self.settings, needs)
    }

    /// As [`Source::info`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn info(&self) -> Result<Info, DataError> {
        self.source.info(&self.settings)
    }

    /// As [`Source::describe`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn describe(&self, progress: Progress<'_>) -> Result<Report, DataError> {
        self.source.describe(&self.settings, progress)
    }

    /// As [`Source::verify`].
    ///
    /// # Errors
    /// As [`open`](Self::open), where it cannot go on.
    pub fn verify(&self, published: bool, progress: Progress<'_>) -> Result<Report, DataError> {
        self.source.verify(&self.settings, published, progress)
    }
}
