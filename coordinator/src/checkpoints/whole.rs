//! Which checkpoints are whole, and what their contents come to.

use std::collections::BTreeMap;

use safetensors::SafeTensors;

use super::{Checkpoints, committed, folder, manifest_name};
use crate::{
    CoordinatorError, Manifest,
    summary::{fingerprint_of, sha256_hex},
};

impl Checkpoints {
    /// The manifest of the last whole checkpoint, if there is one: it has a state of every member, and every file matches
    /// the manifest. Callers go on with what was read and checked here: in the store it may be damaged at any time. A damaged checkpoint is skipped with a message. The manifest says how many transmitters and
    /// receivers there are; for manifests of the first versions, which do not say so, `members` does if known.
    ///
    /// # Errors
    /// If there are checkpoints and none is whole, or the store cannot be read.
    pub(crate) async fn last(
        &self,
        members: Option<(usize, usize)>,
    ) -> Result<Option<Manifest>, CoordinatorError> {
        let mut damage = None;
        for round in committed(&self.store.names().await?).into_iter().rev() {
            match self.check(round, members).await? {
                Ok(manifest) => {
                    if let Some(damage) = damage {
                        tracing::warn!(damage, round, "going on from the checkpoint before");
                    }
                    return Ok(Some(manifest));
                }
                Err(line) => damage = damage.or(Some(line)),
            }
        }
        damage.map_or(Ok(None), |line| {
            Err(CoordinatorError::Input(format!(
                "{line}; no other checkpoint is whole: restore it from a copy"
            )))
        })
    }

    /// The manifest of the best checkpoint on validation rows, as of the last whole checkpoint; none if no version was
    /// evaluated.
    ///
    /// # Errors
    /// As [`last`](Self::last), but about the best checkpoint.
    pub(crate) async fn best(
        &self,
        members: Option<(usize, usize)>,
    ) -> Result<Option<Manifest>, CoordinatorError> {
        let Some(last) = self.last(members).await? else { return Ok(None) };
        let Some(best) = last.run.and_then(|run| run.best) else { return Ok(None) };
        match self.check(best.round, members).await? {
            Ok(manifest) => Ok(Some(manifest)),
            Err(line) => Err(CoordinatorError::Input(format!(
                "{line}: the checkpoint of round {}, the best, is not whole; leave out --best for the last",
                best.round
            ))),
        }
    }

    /// The manifest of a whole checkpoint; of a damaged one, a line that describes the damage.
    async fn check(
        &self,
        round: u64,
        members: Option<(usize, usize)>,
    ) -> Result<Result<Manifest, String>, CoordinatorError> {
        let manifest = match self.manifest(round).await {
            Ok(manifest) => manifest,
            Err(CoordinatorError::Input(line)) => return Ok(Err(line)),
            Err(error) => return Err(error),
        };
        let is_of =
            |reason: String| Ok(Err(format!("{}: {reason}", self.store.name_of(&manifest_name(round)))));
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
                return Ok(Err(self.damaged(&name)));
            }
            // Hashing a large network takes a while: let other tasks run.
            tokio::task::yield_now().await;
        }
        Ok(Ok(manifest))
    }

    /// The message about an object that does not match the manifest.
    pub(crate) fn damaged(&self, name: &str) -> String {
        format!("{}: it is not what the checkpoint's manifest says", self.store.name_of(name))
    }

    /// Checks that a run can continue from a checkpoint with the same bits.
    pub(crate) fn check_numerics(&self, manifest: &Manifest) -> Result<(), CoordinatorError> {
        match manifest.numerics {
            dib::NUMERICS => Ok(()),
            other => Err(CoordinatorError::Input(format!(
                "{}: it was computed by numerics version {other}, and this program computes by version {}: go on with \
                 the program that wrote it, or train anew",
                self.store.name_of(&folder(manifest.round)),
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
}
