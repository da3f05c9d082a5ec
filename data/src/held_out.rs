//! Rows that are held out of training, for a validation curve: no bit of what is trained depends on more than which rows those are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use randomness::{Purpose, Seed};
use sha2::{Digest, Sha256};

use crate::{About, DataFile, Dataset, Kept, Split, Targets, error::DataError, rows::epoch_of};

/// A data set's rows to train on, and those to validate on.
pub struct Divided {
    /// The data set without the rows that are held out.
    pub train: Arc<dyn Dataset>,
    /// The rows that are held out, or that it brings for that, in the place of the test split.
    pub validation: Option<Arc<dyn Dataset>>,
}

/// Holds a share of the training rows out: whole groups, where the data set knows any, drawn from the seed until the share is reached.
/// The others keep their order and their draws.
///
/// # Errors
/// That nothing would be left to train on. `folder` is named then.
pub(crate) fn hold_out(
    dataset: Box<dyn Dataset>,
    seed: Seed,
    share: f64,
    folder: &Path,
) -> Result<Divided, DataError> {
    let rows = dataset.samples(Split::Train);
    let groups = dataset.groups().unwrap_or_else(|| (0..rows as u32).collect());
    let held = held_out_groups(&groups, seed, share).ok_or_else(|| {
        let problem = format!(
            "has {rows} training rows in a single group, of which data.hold_out = {share} can hold none out: set it to 0, or \
             give more"
        );
        DataError::malformed(folder, problem)
    })?;
    let (held, kept): (Vec<u32>, Vec<u32>) =
        (0..rows as u32).partition(|&row| held.contains(&groups[row as usize]));
    let inner: Arc<dyn Dataset> = dataset.into();
    let digest = mixed(inner.digest(), b"held out", &held);
    let train = Arc::new(TrainingRows { inner: inner.clone(), rows: kept, digest });
    Ok(Divided { train, validation: Some(Arc::new(HeldOut { inner, rows: held })) })
}

/// Trains on all rows, and validates on rows that the data set brings for that.
pub(crate) fn bring(dataset: Box<dyn Dataset>, validation: Box<dyn Dataset>) -> Divided {
    let inner: Arc<dyn Dataset> = dataset.into();
    let rows = (0..inner.samples(Split::Train) as u32).collect();
    let count = validation.samples(Split::Test) as u32;
    let digest = mixed(inner.digest(), b"brought", &[count]);
    let train = Arc::new(TrainingRows { inner, rows, digest });
    Divided { train, validation: Some(validation.into()) }
}

/// The groups that are held out; none if nothing would be left, or nothing held out.
fn held_out_groups(groups: &[u32], seed: Seed, share: f64) -> Option<BTreeSet<u32>> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    groups.iter().for_each(|group| *sizes.entry(*group).or_default() += 1);
    let sizes: Vec<(u32, usize)> = sizes.into_iter().collect();
    let wanted = (share * groups.len() as f64).ceil() as usize;
    let (mut held, mut count) = (BTreeSet::new(), 0);
    for place in seed.stream(Purpose::HoldOut, &[], 0).permutation(sizes.len()) {
        let (group, size) = sizes[place as usize];
        if count >= wanted || held.len() + 1 == sizes.len() {
            break;
        }
        held.insert(group);
        count += size;
    }
    (!held.is_empty()).then_some(held)
}

/// What nodes must agree on, with which rows are for validation.
fn mixed(digest: [u8; 32], what: &[u8], rows: &[u32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update(what);
    rows.iter().for_each(|row| hash.update(row.to_le_bytes()));
    hash.finalize().into()
}

/// A data set that trains on some of its rows.
struct TrainingRows {
    inner: Arc<dyn Dataset>,
    /// Of the training split, in its order.
    rows: Vec<u32>,
    digest: [u8; 32],
}

impl TrainingRows {
    fn row(&self, split: Split, sample: usize) -> usize {
        match split {
            Split::Train => self.rows[sample] as usize,
            Split::Test => sample,
        }
    }
}

impl Dataset for TrainingRows {
    fn samples(&self, split: Split) -> usize {
        match split {
            Split::Train => self.rows.len(),
            Split::Test => self.inner.samples(split),
        }
    }

    fn width(&self, modality: &str) -> Option<usize> {
        self.inner.width(modality)
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        self.inner.shape(modality)
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        self.inner.read(modality, split, self.row(split, sample), epoch, out)
    }

    fn read_ahead(&self, modality: &str, split: Split, samples: &[(usize, u64)]) {
        let rows: Vec<(usize, u64)> =
            samples.iter().map(|&(sample, epoch)| (self.row(split, sample), epoch)).collect();
        self.inner.read_ahead(modality, split, &rows);
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let targets = self.inner.targets(task, split)?;
        Some(match split {
            Split::Train => targets.of_rows(&self.rows),
            Split::Test => targets,
        })
    }

    fn about(&self, task: &str) -> About {
        self.inner.about(task)
    }

    fn units(&self, task: &str) -> Option<Vec<f64>> {
        self.inner.units(task)
    }

    fn origins(&self, task: &str) -> Option<Vec<f64>> {
        self.inner.origins(task)
    }

    fn is_pose(&self, task: &str) -> bool {
        self.inner.is_pose(task)
    }

    fn clusters(&self) -> Vec<u32> {
        self.inner.clusters()
    }

    fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn files(&self) -> Vec<DataFile> {
        self.inner.files()
    }

    fn kept(&self) -> Vec<Kept> {
        self.inner.kept()
    }
}

/// Held-out rows, in the place of a test split: as in an epoch that training never comes to.
struct HeldOut {
    inner: Arc<dyn Dataset>,
    rows: Vec<u32>,
}

impl HeldOut {
    fn row(&self, split: Split, sample: usize, epoch: u64) -> (usize, u64) {
        match split {
            Split::Train => (sample, epoch),
            Split::Test => (self.rows[sample] as usize, epoch_of(Split::Train)),
        }
    }
}

impl Dataset for HeldOut {
    fn samples(&self, split: Split) -> usize {
        match split {
            Split::Train => self.inner.samples(split),
            Split::Test => self.rows.len(),
        }
    }

    fn width(&self, modality: &str) -> Option<usize> {
        self.inner.width(modality)
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        self.inner.shape(modality)
    }

    fn read(
        &self,
        modality: &str,
        split: Split,
        sample: usize,
        epoch: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        let (row, epoch) = self.row(split, sample, epoch);
        self.inner.read(modality, Split::Train, row, epoch, out)
    }

    /// Nothing: what is said here would take the place of what training reads next.
    fn read_ahead(&self, _modality: &str, _split: Split, _samples: &[(usize, u64)]) {}

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let targets = self.inner.targets(task, Split::Train)?;
        Some(match split {
            Split::Train => targets,
            Split::Test => targets.of_rows(&self.rows),
        })
    }

    fn about(&self, task: &str) -> About {
        self.inner.about(task)
    }

    fn units(&self, task: &str) -> Option<Vec<f64>> {
        self.inner.units(task)
    }

    fn origins(&self, task: &str) -> Option<Vec<f64>> {
        self.inner.origins(task)
    }

    fn is_pose(&self, task: &str) -> bool {
        self.inner.is_pose(task)
    }

    /// One: nothing is resampled.
    fn clusters(&self) -> Vec<u32> {
        vec![0; self.rows.len()]
    }

    fn digest(&self) -> [u8; 32] {
        self.inner.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(groups: &[u32], share: f64, seed: u64) -> Vec<u32> {
        let held = held_out_groups(groups, Seed::from_number(seed), share);
        held.map(|held| held.into_iter().collect()).unwrap_or_default()
    }

    #[test]
    fn whole_groups_are_held_out_until_the_share_is_reached() {
        let groups: Vec<u32> = (0..1000).map(|row| row / 20).collect();
        let drawn = held(&groups, 0.1, 1);
        assert_eq!(drawn.len(), 5);
        assert_ne!(drawn, held(&groups, 0.1, 2), "another seed holds others out");
        assert_eq!(drawn, held(&groups, 0.1, 1));
        // Of one more row, one more group.
        assert_eq!(held(&groups, 0.1001, 1).len(), 6);
    }

    #[test]
    fn something_is_left_to_train_on_or_it_is_said() {
        assert_eq!(held(&[0, 0, 1], 0.9, 1).len(), 1);
        assert_eq!(held(&[7, 7, 7], 0.5, 1), [] as [u32; 0]);
    }
}
