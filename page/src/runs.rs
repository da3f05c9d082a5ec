//! A folder of runs, live and finished, known from their files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use scenario::Scenario;
use serde_json::{Value, json};

use crate::{Watch, about, logs::Logs};

/// How deep below the folder runs are looked for: a sweep's runs are one level deeper than others.
const DEPTH: usize = 3;

/// Most runs that are listed.
const MOST_RUNS: usize = 2000;

/// Points of a run's curve in the list.
const POINTS: usize = 160;

/// A run's files are looked at again after this time.
const FRESH: Duration = Duration::from_millis(700);

/// A run without a summary whose logs have not grown for this long is not under way any more, as far as its files say.
const QUIET: Duration = Duration::from_secs(60);

/// The name of the folder itself, where it holds a run: browsers take a dot out of an address.
pub(crate) const ITSELF: &str = "~";

/// The runs below a folder.
pub struct Runs {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Arc<Known>>>,
}

/// A run that has been looked at.
struct Known {
    watch: Arc<Watch>,
    files: Mutex<Files>,
}

struct Files {
    logs: Logs,
    looked: Option<Instant>,
}

impl Runs {
    /// The runs below a folder, or the run in it.
    ///
    /// # Errors
    ///
    /// One line if there is no such folder.
    pub fn below(folder: &Path) -> Result<Self, String> {
        match folder.is_dir() {
            true => Ok(Runs { folder: folder.into(), known: Mutex::default() }),
            false => Err(format!("{} is no folder: name one that holds runs", folder.display())),
        }
    }

    /// The state of the run in a folder, as text of JSON.
    ///
    /// # Errors
    ///
    /// One line if the folder holds no run.
    pub fn state_of(folder: &Path) -> Result<String, String> {
        let runs = Runs::below(folder)?;
        let watch = runs.watch(ITSELF).ok_or_else(|| format!("{} holds no run", folder.display()))?;
        runs.refresh(ITSELF);
        Ok(watch.state())
    }

    /// Whether the folder itself holds a run.
    pub(crate) fn is_run(&self) -> bool {
        self.folder.join("scenario.toml").exists()
    }

    /// The run of that name, its path below the folder.
    pub(crate) fn watch(&self, name: &str) -> Option<Arc<Watch>> {
        Some(self.run(name)?.watch.clone())
    }

    /// Reads what a run's files have gained.
    pub(crate) fn refresh(&self, name: &str) {
        if let Some(run) = self.run(name) {
            run.refresh();
        }
    }

    /// All runs, as text of JSON: what each is, how far it has come, and a curve of N-CE.
    pub(crate) fn list(&self) -> String {
        let mut names = Vec::new();
        find(&self.folder, ITSELF, 0, &mut names);
        let runs: Vec<Value> = names.iter().filter_map(|name| self.row(name)).collect();
        json!({ "folder": self.folder.display().to_string(), "runs": runs }).to_string()
    }

    fn row(&self, name: &str) -> Option<Value> {
        let run = self.run(name)?;
        run.refresh();
        let state: Value = serde_json::from_str(&run.watch.state()).ok()?;
        let rounds = state["rounds"].as_array()?;
        let step = rounds.len().div_ceil(POINTS).max(1);
        let point = |round: &Value| {
            let metrics = &round["metrics"];
            json!([round["round"], metrics["n_ce"], metrics["sum_rate"], metrics["loss"]])
        };
        let last = rounds.len().checked_sub(1);
        let is_kept = |position: &usize| position.is_multiple_of(step) || Some(*position) == last;
        let curve: Vec<Value> =
            (0..rounds.len()).filter(is_kept).map(|position| point(&rounds[position])).collect();
        let summary = &state["summary"];
        // Where the run serves its own page, with its nodes and buttons.
        let own = std::fs::read_to_string(run.watch.folder().join("page")).ok();
        let own = own.filter(|_| state["status"]["live"] == true);
        Some(json!({
            "own_page": own,
            "path": name,
            "run": state["run"],
            "phase": state["status"]["phase"],
            "round": state["status"]["round"],
            "test": {
                "n_ce": summary["test"]["n_ce"],
                "sum_rate": summary["test"]["sum_rate"],
                "tasks": summary["test"]["tasks"],
            },
            "seconds": summary["timing"]["seconds"],
            "curve": curve,
        }))
    }

    /// A run, opened if it is not yet known. Names lead to no place outside the folder.
    fn run(&self, name: &str) -> Option<Arc<Known>> {
        let is_inside =
            name == ITSELF || name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        if !is_inside {
            return None;
        }
        let mut known = self.known();
        if let Some(run) = known.get(name) {
            return Some(run.clone());
        }
        let folder = if name == ITSELF { self.folder.clone() } else { self.folder.join(name) };
        let scenario = Scenario::read(&folder.join("scenario.toml"), &[]).ok()?;
        let shown = folder.display().to_string();
        let own = folder.clone();
        let rounds = scenario.train.rounds;
        let obey: Option<fn(crate::Command) -> Result<(), String>> = None;
        let watch = Watch::new(about(&scenario, &shown), &folder, move || status(&own, rounds), obey);
        let files = Files { logs: Logs::of(&folder), looked: None };
        let run = Arc::new(Known { watch: watch.into(), files: Mutex::new(files) });
        known.insert(name.into(), run.clone());
        Some(run)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Known>>> {
        self.known.lock().expect("no code panics while it holds this lock")
    }
}

impl Known {
    fn refresh(&self) {
        let mut files = self.files.lock().expect("no code panics while it holds this lock");
        if files.looked.is_some_and(|looked| looked.elapsed() < FRESH) {
            return;
        }
        files.looked = Some(Instant::now());
        if let Ok(added) = files.logs.added() {
            self.watch.add(added);
        }
        self.watch.read_moments();
        let summary = std::fs::read_to_string(self.watch.folder().join("summary.json"));
        let summary = summary.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        if let Some(summary) = summary.filter(|_| !self.watch.has_summary()) {
            self.watch.summary(&summary.to_string());
        }
    }
}

/// What the files of a run say that it does now.
fn status(folder: &Path, rounds: u64) -> Value {
    let modified = |name: &str| std::fs::metadata(folder.join(name)).ok()?.modified().ok();
    let is_done = folder.join("summary.json").exists();
    let grown = modified("metrics.jsonl").or_else(|| modified("scenario.toml"));
    let quiet = grown.and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
    let phase = match is_done {
        true => "done",
        false if quiet < QUIET => "training",
        false => "has not ended",
    };
    json!({ "phase": phase, "rounds": rounds, "round": last_round(folder), "live": !is_done && quiet < QUIET })
}

/// Rounds in the log of a run.
fn last_round(folder: &Path) -> u64 {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = Vec::new();
    let read = std::fs::File::open(folder.join("metrics.jsonl")).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 << 10)))?;
        file.read_to_end(&mut text)
    });
    let lines = || text.split(|byte| *byte == b'\n').rev();
    let round = |line: &[u8]| serde_json::from_slice::<Value>(line).ok()?["round"].as_u64();
    read.ok().and_then(|_| lines().find_map(round)).map_or(0, |round| round + 1)
}

/// Collects the names of all folders with a scenario and a log, in order.
fn find(folder: &Path, name: &str, depth: usize, names: &mut Vec<String>) {
    if folder.join("scenario.toml").exists() && folder.join("incarnation").exists() {
        names.push(name.into());
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut inner: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    inner.sort();
    for (own, path) in inner {
        if depth == DEPTH || names.len() == MOST_RUNS {
            return;
        }
        let name = if name == ITSELF { own } else { format!("{name}/{own}") };
        find(&path, &name, depth + 1, names);
    }
}
