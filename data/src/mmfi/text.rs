//! What is found of a tree, in words.

use std::{fmt::Write, path::Path};

use super::{MmFiInfo, MmFiReport};
use crate::Report;

/// Files of a kind that are listed one by one; of more, the number is given.
const LISTED: usize = 10;

impl MmFiReport {
    /// Which files are missing or malformed, and how many there are of each kind.
    pub(super) fn report(&self, folder: &Path) -> Report {
        let mut text = String::new();
        for sensor in &self.sensors {
            let malformed = sensor.malformed.iter().map(|(path, how)| format!("{}: {how}", path.display()));
            list(&mut text, malformed.collect(), &format!("malformed of {}", sensor.name));
            let missing = sensor.missing.iter().map(|path| format!("{}: missing", path.display()));
            list(&mut text, missing.collect(), &format!("missing of {}", sensor.name));
        }
        let twice = self.unread.iter().map(|path| format!("{}: there twice, and not read", path.display()));
        list(&mut text, twice.collect(), "twice");
        let (folder, synthetic) = (folder.display(), synthetic(self.synthetic));
        let _ = writeln!(text, "{folder}: {} of 1080 recordings{synthetic}", self.recordings);
        let _ =
            writeln!(text, "  {:<13} {:>8} {:>8} {:>8} {:>9}", "", "sound", "empty", "missing", "malformed");
        for sensor in &self.sensors {
            let _ = writeln!(
                text,
                "  {:<13} {:>8} {:>8} {:>8} {:>9}",
                sensor.name,
                sensor.sound,
                sensor.empty.len(),
                sensor.missing.len(),
                sensor.malformed.len()
            );
        }
        Report::new(text, self, self.is_ok())
    }
}

impl MmFiInfo {
    /// What the tree holds.
    pub(super) fn report(&self) -> Report {
        let (folder, synthetic) = (self.folder.display(), synthetic(self.synthetic));
        let mut text = format!("mmfi in {folder} ({} bytes){synthetic}\n", self.bytes);
        let everywhere = self.modalities.join(", ");
        let _ = writeln!(text, "  {} of 1080 recordings; everywhere {everywhere}", self.recordings);
        for split in &self.splits {
            let counts = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
            let _ = writeln!(
                text,
                "  {:<5} {} samples of {} recordings by {} subjects (protocol 3, random split)",
                split.name, split.samples, split.recordings, split.subjects
            );
            let _ = writeln!(text, "    of each scene  {}", counts(&split.per_scene));
            let _ = writeln!(text, "    of each action {}", counts(&split.per_action));
        }
        let baselines = self.majority.iter().map(|(task, share)| format!("{task} {:.2} %", 100.0 * share));
        let _ = writeln!(text, "  majority baseline: {}", baselines.collect::<Vec<_>>().join(", "));
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        let _ = writeln!(text, "  digest {}", self.digest);
        Report::new(text, self, true)
    }
}

fn list(text: &mut String, lines: Vec<String>, what: &str) {
    lines.iter().take(LISTED).for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    if lines.len() > LISTED {
        let _ = writeln!(text, "... and {} more {what}; --json lists all", lines.len() - LISTED);
    }
}

fn synthetic(is_it: bool) -> &'static str {
    if is_it { ", synthetic: made by this program, not the MM-Fi data" } else { "" }
}
