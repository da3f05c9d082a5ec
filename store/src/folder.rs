use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{Pieces, Stat, StoreError, writer::Part};

/// Bytes of an object read at once, and how many such pieces wait for the reader.
const PIECE: usize = 256 << 10;
const WAITING: usize = 4;

/// A folder of this machine. Disk operations run outside the async runtime.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        // The path stays valid if the process changes its own folder.
        Ok(Folder(path.canonicalize()?))
    }

    pub(crate) async fn put(&self, name: &str, content: Bytes) -> Result<(), String> {
        let (folder, path) = (self.clone(), self.path(name)?);
        outside(move || {
            let mut staged = Staged::begin(&path)?;
            staged.file.write_all(&content)?;
            staged.finish(&folder.0)
        })
        .await
    }

    pub(crate) async fn create(&self, name: &str, content: Bytes) -> Result<bool, String> {
        let (folder, path) = (self.clone(), self.path(name)?);
        outside(move || {
            let mut staged = Staged::begin(&path)?;
            staged.file.write_all(&content)?;
            staged.file.sync_all()?;
            // Unlike a rename, a hard link never replaces an existing file.
            match fs::hard_link(&staged.beside, &path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                linked => linked.and_then(|()| sync_folders(&path, &folder.0)).map(|()| true),
            }
        })
        .await
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part::Folder { folder: self.clone(), path: self.path(name), staged: None }
    }

    /// Appends to an object that is being written, and creates it at the first piece.
    pub(crate) async fn add(
        &self,
        path: PathBuf,
        staged: Option<Staged>,
        piece: Bytes,
    ) -> Result<Staged, String> {
        outside(move || {
            let mut staged = staged.map_or_else(|| Staged::begin(&path), Ok)?;
            staged.file.write_all(&piece)?;
            Ok(staged)
        })
        .await
    }

    /// Completes an object from the pieces written.
    pub(crate) async fn finish(&self, path: PathBuf, staged: Option<Staged>) -> Result<(), String> {
        let folder = self.clone();
        outside(move || staged.map_or_else(|| Staged::begin(&path), Ok)?.finish(&folder.0)).await
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, String> {
        let path = self.path(name)?;
        outside(move || if_there(fs::read(path))).await.map(|content| content.map(Bytes::from))
    }

    pub(crate) async fn stat(&self, name: &str) -> Result<Option<Stat>, String> {
        let path = self.path(name)?;
        let Some(found) = outside(move || if_there(path.metadata())).await? else { return Ok(None) };
        let tag = format!("{:x}-{:x}-{:x}-{:x}", found.ino(), found.mtime(), found.mtime_nsec(), found.len());
        Ok(found.is_file().then_some(Stat { size: found.len(), tag }))
    }

    pub(crate) async fn read(
        &self,
        name: &str,
        error: impl Fn(String) -> StoreError + Send + Sync + 'static,
    ) -> Result<Pieces, String> {
        let path = self.path(name)?;
        let file = outside(move || File::open(path)).await?;
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&file).take(PIECE as u64).read_to_end(&mut piece);
                let last = !matches!(read, Ok(1..));
                let told = match read {
                    Ok(0) => Ok(()),
                    Ok(_) => sender.blocking_send(Ok(piece.into())),
                    Err(reason) => sender.blocking_send(Err(error(reason.to_string()))),
                };
                if last || told.is_err() {
                    return;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(pieces)))
    }

    pub(crate) async fn names(&self) -> Result<Vec<String>, String> {
        let root = self.0.clone();
        outside(move || {
            let mut names = Vec::new();
            list(&root, "", &mut names)?;
            Ok(names)
        })
        .await
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), String> {
        let path = self.path(name)?;
        outside(move || if_there(fs::remove_file(path)).map(drop)).await
    }

    /// Removes everything under a prefix, objects or not.
    pub(crate) fn remove_rest(&self, first: &str) -> Result<(), String> {
        let path = self.path(first)?;
        if_there(fs::remove_dir_all(path)).map(drop).map_err(|error| error.to_string())
    }

    /// The path of an object: always within the folder.
    fn path(&self, name: &str) -> Result<PathBuf, String> {
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0') && !is_staged(part);
        match name.split('/').all(sound) {
            true => Ok(self.0.join(name)),
            false => Err("it is no name of an object".into()),
        }
    }
}

/// A temporary file beside the object's final path; removed unless it is finished.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    beside: PathBuf,
    place: PathBuf,
}

impl Staged {
    fn begin(place: &Path) -> io::Result<Self> {
        let parent = place.parent().expect("an object lies in the folder");
        fs::create_dir_all(parent)?;
        for number in 1_u64.. {
            let mut beside = place.as_os_str().to_owned();
            beside.push(format!("#{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&beside) {
                Ok(file) => return Ok(Staged { file, beside: beside.into(), place: place.into() }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("there are more numbers than files")
    }

    /// Moves it to its final path, durably.
    fn finish(self, root: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.place)?;
        sync_folders(&self.place, root)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename this name no longer exists.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Makes a name durable, and the names of the folders above it, which may be new.
fn sync_folders(path: &Path, root: &Path) -> io::Result<()> {
    let inside = |folder: &&Path| folder.starts_with(root);
    path.ancestors().skip(1).take_while(inside).try_for_each(|folder| File::open(folder)?.sync_all())
}

/// Whether a file is one that is being written, or was when its writer ended.
fn is_staged(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Adds the names of all objects in a folder.
fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file with another kind of name was not written here.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        // Another process may have removed it by now.
        match if_there(entry.path().metadata())? {
            Some(found) if found.is_dir() => list(&entry.path(), &format!("{name}/"), names)?,
            Some(found) if found.is_file() && !is_staged(&name) => names.push(name),
            _ => {}
        }
    }
    Ok(())
}

/// None if it does not exist or is a folder.
fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs a disk operation outside the async runtime.
async fn outside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        // The runtime is ending.
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_written_files_of_an_ended_process_are_not_objects_and_do_no_harm() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/one#1"), "hal").unwrap();
        let folder = Folder::open(root.path().into()).unwrap();
        assert_eq!(folder.names().await.unwrap(), [] as [&str; 0]);
        folder.put("a/one", "whole".into()).await.unwrap();
        assert_eq!(folder.names().await.unwrap(), ["a/one"]);
        assert_eq!(folder.get("a/one").await.unwrap().unwrap(), "whole");
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("outside"), "secret").unwrap();
        let folder = Folder::open(root.path().join("inside")).unwrap();
        for name in ["../outside", "a/../../outside", "/outside", "", "a//b", "./a", "a#1"] {
            assert!(folder.get(name).await.is_err(), "{name}");
            assert!(folder.put(name, "x".into()).await.is_err(), "{name}");
            assert!(folder.remove(name).await.is_err(), "{name}");
        }
        assert_eq!(fs::read_to_string(root.path().join("outside")).unwrap(), "secret");
    }
}
