//! Anybody's own data: a folder with an array for each modality or task and split, whose first axis is the sample.
//!
//! Row i of all files of a split is of the same sample. A node opens its own files and no others; rows are read in
//! place.

mod check;
mod complex;
pub(crate) mod element;
mod file;
mod fortran;
mod frame;
mod labels;
mod layout;
mod normal;
pub(crate) mod npy;
mod npz;
mod safetensors_file;
mod source;
mod target;
mod text;
mod unseen;
mod write;

pub use check::{ArrayReport, FileReport, TaskReport, check_arrays, check_arrays_of};
pub use complex::read_complex;
pub use file::parse_array;
pub use frame::{OutOfStep, read_npy};
pub use normal::Normalisation;
pub use write::{NewArray, Values, npy_head, write_npz};

pub(crate) use source::ArrayFiles;
pub(crate) use text::classes;
pub(crate) use unseen::Unseen;

use crate::{
    About, Dataset, Needs, Split, Targets,
    error::DataError,
    held_out::{Held, HoldOut},
    modality::is_noise,
};
use file::ArrayFile;
use labels::{Cells, Survey};
pub(crate) use normal::{Fit, Map};
use randomness::{Purpose, Seed};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use target::Target;

/// The largest number of clusters that test rows are put into.
const MOST_CLUSTERS: usize = 10_000;

/// A folder of arrays, and how to take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    /// Where the files are.
    pub folder: PathBuf,
    /// How modalities and regression targets are normalised.
    pub normalisation: Normalisation,
    /// Values in a sample of `noise-1` to `noise-9`.
    pub noise_width: usize,
    /// Which array is a task, and of which kind.
    pub tasks: Vec<ArrayTask>,
}

/// A task over an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayTask {
    /// The array's name.
    pub name: String,
    /// Without one, integers, texts and one-hot rows are classes, and so are floats that are exactly 0 to C-1 with C at
    /// most 100; other floats are values.
    pub kind: Option<TaskKind>,
    /// Without one, one more than the largest training label.
    pub classes: Option<usize>,
    /// Labels that say that there is none.
    pub ignore: Vec<Label>,
}

impl ArrayTask {
    /// A task of which nothing but the array is known.
    pub fn plain(name: &str) -> Self {
        ArrayTask { name: name.into(), kind: None, classes: None, ignore: Vec::new() }
    }
}

/// A label as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A number; of one-hot rows, the column.
    Number(i64),
    /// A text.
    Text(String),
}

/// The kinds of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// One of some classes.
    Classification,
    /// One or more values.
    Regression,
}

/// What must be known of a file to see that nodes read parts of the same data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name, without its folder.
    pub name: String,
    /// Of which split it is.
    pub split: Split,
    /// Its rows.
    pub rows: usize,
    /// SHA-256 of its type, shape and values.
    pub sha256: [u8; 32],
}

/// What a checkpoint keeps of an array: what it was, and the normalisation that was fitted on its training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The array's name.
    pub name: String,
    /// SHA-256 of type, shape and values, of the training and the test file.
    pub sha256: [[u8; 32]; 2],
    map: Map,
}

impl Kept {
    fn new(name: &str, sha256: [[u8; 32]; 2], map: Map) -> Self {
        Kept { name: name.into(), sha256, map }
    }

    /// Puts together again what a checkpoint holds: value x of position i becomes (x - `shift[i]`) / `scale[i]`.
    pub fn from_parts(name: &str, sha256: [[u8; 32]; 2], shift: Vec<f64>, scale: Vec<f64>) -> Self {
        Kept::new(name, sha256, Map { shift, scale })
    }

    /// What is subtracted from each value of a row.
    pub fn shift(&self) -> &[f64] {
        &self.map.shift
    }

    /// What each is then divided by.
    pub fn scale(&self) -> &[f64] {
        &self.map.scale
    }

    fn is_sound(&self, width: usize) -> bool {
        let lengths = [self.map.shift.len(), self.map.scale.len()];
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        lengths == [width; 2]
            && finite(&self.map.shift)
            && finite(&self.map.scale)
            && self.map.scale.iter().all(|&scale| scale > 0.0)
    }
}

/// A modality's files.
struct Modality {
    kept: Kept,
    files: [ArrayFile; 2],
}

impl Modality {
    fn open(folder: &Path, name: &str, normalisation: Normalisation) -> Result<Self, DataError> {
        Self::fit(name, Self::heads(folder, name)?, normalisation, &Held::default())
    }

    /// Both files of a modality, of which nothing but the heads is read.
    fn heads(folder: &Path, name: &str) -> Result<[ArrayFile; 2], DataError> {
        let [train, test] = [Split::Train, Split::Test].map(|split| ArrayFile::open(folder, name, split));
        let files = [train?, test?];
        same_width(&files)?;
        Ok(files)
    }

    /// Reads both and fits the normalisation on training rows that are not held out.
    fn fit(
        name: &str,
        files: [ArrayFile; 2],
        normalisation: Normalisation,
        held: &Held,
    ) -> Result<Self, DataError> {
        let mut fit = Fit::new(normalisation, files[0].layout.width);
        let train = files[0].scan(|row, values| {
            if !held.contains(row) {
                fit.row(values);
            }
            Ok(())
        })?;
        let test = files[1].scan(|_, _| Ok(()))?;
        Ok(Modality { kept: Kept::new(name, [train, test], fit.finish()), files })
    }

    /// Checks that what is read stays within float32 when it is normalised.
    fn check_range(&self) -> Result<(), DataError> {
        let mut out = vec![0.0; self.files[0].layout.width];
        for file in &self.files {
            file.scan(|row, values| {
                self.kept.map.apply(values, &mut out);
                check_normalised(file, row, &out)
            })?;
        }
        Ok(())
    }
}

fn check_normalised(file: &ArrayFile, row: usize, values: &[f32]) -> Result<(), DataError> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(file.malformed(format!("row {row} leaves float32's range when it is normalised"))),
    }
}

/// The arrays that a node needs.
pub(crate) struct Arrays {
    seed: Seed,
    noise_width: usize,
    samples: [usize; 2],
    modalities: BTreeMap<String, Modality>,
    targets: BTreeMap<String, Target>,
    /// Which training rows belong together, where the scenario names such groups.
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

/// Which of so many training rows belong together, where the scenario names such groups, and which are held out.
fn held_out(folder: &Path, rows: usize, hold_out: &HoldOut) -> Result<(Option<Vec<u32>>, Held), DataError> {
    // Only who holds rows out has to know.
    if hold_out.is_nothing() {
        return Ok((None, Held::default()));
    }
    let groups = hold_out.groups.as_ref().map(|name| read_groups(folder, name, rows)).transpose()?;
    let held = match &groups {
        Some(groups) => hold_out.rows(groups),
        None => hold_out.rows(&(0..rows as u32).collect::<Vec<_>>()),
    };
    Ok((groups, held))
}

/// Which training rows belong together, by the values of an array: equal ones make a group.
fn read_groups(folder: &Path, name: &str, rows: usize) -> Result<Vec<u32>, DataError> {
    check_name(name)?;
    let file = ArrayFile::open_task(folder, name, Split::Train)?;
    if file.layout.width != 1 || file.layout.rows != rows {
        return Err(file.malformed(format!(
            "has the shape {:?}, but as data.groups it should hold one number or text for each of the {rows} training rows",
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

/// The rows of both splits, in which all files agree.
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

    /// Neighbouring rows, where there are very many; else every row is one of its own.
    fn clusters(&self) -> Vec<u32> {
        let rows = self.samples[1];
        (0..rows).map(|row| (row * rows.min(MOST_CLUSTERS) / rows) as u32).collect()
    }

    fn groups(&self) -> Option<Vec<u32>> {
        self.groups.clone()
    }

    /// The same for all arrays: [`Dataset::files`] says what must agree.
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

/// Checks a name of an array: it is a part of file names.
///
/// # Errors
/// What is wrong with it, on one line.
pub fn check_array_name(name: &str) -> Result<(), String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        true => Ok(()),
        false => Err(format!(
            "names {name:?}, but the name of an array is 1 to 64 letters, digits, hyphens and underscores"
        )),
    }
}

fn check_name(name: &str) -> Result<(), DataError> {
    check_array_name(name).map_err(|_| DataError::UnknownModality {
        name: name.into(),
        known: "1 to 64 letters, digits, hyphens and underscores".into(),
    })
}

/// What is wrong with each file of a split that has another number of rows than most; of as many, than the first.
fn odd_ones_out<'a>(files: &[&'a ArrayFile]) -> impl Iterator<Item = DataError> {
    let as_many = |rows: usize| files.iter().filter(|file| file.layout.rows == rows).count();
    // Of several that are largest, `max_by_key` gives the last: hence from behind.
    let usual: Option<&'a ArrayFile> =
        files.iter().rev().copied().max_by_key(|file| as_many(file.layout.rows));
    let files: Vec<&ArrayFile> = files.to_vec();
    files.into_iter().filter_map(move |file| {
        let usual = usual.filter(|usual| usual.layout.rows != file.layout.rows)?;
        Some(file.malformed(format!(
            "has {} rows, but {} has {} rows: row i of both must be of the same sample",
            file.layout.rows,
            usual.file_name(),
            usual.layout.rows
        )))
    })
}

/// Checks that the rows of both splits have the same shape.
fn same_width([train, test]: &[ArrayFile; 2]) -> Result<(), DataError> {
    if train.layout.shape[1..] == test.layout.shape[1..] {
        return Ok(());
    }
    Err(test.malformed(format!(
        "has rows of shape {:?}, but those of {} have {:?}",
        &test.layout.shape[1..],
        train.file_name(),
        &train.layout.shape[1..]
    )))
}

/// The member of that name among several.
fn member<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    names.iter().find(|known| *known == name)
}

fn no_member(what: &str, name: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("holds no {what}");
    }
    let shown: Vec<String> =
        names.iter().take(5).map(|name| format!("{:?}", name.chars().take(64).collect::<String>())).collect();
    format!("holds {} {what}s ({}), but none is called {name:?}", names.len(), shown.join(", "))
}
