//! A store for tests that fails.

use std::{
    fmt,
    ops::Range,
    sync::atomic::{AtomicI64, Ordering},
};

use store::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use tokio_stream::Stream;

type Boxed<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// A store that fails at one of its writes, as with a full disk or a killed process.
#[derive(Debug)]
pub(super) struct Failing {
    inner: InMemory,
    writes_left: AtomicI64,
}

impl Failing {
    /// A store in memory that fails after this number of writes.
    pub(super) fn after(writes: i64) -> Self {
        Failing { inner: InMemory::new(), writes_left: writes.into() }
    }

    fn write(&self) -> Result<()> {
        match self.writes_left.fetch_sub(1, Ordering::Relaxed) > 0 {
            true => Ok(()),
            false => Err(store::object_store::Error::Generic {
                store: "test",
                source: "no space left on device".into(),
            }),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("failing")
    }
}

#[tonic::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, to: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.write()?;
        self.inner.put_opts(to, what, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.write()?;
        self.inner.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, how).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(from, ranges).await
    }

    fn delete_stream(&self, paths: Boxed<Path>) -> Boxed<Path> {
        match self.write() {
            Ok(()) => self.inner.delete_stream(paths),
            Err(error) => Box::pin(tokio_stream::once(Err(error))),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> Boxed<ObjectMeta> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.write()?;
        self.inner.copy_opts(from, to, how).await
    }
}
