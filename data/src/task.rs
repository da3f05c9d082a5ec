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

/// What a task wants predicted of every sample of a split.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Classification.
    Classes {
        /// One class per sample, below `classes`.
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
