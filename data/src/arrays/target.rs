//! What a task wants predicted, as an array of class labels or of values.

use super::{
    ArrayTask, Kept, TaskKind,
    file::ArrayFile,
    normal::{Fit, Map, Normalisation},
};
use crate::{Split, Targets, error::DataError};
use std::path::Path;

/// More classes than any task has: what claims more is no class.
const MOST_CLASSES: usize = 1 << 16;

/// A task's targets of both splits.
pub(crate) struct Target {
    pub(crate) kept: Kept,
    pub(crate) files: [ArrayFile; 2],
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
        let files = [Split::Train, Split::Test].map(|split| ArrayFile::open(folder, &task.name, split));
        let [train, test] = files;
        let files = [train?, test?];
        super::same_width(&files)?;
        let inferred = match files[0].layout.element.kind.is_float() {
            true => TaskKind::Regression,
            false => TaskKind::Classification,
        };
        match task.kind.unwrap_or(inferred) {
            TaskKind::Classification => Self::classes(task, files),
            TaskKind::Regression => Self::values(task, files, normalisation),
        }
    }

    fn classes(task: &ArrayTask, files: [ArrayFile; 2]) -> Result<Self, DataError> {
        for file in &files {
            if file.layout.element.kind.is_float() {
                return Err(file.malformed(format!(
                    "holds {}, but classes are whole numbers: save it with astype(numpy.int64)",
                    file.layout.element.kind.name()
                )));
            }
            if file.layout.width != 1 {
                return Err(file.malformed(format!(
                    "has {} values a row, but a class is one number from 0 (of one-hot rows take argmax(axis=1))",
                    file.layout.width
                )));
            }
        }
        let (trained, train_sum) = read_labels(&files[0])?;
        let classes = match task.classes {
            Some(classes) => classes,
            None => trained.iter().max().map_or(0, |&label| label as usize + 1),
        };
        if classes < 2 {
            return Err(files[0].malformed("has class 0 alone; a task has two classes or more"));
        }
        let (tested, test_sum) = read_labels(&files[1])?;
        for (file, labels) in files.iter().zip([&trained, &tested]) {
            if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
                let (given, last) = (labels[row], classes - 1);
                let remedy = match task.classes {
                    Some(_) => "the receiver's key classes says so".to_owned(),
                    None => format!("the training labels, {}, have no other", files[0].file_name()),
                };
                return Err(file.malformed(format!(
                    "row {row} is of class {given}, but classes are 0 to {last}: {remedy}"
                )));
            }
        }
        let kept = Kept::new(&task.name, [train_sum, test_sum], Map { shift: vec![0.0], scale: vec![1.0] });
        Ok(Target { kept, files, labels: Labels::Classes { splits: [trained, tested], classes } })
    }

    fn values(
        task: &ArrayTask,
        files: [ArrayFile; 2],
        normalisation: Normalisation,
    ) -> Result<Self, DataError> {
        if task.classes.is_some() {
            return Err(files[0].malformed(
                "is a task of values, but the receiver's key classes is set: remove it, or set kind = \"classification\"",
            ));
        }
        let mut fit = Fit::new(normalisation, files[0].layout.width);
        let mut splits = [Vec::new(), Vec::new()];
        let train = files[0].scan(|_, row| {
            fit.row(row);
            splits[0].extend(row);
            Ok(())
        })?;
        let test = files[1].scan(|_, row| {
            splits[1].extend(row);
            Ok(())
        })?;
        let kept = Kept::new(&task.name, [train, test], fit.finish());
        Ok(Target { kept, files, labels: Labels::Values { splits } })
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

/// Class labels, and the file's SHA-256.
fn read_labels(file: &ArrayFile) -> Result<(Vec<u32>, [u8; 32]), DataError> {
    let mut labels = Vec::with_capacity(file.layout.rows);
    let sum = file.scan(|row, values| {
        let label = values[0];
        if !(0.0..MOST_CLASSES as f64).contains(&label) {
            return Err(file.malformed(format!(
                "row {row} is of class {label}, but classes count from 0 and there are at most {MOST_CLASSES}"
            )));
        }
        labels.push(label as u32);
        Ok(())
    })?;
    Ok((labels, sum))
}
