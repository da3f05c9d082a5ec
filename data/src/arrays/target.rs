//! What a task wants predicted, as an array of class labels or of values.

use super::{
    ArrayTask, Kept, TaskKind,
    agreement::same_width,
    file::ArrayFile,
    labels::{self, Classes, Survey},
    normal::{Fit, Map, Normalisation},
};
use crate::{About, Split, Targets, error::DataError, held_out::Held};
use std::path::Path;

/// A task's targets of both splits.
pub(crate) struct Target {
    pub(crate) kept: Kept,
    pub(crate) files: [ArrayFile; 2],
    pub(crate) about: About,
    labels: Labels,
}

enum Labels {
    Classes {
        splits: [Vec<u32>; 2],
        classes: usize,
    },
    /// Values as they stand in the files.
    Values {
        splits: [Vec<f64>; 2],
    },
}

impl Target {
    /// Reads the targets of a task.
    pub(crate) fn open(
        folder: &Path,
        task: &ArrayTask,
        normalisation: Normalisation,
    ) -> Result<Self, DataError> {
        Self::read(task, Self::heads(folder, &task.name)?, normalisation, &Held::default())
    }

    /// Both files of a task, of which nothing but the heads is read.
    pub(crate) fn heads(folder: &Path, name: &str) -> Result<[ArrayFile; 2], DataError> {
        let [train, test] =
            [Split::Train, Split::Test].map(|split| ArrayFile::open_task(folder, name, split));
        let files = [train?, test?];
        same_width(&files)?;
        if files[0].layout.element.kind.is_text() != files[1].layout.element.kind.is_text() {
            let [train, test] = [0, 1].map(|split: usize| files[split].layout.element.kind.name());
            let other = files[0].file_name();
            return Err(
                files[1].malformed(format!("holds {test}, but {other} {train}: save both the same way"))
            );
        }
        Ok(files)
    }

    /// Understands the targets in both files. Values are normalised by the training rows that are not held out.
    pub(crate) fn read(
        task: &ArrayTask,
        files: [ArrayFile; 2],
        normalisation: Normalisation,
        held: &Held,
    ) -> Result<Self, DataError> {
        let wants_values = task.kind == Some(TaskKind::Regression);
        let [train, test] = [0, 1].map(|split| Survey::of(&files[split], wants_values));
        let surveys = [train?, test?];
        match task.kind.unwrap_or_else(|| infer(task, &files, &surveys)) {
            TaskKind::Classification => Self::classes(task, files, &surveys),
            TaskKind::Regression => Self::values(task, files, surveys, normalisation, held),
        }
    }

    fn classes(task: &ArrayTask, files: [ArrayFile; 2], surveys: &[Survey; 2]) -> Result<Self, DataError> {
        let classes = Classes::of(task, &files, surveys)?;
        let sums = [surveys[0].sum, surveys[1].sum];
        let kept = Kept::new(&task.name, sums, Map { shift: vec![0.0], scale: vec![1.0] });
        let notes = labels::notes(task, &files, &classes);
        let Classes { splits, count, names } = classes;
        let about = About { names, notes };
        Ok(Target { kept, files, about, labels: Labels::Classes { splits, classes: count } })
    }

    fn values(
        task: &ArrayTask,
        files: [ArrayFile; 2],
        surveys: [Survey; 2],
        normalisation: Normalisation,
        held: &Held,
    ) -> Result<Self, DataError> {
        if files[0].layout.element.kind.is_text() {
            return Err(files[0].malformed("holds texts, which are classes: remove kind = \"regression\""));
        }
        if task.classes.is_some() || !task.ignore.is_empty() {
            let key = if task.classes.is_some() { "classes" } else { "ignore" };
            return Err(files[0].malformed(format!(
                "is a task of values, but the receiver's key {key} is set: remove it, or set kind = \"classification\""
            )));
        }
        let width = files[0].layout.width;
        let mut fit = Fit::new(normalisation, width);
        let rows = surveys[0].numbers().chunks_exact(width).enumerate();
        rows.filter(|(row, _)| !held.contains(*row)).for_each(|(_, values)| fit.row(values));
        let kept = Kept::new(&task.name, [surveys[0].sum, surveys[1].sum], fit.finish());
        let notes = value_note(task, &files[0], &surveys[0]).into_iter().collect();
        let about = About { names: Vec::new(), notes };
        let splits = surveys.map(Survey::into_numbers);
        Ok(Target { kept, files, about, labels: Labels::Values { splits } })
    }

    /// The targets of a split; values are normalised.
    pub(crate) fn targets(&self, split: Split) -> Targets {
        let split = split.index() as usize;
        match &self.labels {
            Labels::Classes { splits, classes } => {
                Targets::Classes { labels: splits[split].clone(), classes: *classes }
            }
            Labels::Values { splits } => {
                let width = self.files[0].layout.width;
                let mut values = vec![0.0; splits[split].len()];
                for (out, row) in values.chunks_exact_mut(width).zip(splits[split].chunks_exact(width)) {
                    self.kept.map.apply(row, out);
                }
                Targets::Values { width, values }
            }
        }
    }
}

/// The kind of a task that nobody has said: texts and integers are classes, and so are one-hot rows; floats are classes
/// only if they are exactly 0 to C-1.
fn infer(task: &ArrayTask, files: &[ArrayFile; 2], surveys: &[Survey; 2]) -> TaskKind {
    let [train, test] = surveys;
    let is_classes = match files[0].layout.element.kind.is_float() {
        false => true,
        true if files[0].layout.width == 1 => labels::are_float_classes([train, test], &task.ignore),
        true => train.is_one_hot && test.is_one_hot,
    };
    if is_classes { TaskKind::Classification } else { TaskKind::Regression }
}

/// Says that floats are values, where nobody has; of whole numbers also why, since they may well be meant as classes.
fn value_note(task: &ArrayTask, file: &ArrayFile, train: &Survey) -> Option<String> {
    if task.kind.is_some() {
        return None;
    }
    let (name, kind) = (file.file_name(), file.layout.element.kind.name());
    let whole = file.layout.width == 1 && train.numbers().iter().all(|value| value.fract() == 0.0);
    Some(match whole {
        true => format!(
            "{name}: whole numbers as {kind}, but not exactly 0 to C-1 with C at most 100, learnt as values (kind = \
             \"classification\" learns them as classes)"
        ),
        false => format!("{name}: {kind}, learnt as values"),
    })
}
