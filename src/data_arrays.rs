//! The arrays' part of `pom2dib data`.

use std::process::ExitCode;

use data::{ArrayReport, Balance};

/// Counts of classes that are shown one by one.
const SHOWN: usize = 30;

/// Says which files cannot be used together, and what a user should know of tasks.
pub(crate) fn verify(report: &ArrayReport, json: bool) -> ExitCode {
    let faults = report.problems().count();
    if json {
        print_json(report);
    } else {
        report.problems().for_each(|problem| println!("{problem}"));
        notes(report);
        let sound = report.files.iter().filter(|file| file.problem.is_none()).count();
        println!("{sound} files can be used together, {} not", report.files.len() - sound);
    }
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Says what files there are, and what they are as tasks.
pub(crate) fn describe(report: &ArrayReport, json: bool) -> ExitCode {
    if json {
        print_json(report);
        return ExitCode::SUCCESS;
    }
    println!("arrays in {}", report.folder.display());
    for file in &report.files {
        let shape: Vec<String> = file.shape.iter().map(usize::to_string).collect();
        let (shape, what) = (shape.join(" x "), file.problem.as_deref().unwrap_or(file.element));
        println!("  {:<16} {:<5} {shape:<20} {what}", file.array, file.split);
    }
    for task in &report.tasks {
        match (&task.balance, task.kind, &task.problem) {
            (.., Some(problem)) => println!("  as a task: {problem}"),
            (Some(balance), ..) => println!("  as a task: {:<16} {}", task.array, classes(balance)),
            (None, Some(_), _) => println!("  as a task: {:<16} values (regression)", task.array),
            // The notes say why not.
            (None, None, _) => {}
        }
    }
    notes(report);
    ExitCode::SUCCESS
}

fn notes(report: &ArrayReport) {
    report.tasks.iter().flat_map(|task| &task.notes).for_each(|note| println!("  note: {note}"));
    for path in &report.unread {
        println!(
            "  note: {} is read by nobody: arrays are NAME.train and NAME.test as .npy, .npz or .safetensors",
            path.display()
        );
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

fn print_json(report: &ArrayReport) {
    println!("{}", serde_json::to_string(report).expect("a report has only strings and numbers"));
}
