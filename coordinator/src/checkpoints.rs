//! A run's checkpoints in their store.

#[cfg(test)]
mod failing;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::BTreeSet;

use bytes::Bytes;
use scenario::Scenario;
use store::{Pieces, Store, Writer};

use crate::{
    CoordinatorError, Manifest,
    further::LINEAGE,
    manifest::{incarnation_of, state_name},
    members::Member,
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

    /// The round of the last checkpoint that has a manifest, whole or not.
    pub(crate) async fn newest(&self) -> Result<Option<u64>, CoordinatorError> {
        Ok(committed(&self.store.names().await?).last().copied())
    }

    /// The rounds of all checkpoints that have a manifest, in order.
    pub(crate) async fn rounds(&self) -> Result<Vec<u64>, CoordinatorError> {
        Ok(committed(&self.store.names().await?).into_iter().collect())
    }

    /// The manifest of a round.
    pub(crate) async fn manifest(&self, round: u64) -> Result<Manifest, CoordinatorError> {
        let name = manifest_name(round);
        let text = self.store.get(&name).await?.unwrap_or_default();
        Manifest::parse(&text)
            .map_err(|error| CoordinatorError::Input(format!("{}: {error}", self.store.name_of(&name))))
    }

    // ------------------------------------------------------------------------ the run's own files in a remote store

    /// Copies the checkpoint of a manifest to another store, its manifest last.
    pub(crate) async fn copy(
        &self,
        mut manifest: Manifest,
        to: &Checkpoints,
        scenario: &Scenario,
    ) -> Result<(), CoordinatorError> {
        let round = manifest.round;
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
