//! What the values of a task's file could mean: classes by number, by name or by column, or values.

use super::{ArrayTask, Label, file::ArrayFile};
use crate::{IGNORED, error::DataError};

/// More classes than any task has: what claims more is no class.
const MOST_CLASSES: usize = 1 << 16;

/// Floats are classes by themselves only if they are exactly 0 to C-1 with no larger C than this.
const MOST_FLOAT_CLASSES: usize = 100;

/// Bytes of all names of classes together: they travel in one message.
const LONGEST_NAMES: usize = 1 << 20;

/// Values for which most people mean that there is no label.
const NO_LABEL: [u32; 2] = [255, 65535];

/// What was read of a task's file.
pub(crate) struct Survey {
    /// SHA-256 of type, shape and values.
    pub(crate) sum: [u8; 32],
    pub(crate) cells: Cells,
    /// Whether every row has exactly one 1, and zeros else.
    pub(crate) is_one_hot: bool,
}

/// The cells of a file, as far as they may be needed.
pub(crate) enum Cells {
    /// All of them, row by row.
    Numbers(Vec<f64>),
    /// Of rows of several integers only where each is largest: they are one-hot, or no task.
    Columns(Vec<u32>),
    Texts(Vec<String>),
}

impl Survey {
    /// Reads a file once. `values` says that all of its values are wanted, whatever they look like.
    pub(crate) fn of(file: &ArrayFile, values: bool) -> Result<Self, DataError> {
        let (width, kind) = (file.layout.width, file.layout.element.kind);
        if kind.is_text() {
            let mut texts = Vec::with_capacity(file.layout.rows);
            let sum = file.scan_texts(|text| texts.push(text))?;
            return Ok(Survey { sum, cells: Cells::Texts(texts), is_one_hot: false });
        }
        let keep = values || width == 1 || kind.is_float();
        let (mut numbers, mut columns, mut is_one_hot) = (Vec::new(), Vec::new(), width > 1);
        let sum = file.scan(|_, row| {
            if keep {
                numbers.extend(row);
            }
            if is_one_hot {
                let hot = row.iter().position(|&value| value == 1.0);
                is_one_hot = hot.is_some() && row.iter().filter(|&&value| value != 0.0).count() == 1;
                columns.push(hot.unwrap_or(0) as u32);
            }
            Ok(())
        })?;
        let cells = if keep { Cells::Numbers(numbers) } else { Cells::Columns(columns) };
        Ok(Survey { sum, cells, is_one_hot })
    }

    /// The numbers of a file that has no texts.
    pub(crate) fn numbers(&self) -> &[f64] {
        match &self.cells {
            Cells::Numbers(numbers) => numbers,
            _ => &[],
        }
    }

    /// The same, given away.
    pub(crate) fn into_numbers(self) -> Vec<f64> {
        match self.cells {
            Cells::Numbers(numbers) => numbers,
            _ => Vec::new(),
        }
    }

    pub(crate) fn columns(&self, width: usize) -> Vec<u32> {
        match &self.cells {
            Cells::Columns(columns) => columns.clone(),
            _ => {
                let hot = |row: &[f64]| row.iter().position(|&value| value == 1.0).unwrap_or(0) as u32;
                self.numbers().chunks_exact(width).map(hot).collect()
            }
        }
    }
}

/// Whether floats are exactly 0 to C-1: in training all of them, in the test no other.
pub(crate) fn are_float_classes([train, test]: [&Survey; 2], ignore: &[Label]) -> bool {
    let class = |value: &f64| (0.0..MOST_FLOAT_CLASSES as f64).contains(value) && value.fract() == 0.0;
    let counted = |survey: &'_ Survey| -> Vec<f64> {
        survey.numbers().iter().copied().filter(|value| !is_ignored(*value, ignore)).collect()
    };
    let (train, test) = (counted(train), counted(test));
    if !train.iter().chain(&test).all(class) {
        return false;
    }
    let largest = train.iter().copied().fold(0.0, f64::max) as usize;
    let mut is_there = vec![false; largest + 1];
    train.iter().for_each(|&value| is_there[value as usize] = true);
    largest > 0
        && is_there.into_iter().all(|there| there)
        && test.iter().all(|&value| value as usize <= largest)
}

pub(crate) fn is_ignored(value: f64, ignore: &[Label]) -> bool {
    ignore.iter().any(|label| matches!(label, Label::Number(number) if *number as f64 == value))
}

/// The classes of both splits.
pub(crate) struct Classes {
    pub(crate) splits: [Vec<u32>; 2],
    pub(crate) count: usize,
    /// Of texts: what each class is called.
    pub(crate) names: Vec<String>,
}

impl Classes {
    /// Understands labels; the error names file and row.
    pub(crate) fn of(
        task: &ArrayTask,
        files: &[ArrayFile; 2],
        surveys: &[Survey; 2],
    ) -> Result<Self, DataError> {
        let width = files[0].layout.width;
        match (&surveys[0].cells, &surveys[1].cells) {
            (Cells::Texts(train), Cells::Texts(test)) => by_name(task, files, [train, test]),
            _ if width == 1 => by_number(task, files, surveys),
            _ => by_column(task, files, surveys),
        }
    }
}

fn by_number(task: &ArrayTask, files: &[ArrayFile; 2], surveys: &[Survey; 2]) -> Result<Classes, DataError> {
    let [train, test] = [0, 1].map(|split| numbers(task, &files[split], surveys[split].numbers()));
    let splits = [train?, test?];
    check_some_count(files, &splits)?;
    let largest = splits[0].iter().filter(|&&label| label != IGNORED).max();
    let count = task.classes.unwrap_or(largest.map_or(0, |&label| label as usize + 1));
    if count < 2 {
        return Err(files[0].malformed("has class 0 alone; a task has two classes or more"));
    }
    for (file, labels) in files.iter().zip(&splits) {
        let beyond = |&label: &u32| label != IGNORED && label as usize >= count;
        if let Some(row) = labels.iter().position(beyond) {
            let (given, last) = (labels[row], count - 1);
            let remedy = match task.classes {
                Some(_) => "the receiver's key classes says so".to_owned(),
                None => format!("the training labels, {}, have no other", files[0].file_name()),
            };
            return Err(file
                .malformed(format!("row {row} is of class {given}, but classes are 0 to {last}: {remedy}")));
        }
    }
    Ok(Classes { splits, count, names: Vec::new() })
}

/// A split without a label that counts can neither be learnt nor evaluated.
fn check_some_count(files: &[ArrayFile; 2], splits: &[Vec<u32>; 2]) -> Result<(), DataError> {
    let none = |labels: &&Vec<u32>| labels.iter().all(|&label| label == IGNORED);
    match splits.iter().position(|labels| none(&labels)) {
        None => Ok(()),
        Some(split) => {
            Err(files[split].malformed("has only labels that the receiver's key ignore leaves out"))
        }
    }
}

/// The classes of numbers, each by itself.
pub(crate) fn numbers(task: &ArrayTask, file: &ArrayFile, values: &[f64]) -> Result<Vec<u32>, DataError> {
    let label = |(row, &value): (usize, &f64)| {
        if is_ignored(value, &task.ignore) {
            return Ok(IGNORED);
        }
        if value.fract() != 0.0 {
            return Err(file.malformed(format!(
                "row {row} holds {value}, but classes are whole numbers: remove kind = \"classification\", or save whole numbers"
            )));
        }
        if !(0.0..MOST_CLASSES as f64).contains(&value) {
            return Err(file.malformed(format!(
                "row {row} is of class {value}, but classes count from 0 and there are at most {MOST_CLASSES} (if it means \
                 that there is no label, the receiver's key ignore = {value} leaves such rows out)"
            )));
        }
        Ok(value as u32)
    };
    values.iter().enumerate().map(label).collect()
}

fn by_column(task: &ArrayTask, files: &[ArrayFile; 2], surveys: &[Survey; 2]) -> Result<Classes, DataError> {
    let count = files[0].layout.width;
    for (file, survey) in files.iter().zip(surveys) {
        if !survey.is_one_hot {
            return Err(file.malformed(format!(
                "has {count} values a row, but a class is one number from 0, or a row with a single 1 among zeros"
            )));
        }
    }
    if let Some(classes) = task.classes.filter(|&classes| classes != count) {
        return Err(files[0].malformed(format!(
            "has one-hot rows of {count} classes, but the receiver's key classes is {classes}: remove the key"
        )));
    }
    let ignored = |column: u32| match is_ignored(column.into(), &task.ignore) {
        true => IGNORED,
        false => column,
    };
    let splits: [Vec<u32>; 2] =
        [0, 1].map(|split: usize| surveys[split].columns(count).into_iter().map(ignored).collect());
    check_some_count(files, &splits)?;
    Ok(Classes { splits, count, names: Vec::new() })
}

/// Texts are classes in the order of the alphabet, as the training rows have them.
fn by_name(task: &ArrayTask, files: &[ArrayFile; 2], texts: [&Vec<String>; 2]) -> Result<Classes, DataError> {
    let is_ignored = |text: &String| {
        task.ignore.iter().any(|label| matches!(label, Label::Text(ignored) if ignored == text))
    };
    let known: std::collections::BTreeSet<&String> =
        texts[0].iter().filter(|text| !is_ignored(text)).collect();
    let names: Vec<String> = known.into_iter().cloned().collect();
    let count = task.classes.unwrap_or(names.len());
    let bytes: usize = names.iter().map(String::len).sum();
    if bytes > LONGEST_NAMES {
        let problem = format!("has texts of {bytes} bytes as names of classes; {LONGEST_NAMES} are the most");
        return Err(files[0].malformed(problem));
    }
    if !(2..=MOST_CLASSES).contains(&names.len()) || count < names.len() {
        return Err(files[0].malformed(format!(
            "holds {} different texts; a task has two classes or more, and no more than its key classes says",
            names.len()
        )));
    }
    let of_split = |split: usize| {
        let class = |(row, text): (usize, &String)| match names.binary_search(text) {
            Ok(class) => Ok(class as u32),
            Err(_) if is_ignored(text) => Ok(IGNORED),
            Err(_) => Err(files[split].malformed(format!(
                "row {row} is {}, which no row of {} is",
                quoted(text),
                files[0].file_name()
            ))),
        };
        texts[split].iter().enumerate().map(class).collect::<Result<Vec<u32>, _>>()
    };
    let splits = [of_split(0)?, of_split(1)?];
    check_some_count(files, &splits)?;
    Ok(Classes { splits, count, names })
}

/// What a user should know of classes, a line each that names the file.
pub(crate) fn notes(task: &ArrayTask, files: &[ArrayFile; 2], classes: &Classes) -> Vec<String> {
    let (file, count) = (files[0].file_name(), classes.count);
    let (kind, width) = (files[0].layout.element.kind, files[0].layout.width);
    let mut notes = Vec::new();
    if !classes.names.is_empty() {
        let names: Vec<String> = classes.names.iter().take(5).map(|name| quoted(name)).collect();
        let more = if classes.names.len() > names.len() { ", ..." } else { "" };
        notes.push(format!("{file}: texts, learnt as {count} classes from 0: {}{more}", names.join(", ")));
    } else if width > 1 && task.kind.is_none() {
        notes.push(format!(
            "{file}: one-hot rows, learnt as {count} classes (kind = \"regression\" learns them as values)"
        ));
    } else if kind.is_float() && task.kind.is_none() {
        notes.push(format!(
            "{file}: whole numbers 0 to {} as {}, learnt as {count} classes (kind = \"regression\" learns them as values)",
            count - 1,
            kind.name()
        ));
    }
    notes.extend(empty_note(&file, classes));
    notes
}

/// Names the classes of which there is no training row.
fn empty_note(file: &str, classes: &Classes) -> Option<String> {
    let mut is_there = vec![false; classes.count];
    classes.splits[0]
        .iter()
        .filter(|&&label| label != IGNORED)
        .for_each(|&label| is_there[label as usize] = true);
    let empty: Vec<usize> = (0..classes.count).filter(|&class| !is_there[class]).collect();
    let first = is_there.iter().position(|&there| there)?;
    if empty.is_empty() {
        return None;
    }
    let word = if empty.len() == 1 { "class" } else { "classes" };
    let hint = match (NO_LABEL.contains(&(classes.count as u32 - 1)), first) {
        (true, _) => {
            let last = classes.count - 1;
            format!(
                "{last} often means that there is no label: the receiver's key ignore = {last} leaves such rows out"
            )
        }
        (false, 1) => "labels count from 0: subtract 1, or live with an output that is never right".into(),
        _ => "labels count from 0 without gaps: numpy.unique(labels, return_inverse=True)[1] numbers them so"
            .into(),
    };
    Some(format!("{file}: {word} {} in no row, of {}: {hint}", ranges(&empty), classes.count))
}

/// Numbers in order, neighbours together; of many the first few.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let shown: Vec<String> = runs
        .clone()
        .take(4)
        .map(|run| match run {
            [one] => one.to_string(),
            run => format!("{} to {}", run[0], run[run.len() - 1]),
        })
        .collect();
    let more = if runs.count() > shown.len() { " and more" } else { "" };
    let verb = if numbers.len() == 1 { "is" } else { "are" };
    format!("{}{more} {verb}", shown.join(", "))
}

/// A text on one line, and not too long.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
