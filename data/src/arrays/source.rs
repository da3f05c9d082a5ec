use randomness::Seed;
use sha2::{Digest, Sha256};

use super::{
    ArrayReport, ArraySource, Normalisation, Unseen, check_array_name, check_arrays, check_arrays_of,
    dataset::Arrays,
    file::{ArrayFile, Part, is_there},
};
use crate::{
    DataFile, Dataset, Info, Needs, Report, Settings, Source, Split, Trained,
    catalogue::hex,
    error::DataError,
    held_out::HoldOut,
    info::info_of_dataset,
    mmfi::Progress,
    modality::{NOISE_NAMES, is_noise},
};

/// Values of a sample of noise, unless a scenario says otherwise.
const NOISE_WIDTH: usize = 196;

/// `data.source = "arrays"`: files of numbers in a folder. Their names are whatever the files are called.
pub(crate) struct ArrayFiles;

impl ArraySource {
    /// What a scenario says of it.
    fn of(settings: &Settings) -> Result<Self, DataError> {
        Ok(ArraySource {
            folder: settings.files()?.into(),
            normalisation: settings.key("normalisation")?.unwrap_or(Normalisation::Standard),
            noise_width: settings.key("noise_width")?.unwrap_or(NOISE_WIDTH),
            tasks: settings.tasks.clone(),
        })
    }
}

impl Source for ArrayFiles {
    /// Only noise has a name before there are files.
    fn modalities(&self) -> Vec<String> {
        NOISE_NAMES.map(String::from).to_vec()
    }

    fn tasks(&self) -> Vec<String> {
        Vec::new()
    }

    fn clusters_are(&self) -> &'static str {
        "rows"
    }

    fn open(&self, settings: &Settings, seed: Seed, needs: &Needs) -> Result<Box<dyn Dataset>, DataError> {
        // Who is brought rows for validation holds none out.
        let hold_out = match brings_validation(settings)? {
            true => HoldOut::nothing(),
            false => HoldOut::of(settings, seed)?,
        };
        Ok(Box::new(Arrays::open(&ArraySource::of(settings)?, seed, needs, &hold_out)?))
    }

    /// Only the files of that split are read.
    fn open_rows(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
        split: Split,
        trained: &Trained,
    ) -> Result<Box<dyn Dataset>, DataError> {
        Ok(Box::new(Unseen::open(&ArraySource::of(settings)?, seed, needs, split.into(), trained)?))
    }

    /// Those of the files NAME.validation.*, if any array of the run has one here: then all must.
    fn open_validation(
        &self,
        settings: &Settings,
        seed: Seed,
        needs: &Needs,
        trained: &dyn Dataset,
    ) -> Result<Option<Box<dyn Dataset>>, DataError> {
        if !brings_validation(settings)? {
            return Ok(None);
        }
        let trained = Trained::of(trained, needs.tasks);
        Ok(Some(Box::new(Unseen::open(
            &ArraySource::of(settings)?,
            seed,
            needs,
            Part::Validation,
            &trained,
        )?)))
    }

    /// Arrays have any names, of which only the nodes that have them know whether they are there.
    fn check_names(&self, settings: &Settings) -> Result<(), DataError> {
        let refuse = |key: &str, problem: String| DataError::Key { key: key.into(), problem };
        let check = |name: &str, key: &str| check_array_name(name).map_err(|problem| refuse(key, problem));
        if let Some(groups) = settings.key::<String>("groups")? {
            check(&groups, "data.groups")?;
        }
        for (k, modalities) in settings.transmitters.iter().enumerate() {
            let key = format!("transmitter[{k}].modalities");
            modalities.iter().try_for_each(|name| check(name, &key))?;
            if modalities.iter().all(|name| is_noise(name)) {
                let problem = "names noise only; it takes an array to know how many samples there are";
                return Err(refuse(&key, problem.into()));
            }
        }
        for (t, task) in settings.tasks.iter().enumerate() {
            let key = format!("receiver[{t}].task");
            check(&task.name, &key)?;
            if is_noise(&task.name) {
                return Err(refuse(&key, format!("names \"{}\", which is noise and has no file", task.name)));
            }
        }
        Ok(())
    }

    fn check(&self, settings: &Settings) -> Result<Vec<String>, DataError> {
        let report = report(settings, false)?;
        if let Some(problem) = report.problems().next() {
            return Err(DataError::Scenario { problem: problem.into() });
        }
        Ok(report.tasks.into_iter().flat_map(|task| task.notes).collect())
    }

    /// The same array may lie in files of different kinds.
    fn contents(&self, settings: &Settings, needs: &Needs) -> Result<[u8; 32], DataError> {
        let line = |file: &DataFile| {
            let stem = file.name.rsplit_once('.').map_or(file.name.as_str(), |(stem, _)| stem);
            let split = if file.split == Split::Train { "train" } else { "test" };
            format!("{stem} {split} {} {}\n", file.rows, hex(&file.sha256))
        };
        let arrays =
            Arrays::open(&ArraySource::of(settings)?, Seed::from_number(0), needs, &HoldOut::nothing())?;
        let mut lines: Vec<String> = arrays.files().iter().map(line).collect();
        lines.extend(of_validation(settings, needs)?);
        lines.sort();
        lines.dedup();
        Ok(Sha256::digest(format!("pom2dib arrays contents v1\n{}", lines.concat())).into())
    }

    /// Of the arrays that a scenario names: of a folder by itself nobody knows which are tasks.
    fn info(&self, settings: &Settings) -> Result<Info, DataError> {
        let (modalities, tasks) = (settings.modalities(), settings.task_names());
        if modalities.is_empty() && tasks.is_empty() {
            let remedy = "is a folder of arrays: `pom2dib data info arrays` describes those";
            return Err(DataError::malformed(settings.files()?, remedy));
        }
        let needs = Needs { modalities: &modalities, tasks: &tasks };
        let arrays = self.open(settings, Seed::from_number(0), &needs)?;
        Ok(info_of_dataset(arrays.as_ref(), settings, &modalities, &tasks))
    }

    fn describe(&self, settings: &Settings, _: Progress<'_>) -> Result<Report, DataError> {
        Ok(report(settings, false)?.described())
    }

    fn verify(&self, settings: &Settings, _published: bool, _: Progress<'_>) -> Result<Report, DataError> {
        Ok(report(settings, true)?.verified())
    }
}

/// Whether any array of the run has a file for validation here.
fn brings_validation(settings: &Settings) -> Result<bool, DataError> {
    let folder = settings.files()?;
    let arrays = [settings.modalities(), settings.task_names()].concat();
    Ok(arrays.iter().any(|name| !is_noise(name) && is_there(folder, name, Part::Validation)))
}

/// What is read for validation besides, a line a file.
fn of_validation(settings: &Settings, needs: &Needs) -> Result<Vec<String>, DataError> {
    if settings.key::<f64>("hold_out")?.is_none_or(|share| share == 0.0) {
        return Ok(Vec::new());
    }
    let folder = settings.files()?;
    let arrays = needs.modalities.iter().chain(needs.tasks).cloned();
    let arrays = arrays.filter(|name| !is_noise(name) && is_there(folder, name, Part::Validation));
    let groups = settings.key::<String>("groups")?.map(|name| (name, Part::Of(Split::Train)));
    let line = |(name, part): (String, Part)| {
        let file = ArrayFile::open_task(folder, &name, part)?;
        let sum = match file.layout.element.kind.is_text() {
            true => file.scan_texts(drop)?,
            false => file.scan(|_, _| Ok(()))?,
        };
        Ok(format!("{name} {} for validation {} {}\n", part.word(), file.layout.rows, hex(&sum)))
    };
    arrays.map(|name| (name, Part::Validation)).chain(groups).map(line).collect()
}

/// Whether the arrays that a run reads can be used together, or without a run all of the folder; with values, whether
/// each can be read.
fn report(settings: &Settings, values: bool) -> Result<ArrayReport, DataError> {
    if !settings.has_nodes() {
        return check_arrays(settings.files()?, values);
    }
    let (modalities, tasks) = (settings.modalities(), settings.task_names());
    let mut report = check_arrays_of(&ArraySource::of(settings)?, &modalities, &tasks, values)?;
    if settings.key::<f64>("hold_out")?.is_none_or(|share| share == 0.0) {
        let (unread, read) = report.files.into_iter().partition(|file| file.split == "validation");
        report.files = read;
        report.unread.extend(Vec::into_iter(unread).map(|file| file.path).filter(|path| path.exists()));
    }
    Ok(report)
}
