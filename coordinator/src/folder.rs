use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use scenario::Scenario;
use serde::{Deserialize, Serialize};

use crate::{CoordinatorError, members::Member};

/// A run's folder: scenario, logs, checkpoints and summary.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// What is written of a checkpoint once all its files are there: without it the files are nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Steps that all parameters have taken.
    pub(crate) round: u64,
    /// Version of the program that wrote it.
    pub(crate) program: String,
    /// [`dib::NUMERICS`] of that program.
    #[serde(default = "first_numerics")]
    pub(crate) numerics: u32,
    /// SHA-256 of every file.
    pub(crate) files: BTreeMap<String, String>,
}

/// Manifests of the first version do not say it.
fn first_numerics() -> u32 {
    1
}

/// The files of a run that mean something only with each other.
const RUN_FILES: [&str; 7] = [
    "scenario.toml",
    "metrics.jsonl",
    "selection.jsonl",
    "summary.json",
    "evaluation.json",
    "incarnation",
    "address",
];

impl RunFolder {
    /// The folder at a path, whatever is in it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        RunFolder { path: path.into() }
    }

    /// A folder for a fresh run. One that holds a run already is refused, or emptied of it if `force`.
    pub(crate) fn create(path: &Path, scenario: &Scenario, force: bool) -> Result<Self, CoordinatorError> {
        let folder = RunFolder::at(path);
        if folder.file("scenario.toml").exists() {
            // A start that came to nothing, for want of a node or of data, is not worth keeping.
            if !force && folder.file("metrics.jsonl").exists() {
                return Err(CoordinatorError::Input(format!(
                    "{} holds a run already: choose another --out, or overwrite it with --force",
                    path.display()
                )));
            }
            folder.clear()?;
        }
        fs::create_dir_all(path).map_err(|error| {
            CoordinatorError::Input(format!("{}: {error}; choose another --out", path.display()))
        })?;
        folder.write_whole("scenario.toml", scenario.to_toml().as_bytes())?;
        Ok(folder)
    }

    fn clear(&self) -> Result<(), CoordinatorError> {
        for name in RUN_FILES {
            let path = self.file(name);
            if path.exists() {
                fs::remove_file(&path).map_err(CoordinatorError::file(&path))?;
            }
        }
        let checkpoints = self.file("checkpoints");
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).map_err(CoordinatorError::file(&checkpoints))?;
        }
        Ok(())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The scenario of the run that the folder holds.
    pub fn scenario(&self) -> Result<Scenario, CoordinatorError> {
        let path = self.file("scenario.toml");
        if !path.exists() {
            return Err(CoordinatorError::Input(format!(
                "{} holds no run (there is no scenario.toml in it)",
                self.path.display()
            )));
        }
        Ok(Scenario::read(&path, &[])?)
    }

    /// Writes a file so that it is there whole or not at all.
    pub(crate) fn write_whole(&self, name: &str, content: &[u8]) -> Result<(), CoordinatorError> {
        let path = self.file(name);
        let partial = path.with_extension("partial");
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(path.parent().expect("a file lies in a folder"))?.sync_all()
        };
        write().map_err(CoordinatorError::file(&path))
    }

    /// Counts the incarnation up, for a run that goes on, and persists it before anybody hears of it.
    pub(crate) fn next_incarnation(&self) -> Result<u64, CoordinatorError> {
        let last =
            fs::read_to_string(self.file("incarnation")).ok().and_then(|text| text.trim().parse().ok());
        let next = last.map_or(1, |last: u64| last + 1);
        self.write_whole("incarnation", next.to_string().as_bytes())?;
        Ok(next)
    }

    // --------------------------------------------------------------------------------------------- checkpoints

    fn checkpoint(&self, round: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("round-{round:06}"))
    }

    /// Where a node's state at a version lies.
    pub(crate) fn state_path(&self, round: u64, member: Member) -> PathBuf {
        self.checkpoint(round).join(state_name(member))
    }

    /// Makes a checkpoint valid, then removes those before it.
    pub(crate) fn commit(&self, round: u64, files: BTreeMap<String, String>) -> Result<(), CoordinatorError> {
        let manifest = Manifest { round, program: proto::VERSION.into(), numerics: dib::NUMERICS, files };
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest has only strings and numbers");
        self.write_whole(&format!("checkpoints/round-{round:06}/manifest.json"), &text)?;
        for (older, _) in self.checkpoints()?.into_iter().filter(|(older, _)| *older != round) {
            let path = self.checkpoint(older);
            fs::remove_dir_all(&path).map_err(CoordinatorError::file(&path))?;
        }
        Ok(())
    }

    /// The last valid checkpoint: its round and its folder. Every file is compared with the manifest.
    pub(crate) fn last_checkpoint(&self) -> Result<(u64, PathBuf), CoordinatorError> {
        let none = || {
            let path = self.path.display();
            CoordinatorError::Input(format!(
                "{path} has no checkpoint: train with checkpoint.every, or to the end"
            ))
        };
        let (round, path) = self.checkpoints()?.into_iter().next_back().ok_or_else(none)?;
        let manifest = read_manifest(&path)?;
        for (name, expected) in &manifest.files {
            let file = path.join(name);
            let content = fs::read(&file).map_err(CoordinatorError::file(&file))?;
            if crate::summary::sha256_hex(&content) != *expected {
                return Err(CoordinatorError::Input(format!(
                    "{}: it is not what the checkpoint's manifest says; restore it from a copy",
                    file.display()
                )));
            }
        }
        Ok((round, path))
    }

    /// Whether a run can go on from a checkpoint to the bit.
    pub(crate) fn check_numerics(&self, checkpoint: &Path) -> Result<(), CoordinatorError> {
        match read_manifest(checkpoint)?.numerics {
            dib::NUMERICS => Ok(()),
            other => Err(CoordinatorError::Input(format!(
                "{}: it was computed by numerics version {other}, and this program computes by version {}: go on with \
                 the program that wrote it, or train anew",
                checkpoint.display(),
                dib::NUMERICS
            ))),
        }
    }

    /// Whether there is a checkpoint from which a run can go on.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoints().is_ok_and(|checkpoints| !checkpoints.is_empty())
    }

    /// The valid checkpoints, oldest first.
    fn checkpoints(&self) -> Result<BTreeMap<u64, PathBuf>, CoordinatorError> {
        let path = self.file("checkpoints");
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&path).map_err(CoordinatorError::file(&path))? {
            let path = entry.map_err(CoordinatorError::file(&path))?.path();
            let round = path.file_name().and_then(|name| name.to_str()?.strip_prefix("round-")?.parse().ok());
            if let Some(round) = round.filter(|_| path.join("manifest.json").exists()) {
                found.insert(round, path);
            }
        }
        Ok(found)
    }

    // --------------------------------------------------------------------------------------------- logs

    /// Opens a log for appending.
    pub(crate) fn log(&self, name: &str) -> Result<File, CoordinatorError> {
        let path = self.file(name);
        File::options().create(true).append(true).open(&path).map_err(CoordinatorError::file(path))
    }

    /// Cuts a log back to the lines of rounds before `round`.
    pub(crate) fn cut_log(&self, name: &str, round: u64) -> Result<(), CoordinatorError> {
        let path = self.file(name);
        if !path.exists() {
            return Ok(());
        }
        let file = File::open(&path).map_err(CoordinatorError::file(&path))?;
        let mut kept = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(CoordinatorError::file(&path))?;
            let of =
                serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|line| line["round"].as_u64());
            if of.is_some_and(|of| of < round) {
                kept.extend_from_slice(line.as_bytes());
                kept.push(b'\n');
            }
        }
        self.write_whole(name, &kept)
    }
}

/// The name of a member's state within a checkpoint.
pub(crate) fn state_name(member: Member) -> String {
    format!("{}-{}.safetensors", member.role.name(), member.index)
}

fn read_manifest(checkpoint: &Path) -> Result<Manifest, CoordinatorError> {
    let path = checkpoint.join("manifest.json");
    let text = fs::read(&path).map_err(CoordinatorError::file(&path))?;
    serde_json::from_slice(&text)
        .map_err(|error| CoordinatorError::Input(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = "network.receiver_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        Scenario::parse(text, "test", &[]).unwrap()
    }

    #[test]
    fn a_folder_with_a_run_is_never_overwritten_without_force() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        folder.write_whole("metrics.jsonl", b"{\"round\":0}\n").unwrap();
        let error = RunFolder::create(directory.path(), &scenario(), false).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("--force"), "{error}");
        RunFolder::create(directory.path(), &scenario(), true).unwrap();
        assert!(!folder.file("metrics.jsonl").exists());
    }

    #[test]
    fn a_folder_whose_run_never_began_is_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        folder.next_incarnation().unwrap();
        let again = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        assert_eq!(again.next_incarnation().unwrap(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_a_folder_is_the_users_to_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = RunFolder::create(&file.path().join("run"), &scenario(), false).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("choose another --out"), "{error}");
    }

    #[test]
    fn only_a_committed_checkpoint_counts_and_its_files_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        assert!(folder.last_checkpoint().unwrap_err().to_string().contains("no checkpoint"));
        let member = Member { role: node::Role::Receiver, index: 0 };
        for round in [10, 20] {
            let path = folder.state_path(round, member);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"state").unwrap();
        }
        let files = BTreeMap::from([(state_name(member), crate::summary::sha256_hex(b"state"))]);
        folder.commit(10, files.clone()).unwrap();
        assert_eq!(folder.last_checkpoint().unwrap().0, 10);
        folder.commit(20, files).unwrap();
        let (round, path) = folder.last_checkpoint().unwrap();
        assert_eq!(round, 20);
        folder.check_numerics(&path).unwrap();
        let manifest = path.join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("\"numerics\"", "\"of old\"")).unwrap();
        let refusal = folder.check_numerics(&path).unwrap_err().to_string();
        assert!(refusal.contains("computed by numerics version 1, and this"), "{refusal}");
        assert!(!folder.checkpoint(10).exists());
        fs::write(folder.state_path(20, member), b"stat").unwrap();
        assert!(folder.last_checkpoint().unwrap_err().to_string().contains("receiver-0.safetensors"));
    }

    #[test]
    fn logs_are_cut_back_to_a_round() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        folder.write_whole("metrics.jsonl", b"{\"round\":0}\n{\"round\":1}\n{\"round\":2}\n{\"rou").unwrap();
        folder.cut_log("metrics.jsonl", 2).unwrap();
        assert_eq!(fs::read(folder.file("metrics.jsonl")).unwrap(), b"{\"round\":0}\n{\"round\":1}\n");
    }

    #[test]
    fn incarnations_count_up() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        assert_eq!(folder.next_incarnation().unwrap(), 1);
        assert_eq!(folder.next_incarnation().unwrap(), 2);
    }
}
