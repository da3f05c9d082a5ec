use coordinator::Trained;
use data::{Dataset, IGNORED, Split, Targets};
use receiver::Answers;

/// A receiver's answers for all rows. Everything is ordered by pass, then by row.
pub(crate) struct Prediction {
    pub(crate) receiver: usize,
    pub(crate) task: String,
    pub(crate) rows: usize,
    pub(crate) passes: usize,
    pub(crate) answers: Kind,
    /// Whether entry (k, m) was decoded: `entries` values for each.
    pub(crate) used: Vec<bool>,
    pub(crate) entries: usize,
    /// The features, if wanted: `entries` times `feature_dim`, zeros where none was decoded.
    pub(crate) z: Option<Vec<f32>>,
    pub(crate) feature_dim: usize,
}

/// Answers, and labels by row.
pub(crate) enum Kind {
    Classes {
        classes: usize,
        /// `classes` values for each.
        probabilities: Vec<f32>,
        answers: Vec<u32>,
        /// Labels, where they exist.
        labels: Vec<Option<u32>>,
        /// The classes' names, if their labels were texts.
        names: Vec<String>,
    },
    Values {
        width: usize,
        /// `width` values for each, in the units of the data.
        values: Vec<f32>,
        /// By row; NaN where there is no label.
        labels: Vec<f32>,
    },
}

impl Prediction {
    pub(crate) fn new(
        trained: &Trained,
        dataset: &dyn Dataset,
        t: usize,
        answers: Vec<Answers>,
        passes: u64,
        keep_z: bool,
    ) -> Self {
        let scenario = &trained.scenario;
        let (rows, passes) = (dataset.samples(Split::Test), passes as usize);
        let (entries, feature_dim) = (scenario.entries_per_receiver(), scenario.network.feature_dim);
        let mut used = vec![false; passes * rows * entries];
        let mut z = keep_z.then(|| vec![0.0; passes * rows * entries * feature_dim]);
        let mut outputs = Vec::new();
        // Pieces arrive pass by pass, in order.
        for piece in answers {
            outputs.extend(piece.outputs);
            for feature in piece.features {
                let runs = feature.rows.iter().flat_map(|run| run.clone());
                for (row, values) in runs.zip(feature.z.chunks_exact(feature_dim)) {
                    let place =
                        (piece.pass as usize * rows + piece.rows.start + row) * entries + feature.entry;
                    used[place] = true;
                    if let Some(z) = &mut z {
                        z[place * feature_dim..][..feature_dim].copy_from_slice(values);
                    }
                }
            }
        }
        let task = scenario.receiver[t].task.clone();
        let answers = Kind::new(trained, dataset, t, &task, outputs);
        Prediction { receiver: t, task, rows, passes, answers, used, entries, z, feature_dim }
    }

    /// Number of rows with labels.
    pub(crate) fn labelled(&self) -> usize {
        match &self.answers {
            Kind::Classes { labels, .. } => labels.iter().flatten().count(),
            Kind::Values { width, labels, .. } => {
                labels.chunks_exact(*width).filter(|row| !row.iter().any(|value| value.is_nan())).count()
            }
        }
    }

    /// For classes with labels: the fraction of right answers, over all passes.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        let Kind::Classes { answers, labels, .. } = &self.answers else { return None };
        let evaluated = labels.iter().flatten().count() * self.passes;
        let is_right = |(at, answer): &(usize, &u32)| labels[at % self.rows] == Some(**answer);
        let right = answers.iter().enumerate().filter(is_right).count();
        (evaluated > 0).then(|| right as f64 / evaluated as f64)
    }
}

impl Kind {
    fn new(trained: &Trained, dataset: &dyn Dataset, t: usize, task: &str, outputs: Vec<f32>) -> Self {
        match dataset.targets(task, Split::Test).expect("the machine has read them") {
            Targets::Classes { labels, classes } => {
                let of = trained.classes.iter().find(|of| of.receiver == t);
                let rows = || outputs.chunks_exact(classes);
                Kind::Classes {
                    classes,
                    answers: rows().map(receiver::largest).collect(),
                    probabilities: rows().flat_map(receiver::probabilities).collect(),
                    labels: labels.into_iter().map(|label| (label != IGNORED).then_some(label)).collect(),
                    names: of.map(|of| of.names.clone()).unwrap_or_default(),
                }
            }
            Targets::Values { width, values } => {
                let units = dataset.units(task).unwrap_or_else(|| vec![1.0; width]);
                let origins = dataset.origins(task).unwrap_or_else(|| vec![0.0; width]);
                let in_units = |values: Vec<f32>| {
                    let place = |(at, value): (usize, f32)| {
                        (f64::from(value) * units[at % width] + origins[at % width]) as f32
                    };
                    values.into_iter().enumerate().map(place).collect::<Vec<f32>>()
                };
                Kind::Values { width, values: in_units(outputs), labels: in_units(values) }
            }
        }
    }
}
