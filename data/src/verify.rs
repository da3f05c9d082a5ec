//! Whether HandWritten's files are those that were published.

use crate::{
    Report,
    catalogue::{Catalogue, recordings_digest, sum_of},
    content::ClipName,
    error::DataError,
    handwritten::{MNIST, find_mnist, idx, recordings},
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
};

/// What was found of every file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// All expected files and unexpected recordings: MNIST's first, then FSDD's in name order.
    pub files: Vec<FileReport>,
}

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Where it is, or should be.
    pub path: PathBuf,
    /// How it is.
    #[serde(flatten)]
    pub state: FileState,
}

/// How a file compares with the published one; or, where nobody compares, whether it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "how")]
pub enum FileState {
    /// It is the published one, or can be read.
    Ok,
    /// It is not there.
    Missing,
    /// It is another, none was published, or it cannot be read; the text says how, in one line.
    Differs(String),
}

impl VerifyReport {
    /// Whether every file is as it should be.
    pub fn is_ok(&self) -> bool {
        self.faults().next().is_none()
    }

    /// Which files are not as they should be; `published` says what that is.
    pub(crate) fn report(&self, published: bool) -> Report {
        let line = |fault: &FileReport| match &fault.state {
            FileState::Differs(how) => format!("{}: {how}\n", fault.path.display()),
            FileState::Missing => format!("{}: missing\n", fault.path.display()),
            FileState::Ok => String::new(),
        };
        let mut text: String = self.faults().map(line).collect();
        let faults = self.faults().count();
        let sound = self.files.len() - faults;
        text += &match (published, faults) {
            (false, _) => format!("{sound} files can be read, {faults} not\n"),
            (true, 0) => format!("{sound} files as published, 0 not\n"),
            (true, _) => {
                format!(
                    "{sound} files as published, {faults} not (--own asks only whether they can be read)\n"
                )
            }
        };
        Report::new(text, self, self.is_ok())
    }

    /// The files that are not as they should be.
    pub fn faults(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|file| file.state != FileState::Ok)
    }
}

/// Compares HandWritten's files in `dir` with those published: MNIST's and FSDD v1.0.10's.
///
/// # Errors
/// When `dir` or its folder of recordings cannot be listed. What is wrong with a file is in the report.
pub fn verify_handwritten(dir: &Path) -> Result<VerifyReport, DataError> {
    verify(dir, &Catalogue::published())
}

pub(crate) fn verify(dir: &Path, catalogue: &Catalogue) -> Result<VerifyReport, DataError> {
    dir.read_dir().map_err(|source| DataError::io(dir, source))?;
    let mut files: Vec<FileReport> =
        catalogue.mnist.iter().map(|(name, sum)| mnist_file(dir, name, sum)).collect();
    files.extend(verify_recordings(dir, catalogue)?);
    Ok(VerifyReport { files })
}

/// Compares one MNIST file, plain or compressed, by its uncompressed content.
pub(crate) fn mnist_file(dir: &Path, name: &str, expected: &str) -> FileReport {
    match find_mnist(dir, name) {
        Ok(path) => FileReport { state: mnist_state(&path, idx::is_compressed(&path), expected), path },
        Err(_) => FileReport { path: dir.join(MNIST).join(format!("{name}.gz")), state: FileState::Missing },
    }
}

/// The same for a file wherever it is.
pub(crate) fn mnist_state(path: &Path, compressed: bool, expected: &str) -> FileState {
    match idx::open(path, compressed)
        .and_then(|content| sum_of(content).map_err(|source| DataError::io(path, source)))
    {
        Ok(sum) => compare(&sum, expected),
        Err(DataError::Io { source, .. }) => FileState::Differs(format!("cannot be read ({source})")),
        Err(error) => FileState::Differs(error.to_string()),
    }
}

pub(crate) fn verify_recordings(dir: &Path, catalogue: &Catalogue) -> Result<Vec<FileReport>, DataError> {
    let Ok(folder) = recordings::folder(dir) else {
        let path = dir.join("fsdd").join("recordings");
        return Ok(vec![FileReport { path, state: FileState::Missing }]);
    };
    let mut files: Vec<FileReport> =
        catalogue.recordings.iter().map(|(name, sum)| recording_file(&folder, name, sum)).collect();
    files.extend(unexpected_files(&folder, catalogue)?);
    let names = catalogue.recordings.iter().map(|(name, _)| name);
    // Beginnings of checksums can agree by chance or by malice: the digest over everything cannot.
    if files.iter().all(|file| file.state == FileState::Ok)
        && recordings_digest(&folder, names)? != catalogue.recordings_digest
    {
        let how = "the recordings together have another checksum than those published".into();
        files.push(FileReport { path: folder, state: FileState::Differs(how) });
    }
    Ok(files)
}

fn recording_file(folder: &Path, name: &ClipName, expected: &str) -> FileReport {
    let path = folder.join(name.file_name());
    let state = match File::open(&path).and_then(sum_of) {
        Ok(sum) => compare(&sum, expected),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileState::Missing,
        Err(error) => FileState::Differs(format!("cannot be read ({error})")),
    };
    FileReport { path, state }
}

/// Wav files that were never published: they would be trained on, or would not be understood.
fn unexpected_files(folder: &Path, catalogue: &Catalogue) -> Result<Vec<FileReport>, DataError> {
    let expected: BTreeSet<String> = catalogue.recordings.iter().map(|(name, _)| name.file_name()).collect();
    let mut paths = recordings::files(folder)?;
    paths.retain(|path| {
        !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| expected.contains(name))
    });
    let how = || FileState::Differs("is none of the published recordings".into());
    Ok(paths.into_iter().map(|path| FileReport { path, state: how() }).collect())
}

/// `expected` may be the beginning of a checksum.
fn compare(sum: &str, expected: &str) -> FileState {
    if sum.starts_with(expected) {
        FileState::Ok
    } else {
        FileState::Differs(format!(
            "has SHA-256 {sum}, but that of the published file begins with {expected}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_plainly_as_json() {
        let differs = FileState::Differs("is another".into());
        let files = vec![
            FileReport { path: "a".into(), state: FileState::Ok },
            FileReport { path: "b".into(), state: differs },
        ];
        let json = serde_json::to_string(&VerifyReport { files }).unwrap();
        assert_eq!(
            json,
            r#"{"files":[{"path":"a","state":"ok"},{"path":"b","state":"differs","how":"is another"}]}"#
        );
    }
}
