use data::{About, Balance, Dataset, Kept, Split, Targets};
use node::NodeError;

/// What a receiver knows of its task: labels, and which test rows share a recording.
pub struct TaskData {
    train: Targets,
    test: Targets,
    clusters: Vec<u32>,
    label_entropy: f64,
    digest: [u8; 32],
    /// What 1 in the targets is in the units of the data, for each value; none for classes.
    units: Vec<f64>,
    /// What 0 in the targets is in the units of the data, likewise.
    origins: Vec<f64>,
    kept: Vec<Kept>,
    is_pose: bool,
    balance: Option<Balance>,
    about: About,
}

impl TaskData {
    /// Reads a task's labels out of a data set.
    ///
    /// # Errors
    ///
    /// [`NodeError::Input`] if the data set has no such task.
    pub fn new(dataset: &dyn Dataset, task: &str) -> Result<Self, NodeError> {
        let targets = |split| {
            let unknown = || NodeError::Input(format!("the data set knows no task \"{task}\""));
            dataset.targets(task, split).ok_or_else(unknown)
        };
        let train = targets(Split::Train)?;
        let label_entropy = match &train {
            Targets::Classes { labels, classes } => dib::label_entropy(labels, *classes),
            Targets::Values { .. } => 0.0,
        };
        let units = match &train {
            Targets::Classes { .. } => Vec::new(),
            Targets::Values { width, .. } => dataset.units(task).unwrap_or_else(|| vec![1.0; *width]),
        };
        let origins = match &train {
            Targets::Classes { .. } => Vec::new(),
            Targets::Values { width, .. } => dataset.origins(task).unwrap_or_else(|| vec![0.0; *width]),
        };
        let test = targets(Split::Test)?;
        Ok(TaskData {
            balance: Balance::of(&train, &test),
            about: dataset.about(task),
            train,
            units,
            origins,
            kept: dataset.kept(),
            test,
            clusters: dataset.clusters(),
            label_entropy,
            digest: dataset.digest(),
            is_pose: dataset.is_pose(task),
        })
    }

    /// H(Y_t) of the training labels in nats; 0 for regression.
    pub fn label_entropy(&self) -> f64 {
        self.label_entropy
    }

    /// How many samples each class has, of a classification.
    pub fn balance(&self) -> Option<&Balance> {
        self.balance.as_ref()
    }

    /// What a user should know of it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Its metrics: the fraction of right answers, or the mean squared error in the units of the data; poses also by
    /// how far joints are off, in millimetres.
    pub fn metrics(&self) -> &'static [&'static str] {
        match self.train {
            Targets::Classes { .. } => &["top1"],
            Targets::Values { .. } if self.is_pose => &["mse", "mpjpe", "pa-mpjpe"],
            Targets::Values { .. } => &["mse"],
        }
    }

    /// What 1 in the targets is in the units of the data, for each value; none for classes.
    pub fn units(&self) -> &[f64] {
        &self.units
    }

    /// Values in training units, row by row, in the units of the data.
    pub(crate) fn in_units(&self, values: &mut [f32]) {
        let width = self.units.len().max(1);
        for (at, value) in values.iter_mut().enumerate() {
            *value = (f64::from(*value) * self.units[at % width] + self.origins[at % width]) as f32;
        }
    }

    /// What a checkpoint keeps of the data.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Whether its values are joints of a body, in metres.
    pub fn is_pose(&self) -> bool {
        self.is_pose
    }

    /// Digest of the data.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Training samples.
    pub fn train_samples(&self) -> usize {
        rows(&self.train)
    }

    /// Test samples.
    pub fn test_samples(&self) -> usize {
        rows(&self.test)
    }

    /// Outputs of a decoder: classes, or values.
    pub fn outputs(&self) -> usize {
        match &self.train {
            Targets::Classes { classes, .. } => *classes,
            Targets::Values { width, .. } => *width,
        }
    }

    /// How many classes there are, of a classification.
    pub fn classes(&self) -> Option<usize> {
        match &self.train {
            Targets::Classes { classes, .. } => Some(*classes),
            Targets::Values { .. } => None,
        }
    }

    /// The targets of training samples.
    pub fn train_targets(&self, samples: &[usize]) -> Targets {
        pick(&self.train, samples.iter().copied())
    }

    /// The targets of consecutive test samples.
    pub fn test_targets(&self, samples: std::ops::Range<usize>) -> Targets {
        pick(&self.test, samples)
    }

    /// The recording behind a test sample.
    pub fn cluster(&self, sample: usize) -> u32 {
        self.clusters[sample]
    }
}

fn rows(targets: &Targets) -> usize {
    match targets {
        Targets::Classes { labels, .. } => labels.len(),
        Targets::Values { width, values } => values.len() / width,
    }
}

fn pick(targets: &Targets, samples: impl Iterator<Item = usize>) -> Targets {
    match targets {
        Targets::Classes { labels, classes } => {
            Targets::Classes { labels: samples.map(|sample| labels[sample]).collect(), classes: *classes }
        }
        Targets::Values { width, values } => Targets::Values {
            width: *width,
            values: samples
                .flat_map(|sample| &values[sample * width..(sample + 1) * width])
                .copied()
                .collect(),
        },
    }
}
