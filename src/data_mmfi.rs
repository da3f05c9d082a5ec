//! MM-Fi's part of `pom2dib data`.

use std::{path::Path, process::ExitCode};

use data::{
    DataError,
    mmfi::{self, MmFiInfo, MmFiReport, Plan},
};

use crate::{mmfi_run::synthesise, slow::Slow};

/// Files of a kind that are listed one by one; of more, the number is said.
const LISTED: usize = 10;

/// Reads every file of a tree.
pub(crate) fn verify(folder: &Path, json: bool) -> Result<ExitCode, DataError> {
    let slow = Slow::new(format!("reading every file in {}", folder.display()));
    let report = mmfi::verify(folder, &|done, of| slow.show(done, of))?;
    drop(slow);
    match json {
        true => {
            println!("{}", serde_json::to_string(&report).expect("a report has only strings and numbers"))
        }
        false => print_report(folder, &report),
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn print_report(folder: &Path, report: &MmFiReport) {
    for sensor in &report.sensors {
        let malformed = sensor.malformed.iter().map(|(path, how)| format!("{}: {how}", path.display()));
        list(malformed.collect(), &format!("malformed of {}", sensor.name));
        let missing = sensor.missing.iter().map(|path| format!("{}: missing", path.display()));
        list(missing.collect(), &format!("missing of {}", sensor.name));
    }
    list(
        report.unread.iter().map(|path| format!("{}: there twice, and not read", path.display())).collect(),
        "twice",
    );
    println!("{}: {} of 1080 recordings{}", folder.display(), report.recordings, synthetic(report.synthetic));
    println!("  {:<13} {:>8} {:>8} {:>8} {:>9}", "", "sound", "empty", "missing", "malformed");
    for sensor in &report.sensors {
        println!(
            "  {:<13} {:>8} {:>8} {:>8} {:>9}",
            sensor.name,
            sensor.sound,
            sensor.empty.len(),
            sensor.missing.len(),
            sensor.malformed.len()
        );
    }
}

fn list(lines: Vec<String>, what: &str) {
    lines.iter().take(LISTED).for_each(|line| println!("{line}"));
    if lines.len() > LISTED {
        println!("... and {} more {what}; --json lists all", lines.len() - LISTED);
    }
}

fn synthetic(is_it: bool) -> &'static str {
    if is_it { ", synthetic: made by this program, not the MM-Fi data" } else { "" }
}

/// Says what a tree holds.
pub(crate) fn info(folder: &Path, json: bool) -> Result<ExitCode, DataError> {
    let slow = Slow::new(format!("indexing {}", folder.display()));
    let info = mmfi::describe(folder.into(), &|done, of| slow.show(done, of))?;
    drop(slow);
    match json {
        true => println!("{}", serde_json::to_string(&info).expect("an info has only strings and numbers")),
        false => print_info(&info),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_info(info: &MmFiInfo) {
    println!("mmfi in {} ({} bytes){}", info.folder.display(), info.bytes, synthetic(info.synthetic));
    println!("  {} of 1080 recordings; everywhere {}", info.recordings, info.modalities.join(", "));
    for split in &info.splits {
        let counts = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        println!(
            "  {:<5} {} samples of {} recordings by {} subjects (protocol 3, random split)",
            split.name, split.samples, split.recordings, split.subjects
        );
        println!("    of each scene  {}", counts(&split.per_scene));
        println!("    of each action {}", counts(&split.per_action));
    }
    let baselines = info.majority.iter().map(|(task, share)| format!("{task} {:.2} %", 100.0 * share));
    println!("  majority baseline: {}", baselines.collect::<Vec<_>>().join(", "));
    info.notes.iter().for_each(|note| println!("  note: {note}"));
    println!("  digest {}", info.digest);
}

/// Makes a synthetic tree.
pub(crate) fn synthetic_tree(folder: &Path, plan: Plan) -> Result<ExitCode, DataError> {
    synthesise(folder, plan)?;
    eprintln!(
        "a synthetic tree ({plan}) is in {}; use it with --data {}",
        folder.display(),
        folder.display()
    );
    Ok(ExitCode::SUCCESS)
}
