use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The folder of a run.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub(crate) fn at(path: PathBuf) -> Self {
        RunFolder { path }
    }

    /// Whether a file or folder exists.
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// A file's text.
    pub fn text(&self, name: &str) -> String {
        let path = self.path.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A JSON file.
    pub fn json(&self, name: &str) -> Value {
        parse(&self.text(name), name)
    }

    /// The complete lines of a log of JSON objects.
    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join(name)).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| parse(line, name)).collect()
    }

    /// The number of rounds in the log.
    pub fn rounds(&self) -> usize {
        self.lines("metrics.jsonl").len()
    }

    /// The checkpoints that have a manifest, oldest first.
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path.join("checkpoints")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
        let mut found: Vec<PathBuf> = paths.filter(|path| path.join("manifest.json").exists()).collect();
        found.sort();
        found
    }

    /// The file of a checkpoint that holds a node's state ("receiver-1"), within the run's folder.
    pub fn state(&self, round: u64, node: &str) -> String {
        let folder = format!("checkpoints/round-{round:06}");
        let manifest = self.json(&format!("{folder}/manifest.json"));
        let files = manifest["files"].as_object().expect("a manifest lists files");
        let file = files.keys().find(|file| file.split('.').next() == Some(node));
        format!("{folder}/{}", file.unwrap_or_else(|| panic!("{node} is not in {manifest}")))
    }

    /// Asserts that everything that looks complete is: every checkpoint with a manifest has the files that it names,
    /// bit for bit, and every JSON file can be read.
    pub fn assert_nothing_partial_looks_whole(&self) {
        for checkpoint in self.checkpoints() {
            let manifest = parse(&read(&checkpoint.join("manifest.json")), "manifest.json");
            let files = manifest["files"].as_object().expect("a manifest lists files");
            assert!(!files.is_empty());
            for (name, hash) in files {
                assert_eq!(sha256_of_file(&checkpoint.join(name)), hash.as_str().unwrap(), "{name}");
            }
        }
        for entry in fs::read_dir(&self.path).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                parse(&read(&path), &path.display().to_string());
            }
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str, name: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

fn sha256_of_file(path: &Path) -> String {
    let content = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    sha256(&content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of these bytes.
pub fn sha256(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}
