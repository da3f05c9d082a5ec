//! A data set seen through a choice of its rows: some are held out of training, or stand in for the test split.

use std::sync::Arc;

use crate::{About, DataFile, Dataset, Kept, Scaling, Split, Targets, error::DataError};

/// A data set whose splits are parts of another's.
pub(crate) struct View {
    pub(crate) inner: Arc<dyn Dataset>,
    pub(crate) train: Part,
    pub(crate) test: Part,
    /// For each test sample its cluster; none: those of the data set.
    pub(crate) clusters: Option<Vec<u32>>,
    pub(crate) digest: [u8; 32],
    /// Whether a node trains on it: then it reads ahead, and its files and what a checkpoint keeps are those of the
    /// data set.
    pub(crate) trains: bool,
}

/// The epoch whose draws the rows of a split have where they stand in for test rows: of training rows, one that
/// training never reaches.
pub(crate) fn epoch_of(split: Split) -> u64 {
    if split == Split::Train { u64::MAX } else { 0 }
}

/// What stands for a split.
pub(crate) struct Part {
    /// A split of the data set ...
    pub(crate) split: Split,
    /// ... of which these rows, in this order; none: all.
    pub(crate) rows: Option<Vec<u32>>,
    /// The epoch whose draws they have; none: the one that is asked for.
    pub(crate) epoch: Option<u64>,
}

impl Part {
    /// All of a split, as it is.
    pub(crate) fn whole(split: Split) -> Self {
        Part { split, rows: None, epoch: None }
    }

    /// A split, or rows of it, that stand in for the test split.
    pub(crate) fn tested(split: Split, rows: Option<Vec<u32>>) -> Self {
        Part { split, rows, epoch: Some(epoch_of(split)) }
    }

    fn address(&self, sample: usize, epoch: u64) -> (usize, u64) {
        let row = self.rows.as_ref().map_or(sample, |rows| rows[sample] as usize);
        (row, self.epoch.unwrap_or(epoch))
    }
}

impl View {
    fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Dataset for View {
    fn samples(&self, split: Split) -> usize {
        let part = self.part(split);
        part.rows.as_ref().map_or_else(|| self.inner.samples(part.split), Vec::len)
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
        let part = self.part(split);
        let (row, epoch) = part.address(sample, epoch);
        self.inner.read(modality, part.split, row, epoch, out)
    }

    /// Only where it trains: an announcement from elsewhere would take the place of what training reads next.
    fn normalise(&self, modality: &str, values: &mut [f32]) {
        self.inner.normalise(modality, values);
    }

    fn scaling(&self, modality: &str) -> Option<Scaling> {
        self.inner.scaling(modality)
    }

    fn read_ahead(&self, modality: &str, split: Split, samples: &[(usize, u64)]) {
        if self.trains {
            let part = self.part(split);
            let rows: Vec<(usize, u64)> =
                samples.iter().map(|&(sample, epoch)| part.address(sample, epoch)).collect();
            self.inner.read_ahead(modality, part.split, &rows);
        }
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let part = self.part(split);
        let targets = self.inner.targets(task, part.split)?;
        Some(match &part.rows {
            Some(rows) => targets.of_rows(rows),
            None => targets,
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
        self.clusters.clone().unwrap_or_else(|| self.inner.clusters())
    }

    /// Only of the whole test split: other rows are not known to be in order of time.
    fn recordings(&self, named: Option<&str>) -> Result<Option<Vec<u32>>, DataError> {
        match (self.test.split, &self.test.rows) {
            (Split::Test, None) => self.inner.recordings(named),
            _ => Ok(None),
        }
    }

    fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn files(&self) -> Vec<DataFile> {
        if self.trains { self.inner.files() } else { Vec::new() }
    }

    fn kept(&self) -> Vec<Kept> {
        if self.trains { self.inner.kept() } else { Vec::new() }
    }
}
