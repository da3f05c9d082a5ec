use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{Pieces, Stat, StoreError, writer::Part};

/// A store that lasts as long as the process. Clones share their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: Mutex<BTreeMap<String, Object>>,
    written: AtomicU64,
}

#[derive(Clone, Debug)]
struct Object {
    content: Bytes,
    /// How many objects had been written before it.
    number: u64,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.0.objects.lock().expect("nobody panics with it")
    }

    fn object(&self, content: Bytes) -> Object {
        Object { content, number: self.0.written.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) async fn put(&self, name: &str, content: Bytes) -> Result<(), String> {
        self.objects().insert(name.into(), self.object(content));
        Ok(())
    }

    pub(crate) async fn create(&self, name: &str, content: Bytes) -> Result<bool, String> {
        let mut objects = self.objects();
        let free = !objects.contains_key(name);
        if free {
            objects.insert(name.into(), self.object(content));
        }
        Ok(free)
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part::Memory { memory: self.clone(), name: name.into(), content: Vec::new() }
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, String> {
        Ok(self.objects().get(name).map(|object| object.content.clone()))
    }

    pub(crate) async fn stat(&self, name: &str) -> Result<Option<Stat>, String> {
        let stat =
            |object: &Object| Stat { size: object.content.len() as u64, tag: object.number.to_string() };
        Ok(self.objects().get(name).map(stat))
    }

    pub(crate) async fn read(
        &self,
        name: &str,
        _: impl Fn(String) -> StoreError + Send + Sync + 'static,
    ) -> Result<Pieces, String> {
        let content = self.get(name).await?.ok_or("it is not there")?;
        Ok(Box::pin(tokio_stream::once(Ok(content))))
    }

    pub(crate) async fn names(&self) -> Result<Vec<String>, String> {
        Ok(self.objects().keys().cloned().collect())
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), String> {
        self.objects().remove(name);
        Ok(())
    }
}
