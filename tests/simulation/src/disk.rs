//! A store in memory that outlives the coordinator, with delays and failures on demand.

use std::{
    fmt,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use coordinator::Manifest;
use randomness::Stream as Draws;
use sha2::{Digest, Sha256};
use store::{
    Store,
    object_store::{
        CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory,
        path::Path,
    },
};
use tokio_stream::{Stream, StreamExt};

use crate::{
    arithmetic::Weights,
    ledger::{Host, Ledger},
};

/// The logs of a run's folder.
pub(crate) const LOGS: [&str; 2] = ["metrics.jsonl", "selection.jsonl"];

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// The store. Clones share its content.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Inner>);

struct Inner {
    objects: InMemory,
    ledger: Ledger,
    /// The nodes whose states a checkpoint must have.
    hosts: Vec<Host>,
    /// The run's folder, whose logs a commit covers.
    folder: PathBuf,
    mood: Mutex<Mood>,
}

/// Its current behaviour.
struct Mood {
    draws: Draws,
    /// The longest delay of half a call, in milliseconds.
    slowness: u64,
    /// The share of calls that fail.
    failing: f64,
    /// How many of the next writes are cut in half.
    tears: u64,
}

impl Disk {
    /// An empty store for the checkpoints of these nodes.
    pub(crate) fn new(ledger: Ledger, hosts: Vec<Host>, folder: PathBuf, draws: Draws) -> Self {
        let mood = Mutex::new(Mood { draws, slowness: 4, failing: 0.0, tears: 0 });
        Disk(Arc::new(Inner { objects: InMemory::new(), ledger, hosts, folder, mood }))
    }

    pub(crate) fn store(&self) -> Store {
        Store::over(Arc::new(self.clone()), "simulated")
    }

    /// Sets the delay of calls in milliseconds, and the share that fails.
    pub(crate) fn behave(&self, slowness: u64, failing: f64) {
        let mut mood = self.mood();
        (mood.slowness, mood.failing) = (slowness, failing);
    }

    /// Cuts the next `writes` writes in half.
    pub(crate) fn tear(&self, writes: u64) {
        self.mood().tears = writes;
    }

    /// Flips a bit of a committed checkpoint, if another one is whole. The draws choose which.
    pub(crate) fn flip(&self, draws: &mut Draws) {
        let whole = self.0.ledger.record().whole();
        if whole.len() < 2 {
            return;
        }
        // Usually of the last one.
        let version = whole[whole.len() - 1 - draws.below(3) as usize / 2];
        let manifest = format!("round-{version:06}/manifest.json");
        let files = Manifest::parse(&self.read(&manifest)).map(|manifest| manifest.files).unwrap_or_default();
        let states = files.into_keys().map(|file| format!("round-{version:06}/{file}"));
        let names: Vec<String> = states.chain([manifest]).collect();
        let name = &names[draws.below(names.len() as u64) as usize];
        let mut content = self.read(name).to_vec();
        if content.is_empty() {
            return;
        }
        let at = draws.below(content.len() as u64) as usize;
        content[at] ^= 1 << draws.below(8);
        self.0.ledger.note(format_args!("a bit of byte {at} of {name} flips"));
        self.0.ledger.damages(version);
        let _ = at_once(self.0.objects.put(&Path::from(name.as_str()), Bytes::from(content).into()));
    }

    /// The current content of an object; empty if it does not exist.
    fn read(&self, name: &str) -> Bytes {
        at_once(async {
            let found = self.0.objects.get(&Path::from(name)).await.ok()?;
            found.bytes().await.ok()
        })
        .unwrap_or_default()
    }

    /// Whether this write is cut.
    fn tears(&self) -> bool {
        let mut mood = self.mood();
        let tears = mood.tears > 0;
        mood.tears = mood.tears.saturating_sub(1);
        tears
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.0.mood.lock().expect("nobody panics with it")
    }

    /// Half of a call: the part before the operation, or after it.
    async fn half(&self, what: &str, name: &Path) -> Result<()> {
        let (pause, fails) = {
            let mut mood = self.mood();
            let slowness = mood.slowness;
            let pause = Duration::from_millis(mood.draws.below(slowness + 1));
            (pause, mood.failing > 0.0 && mood.draws.uniform() < mood.failing / 2.0)
        };
        self.0.ledger.record().store_calls += 1;
        tokio::time::sleep(pause).await;
        if fails {
            self.0.ledger.note(format_args!("the store fails to {what} {name}"));
            return Err(broken());
        }
        Ok(())
    }

    /// Records the meaning of a written object.
    async fn written(&self, name: &Path) -> Result<()> {
        let content = self.0.objects.get(name).await?.bytes().await?;
        if let Some(number) = name.as_ref().strip_prefix("incarnations/") {
            self.0.ledger.incarnation(number.parse().unwrap_or(0));
        } else if name.as_ref().ends_with("/manifest.json") {
            self.committed(&content).await;
        }
        Ok(())
    }

    /// Whether an object belongs to a checkpoint, not to the remains of earlier attempts.
    async fn is_committed(&self, name: &Path, version: u64) -> bool {
        let manifest = Path::from(format!("round-{version:06}/manifest.json"));
        let Ok(found) = self.0.objects.get(&manifest).await else { return false };
        let files = Manifest::parse(&found.bytes().await.unwrap_or_default()).map(|manifest| manifest.files);
        let is_named = |file: &str| files.is_ok_and(|files| files.contains_key(file));
        *name == manifest || name.filename().is_some_and(is_named)
    }

    /// A manifest exists: so must everything that it names.
    async fn committed(&self, manifest: &[u8]) {
        let Ok(manifest) = Manifest::parse(manifest) else {
            return self.0.ledger.violation("a manifest is none");
        };
        let mut states = Vec::new();
        for host in &self.0.hosts {
            // The host's own state, of any incarnation.
            let own = |file: &&String| file.split('.').next() == Some(host.to_string().as_str());
            let file = manifest.files.keys().find(own).cloned().unwrap_or_default();
            let name = Path::from(format!("round-{:06}/{file}", manifest.round));
            let state = match self.0.objects.get(&name).await {
                Ok(found) => found.bytes().await.unwrap_or_default(),
                Err(_) => Bytes::new(),
            };
            let hash: String = Sha256::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect();
            match Weights::restore(&host.to_string(), &state) {
                Ok(weights) if manifest.files.get(&file) == Some(&hash) => states.push((*host, weights)),
                _ => self.0.ledger.violation(format_args!("a manifest stands without {name}")),
            }
        }
        let incarnation = manifest.run.as_ref().map_or(0, |run| run.incarnation);
        self.0.ledger.committed(manifest.round, incarnation, &states);
        let length = |name: &str| std::fs::metadata(self.0.folder.join(name)).map_or(0, |file| file.len());
        self.0.ledger.record().synced = LOGS.map(length);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a simulated store")
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a simulated store")
    }
}

#[tonic::async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, to: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.half("begin", to).await?;
        if is_long(to) && self.tears() {
            let whole: Vec<u8> = what.iter().flat_map(|piece| piece.to_vec()).collect();
            let half = Bytes::copy_from_slice(&whole[..whole.len() / 2]);
            self.0.ledger.note(format_args!("the store tears {to}"));
            self.0.objects.put_opts(to, half.into(), how).await?;
            return Err(broken());
        }
        let put = self.0.objects.put_opts(to, what, how).await?;
        self.written(to).await?;
        // It exists, even if its writer never receives the acknowledgement.
        self.half("acknowledge", to).await?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.objects.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.half("read", from).await?;
        self.0.objects.get_opts(from, how).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.half("read", from).await?;
        self.0.objects.get_ranges(from, ranges).await
    }

    fn delete_stream(&self, paths: Boxed<Path>) -> Boxed<Path> {
        let disk = self.clone();
        Box::pin(paths.then(move |path| {
            let disk = disk.clone();
            async move {
                let path = path?;
                disk.half("remove", &path).await?;
                if let Some(version) = version_of(&path)
                    && disk.is_committed(&path, version).await
                {
                    disk.0.ledger.removes(version);
                }
                disk.0.objects.delete(&path).await?;
                Ok(path)
            }
        }))
    }

    fn list(&self, prefix: Option<&Path>) -> Boxed<ObjectMeta> {
        self.0.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.half("copy", to).await?;
        self.0.objects.copy_opts(from, to, how).await
    }
}

/// Whether an object may be written in part by a store that breaks its contract: states and logs are long. Others are
/// written completely or not at all.
fn is_long(name: &Path) -> bool {
    [".safetensors", ".jsonl"].iter().any(|end| name.as_ref().ends_with(end))
}

/// Operations that take no time in memory.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}

fn broken() -> Error {
    Error::Generic { store: "simulated", source: "input/output error".into() }
}

/// The version to whose checkpoint an object belongs.
fn version_of(path: &Path) -> Option<u64> {
    path.as_ref().split_once('/')?.0.strip_prefix("round-")?.parse().ok()
}
