//! Fetching HandWritten's files from public mirrors into the layout that opening expects.
//!
//! Every file is downloaded beside its place (`.part`, continued after an interruption), checked, and only then put
//! there: what has its name is whole.

mod archive;
mod download;
#[cfg(test)]
mod tests;

use crate::{
    catalogue::{Catalogue, recordings_digest},
    error::{DataError, shown},
    handwritten::{MNIST, find_mnist, recordings},
    verify::{FileState, mnist_file, mnist_state, verify_recordings},
};
use download::Client;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where files are fetched from: tried in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// Folders (ending in `/`) that hold `train-images-idx3-ubyte.gz` and the three others.
    pub mnist: Vec<String>,
    /// FSDD v1.0.10 as `.tar.gz`, with its recordings in a folder `recordings`.
    pub fsdd: Vec<String>,
}

impl Default for Mirrors {
    /// Public ones.
    fn default() -> Self {
        let mnist = [
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ];
        let fsdd = [
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
            "https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/tar.gz/refs/tags/v1.0.10",
        ];
        Mirrors { mnist: mnist.map(String::from).to_vec(), fsdd: fsdd.map(String::from).to_vec() }
    }
}

/// What happens while fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// A file was there already, as published.
    Present {
        /// Its name.
        name: String,
    },
    /// Some of a file has arrived.
    Progress {
        /// Its name.
        name: String,
        /// Bytes so far, those of an earlier attempt included.
        done: u64,
        /// Bytes in all, where the mirror says so.
        total: Option<u64>,
    },
    /// An attempt failed; the next one, if there is any, follows.
    Failed {
        /// The file's name.
        name: String,
        /// The mirror and what it did wrong, in one line.
        problem: String,
    },
    /// A file has arrived, was checked and is in its place.
    Done {
        /// Its name.
        name: String,
    },
}

/// Fetches what is not there yet, as published, into `dir`: MNIST's four files and FSDD's recordings.
///
/// Recordings that are there but differ from the published ones are kept beside, as `recordings.replaced-N`.
///
/// # Errors
/// When no mirror gave a file, saying where to put it manually; when an uncompressed MNIST file is in the way; when
/// `dir` cannot be written.
pub fn fetch_handwritten(
    dir: &Path,
    mirrors: &Mirrors,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), DataError> {
    fetch(dir, mirrors, &Catalogue::published(), progress)
}

fn fetch(
    dir: &Path,
    mirrors: &Mirrors,
    catalogue: &Catalogue,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), DataError> {
    let client = Client::new();
    for (name, sum) in &catalogue.mnist {
        fetch_mnist(&client, dir, (name, sum), &mirrors.mnist, progress)?;
    }
    fetch_recordings(&client, dir, catalogue, &mirrors.fsdd, progress)
}

fn fetch_mnist(
    client: &Client,
    dir: &Path,
    (name, sum): (&str, &str),
    mirrors: &[String],
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), DataError> {
    let file_name = format!("{name}.gz");
    if mnist_file(dir, name, sum).state == FileState::Ok {
        progress(FetchEvent::Present { name: file_name });
        return Ok(());
    }
    let place = dir.join(MNIST).join(&file_name);
    if let Ok(found) = find_mnist(dir, name)
        && found != place
    {
        // An uncompressed file goes before a compressed one: the one fetched would never be read.
        return Err(DataError::malformed(
            &found,
            "is not the published file: move it away, then fetch again",
        ));
    }
    let part = part_of(&place)?;
    let urls: Vec<String> = mirrors.iter().map(|mirror| format!("{mirror}{file_name}")).collect();
    let mut check = |path: &Path| match mnist_state(path, true, sum) {
        FileState::Ok => Ok(()),
        FileState::Missing => Err("is missing".to_string()),
        FileState::Differs(how) => Err(how),
    };
    obtain(client, &file_name, &urls, &part, &mut check, progress)
        .map_err(|problem| DataError::Download { name: file_name.clone(), problem, path: place.clone() })?;
    rename(&part, &place)?;
    progress(FetchEvent::Done { name: file_name });
    Ok(())
}

fn fetch_recordings(
    client: &Client,
    dir: &Path,
    catalogue: &Catalogue,
    mirrors: &[String],
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), DataError> {
    let name = "fsdd/recordings".to_string();
    if verify_recordings(dir, catalogue)?.iter().all(|file| file.state == FileState::Ok) {
        progress(FetchEvent::Present { name });
        return Ok(());
    }
    let place = recordings::folder(dir).unwrap_or_else(|_| dir.join("fsdd").join("recordings"));
    let archive = part_of(&place.with_file_name("fsdd-v1.0.10.tar.gz"))?;
    let unpacked = place.with_file_name("recordings.part");
    let mut check = |archive: &Path| unpack(archive, &unpacked, catalogue);
    obtain(client, &name, mirrors, &archive, &mut check, progress)
        .map_err(|problem| DataError::Download { name: name.clone(), problem, path: place.clone() })?;
    set_aside(&place)?;
    rename(&unpacked, &place)?;
    remove(&archive)?;
    progress(FetchEvent::Done { name });
    Ok(())
}

/// Unpacks an archive's recordings to a fresh folder and checks that they are the published ones.
fn unpack(archive: &Path, folder: &Path, catalogue: &Catalogue) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", shown(folder)))?;
    }
    let names = archive::unpack(archive, folder)?;
    let digest = recordings_digest(folder, names.iter()).map_err(|error| error.to_string())?;
    if digest == catalogue.recordings_digest {
        Ok(())
    } else {
        let expected = &catalogue.recordings_digest;
        Err(format!(
            "its {} recordings have the checksum {digest}, but the published ones {expected}",
            names.len()
        ))
    }
}

/// Downloads to `part` from one mirror after the other until `check` approves; the error is the last mirror's.
fn obtain(
    client: &Client,
    name: &str,
    urls: &[String],
    part: &Path,
    check: &mut dyn FnMut(&Path) -> Result<(), String>,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), String> {
    let mut last = "there is no mirror".to_string();
    for url in urls {
        // As long as a mirror gives some more at every attempt, it is worth another.
        loop {
            let before = length(part);
            let mut arrived =
                |done, total| progress(FetchEvent::Progress { name: name.to_string(), done, total });
            let outcome = client.download(url, part, &mut arrived);
            let complete = outcome.is_ok();
            match outcome.and_then(|()| check(part)) {
                Ok(()) => return Ok(()),
                Err(problem) => last = format!("{url}: {problem}"),
            }
            progress(FetchEvent::Failed { name: name.to_string(), problem: last.clone() });
            if complete {
                // Whole, but wrong. If it began in an earlier attempt, that may be why: once more, from nothing.
                fs::remove_file(part).map_err(|error| format!("{}: {error}", shown(part)))?;
                if before > 0 {
                    continue;
                }
                break;
            }
            if length(part) <= before {
                break;
            }
        }
    }
    Err(last)
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Where a file is downloaded to; makes its folder.
fn part_of(place: &Path) -> Result<PathBuf, DataError> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(|source| DataError::io(folder, source))?;
    }
    let mut name = place.as_os_str().to_os_string();
    name.push(".part");
    Ok(name.into())
}

/// Keeps a folder that is in the way beside its place.
fn set_aside(place: &Path) -> Result<(), DataError> {
    if !place.exists() {
        return Ok(());
    }
    let aside = (1..).map(|number| place.with_file_name(format!("recordings.replaced-{number}")));
    aside.into_iter().find(|path| !path.exists()).map_or(Ok(()), |free| rename(place, &free))
}

fn rename(from: &Path, to: &Path) -> Result<(), DataError> {
    fs::rename(from, to).map_err(|source| DataError::io(to, source))
}

fn remove(path: &Path) -> Result<(), DataError> {
    fs::remove_file(path).map_err(|source| DataError::io(path, source))
}
