//! Rows that a trained network is to infer: of whatever split, they stand in for the test split.

use crate::{About, Dataset, Kept, Split, Targets, error::DataError};

/// What a checkpoint, and the run's folder, say of the data that a network was trained on.
#[derive(Clone, Debug, Default)]
pub struct Trained {
    /// What is kept of each array.
    pub kept: Vec<Kept>,
    /// The receivers' tasks.
    pub tasks: Vec<TrainedTask>,
}

/// A task as a network has learnt it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedTask {
    /// Its name.
    pub name: String,
    /// Outputs of its decoder: classes, or values.
    pub outputs: usize,
    /// What its classes are called, if their labels were texts.
    pub names: Vec<String>,
}

impl Trained {
    /// What a node has trained on, whose tasks are these.
    pub(crate) fn of(dataset: &dyn Dataset, tasks: &[String]) -> Self {
        let task = |name: &String| {
            let outputs = match dataset.targets(name, Split::Train)? {
                Targets::Classes { classes, .. } => classes,
                Targets::Values { width, .. } => width,
            };
            Some(TrainedTask { name: name.clone(), outputs, names: dataset.about(name).names })
        };
        Trained { kept: dataset.kept(), tasks: tasks.iter().filter_map(task).collect() }
    }
}

/// The epoch whose draws rows of a split have here: of training rows, one that training never comes to.
pub(crate) fn epoch_of(split: Split) -> u64 {
    if split == Split::Train { u64::MAX } else { 0 }
}

/// A data set, one of whose splits stands in for the test split.
pub(crate) struct Rows {
    pub(crate) inner: Box<dyn Dataset>,
    pub(crate) split: Split,
}

impl Rows {
    fn of(&self, split: Split) -> Split {
        if split == Split::Test { self.split } else { split }
    }
}

impl Dataset for Rows {
    fn samples(&self, split: Split) -> usize {
        self.inner.samples(self.of(split))
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
        let epoch = if split == Split::Test { epoch_of(self.split) } else { epoch };
        self.inner.read(modality, self.of(split), sample, epoch, out)
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        self.inner.targets(task, self.of(split))
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
        (0..self.samples(Split::Test) as u32).collect()
    }

    fn digest(&self) -> [u8; 32] {
        self.inner.digest()
    }
}
