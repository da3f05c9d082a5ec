use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use tokio::io::AsyncWriteExt;

use crate::{StoreError, error::reason};

/// An object that is being written piece by piece. Nothing is to be seen of it before [`Writer::finish`]; one that is
/// dropped before leaves nothing behind that anybody would take for it.
pub struct Writer {
    writer: BufWriter,
    name: String,
}

impl Writer {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, path: Path, name: String) -> Self {
        Writer { writer: BufWriter::new(objects, path), name }
    }

    /// Adds a piece.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        let written = self.writer.put(piece).await;
        written.map_err(|error| self.error(&error))
    }

    /// Makes the object what was written: whole, and durable.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let finished = self.writer.shutdown().await;
        finished.map_err(|error| self.error(&error))
    }

    /// Gives it up, so that nothing is left of it where parts of objects are paid for.
    pub async fn abandon(mut self) {
        // A store that cannot even do that has said why before.
        let _ = self.writer.abort().await;
    }

    fn error(&self, error: &(dyn std::error::Error + 'static)) -> StoreError {
        StoreError::Object { name: self.name.clone(), reason: reason(error) }
    }
}
