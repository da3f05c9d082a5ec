//! Rows that a trained network is to infer, whatever they are: files of one split, whose labels may be missing.

use super::{
    ArraySource, ArrayTask, Kept,
    agreement::odd_ones_out,
    file::{self, ArrayFile, Part},
    labels::{Cells, Survey, is_ignored, numbers},
    modality::check_normalised,
    names::check_name,
};
use crate::{
    Dataset, IGNORED, Label, Needs, Split, Targets, Trained, TrainedTask, error::DataError,
    modality::is_noise,
};
use randomness::{Purpose, Seed};
use std::{collections::BTreeMap, path::Path};

/// The rows of one split, which stand in for the test split: normalised as the checkpoint keeps it, whatever files it
/// was trained on.
pub(crate) struct Unseen {
    seed: Seed,
    part: Part,
    noise_width: usize,
    rows: usize,
    modalities: BTreeMap<String, (ArrayFile, Kept)>,
    targets: BTreeMap<String, Task>,
}

struct Task {
    targets: Targets,
    outputs: usize,
    /// Of values.
    kept: Option<Kept>,
}

impl Unseen {
    pub(crate) fn open(
        source: &ArraySource,
        seed: Seed,
        needs: &Needs,
        part: Part,
        trained: &Trained,
    ) -> Result<Self, DataError> {
        let folder = source.folder.as_path();
        let mut modalities = BTreeMap::new();
        for name in needs.modalities.iter().filter(|name| !is_noise(name)) {
            check_name(name)?;
            let file = ArrayFile::open(folder, name, part)?;
            let kept = kept_of(trained, name, &file)?;
            if kept.shift().len() != file.layout.width {
                return Err(file.malformed(format!(
                    "has {} values a row, and the network was trained on {}",
                    file.layout.width,
                    kept.shift().len()
                )));
            }
            modalities.insert(name.clone(), (file, kept.clone()));
        }
        // What is validated has labels; of other rows they may be missing.
        let wants = |name: &&String| part == Part::Validation || file::is_there(folder, name, part);
        let labels = needs.tasks.iter().filter(wants);
        let labels: BTreeMap<&String, ArrayFile> = labels
            .map(|name| Ok((name, ArrayFile::open_task(folder, name, part)?)))
            .collect::<Result<_, DataError>>()?;
        let files: Vec<&ArrayFile> =
            modalities.values().map(|(file, _)| file).chain(labels.values()).collect();
        if let Some(problem) = odd_ones_out(&files).next() {
            return Err(problem);
        }
        let rows = files.first().map(|file| file.layout.rows).ok_or_else(|| {
            DataError::malformed(folder, "holds the rows, but no array of the network is needed")
        })?;
        let target = |name: &String| {
            let of = TaskOf::new(source, trained, name, folder)?;
            Ok((name.clone(), of.read(labels.get(name), rows)?))
        };
        let targets = needs.tasks.iter().map(target).collect::<Result<_, DataError>>()?;
        Ok(Unseen { seed, part, noise_width: source.noise_width, rows, modalities, targets })
    }
}

fn kept_of<'a>(trained: &'a Trained, name: &str, file: &ArrayFile) -> Result<&'a Kept, DataError> {
    let kept = trained.kept.iter().find(|kept| kept.name == name);
    kept.ok_or_else(|| {
        file.malformed("is read by the network, but its checkpoint keeps nothing of that array")
    })
}

/// A task, as it was learnt.
struct TaskOf<'a> {
    task: ArrayTask,
    learnt: &'a TrainedTask,
    /// None where it is a classification.
    values: Option<&'a Kept>,
}

impl<'a> TaskOf<'a> {
    fn new(source: &ArraySource, trained: &'a Trained, name: &str, folder: &Path) -> Result<Self, DataError> {
        let known = source.tasks.iter().find(|task| task.name == name).cloned();
        let learnt = trained.tasks.iter().find(|task| task.name == name);
        let kept = trained.kept.iter().find(|kept| kept.name == name);
        let (Some(learnt), Some(kept)) = (learnt, kept) else {
            let problem = format!("holds the rows, but the checkpoint keeps nothing of the task \"{name}\"");
            return Err(DataError::malformed(folder, problem));
        };
        let task = known.unwrap_or_else(|| ArrayTask::plain(name));
        // Of classes one number is kept, and there are two or more.
        let values = Some(kept).filter(|kept| kept.shift().len() == learnt.outputs);
        Ok(TaskOf { task, learnt, values })
    }

    fn read(&self, file: Option<&ArrayFile>, rows: usize) -> Result<Task, DataError> {
        let outputs = self.learnt.outputs;
        let targets = match (self.values, file) {
            (None, None) => Targets::Classes { labels: vec![IGNORED; rows], classes: outputs },
            (None, Some(file)) => Targets::Classes { labels: self.classes(file)?, classes: outputs },
            (Some(_), None) => Targets::Values { width: outputs, values: vec![f32::NAN; rows * outputs] },
            (Some(kept), Some(file)) => {
                Targets::Values { width: outputs, values: normalised(file, kept, outputs)? }
            }
        };
        Ok(Task { targets, outputs, kept: self.values.cloned() })
    }

    fn classes(&self, file: &ArrayFile) -> Result<Vec<u32>, DataError> {
        let (outputs, names) = (self.learnt.outputs, &self.learnt.names);
        let survey = Survey::of(file, false)?;
        let labels = match &survey.cells {
            Cells::Texts(texts) => {
                let ignored = |text: &String| self.task.ignore.contains(&Label::Text(text.clone()));
                let class = |text: &String| match names.iter().position(|name| name == text) {
                    Some(class) => Ok(class as u32),
                    None if ignored(text) => Ok(IGNORED),
                    None => Err(file.malformed(format!(
                        "holds {:?}, which is no class of the network",
                        text.chars().take(40).collect::<String>()
                    ))),
                };
                return texts.iter().map(class).collect();
            }
            _ if file.layout.width == 1 => numbers(&self.task, file, survey.numbers())?,
            _ if survey.is_one_hot && file.layout.width == outputs => {
                let ignored = |column: u32| is_ignored(column.into(), &self.task.ignore);
                survey.columns(outputs).into_iter().map(|at| if ignored(at) { IGNORED } else { at }).collect()
            }
            _ => {
                return Err(file.malformed(format!(
                    "should hold a class a row, or one-hot rows of {outputs}, as in training"
                )));
            }
        };
        let beyond = |&label: &u32| label != IGNORED && label as usize >= outputs;
        match labels.iter().position(beyond) {
            None => Ok(labels),
            Some(row) => Err(file.malformed(format!(
                "row {row} is of class {}, and the network knows 0 to {}: leave the file out if there are no labels",
                labels[row],
                outputs - 1
            ))),
        }
    }
}

fn normalised(file: &ArrayFile, kept: &Kept, width: usize) -> Result<Vec<f32>, DataError> {
    if file.layout.element.kind.is_text() || file.layout.width != width {
        return Err(file.malformed(format!("should hold {width} numbers a row, as in training")));
    }
    let mut values = vec![0.0; file.layout.rows * width];
    file.scan(|row, cells| {
        kept.map.apply(cells, &mut values[row * width..][..width]);
        Ok(())
    })?;
    Ok(values)
}

impl Dataset for Unseen {
    /// Of training rows there are none to be had; one stands for them.
    fn samples(&self, split: Split) -> usize {
        if split == Split::Test { self.rows } else { 1 }
    }

    fn width(&self, modality: &str) -> Option<usize> {
        match is_noise(modality) {
            true => Some(self.noise_width),
            false => self.modalities.get(modality).map(|(file, _)| file.layout.width),
        }
    }

    fn shape(&self, modality: &str) -> Option<Vec<usize>> {
        match is_noise(modality) {
            true => Some(vec![self.noise_width]),
            false => self.modalities.get(modality).map(|(file, _)| file.layout.of_a_row()),
        }
    }

    fn read(
        &self,
        modality: &str,
        _: Split,
        sample: usize,
        _: u64,
        out: &mut [f32],
    ) -> Result<(), DataError> {
        if is_noise(modality) {
            let address = [self.part.index(), sample as u64];
            self.seed.named_stream(Purpose::Noise, modality, &address, self.part.epoch()).fill_normal(out);
            return Ok(());
        }
        let (file, kept) = self.modalities.get(modality).expect("the modality was among the needs");
        file.with_row(sample, |row| kept.map.apply(row, out))?;
        check_normalised(file, sample, out)
    }

    fn targets(&self, task: &str, split: Split) -> Option<Targets> {
        let Task { targets, outputs, .. } = self.targets.get(task)?;
        Some(match (split, targets) {
            (Split::Test, targets) => targets.clone(),
            (_, Targets::Classes { .. }) => Targets::Classes { labels: vec![IGNORED], classes: *outputs },
            (_, Targets::Values { .. }) => Targets::Values { width: *outputs, values: vec![0.0; *outputs] },
        })
    }

    fn units(&self, task: &str) -> Option<Vec<f64>> {
        Some(self.targets.get(task)?.kept.as_ref()?.scale().to_vec())
    }

    fn origins(&self, task: &str) -> Option<Vec<f64>> {
        Some(self.targets.get(task)?.kept.as_ref()?.shift().to_vec())
    }

    fn clusters(&self) -> Vec<u32> {
        (0..self.rows as u32).collect()
    }

    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }
}
