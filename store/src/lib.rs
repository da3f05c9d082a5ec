//! Where checkpoints lie: a folder, memory, or an object store (S3 and its like).
//!
//! Every object is there whole or not at all, and durable before a call returns: in a folder it is written beside its place,
//! synced, renamed, and the folder synced.

mod error;
mod writer;

pub use error::StoreError;
pub use writer::Writer;

pub use object_store;

use std::{path::PathBuf, pin::Pin, sync::Arc};

use bytes::Bytes;
use object_store::{
    ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, local::LocalFileSystem, memory::InMemory,
    path::Path,
};
use tokio_stream::{Stream, StreamExt};
use url::Url;

/// A place for named objects. Names have parts, with slashes between them.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder that it is, if it is one.
    folder: Option<PathBuf>,
    location: String,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes.
    pub size: u64,
    /// Changes when its content does: the store's own tag, or when it was written.
    pub tag: String,
}

/// The content of an object, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

impl Store {
    /// Opens a store: the path of a folder, which is made if it is not there, or a URL (`s3://bucket/prefix`,
    /// `file:///folder`). What an object store needs to know besides, it takes from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, ...).
    pub fn open(location: &str) -> Result<Self, StoreError> {
        if !location.contains("://") {
            return Store::folder(PathBuf::from(location));
        }
        let fail = |reason: String| StoreError::Open { location: location.into(), reason };
        let url = Url::parse(location).map_err(|error| fail(error.to_string()))?;
        let (scheme, _) = ObjectStoreScheme::parse(&url).map_err(|error| fail(error.to_string()))?;
        if scheme == ObjectStoreScheme::Local {
            return Store::folder(url.to_file_path().map_err(|()| fail("it is no path of a folder".into()))?);
        }
        #[cfg(feature = "cloud")]
        // Somebody may have chosen already, and then that holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.to_str()?.to_ascii_lowercase(), value.to_str()?.to_owned()))
        });
        let (objects, prefix) =
            object_store::parse_url_opts(&url, variables).map_err(|error| match error {
                object_store::Error::Generic { .. } if !cfg!(feature = "cloud") => fail(
                    "this program was built without object stores: build it with --features cloud".into(),
                ),
                error => fail(error.to_string()),
            })?;
        Ok(Store { objects: objects.into(), prefix, folder: None, location: location.into() })
    }

    /// A folder of this machine.
    pub fn folder(path: PathBuf) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        let fail = |reason: String| StoreError::Open { location: location.clone(), reason };
        std::fs::create_dir_all(&path).map_err(|error| fail(error.to_string()))?;
        let objects = LocalFileSystem::new_with_prefix(&path).map_err(|error| fail(error.to_string()))?;
        let objects = Arc::new(objects.with_fsync(true));
        Ok(Store { objects, prefix: Path::default(), folder: Some(path), location })
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Self {
        Store::over(Arc::new(InMemory::new()), "memory")
    }

    /// Any other object store.
    pub fn over(objects: Arc<dyn ObjectStore>, location: &str) -> Self {
        Store { objects, prefix: Path::default(), folder: None, location: location.into() }
    }

    /// The full name of an object, for people.
    pub fn name_of(&self, name: &str) -> String {
        format!("{}/{name}", self.location.trim_end_matches('/'))
    }

    /// Writes an object whole.
    pub async fn put(&self, name: &str, content: impl Into<Bytes>) -> Result<(), StoreError> {
        let put = self.objects.put(&self.path(name), content.into().into()).await;
        put.map(drop).map_err(|error| self.error(name, error))
    }

    /// Writes an object whole if there is none of that name. Of several that try at the same time, one does; gives whether it
    /// was this one.
    pub async fn create(&self, name: &str, content: impl Into<Bytes>) -> Result<bool, StoreError> {
        match self.objects.put_opts(&self.path(name), content.into().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.error(name, error)),
        }
    }

    /// Begins to write an object piece by piece.
    pub fn writer(&self, name: &str) -> Writer {
        Writer::new(self.objects.clone(), self.path(name), self.name_of(name))
    }

    /// An object's content; none if it is not there.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.objects.get(&self.path(name)).await?.bytes().await };
        match read.await {
            Ok(content) => Ok(Some(content)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(name, error)),
        }
    }

    /// What is known of an object; none if it is not there.
    pub async fn stat(&self, name: &str) -> Result<Option<Stat>, StoreError> {
        match self.objects.head(&self.path(name)).await {
            Ok(meta) => {
                let tag = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
                Ok(Some(Stat { size: meta.size, tag }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(name, error)),
        }
    }

    /// The same piece by piece. It must be there.
    pub async fn read(&self, name: &str) -> Result<Pieces, StoreError> {
        let result = self.objects.get(&self.path(name)).await.map_err(|error| self.error(name, error))?;
        let (store, name) = (self.clone(), name.to_owned());
        let pieces = result.into_stream().map(move |piece| piece.map_err(|error| store.error(&name, error)));
        Ok(Box::pin(pieces))
    }

    /// The names of all objects, in order.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        let prefix = Some(&self.prefix).filter(|prefix| prefix.parts().next().is_some());
        let mut objects = self.objects.list(prefix);
        let mut names = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| self.error("", error))?;
            if let Some(parts) = object.location.prefix_match(&self.prefix) {
                names.push(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(name, error)),
        }
    }

    /// Removes all objects under a first part of their names, and in a folder whatever else lies there.
    pub async fn remove_all(&self, first: &str) -> Result<(), StoreError> {
        let under = format!("{first}/");
        for name in self.names().await?.into_iter().filter(|name| name.starts_with(&under)) {
            self.remove(&name).await?;
        }
        let folder = self.folder.as_ref().map(|folder| folder.join(first)).filter(|folder| folder.exists());
        match folder.map(std::fs::remove_dir_all) {
            Some(Err(error)) => {
                Err(StoreError::Object { name: self.name_of(first), reason: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> Path {
        let mut path = self.prefix.clone();
        for part in name.split('/') {
            path = path.join(part);
        }
        path
    }

    fn error(&self, name: &str, error: object_store::Error) -> StoreError {
        StoreError::Object { name: self.name_of(name), reason: error::reason(&error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder and memory: what holds for one holds for the other.
    fn stores(folder: &std::path::Path) -> [Store; 2] {
        [Store::open(folder.to_str().unwrap()).unwrap(), Store::in_memory()]
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
        assert!(!folder.path().join("a").exists());
    }

    #[tokio::test]
    async fn only_one_creates_an_object() {
        let folder = tempfile::tempdir().unwrap();
        for store in stores(folder.path()) {
            assert!(store.create("a/one", "first").await.unwrap());
            assert!(!store.create("a/one", "second").await.unwrap());
            assert_eq!(store.get("a/one").await.unwrap().unwrap(), "first");
        }
    }

    #[tokio::test]
    async fn nothing_is_to_be_seen_of_an_object_before_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        // Larger than what is written in one go, so that parts are on their way.
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
        for location in [path, "s4://bucket/prefix", "file://host/folder"] {
            let error = Store::open(location).unwrap_err().to_string();
            assert!(error.starts_with(location), "{error}");
        }
        #[cfg(not(feature = "cloud"))]
        {
            let error = Store::open("s3://bucket/prefix").unwrap_err().to_string();
            assert!(error.contains("build it with --features cloud"), "{error}");
        }
    }
}
