use std::path::PathBuf;

use bytes::Bytes;
#[cfg(feature = "objects")]
use object_store::buffered::BufWriter;
#[cfg(feature = "objects")]
use tokio::io::AsyncWriteExt;

#[cfg(feature = "objects")]
use crate::error::innermost;
use crate::{
    StoreError,
    folder::{Folder, Staged},
    memory::Memory,
};

/// An object that is being written piece by piece. It is invisible before [`Writer::finish`]; if dropped earlier, it
/// leaves nothing that looks like an object.
pub struct Writer {
    part: Part,
    name: String,
}

/// The pieces written so far.
pub(crate) enum Part {
    Folder {
        folder: Folder,
        path: Result<PathBuf, String>,
        staged: Option<Staged>,
    },
    Memory {
        memory: Memory,
        name: String,
        content: Vec<u8>,
    },
    #[cfg(feature = "objects")]
    Objects(BufWriter),
}

impl Writer {
    pub(crate) fn new(part: Part, name: String) -> Self {
        Writer { part, name }
    }

    /// Appends a piece.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be written.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.part.write(piece).await.map_err(|reason| error(&self.name, reason))
    }

    /// Completes the object, durably.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`] if it cannot be written.
    pub async fn finish(self) -> Result<(), StoreError> {
        let name = self.name;
        self.part.finish().await.map_err(|reason| error(&name, reason))
    }

    /// Abandons the object, so that an object store does not keep its parts.
    pub async fn abandon(self) {
        match self.part {
            // The store has already reported why it fails.
            #[cfg(feature = "objects")]
            Part::Objects(mut writer) => drop(writer.abort().await),
            // Dropping is enough.
            part => drop(part),
        }
    }
}

impl Part {
    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        match self {
            Part::Folder { folder, path, staged } => {
                *staged = Some(folder.add(path.clone()?, staged.take(), piece).await?);
                Ok(())
            }
            Part::Memory { content, .. } => {
                content.extend_from_slice(&piece);
                Ok(())
            }
            #[cfg(feature = "objects")]
            Part::Objects(writer) => writer.put(piece).await.map_err(|error| innermost(&error)),
        }
    }

    async fn finish(self) -> Result<(), String> {
        match self {
            Part::Folder { folder, path, staged } => folder.finish(path?, staged).await,
            Part::Memory { memory, name, content } => memory.put(&name, content.into()).await,
            #[cfg(feature = "objects")]
            Part::Objects(mut writer) => writer.shutdown().await.map_err(|error| innermost(&error)),
        }
    }
}

fn error(name: &str, reason: String) -> StoreError {
    StoreError::Object { name: name.into(), reason }
}
