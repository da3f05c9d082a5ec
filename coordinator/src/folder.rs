use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use scenario::Scenario;
use store::Store;

use crate::{
    CoordinatorError, checkpoints::Checkpoints, draws::DRAWS, further::LINEAGE, page::PAGE, started::STARTS,
};

/// A run's folder: scenario, logs, checkpoints and summary.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// The files besides checkpoints that a run needs to continue; only some runs have a lineage, or draws. The scenario
/// comes last: a folder that has it holds a run, and an interrupted fetch must not look like one.
const KEPT_FILES: [&str; 5] = ["metrics.jsonl", "selection.jsonl", DRAWS, LINEAGE, "scenario.toml"];

/// Scores of a run's checkpoint over the SNR of its channels, which `evaluate --snr-db` writes.
pub const SNR_FILE: &str = "snr.json";

/// The files of a run that are only valid together.
const RUN_FILES: [&str; 15] = [
    "scenario.toml",
    LINEAGE,
    "classes.json",
    "metrics.jsonl",
    "selection.jsonl",
    DRAWS,
    "summary.json",
    "evaluation.json",
    "recordings.json",
    SNR_FILE,
    "incarnation",
    "address",
    PAGE,
    STARTS,
    ::page::MOMENTS,
];

/// Resets what has a meaning in training alone; some links and channels are refused with it. An evaluation and a service
/// send no costs and drop nothing.
const WITHOUT_TRAINING: [&str; 2] = ["train.objective=sum", "train.modality_dropout=0.0"];

impl RunFolder {
    /// The folder at a path, with any content.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        RunFolder { path: path.into() }
    }

    /// A folder for a fresh run. A folder that already holds a run is refused, or cleared of it if `force`.
    pub(crate) fn create(path: &Path, scenario: &Scenario, force: bool) -> Result<Self, CoordinatorError> {
        let folder = RunFolder::make_room(path, force)?;
        folder.write_whole("scenario.toml", scenario.to_toml().as_bytes())?;
        Ok(folder)
    }

    /// As [`create`](Self::create), without writing the scenario.
    pub(crate) fn make_room(path: &Path, force: bool) -> Result<Self, CoordinatorError> {
        let folder = RunFolder::at(path);
        if folder.holds_run() {
            // A start that failed for lack of a node or of data leaves nothing worth keeping.
            if !force && folder.file("metrics.jsonl").exists() {
                let further = match folder.file("summary.json").exists() {
                    true => "train it further with --resume and more --rounds",
                    false => "go on with it by --resume",
                };
                return Err(CoordinatorError::Input(format!(
                    "{} holds a run already: choose another --out, {further}, or overwrite it with --force",
                    path.display()
                )));
            }
            folder.clear()?;
        }
        fs::create_dir_all(path).map_err(|error| {
            CoordinatorError::Input(format!("{}: {error}; choose another --out", path.display()))
        })?;
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

    /// Whether the folder holds a run's scenario.
    pub fn holds_run(&self) -> bool {
        self.file("scenario.toml").exists()
    }

    /// The scenario of the run that the folder holds.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no scenario.
    pub fn scenario(&self) -> Result<Scenario, CoordinatorError> {
        self.changed_scenario(&[])
    }

    /// The same for an evaluation with these assignments, which must not change what was trained.
    ///
    /// # Errors
    /// If an assignment would change what was trained, or the scenario cannot be read.
    pub fn scenario_to_evaluate(&self, set: &[String]) -> Result<Scenario, CoordinatorError> {
        for assignment in set {
            let (key, _) = assignment.split_once(['.', '=']).unwrap_or((assignment, ""));
            if !["evaluation", "straggler", "link", "channel", "profile"].contains(&key.trim()) {
                return Err(CoordinatorError::Input(format!(
                    "--set {assignment}: only keys of profile, evaluation, straggler, link and channel can change once a run is trained"
                )));
            }
        }
        // Only errors of an unchanged file have line numbers.
        if set.is_empty() {
            self.scenario()?;
        }
        self.changed_scenario(&[set, &WITHOUT_TRAINING.map(str::to_owned)].concat())
    }

    /// The same, changed by these assignments.
    pub(crate) fn changed_scenario(&self, set: &[String]) -> Result<Scenario, CoordinatorError> {
        let path = self.file("scenario.toml");
        if !path.exists() {
            return Err(CoordinatorError::Input(format!(
                "{} holds no run (there is no scenario.toml in it)",
                self.path.display()
            )));
        }
        Ok(Scenario::read(&path, set)?)
    }

    /// Writes a file atomically: completely or not at all.
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

    /// The record of the last incarnation in this folder, if there is one.
    pub(crate) fn incarnation(&self) -> Result<Option<Vec<u8>>, CoordinatorError> {
        let path = self.file("incarnation");
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let advice = "let it be a file that this user can read, with the number that it held";
                Err(CoordinatorError::Input(format!("{}: {error}; {advice}", path.display())))
            }
        }
    }

    /// Records an incarnation before any node is told of it.
    pub(crate) fn write_incarnation(&self, incarnation: u64) -> Result<(), CoordinatorError> {
        self.write_whole("incarnation", incarnation.to_string().as_bytes())
    }

    /// The run's checkpoints, in the store that the scenario names or, by default, in the folder itself.
    pub(crate) fn checkpoints(&self, scenario: &Scenario) -> Result<Checkpoints, CoordinatorError> {
        let store = match &scenario.checkpoint.store {
            Some(location) => Store::open(location)?,
            None => Store::folder(self.file("checkpoints"))?,
        };
        Ok(Checkpoints::new(store))
    }

    /// Copies the run's own files to a remote store, beside its checkpoints, so that the run can continue from the
    /// store alone.
    pub(crate) async fn keep_files(&self, checkpoints: &Checkpoints) -> Result<(), CoordinatorError> {
        for name in KEPT_FILES {
            let path = self.file(name);
            match fs::read(&path) {
                Ok(content) => checkpoints.keep(name, content).await?,
                Err(error) if [LINEAGE, DRAWS].contains(&name) && error.kind() == io::ErrorKind::NotFound => {
                }
                Err(error) => return Err(CoordinatorError::file(&path)(error)),
            }
        }
        Ok(())
    }

    /// Fetches the files that [`keep_files`](Self::keep_files) stored into a folder without files of the run.
    pub(crate) async fn fetch_files(&self, checkpoints: &Checkpoints) -> Result<(), CoordinatorError> {
        fs::create_dir_all(&self.path).map_err(CoordinatorError::file(&self.path))?;
        for name in KEPT_FILES {
            if let Some(content) = checkpoints.kept(name).await? {
                self.write_whole(name, &content)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use scenario::Objective;

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
        folder.write_incarnation(3).unwrap();
        let again = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        assert_eq!(again.incarnation().unwrap(), None);
    }

    #[test]
    fn a_path_that_cannot_be_a_folder_is_the_users_to_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = RunFolder::create(&file.path().join("run"), &scenario(), false).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("choose another --out"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_was_fetched_in_part_holds_no_run() {
        let kept = Checkpoints::new(Store::in_memory());
        for name in KEPT_FILES {
            kept.keep(name, scenario().to_toml()).await.unwrap();
        }
        for (position, name) in KEPT_FILES.iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let folder = RunFolder::at(directory.path());
            // A folder of the same name makes the write fail.
            fs::create_dir(folder.file(name)).unwrap();
            let earlier = || KEPT_FILES[..position].iter().all(|name| folder.file(name).exists());
            folder.fetch_files(&kept).await.unwrap_err();
            fs::remove_dir(folder.file(name)).unwrap();
            assert!(earlier() && !folder.holds_run(), "interrupted at {name}");
            folder.fetch_files(&kept).await.unwrap();
            assert!(folder.holds_run());
        }
    }

    #[test]
    fn an_evaluation_has_other_links_and_channels_than_training_could_have() {
        let directory = tempfile::tempdir().unwrap();
        let worst = ["train.objective=worst", "train.modality_dropout=0.2"].map(str::to_owned);
        let trained = Scenario::parse(&scenario().to_toml(), "test", &worst).unwrap();
        let folder = RunFolder::create(directory.path(), &trained, false).unwrap();
        let evaluated = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
            folder.scenario_to_evaluate(&set)
        };
        let plain = evaluated(&[]).unwrap();
        assert_eq!((plain.train.objective, plain.train.modality_dropout), (Objective::Sum, 0.0));
        for set in [
            &["straggler.policy=skip", "link=[{loss=0.1}]"][..],
            &["channel=[{kind=\"mac\",snr_db=10}]"],
            &["evaluation.blur=2.0"],
        ] {
            let scenario = evaluated(set).unwrap_or_else(|error| panic!("{set:?}: {error}"));
            assert_eq!(scenario.train, plain.train, "{set:?}");
        }
        // What was trained stays what it was.
        assert_eq!(folder.scenario().unwrap(), trained);
        assert!(
            evaluated(&["train.objective=sum"]).unwrap_err().to_string().contains("once a run is trained")
        );
    }

    #[test]
    fn a_value_that_an_evaluation_cannot_have_is_refused_with_the_folders_file() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        let refused = folder.scenario_to_evaluate(&["evaluation.blur=-1".into()]).unwrap_err().to_string();
        let file = folder.file("scenario.toml").display().to_string();
        assert!(refused.starts_with(&format!("{file}: evaluation.blur is -1")), "{refused}");
        let text = scenario().to_toml().replace("blur = 0.0", "blur = -1.0");
        folder.write_whole("scenario.toml", text.as_bytes()).unwrap();
        let refused = folder.scenario().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{file}: evaluation.blur is -1")), "{refused}");
    }

    #[test]
    fn an_incarnation_is_written_down() {
        let directory = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(directory.path(), &scenario(), false).unwrap();
        assert_eq!(folder.incarnation().unwrap(), None);
        folder.write_incarnation(2).unwrap();
        assert_eq!(folder.incarnation().unwrap().unwrap(), b"2");
        fs::remove_file(folder.file("incarnation")).unwrap();
        fs::create_dir(folder.file("incarnation")).unwrap();
        let error = folder.incarnation().unwrap_err();
        assert!(error.is_input() && error.to_string().contains("incarnation: "), "{error}");
    }
}
