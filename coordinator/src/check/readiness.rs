//! Checks of a node's report that it is ready: what it says of its files, libraries and classes, all of which is shown.

use link::printable;
use proto::{
    WireError, check_finite, check_length,
    v1::{Classes, Failed, Ready, report::Report},
};

/// Upper limit on the classes of a task.
const MOST_CLASSES: usize = 1 << 16;

/// Upper limits on the notes of a node and on the bytes of each note.
const MOST_NOTES: usize = 20;
const LONGEST_NOTE: usize = 4000;

/// Upper limits on the libraries that a node names and on the bytes of each name.
const MOST_LIBRARIES: usize = 20;
const LONGEST_LIBRARY: usize = 200;

/// The longest name of a data file, in bytes.
const LONGEST_NAME: usize = 200;

/// A report with printable text only: its text goes to the terminal, to other nodes and into the summary.
pub(crate) fn spelt_out(report: Report) -> Report {
    let all = |texts: Vec<String>| -> Vec<String> { texts.iter().map(|text| printable(text)).collect() };
    match report {
        Report::Failed(failed) => Report::Failed(Failed { message: printable(&failed.message), ..failed }),
        Report::Ready(ready) => Report::Ready(Ready {
            device: printable(&ready.device),
            notes: all(ready.notes),
            libraries: all(ready.libraries),
            classes: ready.classes.map(|classes| Classes { names: all(classes.names), ..classes }),
            ..ready
        }),
        other => other,
    }
}

/// Whether a text may be shown as it is.
fn is_printable(text: &str) -> bool {
    printable(text) == text
}

/// Checks a node's report that it is ready, sent before the start.
pub(crate) fn ready(report: &Ready) -> Result<(), WireError> {
    check_finite("label_entropy", &[report.label_entropy])?;
    for file in &report.files {
        // File names appear in messages to users.
        if file.name.is_empty() || file.name.len() > LONGEST_NAME || !is_printable(&file.name) {
            return Err(WireError::Missing("usable name of a data file"));
        }
        check_length("the digest of a data file", "bytes", file.sha256.len(), 32)?;
    }
    // Notes, libraries and names of classes are shown to users unchanged.
    let is_line = |note: &String| note.len() <= LONGEST_NOTE && is_printable(note);
    if report.notes.len() > MOST_NOTES || !report.notes.iter().all(is_line) {
        return Err(WireError::Missing("notes of a line each"));
    }
    let is_name = |name: &String| name.len() <= LONGEST_LIBRARY && is_printable(name);
    if report.libraries.len() > MOST_LIBRARIES || !report.libraries.iter().all(is_name) {
        return Err(WireError::Missing("names of libraries"));
    }
    report.classes.as_ref().map_or(Ok(()), classes)
}

fn classes(report: &Classes) -> Result<(), WireError> {
    check_length("test", "classes", report.test.len(), report.train.len())?;
    let (count, names) = (report.train.len(), report.names.len());
    if !(2..=MOST_CLASSES).contains(&count) || names > count {
        return Err(WireError::Missing("classes in their range"));
    }
    if !report.names.iter().all(|name| is_printable(name)) {
        return Err(WireError::Missing("names of classes that can be shown"));
    }
    // Sums of them must not overflow.
    let is_count = |count: &u64| *count <= u64::from(u32::MAX);
    match report.train.iter().chain(&report.test).all(is_count) {
        true => Ok(()),
        false => Err(WireError::Missing("counts of classes in their range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_acts_on_a_terminal_or_hides_is_spelt_out_and_refused_as_it_is() {
        let good = Ready {
            notes: vec!["Größe 東京: 3 rows".into()],
            libraries: vec!["torch 2.1".into()],
            classes: Some(Classes { train: vec![1; 2], test: vec![1; 2], names: vec!["naïve".into()] }),
            ..Ready::default()
        };
        ready(&good).unwrap();
        assert_eq!(spelt_out(Report::Ready(good.clone())), Report::Ready(good.clone()));
        for vile in ["\u{1b}[2J", "a\u{202e}b", "\u{2066}", "ad\u{200b}min", "\u{feff}", "\u{2028}", "a\nb"] {
            let refused = |change: fn(&mut Ready) -> &mut Vec<String>, complaint: &str| {
                let mut report = good.clone();
                change(&mut report).push(vile.into());
                let line = ready(&report).unwrap_err().to_string();
                assert_eq!(line, format!("the message has no {complaint}"), "{vile:?}");
                let Report::Ready(spelt) = spelt_out(Report::Ready(report)) else { panic!("{vile:?}") };
                ready(&spelt).unwrap();
            };
            refused(|report| &mut report.notes, "notes of a line each");
            refused(|report| &mut report.libraries, "names of libraries");
            refused(
                |report| &mut report.classes.as_mut().expect("it has classes").names,
                "names of classes that can be shown",
            );
            let device = Ready { device: vile.into(), ..good.clone() };
            let Report::Ready(spelt) = spelt_out(Report::Ready(device)) else { panic!("{vile:?}") };
            assert!(is_printable(&spelt.device), "{vile:?}");
        }
    }
}
