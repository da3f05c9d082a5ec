use std::{
    fs::{self, File},
    io::{self, Write},
};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    CoordinatorError, RunFolder,
    manifest::Written,
    summary::{hex, sha256_hex},
};

/// A log of the run's folder with a line of JSON for each round. It keeps the hash of its content.
pub(crate) struct Log {
    name: &'static str,
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl Log {
    /// Opens a log at a version, cut back to its content when that version was committed. A damaged log is reported and
    /// keeps its readable lines. Without a record of its content it is cut back to the lines of earlier rounds.
    pub(crate) fn open(
        folder: &RunFolder,
        name: &'static str,
        version: u64,
        committed: Option<&Written>,
    ) -> Result<Self, CoordinatorError> {
        let path = folder.file(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(CoordinatorError::file(&path))?,
        };
        let kept = match committed.map(|written| beginning(&text, written)) {
            Some(Some(beginning)) => beginning.to_vec(),
            Some(None) => {
                eprintln!(
                    "warning: {}: it is not what it was when round {version} was saved; going on with the lines that can \
                     be read, and with the totals of the checkpoint",
                    path.display()
                );
                lines_before(&text, version)
            }
            None => lines_before(&text, version),
        };
        if kept != text || committed.is_none() {
            folder.write_whole(name, &kept)?;
        }
        let file =
            File::options().create(true).append(true).open(&path).map_err(CoordinatorError::file(path))?;
        Ok(Log { name, file, bytes: kept.len() as u64, hash: Sha256::new_with_prefix(&kept) })
    }

    /// Adds a line, and returns its text without the line's end.
    pub(crate) fn append(&mut self, line: &impl Serialize) -> Result<String, CoordinatorError> {
        let mut text = serde_json::to_string(line).expect("a line has only numbers and lists");
        text.push('\n');
        // One write for each line: a crash leaves at most one broken line, at the end, and resuming cuts it off.
        self.file.write_all(text.as_bytes()).map_err(CoordinatorError::file(self.name))?;
        self.bytes += text.len() as u64;
        self.hash.update(&text);
        text.pop();
        Ok(text)
    }

    /// Makes all lines durable and returns length and hash.
    pub(crate) fn sync(&self) -> Result<Written, CoordinatorError> {
        self.file.sync_data().map_err(CoordinatorError::file(self.name))?;
        Ok(Written { bytes: self.bytes, sha256: hex(&self.hash.clone().finalize()) })
    }
}

/// The part of a text that was committed, if it is unchanged.
fn beginning<'a>(text: &'a [u8], written: &Written) -> Option<&'a [u8]> {
    let beginning = text.get(..usize::try_from(written.bytes).ok()?)?;
    (sha256_hex(beginning) == written.sha256).then_some(beginning)
}

/// The readable lines of rounds before `version`, each round once and in order.
fn lines_before(text: &[u8], version: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut next = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let round = serde_json::from_slice::<Value>(line).ok().and_then(|line| line["round"].as_u64());
        if let Some(round) = round.filter(|round| (next..version).contains(round)) {
            kept.extend_from_slice(line);
            kept.push(b'\n');
            next = round + 1;
        }
    }
    kept
}

/// The complete lines of a log.
pub(crate) fn lines(folder: &RunFolder, name: &str) -> Result<Vec<Value>, CoordinatorError> {
    let path = folder.file(name);
    let text = fs::read(&path).map_err(CoordinatorError::file(&path))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &[u8] = b"{\"round\":0}\n{\"round\":1}\n{\"round\":2}\n";

    /// Opens a log with this text in a fresh folder at version 2; returns its content then.
    fn opened(text: &[u8], committed: Option<&Written>) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(directory.path());
        fs::write(folder.file("metrics.jsonl"), text).unwrap();
        let mut log = Log::open(&folder, "metrics.jsonl", 2, committed).unwrap();
        let content = fs::read(folder.file("metrics.jsonl")).unwrap();
        assert_eq!(log.sync().unwrap(), written(&content));
        log.append(&serde_json::json!({ "round": 2 })).unwrap();
        let now = fs::read(folder.file("metrics.jsonl")).unwrap();
        assert_eq!(log.sync().unwrap(), written(&now));
        assert!(now.starts_with(&content) && now.ends_with(b"{\"round\":2}\n"));
        content
    }

    fn written(text: &[u8]) -> Written {
        Written { bytes: text.len() as u64, sha256: sha256_hex(text) }
    }

    #[test]
    fn a_log_is_cut_back_to_its_committed_part() {
        let two = &THREE[..24];
        for committed in [None, Some(&written(two))] {
            for text in [two, THREE, &[THREE, b"{\"rou"].concat()] {
                assert_eq!(opened(text, committed), two);
            }
        }
        assert_eq!(opened(b"", Some(&written(b""))), b"");
    }

    #[test]
    fn a_damaged_log_keeps_its_readable_lines() {
        let committed = written(&THREE[..24]);
        assert_eq!(opened(&THREE[12..], Some(&committed)), b"{\"round\":1}\n", "a line is lost");
        assert_eq!(opened(b"", Some(&committed)), b"");
        assert_eq!(opened(&THREE[..20], Some(&committed)), b"{\"round\":0}\n");
        let other = b"{\"round\":0}\n{\"round\":1}\n".map(|byte| if byte == b'1' { b'0' } else { byte });
        assert_eq!(opened(&other, Some(&committed)), b"{\"round\":0}\n", "a round twice");
        for position in 0..24 {
            for bit in 0..8 {
                let mut flipped = THREE.to_vec();
                flipped[position] ^= 1 << bit;
                let left = opened(&flipped, Some(&committed));
                let lines = lines_before(&left, 2);
                assert_eq!(left, lines, "all that is left can be read");
            }
        }
    }
}
