//! Data sets by their names: what `data.source` of a scenario may say, and what there is to know of each.

mod chosen;
mod registry;
mod report;
mod settings;

pub use chosen::Chosen;
pub use registry::{register, source_names};
pub use report::Report;
pub use settings::Settings;

pub(crate) use registry::source;

use randomness::Seed;

use crate::{
    Dataset, Info, Needs, Split, Trained, contents::of_dataset, error::DataError, info::info_of_dataset,
    mmfi::Progress, rows::in_place_of_the_test_split,
};

/// A data set that scenarios can name: which modalities and tasks it has, and how it is opened.
///
/// The first three methods are all that one of your own needs. [`register`] gives it its name.
pub trait Source: Send + Sync {
    /// The names of what transmitters may observe.
    fn modalities(&self) -> Vec<String>;

    /// The names of what receivers may infer.
    fn tasks(&self) -> Vec<String>;

    /// Opens it for a run with this seed and loads what is needed. All nodes of the run do so, each with needs of its
    /// own, and must see the same samples: what is drawn, draw from the seed ([`Seed::named_stream`]).
    ///
    /// # Errors
    /// One line: what is wrong with a key of the settings, or the file that is missing, truncated or wrong.
    fn open(&self, settings: &Settings, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError>;

    /// As [`open`](Self::open), for a process with several nodes, whose data sets may share rows in memory. Samples to
    /// read ahead ([`Dataset::read_ahead`]) and what a checkpoint restores are not shared. Default: nothing is shared.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn open_shared(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
    ) -> Result<Box<dyn Dataset>, DataError> {
        self.open(settings, seed, needs)
    }

    /// Opens the rows of a split for a trained network. The data set that is given has them as its test split, and no
    /// training rows that mean anything. A task whose labels are not there has none ([`crate::IGNORED`], or values that
    /// are no numbers).
    ///
    /// # Errors
    /// As [`open`](Self::open); the file that does not fit what the network was trained on.
    fn open_rows(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
        split: Split,
        _trained: &Trained,
    ) -> Result<Box<dyn Dataset>, DataError> {
        Ok(Box::new(in_place_of_the_test_split(self.open(settings, seed, needs)?, split)))
    }

    /// Opens the rows that the data set itself brings for validation, as [`open_rows`](Self::open_rows) does; none if
    /// it brings none, and training rows are held out instead. `trained` is the data set as this node has opened it.
    ///
    /// # Errors
    /// As [`open_rows`](Self::open_rows).
    fn open_validation(
        &self,
        _settings: &Settings,
        _seed: Seed,
        _needs: &Needs,
        _trained: &dyn Dataset,
    ) -> Result<Option<Box<dyn Dataset>>, DataError> {
        Ok(None)
    }

    /// The keys of `[data]` that it knows, beside `source` and `path`: whatever else stands there is refused.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// What rows share that [`Dataset::clusters`] puts together, in the plural: intervals say that they are over these.
    fn clusters_are(&self) -> &'static str {
        "rows"
    }

    /// Checks names of modalities and tasks, without a look at any file.
    ///
    /// # Errors
    /// The key of the scenario, and what it may say.
    fn check_names(&self, settings: &Settings) -> Result<(), DataError> {
        let known = |names: &[String], name: &str, key: String| match names.iter().any(|known| known == name)
        {
            true => Ok(()),
            false => {
                let (source, known) = (&settings.source, names.join(", "));
                let problem = format!("names \"{name}\"; the data set \"{source}\" has {known}");
                Err(DataError::Key { key, problem })
            }
        };
        let (modalities, tasks) = (self.modalities(), self.tasks());
        for (k, names) in settings.transmitters.iter().enumerate() {
            names
                .iter()
                .try_for_each(|name| known(&modalities, name, format!("transmitter[{k}].modalities")))?;
        }
        let mut tasks_of = settings.tasks.iter().enumerate();
        tasks_of.try_for_each(|(t, task)| known(&tasks, &task.name, format!("receiver[{t}].task")))
    }

    /// Does once, before a run, what each of its nodes would have to do otherwise. `progress` is told how far that is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn prepare(&self, _settings: &Settings, _progress: Progress<'_>) -> Result<(), DataError> {
        Ok(())
    }

    /// What a user should know of its files before a run, a line each: files that are there but not read, for example.
    /// Quick: it lists folders and reads no content.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    fn notes(&self, _settings: &Settings) -> Result<Vec<String>, DataError> {
        Ok(Vec::new())
    }

    /// Whether a run would accept it, as far as that shows without reading all values; gives what a user should know, a
    /// line each.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn check(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        open_all(self, settings)?;
        self.notes(settings)
    }

    /// SHA-256 over everything that is read for these modalities and tasks, values included: whether two runs were made
    /// of the same data. It takes as long as reading all of it once.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn contents(&self, settings: &Settings, needs: &Needs) -> Result<[u8; 32], DataError> {
        of_dataset(self.open(settings, Seed::from_number(0), needs)?.as_ref(), needs)
    }

    /// What it holds.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn info(&self, settings: &Settings) -> Result<Info, DataError> {
        let (dataset, modalities, tasks) = open_all(self, settings)?;
        Ok(info_of_dataset(dataset.as_ref(), settings, &modalities, &tasks))
    }

    /// The same for people to read; without nodes in the settings, of everything that is there.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn describe(&self, settings: &Settings, _progress: Progress<'_>) -> Result<Report, DataError> {
        Ok(self.info(settings)?.report())
    }

    /// Reads every file, and says which cannot be read or do not go together; without nodes in the settings, of
    /// everything that is there. `published`: whether files are compared with those that were published, where there
    /// are such.
    ///
    /// # Errors
    /// As [`open`](Self::open), where it cannot go on.
    fn verify(&self, settings: &Settings, _published: bool, _: Progress<'_>) -> Result<Report, DataError> {
        let (dataset, modalities, tasks) = open_all(self, settings)?;
        of_dataset(dataset.as_ref(), &Needs { modalities: &modalities, tasks: &tasks })?;
        let [train, test] = [Split::Train, Split::Test].map(|split| dataset.samples(split));
        let text = format!("{train} training and {test} test samples can be read\n");
        Ok(Report::new(text, &serde_json::json!({ "train": train, "test": test }), true))
    }
}

/// A data set with the names of its modalities and of its tasks.
type Opened = (Box<dyn Dataset>, Vec<String>, Vec<String>);

/// Opens what the settings' nodes need; without nodes, everything.
fn open_all<S: Source + ?Sized>(source: &S, settings: &Settings) -> Result<Opened, DataError> {
    let (mut modalities, mut tasks) = (settings.modalities(), settings.task_names());
    if modalities.is_empty() && tasks.is_empty() {
        (modalities, tasks) = (source.modalities(), source.tasks());
    }
    let needs = Needs { modalities: &modalities, tasks: &tasks };
    let dataset = source.open(settings, Seed::from_number(0), &needs)?;
    Ok((dataset, modalities, tasks))
}
