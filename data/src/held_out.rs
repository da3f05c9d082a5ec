//! Rows that are held out of training, for a validation curve: no bit of what is trained depends on more than which
//! rows those are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use randomness::{Purpose, Seed};
use sha2::{Digest, Sha256};

use crate::{
    Dataset, Settings, Split,
    error::DataError,
    view::{Part, View},
};

/// What a run holds out: how much, and what belongs together.
pub(crate) struct HoldOut {
    seed: Seed,
    share: f64,
    /// What `data.groups` names.
    pub(crate) groups: Option<String>,
}

impl HoldOut {
    /// What a scenario says of it.
    pub(crate) fn of(settings: &Settings, seed: Seed) -> Result<Self, DataError> {
        let share = settings.key("hold_out")?.unwrap_or(0.0);
        Ok(HoldOut { seed, share, groups: settings.key("groups")? })
    }

    /// Nothing.
    pub(crate) fn nothing() -> Self {
        HoldOut { seed: Seed::from_number(0), share: 0.0, groups: None }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.share == 0.0
    }

    /// The training rows that [`hold_out`] holds out, for whoever fits something on the others. None where it will
    /// refuse.
    pub(crate) fn rows(&self, groups: &[u32]) -> Held {
        self.draw(groups, &[])
    }

    /// Draws whole groups until the share is reached. `address` tells draws from each other.
    pub(crate) fn draw(&self, groups: &[u32], address: &[u64]) -> Held {
        if self.is_nothing() {
            return Held::default();
        }
        let held = held_out_groups(groups, self.seed, address, self.share).unwrap_or_default();
        Held(groups.iter().map(|group| held.contains(group)).collect())
    }
}

/// Of each of so many things, whether it is held out; by default none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held(pub(crate) Vec<bool>);

impl Held {
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.0.get(number).copied().unwrap_or(false)
    }
}

/// A data set's rows to train on, and those to validate on.
pub struct Divided {
    /// The data set without the rows that are held out.
    pub train: Arc<dyn Dataset>,
    /// The rows that are held out, or that it brings for that, in the place of the test split.
    pub validation: Option<Arc<dyn Dataset>>,
}

/// Holds a share of the training rows out: whole groups, where the data set knows any, drawn from the seed until the
/// share is reached. The others keep their order and their draws.
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
    let held = held_out_groups(&groups, seed, &[], share).ok_or_else(|| {
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
    let train = Arc::new(training_rows(inner.clone(), Some(kept), digest));
    Ok(Divided { train, validation: Some(Arc::new(validation_rows(inner, held))) })
}

/// Trains on all rows, and validates on rows that the data set brings for that.
pub(crate) fn bring(dataset: Box<dyn Dataset>, validation: Box<dyn Dataset>) -> Divided {
    let inner: Arc<dyn Dataset> = dataset.into();
    let count = validation.samples(Split::Test) as u32;
    let digest = mixed(inner.digest(), b"brought", &[count]);
    let train = Arc::new(training_rows(inner, None, digest));
    Divided { train, validation: Some(validation.into()) }
}

/// The groups that are held out; none if nothing would be left, or nothing held out.
fn held_out_groups(groups: &[u32], seed: Seed, address: &[u64], share: f64) -> Option<BTreeSet<u32>> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    groups.iter().for_each(|group| *sizes.entry(*group).or_default() += 1);
    let sizes: Vec<(u32, usize)> = sizes.into_iter().collect();
    let wanted = (share * groups.len() as f64).ceil() as usize;
    let (mut held, mut count) = (BTreeSet::new(), 0);
    for place in seed.stream(Purpose::HoldOut, address, 0).permutation(sizes.len()) {
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

/// A data set that trains on some of its rows; none: on all of them.
fn training_rows(inner: Arc<dyn Dataset>, rows: Option<Vec<u32>>, digest: [u8; 32]) -> View {
    let train = Part { rows, ..Part::whole(Split::Train) };
    View { inner, train, test: Part::whole(Split::Test), clusters: None, digest, trains: true }
}

/// Held-out rows, in the place of the test split. They are one cluster: nothing is resampled.
fn validation_rows(inner: Arc<dyn Dataset>, rows: Vec<u32>) -> View {
    let clusters = Some(vec![0; rows.len()]);
    let digest = inner.digest();
    let test = Part::tested(Split::Train, Some(rows));
    View { inner, train: Part::whole(Split::Train), test, clusters, digest, trains: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(groups: &[u32], share: f64, seed: u64) -> Vec<u32> {
        let held = held_out_groups(groups, Seed::from_number(seed), &[], share);
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
