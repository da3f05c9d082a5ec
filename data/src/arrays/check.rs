//! Whether the arrays of a folder can be used together, and what they are as tasks.

use super::{
    ArraySource, ArrayTask,
    agreement::{odd_ones_out, same_width},
    file::{ArrayFile, ENDINGS, Part},
    modality::Modality,
    names::check_name,
    normal::Normalisation,
    target::Target,
};
use crate::{
    Balance, Split, Targets,
    error::{DataError, is_hidden},
    modality::is_noise,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// More values a row than any one-hot row that is looked for unasked.
const WIDEST_GUESS: usize = 100;

/// What was found of every array file of a folder, in the order of their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrayReport {
    /// The folder.
    pub folder: PathBuf,
    /// Its array files.
    pub files: Vec<FileReport>,
    /// What arrays are as tasks: those that a scenario names, or else all that look like one.
    pub tasks: Vec<TaskReport>,
    /// Files that look as if they were meant, and that nobody reads.
    pub unread: Vec<PathBuf>,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// The array's name: that of a modality or of a task.
    pub array: String,
    /// `train`, `test` or `validation`.
    pub split: &'static str,
    /// The shape, the sample's axis first; empty if it cannot be told.
    pub shape: Vec<usize>,
    /// The type of its values, as numpy has it.
    pub element: &'static str,
    /// What is wrong with it, in one line that names it.
    pub problem: Option<String>,
}

/// What an array is as a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// The array's name.
    pub array: String,
    /// `classification` or `regression`; none if it cannot be a task.
    pub kind: Option<&'static str>,
    /// Of a classification: how many rows each class has.
    #[serde(flatten)]
    pub balance: Option<Balance>,
    /// What the classes are called, if their labels are texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What a user should know, a line each.
    pub notes: Vec<String>,
    /// Why a run would refuse it, in one line; only where a scenario names it as a task.
    pub problem: Option<String>,
}

impl ArrayReport {
    /// The lines of all that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let of_files = self.files.iter().filter_map(|file| file.problem.as_deref());
        let said = |line: &str| self.files.iter().any(|file| file.problem.as_deref() == Some(line));
        let of_tasks = self.tasks.iter().filter_map(|task| task.problem.as_deref());
        of_files.chain(of_tasks.filter(move |line| !said(line)))
    }
}

/// Looks at all files `NAME.train.*`, `NAME.test.*` and `NAME.validation.*` of a folder: heads, labels, and how they
/// fit each other. `values` says whether all values are read too.
///
/// # Errors
/// When the folder cannot be listed or holds no array. What is wrong with a file is in the report.
pub fn check_arrays(folder: &Path, values: bool) -> Result<ArrayReport, DataError> {
    let Listed { arrays, unread } = list(folder)?;
    if arrays.is_empty() {
        let remedy = "no file in it is called NAME.train.npy or NAME.test.npy (or .npz, .safetensors)";
        return Err(DataError::malformed(folder, remedy));
    }
    let files = check_files(folder, arrays, values, Normalisation::Standard);
    let mut names: Vec<&str> =
        files.iter().filter(|file| looks_like_task(file)).map(|file| &*file.array).collect();
    names.dedup();
    let task = |name: &&str| task(folder, &ArrayTask::plain(name), Normalisation::Standard, false);
    let tasks = names.iter().filter_map(task).collect();
    Ok(ArrayReport { folder: folder.into(), files, tasks, unread })
}

/// The same of the arrays that a scenario names, some as modalities and some as tasks: whatever its run would refuse is
/// a problem.
///
/// # Errors
/// When the folder cannot be listed.
pub fn check_arrays_of(
    source: &ArraySource,
    modalities: &[String],
    tasks: &[String],
    values: bool,
) -> Result<ArrayReport, DataError> {
    let folder = source.folder.as_path();
    let Listed { mut arrays, unread } = list(folder)?;
    let mut wanted: Vec<&String> = modalities.iter().filter(|name| !is_noise(name)).chain(tasks).collect();
    wanted.sort_unstable();
    wanted.dedup();
    arrays.retain(|(array, ..)| wanted.contains(&array));
    // Who is not there at all is reported in the place of its training file.
    for &name in
        wanted.iter().filter(|name| !arrays.iter().any(|(array, ..)| array == **name)).collect::<Vec<_>>()
    {
        arrays.push((name.clone(), Split::Train.into(), folder.join(format!("{name}.train.npy"))));
    }
    // If any has rows for validation, all must.
    let validated: Vec<String> = arrays
        .iter()
        .filter(|(_, part, _)| *part == Part::Validation)
        .map(|(array, ..)| array.clone())
        .collect();
    for &name in wanted.iter().filter(|name| !validated.is_empty() && !validated.contains(name)) {
        arrays.push((name.clone(), Part::Validation, folder.join(format!("{name}.validation.npy"))));
    }
    arrays.sort_by(|one, other| one.2.cmp(&other.2));
    let files = check_files(folder, arrays, values, source.normalisation);
    let known = |name: &String| {
        let known = source.tasks.iter().find(|task| task.name == *name);
        task(folder, known.unwrap_or(&ArrayTask::plain(name)), source.normalisation, true)
    };
    let tasks = tasks.iter().filter_map(known).collect();
    Ok(ArrayReport { folder: folder.into(), files, tasks, unread })
}

type Array = (String, Part, PathBuf);

fn check_files(
    folder: &Path,
    arrays: Vec<Array>,
    values: bool,
    normalisation: Normalisation,
) -> Vec<FileReport> {
    let opened: Vec<(Array, Result<ArrayFile, DataError>)> = arrays
        .into_iter()
        .map(|array| {
            let file = check_name(&array.0).and_then(|()| ArrayFile::open_task(folder, &array.0, array.1));
            (array, file)
        })
        .collect();
    let mut files: Vec<FileReport> = opened
        .iter()
        .map(|((array, part, path), file)| {
            let layout = file.as_ref().ok().map(|file| &file.layout);
            let problem = match file {
                Err(error) => Some(error.to_string()),
                Ok(file) if values => read(file).err().map(|error| error.to_string()),
                Ok(_) => None,
            };
            FileReport {
                path: path.clone(),
                array: array.clone(),
                split: part.word(),
                shape: layout.map(|layout| layout.shape.clone()).unwrap_or_default(),
                element: layout.map_or("", |layout| layout.element.kind.name()),
                problem,
            }
        })
        .collect();
    for part in Part::ALL {
        let of_part: Vec<&ArrayFile> = opened
            .iter()
            .filter(|((_, of, _), _)| *of == part)
            .filter_map(|(_, file)| file.as_ref().ok())
            .collect();
        for problem in odd_ones_out(&of_part) {
            let DataError::Malformed { path, .. } = &problem else { continue };
            if let Some(file) = files.iter_mut().find(|file| file.path == *path) {
                file.problem.get_or_insert(problem.to_string());
            }
        }
    }
    for at in 0..files.len() {
        let array = files[at].array.clone();
        let halves = files.iter().filter(|file| file.array == array && file.split != "validation").count();
        let problem = match files[at].split {
            "validation" => validation_fits(folder, &array).err(),
            _ if halves == 1 => missing_half(folder, &array),
            "test" => pair(folder, &array, values, normalisation).err(),
            _ => None,
        };
        let known: Vec<String> = files.iter().filter_map(|file| file.problem.clone()).collect();
        if let Some(problem) =
            problem.map(|problem| problem.to_string()).filter(|problem| !known.contains(problem))
        {
            files[at].problem.get_or_insert(problem);
        }
    }
    files
}

fn read(file: &ArrayFile) -> Result<(), DataError> {
    match file.layout.element.kind.is_text() {
        true => file.scan_texts(drop).map(drop),
        false => file.scan(|_, _| Ok(())).map(drop),
    }
}

/// What is to be said of an array that has one split only.
fn missing_half(folder: &Path, array: &str) -> Option<DataError> {
    [Split::Train, Split::Test].into_iter().find_map(|split| ArrayFile::open_task(folder, array, split).err())
}

/// Whether the rows for validation have the shape of those to train on.
fn validation_fits(folder: &Path, array: &str) -> Result<(), DataError> {
    let open = |part: Part| ArrayFile::open_task(folder, array, part);
    let (Ok(train), Ok(validation)) = (open(Split::Train.into()), open(Part::Validation)) else {
        return Ok(());
    };
    same_width(&[train, validation])
}

/// Whether both splits fit each other; and, if values are read, whether what is normalised stays within float32.
fn pair(folder: &Path, array: &str, values: bool, normalisation: Normalisation) -> Result<(), DataError> {
    let open = |split| ArrayFile::open_task(folder, array, split);
    // A fault of either file by itself is reported already.
    let (Ok(train), Ok(test)) = (open(Split::Train), open(Split::Test)) else { return Ok(()) };
    let is_text = train.layout.element.kind.is_text();
    same_width(&[train, test])?;
    match values && !is_text {
        true => Modality::open(folder, array, normalisation)?.check_range(),
        false => Ok(()),
    }
}

/// Whether an array might be a task for all that its head says.
fn looks_like_task(file: &FileReport) -> bool {
    let width: usize = file.shape.iter().skip(1).product();
    !file.shape.is_empty() && width <= WIDEST_GUESS && (width == 1 || file.shape.len() == 2)
}

/// What an array is as a task. What only looks like one is none if it cannot be; values of several columns neither.
fn task(folder: &Path, task: &ArrayTask, normalisation: Normalisation, is_named: bool) -> Option<TaskReport> {
    let empty = TaskReport {
        array: task.name.clone(),
        kind: None,
        balance: None,
        names: Vec::new(),
        notes: Vec::new(),
        problem: None,
    };
    let target = match Target::open(folder, task, normalisation) {
        Ok(target) => target,
        Err(error) if is_named => return Some(TaskReport { problem: Some(error.to_string()), ..empty }),
        Err(error) => {
            // Of one number a row it is worth saying why it is no task: many are meant as one.
            let plain = ArrayFile::open_task(folder, &task.name, Split::Train)
                .is_ok_and(|file| file.layout.width == 1);
            let notes = vec![format!("no task as it stands: {error}")];
            return plain.then_some(TaskReport { notes, ..empty });
        }
    };
    let balance = Balance::of(&target.targets(Split::Train), &target.targets(Split::Test));
    let is_values = matches!(target.targets(Split::Test), Targets::Values { .. });
    if is_values && !is_named && target.files[0].layout.width > 1 {
        return None;
    }
    let kind = Some(if is_values { "regression" } else { "classification" });
    Some(TaskReport { kind, balance, names: target.about.names, notes: target.about.notes, ..empty })
}

/// What a folder holds.
struct Listed {
    arrays: Vec<Array>,
    unread: Vec<PathBuf>,
}

/// The array files of a folder, by path; and what looks like one but is read by nobody.
fn list(folder: &Path) -> Result<Listed, DataError> {
    let mut listed = Listed { arrays: Vec::new(), unread: Vec::new() };
    for entry in folder.read_dir().map_err(|source| DataError::io(folder, source))? {
        let path = entry.map_err(|source| DataError::io(folder, source))?.path();
        if is_hidden(&path) {
            continue;
        }
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (stem, ending) = file_name.rsplit_once('.').unwrap_or((file_name, ""));
        let (array, split) = stem.rsplit_once('.').unwrap_or_default();
        match Part::ALL.into_iter().find(|part| part.word() == split) {
            Some(part) if ENDINGS.contains(&ending) => {
                listed.arrays.push((array.to_owned(), part, path));
            }
            _ if path.is_file() && looks_meant(&file_name.to_lowercase()) => listed.unread.push(path),
            _ => {}
        }
    }
    listed.arrays.sort_by(|one, other| one.2.cmp(&other.2));
    listed.unread.sort_unstable();
    Ok(listed)
}

/// Whether a file that is none of ours looks as if somebody thought so.
fn looks_meant(name: &str) -> bool {
    let split = ["train", "test", "valid", "val."].iter().any(|word| name.contains(word));
    let array = ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}")));
    let other = [".csv", ".tsv", ".mat", ".h5", ".hdf5", ".pkl", ".pt", ".parquet", ".gz", ".txt"];
    array || split && other.iter().any(|ending| name.ends_with(ending))
}
