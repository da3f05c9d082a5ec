//! Whether HandWritten's files can be read, whoever made them.

use super::{HandWritten, MNIST, MNIST_NAMES, find_mnist, idx, load, recordings, wav};
use crate::{
    content::{ClipName, Wants},
    error::DataError,
    verify::{FileReport, FileState, VerifyReport},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Reads every file as a run does, and compares none with the published ones: for recordings of one's own.
///
/// # Errors
/// When the folder or that of the recordings cannot be listed. What is wrong with a file is in the report.
pub fn check_handwritten(source: &HandWritten) -> Result<VerifyReport, DataError> {
    let root = source.folder.as_path();
    root.read_dir().map_err(|error| DataError::io(root, error))?;
    let mut files: Vec<FileReport> = MNIST_NAMES.iter().map(|name| mnist(root, name)).collect();
    files.extend(all_recordings(root)?);
    if files.iter().all(|file| file.state == FileState::Ok) {
        // Each by itself is sound: what is left is whether they fit each other.
        let wants = Wants { images: true, ..Wants::default() };
        if let Err(error) = load(source, wants) {
            files.push(report(&error, root));
        }
    }
    Ok(VerifyReport { files })
}

fn mnist(root: &Path, name: &str) -> FileReport {
    let path = match find_mnist(root, name) {
        Ok(path) => path,
        Err(_) => {
            let path = root.join(MNIST).join(format!("{name}.gz"));
            return FileReport { path, state: FileState::Missing };
        }
    };
    let outcome = match name.contains("labels") {
        true => idx::read_labels(&path).map(drop),
        false => idx::read_images(&path).map(drop),
    };
    report_of(path, outcome)
}

fn all_recordings(root: &Path) -> Result<Vec<FileReport>, DataError> {
    let folder = match recordings::folder(root) {
        Ok(folder) => folder,
        Err(error) => return Ok(vec![report(&error, root)]),
    };
    let mut names: BTreeSet<ClipName> = BTreeSet::new();
    let mut files = Vec::new();
    for path in recordings::files(&folder)? {
        let outcome = recordings::name_of(&path).and_then(|name| {
            names.insert(name);
            wav::read(&path).map(drop)
        });
        files.push(report_of(path, outcome));
    }
    let gaps = recordings::gaps(&names);
    files.extend(gaps.iter().map(|gap| FileReport { path: gap.path(&folder), state: FileState::Missing }));
    Ok(files)
}

fn report_of(path: PathBuf, outcome: Result<(), DataError>) -> FileReport {
    outcome.map_or_else(
        |error| report(&error, &path),
        |()| FileReport { path: path.clone(), state: FileState::Ok },
    )
}

/// What an error says, of the file that it names.
fn report(error: &DataError, otherwise: &Path) -> FileReport {
    let (path, state) = match error {
        DataError::Missing { path, .. } => (path.as_path(), FileState::Missing),
        DataError::Io { path, source } => {
            (path.as_path(), FileState::Differs(format!("cannot be read ({source})")))
        }
        DataError::Malformed { path, problem } => (path.as_path(), FileState::Differs(problem.clone())),
        other => (otherwise, FileState::Differs(other.to_string())),
    };
    FileReport { path: path.into(), state }
}
