//! What receivers predict.

use serde::Serialize;

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// The name as scenarios write it.
    pub name: &'static str,
    /// How many classes there are; for regression, how many values.
    pub classes: usize,
}

/// The label of a sample that has none: it is neither trained on nor evaluated.
pub const IGNORED: u32 = u32::MAX;

/// What a user should know of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What the classes are called, if their labels are texts: that of class c in place c.
    pub names: Vec<String>,
    /// A line each.
    pub notes: Vec<String>,
}

/// How many samples each class has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Balance {
    /// How many classes there are.
    pub classes: usize,
    /// Training samples of each class.
    pub train: Vec<u64>,
    /// Test samples of each class.
    pub test: Vec<u64>,
    /// Classes without a training sample.
    pub empty: Vec<usize>,
    /// The share of test samples that are of the commonest training class: what always answering that would score.
    pub majority: f64,
}

impl Balance {
    /// Counts classes; none for a task of values. Samples without a label do not count.
    pub fn of(train: &Targets, test: &Targets) -> Option<Self> {
        match (train, test) {
            (Targets::Classes { labels: train, classes }, Targets::Classes { labels: test, .. }) => {
                Some(Balance::of_counts(counts(train, *classes), counts(test, *classes)))
            }
            _ => None,
        }
    }

    /// The same of counts.
    pub fn of_counts(train: Vec<u64>, test: Vec<u64>) -> Self {
        let empty = (0..train.len()).filter(|&class| train[class] == 0).collect();
        // Of several that are commonest the first.
        let commonest = (0..train.len()).rev().max_by_key(|&class| train[class]);
        let right = commonest.and_then(|class| test.get(class)).copied().unwrap_or(0);
        let majority = right as f64 / test.iter().sum::<u64>().max(1) as f64;
        Balance { classes: train.len(), train, test, empty, majority }
    }
}

fn counts(labels: &[u32], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for &label in labels {
        // Those that are ignored are beyond all classes.
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    counts
}

/// What a task wants predicted of every sample of a split.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Classification.
    Classes {
        /// One class per sample, below `classes`, or [`IGNORED`].
        labels: Vec<u32>,
        /// How many classes there are.
        classes: usize,
    },
    /// Regression.
    Values {
        /// Values per sample.
        width: usize,
        /// Samples times `width` values, sample by sample.
        values: Vec<f32>,
    },
}

impl Targets {
    /// Those of some samples, in this order.
    pub(crate) fn of_rows(&self, rows: &[u32]) -> Targets {
        match self {
            Targets::Classes { labels, classes } => {
                let labels = rows.iter().map(|&row| labels[row as usize]).collect();
                Targets::Classes { labels, classes: *classes }
            }
            Targets::Values { width, values } => {
                let row = |&row: &u32| &values[row as usize * width..][..*width];
                Targets::Values { width: *width, values: rows.iter().flat_map(row).copied().collect() }
            }
        }
    }
}

/// The tasks of the HandWritten scenario.
pub(crate) const TASKS: [Task; 3] = [
    Task { name: "parity", classes: 2 },
    Task { name: "ring", classes: 6 },
    Task { name: "digit", classes: 10 },
];

/// Their names, in the same order.
pub(crate) const TASK_NAMES: [&str; 3] = [TASKS[0].name, TASKS[1].name, TASKS[2].name];

impl Task {
    /// The task of that name.
    pub(crate) fn named(name: &str) -> Option<Task> {
        TASKS.into_iter().find(|task| task.name == name)
    }

    /// The class of a digit.
    fn class(self, digit: u8) -> u32 {
        match self.name {
            "parity" => u32::from(digit % 2),
            // Digits drawn with a closed ring are told apart; all others are one class.
            "ring" => match digit {
                0 => 0,
                4 => 1,
                6 => 2,
                8 => 3,
                9 => 4,
                _ => 5,
            },
            _ => u32::from(digit),
        }
    }

    /// The classes of a split's digits.
    pub(crate) fn targets(self, digits: &[u8]) -> Targets {
        Targets::Classes {
            labels: digits.iter().map(|&digit| self.class(digit)).collect(),
            classes: self.classes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_and_guessing_the_commonest_is_evaluated_on_the_test() {
        let targets = |labels: &[u32]| Targets::Classes { labels: labels.to_vec(), classes: 4 };
        let balance = Balance::of(&targets(&[2, 0, 2, IGNORED, 1, 1]), &targets(&[1, 1, 2, IGNORED, 3]));
        let balance = balance.unwrap();
        assert_eq!((balance.train, balance.test), (vec![1, 2, 2, 0], vec![0, 2, 1, 1]));
        assert_eq!((balance.classes, balance.empty, balance.majority), (4, vec![3], 0.5));
        let values = Targets::Values { width: 1, values: vec![1.0] };
        assert_eq!(Balance::of(&values, &values), None);
    }

    #[test]
    fn every_digit_has_its_class() {
        let digits: Vec<u8> = (0..10).collect();
        for (name, expected) in [
            ("parity", [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
            ("ring", [0, 5, 5, 5, 1, 5, 2, 5, 3, 4]),
            ("digit", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ] {
            let task = Task::named(name).unwrap();
            assert!(expected.iter().all(|&class| (class as usize) < task.classes));
            assert_eq!(
                task.targets(&digits),
                Targets::Classes { labels: expected.to_vec(), classes: task.classes }
            );
        }
        assert_eq!(Task::named("colour"), None);
    }
}
