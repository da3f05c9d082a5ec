//! What is found of arrays, in words.

use std::fmt::Write;

use super::ArrayReport;
use crate::{Balance, Report};

/// Counts of classes that are shown one by one.
const SHOWN: usize = 30;

impl ArrayReport {
    /// Which files cannot be used together, and what a user should know of tasks.
    pub(super) fn verified(&self) -> Report {
        let mut text: String = self.problems().map(|problem| format!("{problem}\n")).collect();
        text += &self.notes();
        let sound = self.files.iter().filter(|file| file.problem.is_none()).count();
        let _ = writeln!(text, "{sound} files can be used together, {} not", self.files.len() - sound);
        Report::new(text, self, self.problems().next().is_none())
    }

    /// What files there are, and what they are as tasks.
    pub(super) fn described(&self) -> Report {
        let mut text = format!("arrays in {}\n", self.folder.display());
        for file in &self.files {
            let shape: Vec<String> = file.shape.iter().map(usize::to_string).collect();
            let (shape, what) = (shape.join(" x "), file.problem.as_deref().unwrap_or(file.element));
            let _ = writeln!(text, "  {:<16} {:<5} {shape:<20} {what}", file.array, file.split);
        }
        for task in &self.tasks {
            let _ = match (&task.balance, task.kind, &task.problem) {
                (.., Some(problem)) => writeln!(text, "  as a task: {problem}"),
                (Some(balance), ..) => writeln!(text, "  as a task: {:<16} {}", task.array, classes(balance)),
                (None, Some(_), _) => writeln!(text, "  as a task: {:<16} values (regression)", task.array),
                // The notes say why not.
                (None, None, _) => Ok(()),
            };
        }
        text += &self.notes();
        Report::new(text, self, true)
    }

    fn notes(&self) -> String {
        let of_tasks = self.tasks.iter().flat_map(|task| &task.notes).map(|note| format!("  note: {note}\n"));
        let unread = self.unread.iter().map(|path| {
            format!(
                "  note: {} is not read: arrays are NAME.train and NAME.test (with evaluation.every NAME.validation too) as .npy, .npz or .safetensors\n",
                path.display()
            )
        });
        of_tasks.chain(unread).collect()
    }
}

/// How many samples each class has, and what always answering the commonest scores.
pub(crate) fn classes(balance: &Balance) -> String {
    let counts = |counts: &[u64]| {
        let shown: Vec<String> = counts.iter().take(SHOWN).map(u64::to_string).collect();
        shown.join(" ") + if counts.len() > SHOWN { " ..." } else { "" }
    };
    let Balance { train, test, empty, majority, classes } = balance;
    let empty = match empty.len() {
        0 => String::new(),
        some => format!("; {some} without a training sample"),
    };
    let (train, test) = (counts(train), counts(test));
    format!(
        "{classes} classes; train {train}; test {test}{empty}; majority baseline {:.2} %",
        100.0 * majority
    )
}
