//! What a data set holds, for people to read.

use crate::{
    Balance, Dataset, Report, Settings, Split, Targets,
    arrays::classes,
    catalogue::hex,
    content::{Content, Part},
    modality::{MODALITY_NAMES, Modality},
    paired::digest,
    task::{TASKS, Task},
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// The name as scenarios write it.
    pub source: String,
    /// Its folder, where it has one.
    pub folder: Option<PathBuf>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Training and test split.
    pub splits: Vec<SplitInfo>,
    /// What transmitters may observe.
    pub modalities: Vec<ModalityInfo>,
    /// What receivers may predict.
    pub tasks: Vec<TaskInfo>,
    /// How many samples each class of a task has, in the tasks' order; none of tasks of values.
    pub balance: Vec<Option<Balance>>,
    /// Who speaks, where samples have recordings of speakers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub speakers: Vec<SpeakerInfo>,
    /// What a user should know of the files, a line each: what is there and not read, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// [`Dataset::digest`](crate::Dataset::digest) in hexadecimal.
    pub digest: String,
}

/// One speaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpeakerInfo {
    /// The name in the files' names.
    pub name: String,
    /// How often each digit is spoken.
    pub takes: u32,
}

/// One split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitInfo {
    /// `train` or `test`.
    pub name: &'static str,
    /// How many samples it has.
    pub samples: usize,
    /// How many recordings its samples are paired with.
    pub recordings: usize,
    /// Samples of each digit, 0 to 9; none where samples are no digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_digit: Vec<usize>,
}

/// One modality.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModalityInfo {
    /// The name as scenarios write it.
    pub name: String,
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values per sample.
    pub width: usize,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskInfo {
    /// The name as scenarios write it.
    pub name: String,
    /// How many classes there are; for regression, how many values.
    pub classes: usize,
}

impl From<Task> for TaskInfo {
    fn from(task: Task) -> Self {
        TaskInfo { name: task.name.into(), classes: task.classes }
    }
}

impl Info {
    /// The same in words.
    pub(crate) fn report(&self) -> Report {
        let mut text = match &self.folder {
            Some(folder) => format!("{} in {} ({} bytes)\n", self.source, folder.display(), self.bytes),
            None => format!("{}, made by this program\n", self.source),
        };
        for split in &self.splits {
            let counts: Vec<String> = split.per_digit.iter().map(usize::to_string).collect();
            let counts = match counts.is_empty() {
                true => String::new(),
                false => format!("; of each digit {}", counts.join(" ")),
            };
            let (name, samples, recordings) = (split.name, split.samples, split.recordings);
            let _ = writeln!(text, "  {name:<5} {samples} samples, {recordings} recordings{counts}");
        }
        for modality in &self.modalities {
            let sizes: Vec<String> = modality.shape.iter().map(usize::to_string).collect();
            let _ = writeln!(text, "  modality {:<8} {}", modality.name, sizes.join(" x "));
        }
        for (task, balance) in self.tasks.iter().zip(&self.balance) {
            let what = balance.as_ref().map_or_else(|| format!("{} values", task.classes), classes);
            let _ = writeln!(text, "  task {:<8} {what}", task.name);
        }
        if !self.speakers.is_empty() {
            let speakers = self.speakers.iter().map(|speaker| format!("{} {}", speaker.name, speaker.takes));
            let _ = writeln!(text, "  takes of each digit: {}", speakers.collect::<Vec<_>>().join(", "));
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        let _ = writeln!(text, "  digest {}", self.digest);
        Report::new(text, self, true)
    }
}

/// Describes images with recordings that lie in no files.
pub(crate) fn info_of_content(source: &str, content: &Content) -> Info {
    Info {
        source: source.into(),
        folder: None,
        bytes: 0,
        splits: vec![split("train", &content.train), split("test", &content.test)],
        modalities: MODALITY_NAMES.iter().filter_map(|name| modality(name)).collect(),
        tasks: TASKS.map(TaskInfo::from).to_vec(),
        balance: TASKS.iter().map(|task| balance(*task, content)).collect(),
        speakers: Vec::new(),
        notes: Vec::new(),
        digest: hex(&digest(content)),
    }
}

/// Describes what a data set shows of itself.
pub(crate) fn info_of_dataset(
    dataset: &dyn Dataset,
    settings: &Settings,
    modalities: &[String],
    tasks: &[String],
) -> Info {
    let clusters: BTreeSet<u32> = dataset.clusters().into_iter().collect();
    let split = |(name, split)| {
        let samples = dataset.samples(split);
        let recordings = if split == Split::Test { clusters.len() } else { samples };
        SplitInfo { name, samples, recordings, per_digit: Vec::new() }
    };
    let modality = |name: &String| {
        let width = dataset.width(name)?;
        let shape = dataset.shape(name)?;
        Some(ModalityInfo { name: name.clone(), shape, width })
    };
    let targets: Vec<(&String, [Targets; 2])> = tasks
        .iter()
        .filter_map(|name| {
            let of = |split| dataset.targets(name, split);
            Some((name, [of(Split::Train)?, of(Split::Test)?]))
        })
        .collect();
    let outputs = |targets: &Targets| match targets {
        Targets::Classes { classes, .. } => *classes,
        Targets::Values { width, .. } => *width,
    };
    let task = |(name, [train, _]): &(&String, [Targets; 2])| TaskInfo {
        name: (*name).clone(),
        classes: outputs(train),
    };
    Info {
        source: settings.source.clone(),
        folder: settings.folder.clone(),
        bytes: 0,
        splits: [("train", Split::Train), ("test", Split::Test)].map(split).to_vec(),
        modalities: modalities.iter().filter_map(modality).collect(),
        tasks: targets.iter().map(task).collect(),
        balance: targets.iter().map(|(_, [train, test])| Balance::of(train, test)).collect(),
        speakers: Vec::new(),
        notes: Vec::new(),
        digest: hex(&dataset.digest()),
    }
}

fn balance(task: Task, content: &Content) -> Option<Balance> {
    Balance::of(&task.targets(&content.train.labels), &task.targets(&content.test.labels))
}

fn split(name: &'static str, part: &Part) -> SplitInfo {
    let mut per_digit = vec![0; 10];
    part.labels.iter().for_each(|&digit| per_digit[usize::from(digit)] += 1);
    SplitInfo { name, samples: part.labels.len(), recordings: part.names.len(), per_digit }
}

fn modality(name: &'static str) -> Option<ModalityInfo> {
    Modality::named(name).map(|modality| ModalityInfo {
        name: name.into(),
        shape: modality.axes(),
        width: modality.width(),
    })
}
