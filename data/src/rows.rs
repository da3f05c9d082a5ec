//! Rows that a trained network is to infer: of whatever split, they stand in for the test split.

use std::sync::Arc;

use crate::{
    Dataset, Kept, Split, Targets,
    view::{Part, View},
};

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

/// A data set, one of whose splits stands in for the test split.
pub(crate) fn in_place_of_the_test_split(inner: Box<dyn Dataset>, split: Split) -> View {
    let inner: Arc<dyn Dataset> = inner.into();
    View {
        train: Part::whole(Split::Train),
        test: Part::tested(split, None),
        clusters: Some((0..inner.samples(split) as u32).collect()),
        digest: inner.digest(),
        trains: false,
        inner,
    }
}
