use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use safetensors::SafeTensors;
use scenario::Scenario;
use store::{Pieces, Store, Writer};

use crate::{
    CoordinatorError, Manifest,
    further::LINEAGE,
    manifest::{incarnation_of, state_name},
    members::Member,
    summary::{fingerprint_of, sha256_hex},
};

/// Committed checkpoints to keep: the last, and the one before in case the last is damaged.
const KEPT: usize = 2;

/// Name of the file whose presence makes a checkpoint valid.
const MANIFEST: &str = "manifest.json";

/// A run's checkpoints in their store.
///
/// A checkpoint is a state of every node and a manifest. The manifest is written last, names the states, and is the
/// commit: without it the states are ignored. A state's name holds its incarnation, and an incarnation writes it once.
/// So no file that a manifest names is ever rewritten, even if another attempt to write the same version fails.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    store: Store,
}

impl Checkpoints {
    pub(crate) fn new(store: Store) -> Self {
        Checkpoints { store }
    }

    /// Begins to write a member's state at a version.
    pub(crate) fn state_writer(&self, round: u64, member: Member, incarnation: u64) -> Writer {
        self.store.writer(&format!("{}/{}", folder(round), state_name(member, incarnation)))
    }

    /// A member's state at a committed version, and its SHA-256 from the manifest: the state may have been damaged
    /// since the checkpoint was checked.
    pub(crate) async fn state(
        &self,
        round: u64,
        member: Member,
    ) -> Result<(Pieces, String), CoordinatorError> {
        let manifest = self.manifest(round).await?;
        let file = manifest.file_of(member).ok_or_else(|| {
            let manifest = self.store.name_of(&manifest_name(round));
            CoordinatorError::Input(format!("{manifest}: it names no state of {member}"))
        })?;
        let state = self.store.read(&format!("{}/{file}", folder(round))).await?;
        Ok((state, manifest.files[file].clone()))
    }

    /// Makes a checkpoint valid, then removes what is no longer needed: all checkpoints but the last two, and leftovers
    /// of failed attempts.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<(), CoordinatorError> {
        self.store.put(&manifest_name(manifest.round), manifest.to_text()).await?;
        let names = self.store.names().await?;
        self.remove_leftovers(manifest, &names).await?;
        let rounds: BTreeSet<u64> = names.iter().filter_map(|name| round_of(name)).collect();
        // A whole later checkpoint would have been chosen to continue from.
        let earlier = committed(&names).into_iter().filter(|round| *round <= manifest.round);
        let mut kept: BTreeSet<u64> = earlier.rev().take(KEPT).collect();
        // For each kept checkpoint, the best checkpoint at that time must be kept too.
        for round in kept.clone() {
            let Ok(other) = self.manifest(round).await else { continue };
            kept.extend(other.run.and_then(|run| run.best).map(|best| best.round));
        }
        for outdated in rounds.difference(&kept) {
            self.store.remove_all(&folder(*outdated)).await?;
        }
        Ok(())
    }

    /// Removes the leftovers of earlier attempts beside a checkpoint's own files.
    async fn remove_leftovers(&self, manifest: &Manifest, names: &[String]) -> Result<(), CoordinatorError> {
        let under = format!("{}/", folder(manifest.round));
        let of_it = |name: &&String| {
            name.strip_prefix(&under)
                .is_some_and(|file| file != MANIFEST && !manifest.files.contains_key(file))
        };
        for name in names.iter().filter(of_it) {
            self.store.remove(name).await?;
        }
        Ok(())
    }

    /// The round of the last whole checkpoint, if there is one: it has a state of every member, and every file matches
    /// the manifest. A damaged checkpoint is skipped with a message. The manifest says how many transmitters and
    /// receivers there are; for manifests of the first versions, which do not say so, `members` does if known.
    ///
    /// # Errors
    /// If there are checkpoints and none is whole, or the store cannot be read.
    pub(crate) async fn last(
        &self,
        members: Option<(usize, usize)>,
    ) -> Result<Option<u64>, CoordinatorError> {
        let mut damage = None;
        for round in committed(&self.store.names().await?).into_iter().rev() {
            match self.find_damage(round, members).await? {
                None => {
                    if let Some(damage) = damage {
                        tracing::warn!(damage, round, "going on from the checkpoint before");
                    }
                    return Ok(Some(round));
                }
                Some(line) => damage = damage.or(Some(line)),
            }
        }
        damage.map_or(Ok(None), |line| {
            Err(CoordinatorError::Input(format!(
                "{line}; no other checkpoint is whole: restore it from a copy"
            )))
        })
    }

    /// The round of the best checkpoint on validation rows, as of the last whole checkpoint; none if no version was
    /// evaluated.
    ///
    /// # Errors
    /// As [`last`](Self::last), but about the best checkpoint.
    pub(crate) async fn best(
        &self,
        members: Option<(usize, usize)>,
    ) -> Result<Option<u64>, CoordinatorError> {
        let Some(last) = self.last(members).await? else { return Ok(None) };
        let Some(best) = self.manifest(last).await?.run.and_then(|run| run.best) else { return Ok(None) };
        match self.find_damage(best.round, members).await? {
            None => Ok(Some(best.round)),
            Some(line) => Err(CoordinatorError::Input(format!(
                "{line}: the checkpoint of round {}, the best, is not whole; leave out --best for the last",
                best.round
            ))),
        }
    }

    /// Whether the store holds any checkpoint.
    pub(crate) async fn any(&self) -> Result<bool, CoordinatorError> {
        Ok(self.newest().await?.is_some())
    }

    /// Removes all checkpoints.
    pub(crate) async fn clear(&self) -> Result<(), CoordinatorError> {
        let names = self.store.names().await?;
        for round in names.iter().filter_map(|name| round_of(name)).collect::<BTreeSet<u64>>() {
            self.store.remove_all(&folder(round)).await?;
        }
        Ok(())
    }

    /// Removes the stored lineage of an earlier run.
    pub(crate) async fn forget_lineage(&self) -> Result<(), CoordinatorError> {
        Ok(self.store.remove(LINEAGE).await?)
    }

    /// Describes the damage of a checkpoint, if there is any.
    async fn find_damage(
        &self,
        round: u64,
        members: Option<(usize, usize)>,
    ) -> Result<Option<String>, CoordinatorError> {
        let manifest = match self.manifest(round).await {
            Ok(manifest) => manifest,
            Err(CoordinatorError::Input(line)) => return Ok(Some(line)),
            Err(error) => return Err(error),
        };
        let is_of =
            |reason: String| Ok(Some(format!("{}: {reason}", self.store.name_of(&manifest_name(round)))));
        if manifest.round != round {
            return is_of(format!("it is the manifest of round {}", manifest.round));
        }
        if let Some(member) = manifest.missing(members) {
            return is_of(format!("it names no state of {member}"));
        }
        for (file, expected) in &manifest.files {
            let name = format!("{}/{file}", folder(round));
            let content = self.store.get(&name).await?;
            if content.is_none_or(|content| sha256_hex(&content) != *expected) {
                return Ok(Some(self.damaged(&name)));
            }
            // Hashing a large network takes a while: let other tasks run.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// The message about an object that does not match the manifest.
    pub(crate) fn damaged(&self, name: &str) -> String {
        format!("{}: it is not what the checkpoint's manifest says", self.store.name_of(name))
    }

    /// The round of the last checkpoint that has a manifest, whole or not.
    pub(crate) async fn newest(&self) -> Result<Option<u64>, CoordinatorError> {
        Ok(committed(&self.store.names().await?).last().copied())
    }

    /// The rounds of all checkpoints that have a manifest, in order.
    pub(crate) async fn rounds(&self) -> Result<Vec<u64>, CoordinatorError> {
        Ok(committed(&self.store.names().await?).into_iter().collect())
    }

    /// Checks that a run can continue from a checkpoint with the same bits.
    pub(crate) async fn check_numerics(&self, round: u64) -> Result<(), CoordinatorError> {
        match self.manifest(round).await?.numerics {
            dib::NUMERICS => Ok(()),
            other => Err(CoordinatorError::Input(format!(
                "{}: it was computed by numerics version {other}, and this program computes by version {}: go on with \
                 the program that wrote it, or train anew",
                self.store.name_of(&folder(round)),
                dib::NUMERICS
            ))),
        }
    }

    /// The fingerprint of a checkpoint: of the values of its parameters only.
    ///
    /// # Errors
    /// [`CoordinatorError::Input`] if the checkpoint has been damaged since it was written.
    pub(crate) async fn fingerprint(&self, round: u64) -> Result<String, CoordinatorError> {
        let mut hashes = BTreeMap::new();
        for (file, expected) in &self.manifest(round).await?.files {
            let name = format!("{}/{file}", folder(round));
            let content = self.store.get(&name).await?.unwrap_or_default();
            if sha256_hex(&content) != *expected {
                return Err(CoordinatorError::Input(self.damaged(&name)));
            }
            let tensors = SafeTensors::deserialize(&content).map_err(|error| {
                CoordinatorError::Input(format!("{}: {error}", self.store.name_of(&name)))
            })?;
            for (name, tensor) in tensors.tensors() {
                if node::is_parameter(&name) {
                    hashes.insert(name, sha256_hex(tensor.data()));
                }
            }
        }
        Ok(fingerprint_of(&hashes))
    }

    /// The manifest of a round.
    pub(crate) async fn manifest(&self, round: u64) -> Result<Manifest, CoordinatorError> {
        let name = manifest_name(round);
        let text = self.store.get(&name).await?.unwrap_or_default();
        Manifest::parse(&text)
            .map_err(|error| CoordinatorError::Input(format!("{}: {error}", self.store.name_of(&name))))
    }

    // ------------------------------------------------------------------------ the run's own files in a remote store

    /// Copies a checkpoint to another store, its manifest last.
    pub(crate) async fn copy(
        &self,
        round: u64,
        to: &Checkpoints,
        scenario: &Scenario,
    ) -> Result<(), CoordinatorError> {
        let mut manifest = self.manifest(round).await?;
        for file in manifest.files.keys() {
            let name = format!("{}/{file}", folder(round));
            let content = self.store.get(&name).await?;
            let gone =
                || CoordinatorError::Run(format!("{}: it has just been removed", self.store.name_of(&name)));
            to.store.put(&name, content.ok_or_else(gone)?).await?;
        }
        // From here on it belongs to another run.
        if let Some(run) = &mut manifest.run {
            run.scenario = scenario.to_toml();
            run.best = None;
        }
        Ok(to.store.put(&manifest_name(round), manifest.to_text()).await?)
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Stores a file of the run beside its checkpoints.
    pub(crate) async fn keep(&self, name: &str, content: impl Into<Bytes>) -> Result<(), CoordinatorError> {
        Ok(self.store.put(name, content).await?)
    }

    /// The last incarnation that left a state, if any.
    pub(crate) async fn last_incarnation(&self) -> Result<Option<u64>, CoordinatorError> {
        Ok(self.store.names().await?.iter().filter_map(|name| incarnation_of(name)).max())
    }

    /// The full name of a stored file, for messages.
    pub(crate) fn name_of(&self, name: &str) -> String {
        self.store.name_of(name)
    }

    /// The content of a stored file.
    pub(crate) async fn kept(&self, name: &str) -> Result<Option<Bytes>, CoordinatorError> {
        Ok(self.store.get(name).await?)
    }
}

fn folder(round: u64) -> String {
    format!("round-{round:06}")
}

fn manifest_name(round: u64) -> String {
    format!("{}/{MANIFEST}", folder(round))
}

/// The round of the checkpoint to which an object belongs.
fn round_of(name: &str) -> Option<u64> {
    name.split_once('/')?.0.strip_prefix("round-")?.parse().ok()
}

/// The rounds of all checkpoints that have a manifest, oldest first.
fn committed(names: &[String]) -> BTreeSet<u64> {
    names.iter().filter(|name| name.ends_with("/manifest.json")).filter_map(|name| round_of(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::binding;

    const MEMBERS: [Member; 2] =
        [Member { role: node::Role::Transmitter, index: 0 }, Member { role: node::Role::Receiver, index: 0 }];

    /// Writes the states of all members at a version; returns their hashes.
    async fn write(checkpoints: &Checkpoints, round: u64) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for member in MEMBERS {
            let state = format!("{member} at {round}");
            let mut writer = checkpoints.state_writer(round, member, 1);
            writer.write(state.clone().into()).await.unwrap();
            writer.finish().await.unwrap();
            files.insert(state_name(member, 1), sha256_hex(state.as_bytes()));
        }
        files
    }

    async fn write_and_commit(checkpoints: &Checkpoints, round: u64) {
        let files = write(checkpoints, round).await;
        checkpoints.commit(&Manifest::new(round, files, binding())).await.unwrap();
    }

    #[tokio::test]
    async fn only_a_committed_checkpoint_counts_and_the_last_two_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(Store::folder(directory.path().into()).unwrap());
        assert_eq!(checkpoints.last(None).await.unwrap(), None);
        write(&checkpoints, 10).await;
        assert_eq!(checkpoints.last(None).await.unwrap(), None);
        for round in [20, 30, 40] {
            write_and_commit(&checkpoints, round).await;
            assert_eq!(checkpoints.last(None).await.unwrap(), Some(round));
        }
        let folders = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut folders: Vec<_> = folders.collect();
        folders.sort();
        assert_eq!(folders, ["round-000030", "round-000040"]);
        checkpoints.check_numerics(40).await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(Store::folder(directory.path().into()).unwrap());
        for round in [20, 30] {
            write_and_commit(&checkpoints, round).await;
        }
        let spoil = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
        spoil("round-000030/receiver-0.1.safetensors", "receiver 0 at 3");
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(20));
        write_and_commit(&checkpoints, 30).await;
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(30));
        spoil("round-000030/manifest.json", "{\"round\": 30, \"pro");
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(20));
        std::fs::remove_file(directory.path().join("round-000020/transmitter-0.1.safetensors")).unwrap();
        let error = checkpoints.last(None).await.unwrap_err();
        assert!(error.is_input() && error.to_string().contains("round-000030/manifest.json"), "{error}");
    }

    #[tokio::test]
    async fn what_a_manifest_names_outlives_a_later_attempt_at_the_same_version() {
        let checkpoints = Checkpoints::new(Store::in_memory());
        write_and_commit(&checkpoints, 20).await;
        let mut again = checkpoints.state_writer(20, MEMBERS[0], 2);
        again.write("something else".into()).await.unwrap();
        again.finish().await.unwrap();
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(20));
        let (mut state, hash) = checkpoints.state(20, MEMBERS[0]).await.unwrap();
        assert_eq!(hash, sha256_hex(b"transmitter 0 at 20"));
        let content = tokio_stream::StreamExt::next(&mut state).await.unwrap().unwrap();
        assert_eq!(content, "transmitter 0 at 20");
        // The next commit of that version removes files that do not belong to it.
        write_and_commit(&checkpoints, 20).await;
        let names = checkpoints.store.names().await.unwrap();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[tokio::test]
    async fn a_checkpoint_of_the_first_versions_can_be_read() {
        let checkpoints = Checkpoints::new(Store::in_memory());
        let mut files = BTreeMap::new();
        for member in MEMBERS {
            let file = format!("{}-{}.safetensors", member.role.name(), member.index);
            checkpoints.keep(&format!("round-000020/{file}"), file.clone()).await.unwrap();
            files.insert(file.clone(), sha256_hex(file.as_bytes()));
        }
        let manifest = serde_json::json!({ "round": 20, "program": "0.2.0", "numerics": 2, "files": files });
        checkpoints.keep("round-000020/manifest.json", manifest.to_string()).await.unwrap();
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(20));
        for member in MEMBERS {
            assert!(checkpoints.state(20, member).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_new_checkpoint_outlives_later_ones_that_are_damaged() {
        let checkpoints = Checkpoints::new(Store::in_memory());
        for round in [20, 30, 40] {
            write_and_commit(&checkpoints, round).await;
        }
        for round in [30, 40] {
            checkpoints.keep(&manifest_name(round), "damaged").await.unwrap();
        }
        write_and_commit(&checkpoints, 25).await;
        assert_eq!(checkpoints.last(None).await.unwrap(), Some(25));
        let names = checkpoints.store.names().await.unwrap();
        assert!(names.iter().all(|name| name.starts_with("round-000025/")), "{names:?}");
    }

    #[tokio::test]
    async fn a_checkpoint_without_a_state_of_every_member_is_passed_over() {
        let checkpoints = Checkpoints::new(Store::in_memory());
        write_and_commit(&checkpoints, 20).await;
        let mut files = write(&checkpoints, 30).await;
        for left in ["receiver 0", "transmitter 0"] {
            files.pop_first();
            checkpoints.commit(&Manifest::new(30, files.clone(), binding())).await.unwrap();
            assert_eq!(checkpoints.last(None).await.unwrap(), Some(20), "{left} is missing");
        }
        checkpoints.clear().await.unwrap();
        checkpoints.commit(&Manifest::new(30, files, binding())).await.unwrap();
        let error = checkpoints.last(None).await.unwrap_err();
        assert!(error.is_input() && error.to_string().contains("names no state of transmitter 0"), "{error}");
    }

    /// A store that fails at one of its writes, as with a full disk or a killed process.
    #[derive(Debug)]
    struct Failing {
        inner: store::object_store::memory::InMemory,
        writes_left: std::sync::atomic::AtomicI64,
    }

    mod failing {
        use std::{fmt, ops::Range, sync::atomic::Ordering};

        use store::object_store::{
            CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
            PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
        };
        use tokio_stream::Stream;

        use super::Failing;

        type Boxed<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

        impl Failing {
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
    }

    /// Writes checkpoints until a write fails; returns the last committed one.
    async fn commit_until_failure(checkpoints: &Checkpoints) -> Option<u64> {
        let mut last = None;
        for round in 1.. {
            let mut files = BTreeMap::new();
            for member in MEMBERS {
                let state = format!("{member} at {round}");
                let mut writer = checkpoints.state_writer(round, member, 1);
                let written = async {
                    writer.write(state.clone().into()).await?;
                    writer.finish().await
                };
                if written.await.is_err() {
                    return last;
                }
                files.insert(state_name(member, 1), sha256_hex(state.as_bytes()));
            }
            if checkpoints.commit(&Manifest::new(round, files, binding())).await.is_err() {
                return last;
            }
            last = Some(round);
        }
        last
    }

    #[tokio::test]
    async fn a_failure_at_any_write_loses_no_committed_checkpoint() {
        for writes in 0..40 {
            let failing = Failing { inner: Default::default(), writes_left: writes.into() };
            let checkpoints = Checkpoints::new(Store::over(std::sync::Arc::new(failing), "test"));
            let committed = commit_until_failure(&checkpoints).await;
            let found = checkpoints.last(None).await.unwrap();
            // A commit that failed only after its manifest was written was not acknowledged, but counts.
            assert!(found >= committed, "after {writes} writes {found:?} is left of {committed:?}");
            assert!(
                found <= committed.map_or(Some(1), |round| Some(round + 1)),
                "{found:?} was never written"
            );
        }
    }

    #[tokio::test]
    async fn the_numerics_of_another_program_are_refused() {
        let checkpoints = Checkpoints::new(Store::in_memory());
        write_and_commit(&checkpoints, 20).await;
        let files = checkpoints.manifest(20).await.unwrap().files;
        let old = serde_json::json!({ "round": 20, "program": "0.1.0", "files": files });
        checkpoints.keep("round-000020/manifest.json", old.to_string()).await.unwrap();
        let refusal = checkpoints.check_numerics(20).await.unwrap_err().to_string();
        assert!(refusal.contains("computed by numerics version 1, and this"), "{refusal}");
    }
}
