//! The arrays of a node as a data set.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use randomness::{Purpose, Seed};

use super::{
    ArraySource, ArrayTask, DataFile,
    agreement::odd_ones_out,
    file::ArrayFile,
    kept::Kept,
    labels::{Cells, Survey},
    modality::{Modality, check_normalised},
    names::check_name,
    target::Target,
};
use crate::{
    About, Dataset, Needs, Split, Targets,
    error::DataError,
    held_out::{Held, HoldOut},
    modality::is_noise,
};

/// The largest number of clusters that test rows are put into.
const MOST_CLUSTERS: usize = 10_000;

/// The arrays that a node needs.
pub(crate) struct Arrays {
    /// The folder of their files.
    folder: PathBuf,
    seed: Seed,
    noise_width: usize,
    samples: [usize; 2],
    modalities: BTreeMap<String, Modality>,
    targets: BTreeMap<String, Target>,
    /// The group of each training row, if the scenario names groups.
    groups: Option<Vec<u32>>,
}

impl Arrays {
    /// Opens what is needed, reads it once, and fits the normalisation on the training rows that are not held out.
    pub(crate) fn open(
        source: &ArraySource,
        seed: Seed,
        needs: &Needs,
        hold_out: &HoldOut,
    ) -> Result<Self, DataError> {
        let (mut modalities, mut tasks) = (Vec::new(), Vec::new());
        for name in needs.modalities.iter().filter(|name| !is_noise(name)) {
            check_name(name)?;
            modalities.push((name, Modality::heads(&source.folder, name)?));
        }
        for name in needs.tasks {
            check_name(name)?;
            let known = source.tasks.iter().find(|task| task.name == *name).cloned();
            tasks.push((
                known.unwrap_or_else(|| ArrayTask::plain(name)),
                Target::heads(&source.folder, name)?,
            ));
        }
        // Before anything is unpacked or read.
        let heads = modalities.iter().map(|(_, files)| files).chain(tasks.iter().map(|(_, files)| files));
        let samples = count_rows(&source.folder, heads)?;
        let (groups, held) = held_out(&source.folder, samples[0], hold_out)?;
        let fitted = |(name, files): (&String, [ArrayFile; 2])| {
            Ok((name.clone(), Modality::fit(name, files, source.normalisation, &held)?))
        };
        let read = |(task, files): (ArrayTask, [ArrayFile; 2])| {
            Ok((task.name.clone(), Target::read(&task, files, source.normalisation, &held)?))
        };
        Ok(Arrays {
            folder: source.folder.clone(),
            seed,
            noise_width: source.noise_width,
            samples,
            modalities: modalities.into_iter().map(fitted).collect::<Result<_, DataError>>()?,
            targets: tasks.into_iter().map(read).collect::<Result<_, DataError>>()?,
            groups,
        })
    }

    fn opened(&self) -> impl Iterator<Item = (&Kept, &[ArrayFile; 2])> {
        let modalities = self.modalities.values().map(|modality| (&modality.kept, &modality.files));
        modalities.chain(self.targets.values().map(|target| (&target.kept, &target.files)))
    }
}

/// The group of each of `rows` training rows, where groups are named, and the rows held out.
fn held_out(folder: &Path, rows: usize, hold_out: &HoldOut) -> Result<(Option<Vec<u32>>, Held), DataError> {
    // Groups matter only where rows are held out.
    if hold_out.is_nothing() {
        return Ok((None, Held::default()));
    }
    let read = |name| read_groups(folder, (name, "data.groups"), Split::Train, rows);
    let groups = hold_out.groups.as_deref().map(read).transpose()?;
    let held = match &groups {
        Some(groups) => hold_out.rows(groups),
        None => hold_out.rows(&(0..rows as u32).collect::<Vec<_>>()),
    };
    Ok((groups, held))
}

/// The group of each row of a split: rows with equal values in the array that a key names are a group.
fn read_groups(
    folder: &Path,
    (name, key): (&str, &str),
    split: Split,
    rows: usize,
) -> Result<Vec<u32>, DataError> {
    check_name(name)?;
    let file = ArrayFile::open_task(folder, name, split)?;
    if file.layout.width != 1 || file.layout.rows != rows {
        let what = if split == Split::Train { "training" } else { "test" };
        return Err(file.malformed(format!(
            "has the shape {:?}, but as {key} it should hold one number or text for each of the {rows} {what} rows",
            file.layout.shape
        )));
    }
    let values: Vec<String> = match Survey::of(&file, true)?.cells {
        Cells::Texts(texts) => texts,
        Cells::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
        Cells::Columns(columns) => columns.iter().map(u32::to_string).collect(),
    };
    let mut known = BTreeMap::new();
    let number = |value: String| {
        let next = known.len() as u32;
        *known.entry(value).or_insert(next)
    };
    Ok(values.into_iter().map(number).collect())
}

/// The numbers of rows of both splits, on which all files must agree.
fn count_rows<'a>(
    folder: &Path,
    pairs: impl Iterator<Item = &'a [ArrayFile; 2]>,
) -> Result<[usize; 2], DataError> {
    let pairs: Vec<&[ArrayFile; 2]> = pairs.collect();
    let Some(first) = pairs.first() else {
        return Err(DataError::malformed(
            folder,
            "holds the samples, but this node needs none of its arrays",
        ));
    };
    for split in 0..2 {
        let files: Vec<&ArrayFile> = pairs.iter().map(|files| &files[split]).collect();
        if let Some(problem) = odd_ones_out(&files).next() {
            return Err(problem);
        }
    }
    Ok([first[0].layout.rows, first[1].layout.rows])
}

impl Dataset for Arrays {
    fn samples(&self, split: Split) -> usize {
        self.samples[split.index() as usize]
    }

    fn width(&self, modality: &str) -> Option<usize> {
        match is_noise(modality) {
            true => Some(self.noise_width),
            false => self.modalities.get(modality).map(|known| known.files[0].layout.width),
        }
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        match is_noise(modality) {
            true => Some(vec![self.noise_width]),
            false => self.modalities.get(modality).map(|known| known.files[0].layout.of_a_row()),
        }
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        if is_noise(modality) {
            let epoch = if split == Split::Train { epoch } else { 0 };
            let address = [split.index(), sample as u64];
            self.seed.named_stream(Purpose::Noise, modality, &address, epoch).fill_normal(out);
            return Ok(());
        }
        let known = self.modalities.get(modality).expect("the modality was among the needs");
        assert_eq!(out.len(), known.files[0].layout.width, "values of {modality}");
        let file = &known.files[split.index() as usize];
        file.with_row(sample, |row| known.kept.map.apply(row, out))?;
        check_normalised(file, sample, out)
    }

    fn normalise(&self, modality: &str, values: &mut [f32]) {
        if let Some(known) = self.modalities.get(modality) {
            let row: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            known.kept.map.apply(&row, values);
        }
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        self.targets.get(task).map(|target| target.targets(split))
    }

    fn about(&self, task: &str) -> About {
        self.targets.get(task).map(|target| target.about.clone()).unwrap_or_default()
    }

    fn units(&self, task: &str) -> Option<Vec<f64>> {
        self.targets.get(task).map(|target| target.kept.map.scale.clone())
    }

    fn origins(&self, task: &str) -> Option<Vec<f64>> {
        self.targets.get(task).map(|target| target.kept.map.shift.clone())
    }

    /// Every row is its own cluster; where there are very many rows, neighbours share clusters.
    fn clusters(&self) -> Vec<u32> {
        let rows = self.samples[1];
        (0..rows).map(|row| (row * rows.min(MOST_CLUSTERS) / rows) as u32).collect()
    }

    /// Neighbouring rows with equal values in the named array are a recording.
    fn recordings(&self, named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
        let read =
            |name| read_groups(&self.folder, (name, "evaluation.recordings"), Split::Test, self.samples[1]);
        named.map(read).transpose()
    }

    fn groups(&self) -> Option<Vec<u32>> {
        self.groups.clone()
    }

    /// A constant: [`Dataset::files`] has what nodes must agree on.
    fn digest(&self) -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::digest("pom2dib arrays v1").into()
    }

    fn files(&self) -> Vec<DataFile> {
        let of = |(kept, files): (&Kept, &[ArrayFile; 2])| {
            [Split::Train, Split::Test].map(|split| {
                let index = split.index() as usize;
                let (name, rows) = (files[index].file_name(), files[index].layout.rows);
                DataFile { name, split, rows, sha256: kept.sha256[index] }
            })
        };
        self.opened().flat_map(of).collect()
    }

    fn kept(&self) -> Vec<Kept> {
        self.opened().map(|(kept, _)| kept.clone()).collect()
    }

    fn restore(&mut self, all_kept: &[Kept]) -> Result<(), DataError> {
        let modalities = self.modalities.values_mut().map(|known| (&mut known.kept, &known.files));
        let targets = self.targets.values_mut().map(|known| (&mut known.kept, &known.files));
        for (own, files) in modalities.chain(targets) {
            let kept = all_kept.iter().find(|kept| kept.name == own.name);
            let kept = kept.filter(|kept| kept.is_sound(own.map.shift.len())).ok_or_else(|| {
                files[0].malformed("is not what the checkpoint was trained on: start a new run")
            })?;
            if let Some(changed) = (0..2).find(|&split| own.sha256[split] != kept.sha256[split]) {
                return Err(files[changed].malformed(
                    "has changed since the checkpoint was saved: put the old file back, or start a new run",
                ));
            }
            own.map = kept.map.clone();
        }
        Ok(())
    }
}
