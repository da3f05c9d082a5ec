//! Storage of checkpoints: a folder, memory, or an object store (such as S3).
//!
//! Objects are written atomically, and are durable before a call returns: in a folder an object is written to a
//! temporary file, synced, renamed, and the folder synced.

mod error;
mod folder;
mod memory;
#[cfg(feature = "objects")]
mod objects;
mod writer;

pub use error::StoreError;
pub use writer::Writer;

#[cfg(feature = "objects")]
pub use object_store;

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    pin::Pin,
};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio_stream::Stream;

use folder::Folder;
use memory::Memory;
#[cfg(feature = "objects")]
use objects::Objects;

/// A store of named objects. Names have parts separated by slashes.
#[derive(Clone, Debug)]
pub struct Store {
    place: Root,
    location: String,
}

/// The kind of store.
#[derive(Clone, Debug)]
enum Root {
    Folder(Folder),
    Memory(Memory),
    #[cfg(feature = "objects")]
    Objects(Objects),
}

/// Properties of an object that are known without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes.
    pub size: u64,
    /// Changes with the content: the store's own tag, or the time of writing.
    pub tag: String,
}

/// The content of an object, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

/// Calls the same method on any kind of store; errors get the object's name.
macro_rules! at {
    ($store:expr, $place:ident => $call:expr) => {
        match &$store.place {
            Root::Folder($place) => $call,
            Root::Memory($place) => $call,
            #[cfg(feature = "objects")]
            Root::Objects($place) => $call,
        }
    };
}

impl Store {
    /// Opens a store: the path of a folder, which is created if missing, or a URL (`s3://bucket/prefix`,
    /// `file:///folder`). Other settings of an object store come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, ...).
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if the folder or URL cannot be opened.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let fail = |reason: &str| StoreError::Open { location: location.into(), reason: reason.into() };
        let Some((scheme, rest)) = location.split_once("://") else {
            return Store::folder(PathBuf::from(location));
        };
        match scheme {
            "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => {
                    let path: Vec<u8> = percent_decode_str(path).collect();
                    Store::folder(Path::new(OsStr::from_bytes(&path)).into())
                }
                _ => Err(fail("it is no path of a folder")),
            },
            "memory" => Ok(Store::in_memory()),
            #[cfg(feature = "cloud")]
            _ => {
                let objects = Objects::open(location).map_err(|reason| fail(&reason))?;
                Ok(Store { place: Root::Objects(objects), location: location.into() })
            }
            #[cfg(not(feature = "cloud"))]
            _ => Err(fail(without_cloud(scheme))),
        }
    }

    /// A folder of this machine.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if it cannot be opened.
    pub fn folder(path: PathBuf) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        match Folder::open(path) {
            Ok(folder) => Ok(Store { place: Root::Folder(folder), location }),
            Err(error) => Err(StoreError::Open { location, reason: error.to_string() }),
        }
    }

    /// A store that lasts as long as the process.
    pub fn in_memory() -> Self {
        Store { place: Root::Memory(Memory::default()), location: "memory".into() }
    }

    /// Any other object store.
    #[cfg(feature = "objects")]
    pub fn over(objects: std::sync::Arc<dyn object_store::ObjectStore>, location: &str) -> Self {
        Store { place: Root::Objects(Objects::over(objects)), location: location.into() }
    }

    /// The full name of an object, for messages.
    pub fn name_of(&self, name: &str) -> String {
        format!("{}/{name}", self.location.trim_end_matches('/'))
    }

    /// Writes an object atomically.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be written.
    pub async fn put(&self, name: &str, content: impl Into<Bytes>) -> Result<(), StoreError> {
        let content = content.into();
        at!(self, place => place.put(name, content).await).map_err(|reason| self.error(name, reason))
    }

    /// Writes an object atomically if there is none of that name. Of several concurrent calls one succeeds; returns
    /// whether it was this one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be written.
    pub async fn create(&self, name: &str, content: impl Into<Bytes>) -> Result<bool, StoreError> {
        let content = content.into();
        at!(self, place => place.create(name, content).await).map_err(|reason| self.error(name, reason))
    }

    /// Starts writing an object piece by piece.
    pub fn writer(&self, name: &str) -> Writer {
        let part = at!(self, place => place.part(name));
        Writer::new(part, self.name_of(name))
    }

    /// An object's content; none if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        at!(self, place => place.get(name).await).map_err(|reason| self.error(name, reason))
    }

    /// The properties of an object; none if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if they cannot be read.
    pub async fn stat(&self, name: &str) -> Result<Option<Stat>, StoreError> {
        at!(self, place => place.stat(name).await).map_err(|reason| self.error(name, reason))
    }

    /// An object's content piece by piece.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it does not exist or cannot be read.
    pub async fn read(&self, name: &str) -> Result<Pieces, StoreError> {
        let store = self.clone();
        let owned = name.to_owned();
        let error = move |reason| store.error(&owned, reason);
        at!(self, place => place.read(name, error).await).map_err(|reason| self.error(name, reason))
    }

    /// The names of all objects, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if they cannot be listed.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = at!(self, place => place.names().await).map_err(|reason| self.error("", reason))?;
        names.sort();
        Ok(names)
    }

    /// Removes an object if it exists.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        at!(self, place => place.remove(name).await).map_err(|reason| self.error(name, reason))
    }

    /// Removes all objects under a prefix and, in a folder, everything else there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if something cannot be removed.
    pub async fn remove_all(&self, first: &str) -> Result<(), StoreError> {
        let under = format!("{first}/");
        for name in self.names().await?.into_iter().filter(|name| name.starts_with(&under)) {
            self.remove(&name).await?;
        }
        match &self.place {
            Root::Folder(folder) => folder.remove_rest(first).map_err(|reason| self.error(first, reason)),
            _ => Ok(()),
        }
    }

    fn error(&self, name: &str, reason: String) -> StoreError {
        StoreError::Object { name: self.name_of(name), reason }
    }
}

/// Why a build without the feature `cloud` cannot open a URL of this scheme.
#[cfg(any(test, not(feature = "cloud")))]
fn without_cloud(scheme: &str) -> &'static str {
    match scheme {
        "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss" | "http" | "https" => {
            "this program was built without object stores: build it with --features cloud (cargo build --release \
             --features cloud)"
        }
        _ => "neither a folder, nor a URL like file:///folder or s3://bucket/prefix",
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    /// Folders, memory and other implementations of object stores must behave alike.
    fn stores(folder: &Path) -> Vec<Store> {
        let url = format!("file://{}/a%20folder", folder.display());
        vec![
            Store::open(folder.join("plain").to_str().unwrap()).unwrap(),
            Store::open(&url).unwrap(),
            Store::in_memory(),
            #[cfg(feature = "objects")]
            Store::over(std::sync::Arc::new(object_store::memory::InMemory::new()), "objects"),
        ]
    }

    #[tokio::test]
    async fn objects_are_found_by_their_names_and_removed_by_their_first_part() {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            for name in ["a/one", "a/two", "b/one", "top"] {
                store.put(name, name.as_bytes().to_vec()).await.unwrap();
            }
            assert_eq!(store.names().await.unwrap(), ["a/one", "a/two", "b/one", "top"]);
            assert_eq!(store.get("a/two").await.unwrap().unwrap(), "a/two");
            store.put("a/two", "new").await.unwrap();
            assert_eq!(store.get("a/two").await.unwrap().unwrap(), "new");
            assert_eq!(store.get("a/three").await.unwrap(), None);
            store.remove("a/one").await.unwrap();
            store.remove("a/one").await.unwrap();
            assert_eq!(store.names().await.unwrap(), ["a/two", "b/one", "top"]);
            store.remove_all("a").await.unwrap();
            assert_eq!(store.names().await.unwrap(), ["b/one", "top"]);
            store.remove_all("a").await.unwrap();
        }
        assert!(folder.path().join("a folder").is_dir());
        assert!(!folder.path().join("plain/a").exists());
    }

    #[tokio::test]
    async fn only_one_creates_an_object() {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            assert!(store.create("a/one", "first").await.unwrap());
            assert!(!store.create("a/one", "second").await.unwrap());
            assert_eq!(store.get("a/one").await.unwrap().unwrap(), "first");
            assert_eq!(store.names().await.unwrap(), ["a/one"]);
        }
    }

    #[tokio::test]
    async fn nothing_is_to_be_seen_of_an_object_before_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        // Larger than one write, so that several parts are uploaded.
        let piece = Bytes::from(vec![7; 6 << 20]);
        for store in stores(folder.path()) {
            let mut writer = store.writer("a/one");
            for _ in 0..3 {
                writer.write(piece.clone()).await.unwrap();
            }
            assert_eq!(store.names().await.unwrap(), [] as [&str; 0]);
            writer.finish().await.unwrap();
            assert_eq!(store.get("a/one").await.unwrap().unwrap().len(), 18 << 20);

            let mut dropped = store.writer("a/two");
            dropped.write(piece.clone()).await.unwrap();
            dropped.write(piece.clone()).await.unwrap();
            drop(dropped);
            let mut abandoned = store.writer("a/three");
            abandoned.write(piece.clone()).await.unwrap();
            abandoned.abandon().await;
            assert_eq!(store.names().await.unwrap(), ["a/one"]);

            assert!(store.read("a/four").await.is_err());
            let mut pieces = store.read("a/one").await.unwrap();
            let mut size = 0;
            while let Some(piece) = pieces.next().await {
                size += piece.unwrap().len();
            }
            assert_eq!(size, 18 << 20);
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for location in [path, "s4://bucket/prefix", "x://", "file://host/folder"] {
            let error = Store::open(location).unwrap_err().to_string();
            assert!(error.starts_with(location), "{error}");
        }
    }

    #[test]
    fn a_build_without_object_stores_names_the_feature_that_has_them() {
        for scheme in ["s3", "gs", "https"] {
            assert!(without_cloud(scheme).contains("cargo build --release --features cloud"));
        }
        assert!(without_cloud("s4").contains("neither a folder, nor a URL"));
    }
}
