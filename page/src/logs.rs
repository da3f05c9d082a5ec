//! A run's logs, read while they grow.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The text of a round for readers: its lines in the two logs, which are JSON objects, and what the coordinator adds.
pub(crate) fn round_text(round: u64, metrics: &str, selection: Option<&str>, nodes: Option<&str>) -> String {
    let selection = selection.unwrap_or("null");
    let nodes = nodes.map(|nodes| format!(",\"nodes\":{nodes}")).unwrap_or_default();
    format!("{{\"round\":{round},\"metrics\":{metrics},\"selection\":{selection}{nodes}}}")
}

/// The two logs of a run's folder.
#[derive(Debug)]
pub(crate) struct Logs {
    metrics: Tail,
    selection: Tail,
    /// Lines of selection.jsonl whose round has no line in metrics.jsonl yet.
    waiting: BTreeMap<u64, String>,
}

/// What has been added to the logs.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// A log was cut back: all rounds follow again.
    pub(crate) anew: bool,
    /// Rounds and their texts, in order.
    pub(crate) rounds: Vec<(u64, String)>,
}

impl Logs {
    pub(crate) fn of(folder: &Path) -> Self {
        let tail = |name: &str| Tail { path: folder.join(name), read: 0 };
        Logs { metrics: tail("metrics.jsonl"), selection: tail("selection.jsonl"), waiting: BTreeMap::new() }
    }

    /// The rounds that were added since the last call. A log that is shorter than it was is read anew.
    pub(crate) fn added(&mut self) -> io::Result<Added> {
        let anew = self.metrics.is_cut()? || self.selection.is_cut()?;
        if anew {
            (self.metrics.read, self.selection.read) = (0, 0);
            self.waiting.clear();
        }
        let metrics = self.metrics.lines()?;
        self.waiting.extend(self.selection.lines()?);
        let text = |(round, line): (u64, String)| {
            let selection = self.waiting.remove(&round);
            (round, round_text(round, &line, selection.as_deref(), None))
        };
        let rounds: Vec<(u64, String)> = metrics.into_iter().map(text).collect();
        if let Some((last, _)) = rounds.last() {
            // The metrics of these would have come before.
            self.waiting.retain(|round, _| round > last);
        }
        Ok(Added { anew, rounds })
    }
}

/// The rounds of a run's logs in a range, at most `most`, evenly spaced.
pub(crate) fn rounds_between(folder: &Path, from: u64, to: u64, most: u64) -> io::Result<Vec<String>> {
    let stride = (to.saturating_sub(from) / most).max(1);
    let is_wanted = |round: u64| (from..=to).contains(&round) && (round - from).is_multiple_of(stride);
    let rounds = Logs::of(folder).added()?.rounds;
    Ok(rounds.into_iter().filter(|(round, _)| is_wanted(*round)).map(|(_, text)| text).collect())
}

/// The line of a round in draws.jsonl, an object of JSON; none if its draws were not recorded.
pub(crate) fn draws_of(folder: &Path, round: u64) -> io::Result<Option<String>> {
    let file = match File::open(folder.join("draws.jsonl")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    for line in io::BufReader::new(file).lines() {
        let line = line?;
        if round_of(line.as_bytes()) == Some(round) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// A log that is read from where it was left.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    fn length(&self) -> io::Result<u64> {
        match std::fs::metadata(&self.path) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn is_cut(&self) -> io::Result<bool> {
        Ok(self.length()? < self.read)
    }

    /// The complete lines after those already read, with their rounds. A line that is no JSON object with a round is
    /// left out.
    fn lines(&mut self) -> io::Result<Vec<(u64, String)>> {
        if self.length()? <= self.read {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| Some((round_of(line)?, String::from_utf8(line.to_vec()).ok()?))).collect())
    }
}

fn round_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Line {
        round: u64,
    }
    serde_json::from_slice::<Line>(line).ok().map(|line| line.round)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rounds_are_read_as_they_come_and_anew_when_the_logs_are_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let mut logs = Logs::of(folder.path());
        assert!(logs.added().unwrap().rounds.is_empty());

        write("selection.jsonl", "{\"round\":0,\"granted\":[]}\n{\"round\":1}\n");
        write("metrics.jsonl", "{\"round\":0}\nno JSON\n{\"round\":1}\n{\"rou");
        let added = logs.added().unwrap();
        assert!(!added.anew);
        let first = "{\"round\":0,\"metrics\":{\"round\":0},\"selection\":{\"round\":0,\"granted\":[]}}";
        assert_eq!(added.rounds[0], (0, first.to_owned()));
        assert_eq!(added.rounds.len(), 2);

        write("metrics.jsonl", "{\"round\":0}\nno JSON\n{\"round\":1}\n{\"round\":2}\n");
        let added = logs.added().unwrap();
        assert_eq!(added.rounds, [(2, round_text(2, "{\"round\":2}", None, None))]);

        write("metrics.jsonl", "{\"round\":0}\n");
        let added = logs.added().unwrap();
        assert!(added.anew && added.rounds.len() == 1);
    }

    #[test]
    fn a_range_is_thinned_evenly() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..100).map(|round| format!("{{\"round\":{round}}}\n")).collect();
        fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
        let of = |from, to, most| rounds_between(folder.path(), from, to, most).unwrap().len();
        assert_eq!((of(10, 19, 100), of(7, 7, 100), of(0, 99, 10), of(90, 500, 100)), (10, 1, 12, 3));
    }
}
