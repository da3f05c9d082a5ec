use std::sync::Arc;

use bytes::Bytes;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, buffered::BufWriter, path::Path};
use tokio_stream::StreamExt;

use crate::{Pieces, Stat, StoreError, error, writer::Part};

/// S3 and other implementations of the trait.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    /// Opens the store at a URL.
    #[cfg(feature = "cloud")]
    pub(crate) fn open(location: &str) -> Result<Self, String> {
        // Another part of the program may have installed one already, which then stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.to_str()?.to_ascii_lowercase(), value.to_str()?.to_owned()))
        });
        let url = url::Url::parse(location).map_err(|error| error.to_string())?;
        let (objects, prefix) =
            object_store::parse_url_opts(&url, variables).map_err(|error| reason(&error))?;
        Ok(Objects { objects: objects.into(), prefix })
    }

    pub(crate) fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Objects { objects, prefix: Path::default() }
    }

    pub(crate) async fn put(&self, name: &str, content: Bytes) -> Result<(), String> {
        self.objects.put(&self.path(name), content.into()).await.map(drop).map_err(|error| reason(&error))
    }

    pub(crate) async fn create(&self, name: &str, content: Bytes) -> Result<bool, String> {
        match self.objects.put_opts(&self.path(name), content.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(reason(&error)),
        }
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part::Objects(BufWriter::new(self.objects.clone(), self.path(name)))
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, String> {
        if_there(async { self.objects.get(&self.path(name)).await?.bytes().await }.await)
    }

    pub(crate) async fn stat(&self, name: &str) -> Result<Option<Stat>, String> {
        let found = if_there(self.objects.head(&self.path(name)).await)?;
        Ok(found.map(|found| Stat {
            size: found.size,
            tag: found.e_tag.unwrap_or_else(|| found.last_modified.to_rfc3339()),
        }))
    }

    pub(crate) async fn read(
        &self,
        name: &str,
        error: impl Fn(String) -> StoreError + Send + Sync + 'static,
    ) -> Result<Pieces, String> {
        let found = self.objects.get(&self.path(name)).await.map_err(|error| reason(&error))?;
        let pieces = found.into_stream().map(move |piece| piece.map_err(|cause| error(reason(&cause))));
        Ok(Box::pin(pieces))
    }

    pub(crate) async fn names(&self) -> Result<Vec<String>, String> {
        let prefix = Some(&self.prefix).filter(|prefix| prefix.parts().next().is_some());
        let mut objects = self.objects.list(prefix);
        let mut names = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| reason(&error))?;
            if let Some(parts) = object.location.prefix_match(&self.prefix) {
                names.push(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            }
        }
        Ok(names)
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), String> {
        if_there(self.objects.delete(&self.path(name)).await).map(drop)
    }

    fn path(&self, name: &str) -> Path {
        let mut path = self.prefix.clone();
        for part in name.split('/') {
            path = path.join(part);
        }
        path
    }
}

fn if_there<T>(outcome: Result<T, Error>) -> Result<Option<T>, String> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &Error) -> String {
    error::innermost(error)
}
