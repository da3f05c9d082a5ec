//! Whether the arrays of a folder can be used together.

use super::{
    file::{ArrayFile, ENDINGS},
    same_width,
};
use crate::{
    Split,
    error::{DataError, is_hidden},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What was found of every array file of a folder, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArrayReport {
    /// The folder.
    pub folder: PathBuf,
    /// Its array files.
    pub files: Vec<FileReport>,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// The array's name: that of a modality or of a task.
    pub array: String,
    /// `train` or `test`.
    pub split: &'static str,
    /// The shape, the sample's axis first; empty if it cannot be told.
    pub shape: Vec<usize>,
    /// The type of its values, as numpy has it.
    pub element: &'static str,
    /// What is wrong with it, in one line that names it.
    pub problem: Option<String>,
}

impl ArrayReport {
    /// The lines of all that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|file| file.problem.as_deref())
    }
}

/// Looks at all files `NAME.train.*` and `NAME.test.*` of a folder: heads, and how they fit each other. `values` says whether the
/// values are read too.
///
/// # Errors
/// When the folder cannot be listed or holds no array. What is wrong with a file is in the report.
pub fn check_arrays(folder: &Path, values: bool) -> Result<ArrayReport, DataError> {
    let mut files = Vec::new();
    // The first sound file of each split, and each array's training file: what others must fit.
    let mut first: [Option<ArrayFile>; 2] = [None, None];
    let mut names: BTreeMap<String, Vec<Split>> = BTreeMap::new();
    for (array, split, path) in list(folder)? {
        let (mut shape, mut element) = (Vec::new(), "");
        let outcome = ArrayFile::open(folder, &array, split).and_then(|file| {
            (shape, element) = (file.layout.shape.clone(), file.layout.element.kind.name());
            if values {
                file.scan(|_, _| Ok(()))?;
            }
            let first = &mut first[split.index() as usize];
            let fits = first.as_ref().map_or(Ok(()), |first| super::same_rows(&file, first));
            fits.map(|()| {
                first.get_or_insert(file);
            })
        });
        names.entry(array.clone()).or_default().push(split);
        let (split, problem) = (word(split), outcome.err().map(|error| error.to_string()));
        files.push(FileReport { path, array, split, shape, element, problem });
    }
    if files.is_empty() {
        let remedy = "no file in it is called NAME.train.npy or NAME.test.npy (or .npz, .safetensors)";
        return Err(DataError::malformed(folder, remedy));
    }
    for file in &mut files {
        let problem = match names[&file.array].as_slice() {
            [split] => missing_half(folder, &file.array, *split),
            _ if file.split == "test" => pair(folder, &file.array).err().map(|error| error.to_string()),
            _ => None,
        };
        file.problem = file.problem.take().or(problem);
    }
    Ok(ArrayReport { folder: folder.into(), files })
}

/// The array files of a folder: array, split and path.
fn list(folder: &Path) -> Result<Vec<(String, Split, PathBuf)>, DataError> {
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(|source| DataError::io(folder, source))? {
        let path = entry.map_err(|source| DataError::io(folder, source))?.path();
        if is_hidden(&path) {
            continue;
        }
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((stem, ending)) = file_name.rsplit_once('.') else { continue };
        let split = [(".train", Split::Train), (".test", Split::Test)]
            .into_iter()
            .find_map(|(suffix, split)| Some((stem.strip_suffix(suffix)?, split)));
        if let (true, Some((array, split))) = (ENDINGS.contains(&ending), split) {
            found.push((array.to_owned(), split, path));
        }
    }
    found.sort_by(|one, other| one.2.cmp(&other.2));
    Ok(found)
}

/// What is to be said of an array that has one split only.
fn missing_half(folder: &Path, array: &str, there: Split) -> Option<String> {
    let other = if there == Split::Train { Split::Test } else { Split::Train };
    ArrayFile::open(folder, array, other).err().map(|error| error.to_string())
}

fn pair(folder: &Path, array: &str) -> Result<(), DataError> {
    let open = |split| ArrayFile::open(folder, array, split);
    // What is wrong with either by itself is said of it already.
    match (open(Split::Train), open(Split::Test)) {
        (Ok(train), Ok(test)) => same_width(&[train, test]),
        _ => Ok(()),
    }
}

fn word(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Test => "test",
    }
}
