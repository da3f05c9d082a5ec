//! The part of a command line that selects a scenario and changes its keys.

use std::path::{Path, PathBuf};

use scenario::{Preset, Scenario};

use crate::{CoordinatorError, RunFolder};

/// The scenarios that come with the program, by their names. The first runs when none is named: it needs no files.
const BUILT_IN: [(&str, &str); 4] = [
    ("digits", include_str!("../../scenarios/digits.toml")),
    ("handwritten", include_str!("../../scenarios/handwritten.toml")),
    ("mmfi", include_str!("../../scenarios/mmfi.toml")),
    ("two-links", include_str!("../../scenarios/two-links.toml")),
];

/// The text of a scenario that comes with the program, if it has one of that name.
pub fn built_in_scenario(name: &str) -> Option<&'static str> {
    BUILT_IN.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
}

/// Environment variable with changes of keys, separated by semicolons or line ends. `--set` overrides it, and a flag
/// for a key overrides both.
const SET: &str = "POM2DIB_SET";

/// Command line arguments that select a scenario and change its keys.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "What is run")]
pub struct ScenarioArguments {
    /// The scenario: a file, or one that is built in (digits, handwritten, mmfi, two-links); without one, digits, which
    /// need no download
    #[arg(env = "POM2DIB_SCENARIO", value_name = "SCENARIO")]
    pub scenario: Option<PathBuf>,

    /// Hyper-parameters that override those of the scenario's file, and are overridden by --set and flags. paper: those
    /// of the paper and its authors' script (label-entropy baseline, own credit, no entropy bonus, no sparse term, beta
    /// fixed at 1e-3, learning rates 1e-4 and 5e-5, 2000 rounds of 20 x 20 samples, E_t = 2, E_k = 4); on
    /// HandWritten also the script's preparation of the data (data.frozen_audio, data.augmentation, both scales)
    #[arg(long, env = "POM2DIB_PRESET", value_name = "PRESET", value_parser = parse_preset)]
    pub preset: Option<Preset>,

    /// Change a key of the scenario, for example --set train.beta=1e-4 (may be repeated); POM2DIB_SET can hold several,
    /// separated by semicolons, which these override
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The method: pom2dib, rs-dib, tadib, vddib or dlsc (short for --set train.method=...)
    #[arg(long, env = "POM2DIB_METHOD")]
    pub method: Option<String>,

    /// How many rounds to train (short for --set train.rounds=...)
    #[arg(long, env = "POM2DIB_ROUNDS")]
    pub rounds: Option<u64>,

    /// The seed, 0 to 2^64 - 1 (short for --set seed=...)
    #[arg(long, env = "POM2DIB_SEED", value_parser = node::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// Folder of the data set, or for arrays the URL of an object store (short for --set data.path=...)
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl ScenarioArguments {
    /// Reads the scenario, changes it and checks it, names of modalities and tasks included.
    ///
    /// # Errors
    ///
    /// A [`CoordinatorError`] if the scenario cannot be read, an assignment is wrong, or the scenario is invalid.
    pub fn resolve(&self) -> Result<Scenario, CoordinatorError> {
        self.read().map_err(|error| error.of(&self.origin()))
    }

    /// The scenario's name in errors: its path, or "the built-in ...".
    pub fn origin(&self) -> String {
        match (self.built_in(), &self.scenario) {
            (None, Some(path)) => path.display().to_string(),
            (found, _) => format!("the built-in {}", found.unwrap_or(BUILT_IN[0]).0),
        }
    }

    fn read(&self) -> Result<Scenario, CoordinatorError> {
        let overrides = self.overrides();
        let mut scenario = match (self.built_in(), &self.scenario) {
            (None, Some(path)) => Scenario::read_with(path, self.preset, &overrides)?,
            (found, _) => {
                let (_, text) = found.unwrap_or(BUILT_IN[0]);
                Scenario::parse_with(text, &self.origin(), self.preset, &overrides)?
            }
        };
        if let Some(folder) = &self.data {
            let is_url = folder.to_str().is_some_and(|place| place.contains("://"));
            scenario.data.path = Some(if is_url { folder.clone() } else { absolute(folder)? });
        }
        if let Some(store) = scenario.checkpoint.store.as_mut().filter(|store| !store.contains("://")) {
            *store = absolute(Path::new(store))?.to_string_lossy().into_owned();
        }
        node::check_data_names(&scenario)?;
        node::check_kinds(&scenario)?;
        node::check_channels(&scenario)?;
        node::bind_weights(&mut scenario)?;
        Ok(scenario)
    }

    /// Name and text of the selected built-in scenario. A file of the same name takes precedence.
    fn built_in(&self) -> Option<(&'static str, &'static str)> {
        let path = self.scenario.as_ref().filter(|path| !path.exists())?;
        BUILT_IN.into_iter().find(|(name, _)| path.as_os_str() == *name)
    }

    /// The changed scenario of the run in `folder`, for a run that continues from its checkpoint. The new run keeps its
    /// checkpoints elsewhere.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve); also if the folder holds no readable scenario.
    pub fn resolve_from(&self, folder: &Path) -> Result<Scenario, CoordinatorError> {
        let first = RunFolder::at(folder);
        let before = first.scenario()?;
        let mut scenario =
            ScenarioArguments { scenario: Some(first.file("scenario.toml")), ..self.clone() }.resolve()?;
        if scenario.checkpoint.store == before.checkpoint.store {
            scenario.checkpoint.store = None;
        }
        Ok(scenario)
    }

    /// Prints a line on standard error for each deprecated key. Only the process that the user started calls this:
    /// child processes get the same arguments.
    pub fn warn_of_deprecated_keys(&self) {
        // An unreadable file is reported when the scenario is read.
        let text = self.scenario.as_ref().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        for line in scenario::deprecated_keys(&text.unwrap_or_default(), &self.overrides()) {
            eprintln!("warning: {line}");
        }
    }

    /// The same arguments as command line words.
    pub fn words(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut words: Vec<String> = self.scenario.iter().map(path).collect();
        let mut flag = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
        };
        flag("preset", self.preset.map(|preset| preset.name().to_owned()));
        for assignment in self.assignments() {
            flag("set", Some(assignment));
        }
        flag("method", self.method.clone());
        flag("rounds", self.rounds.map(|rounds| rounds.to_string()));
        flag("seed", self.seed.map(|seed| seed.to_string()));
        flag("data", self.data.as_ref().map(path));
        words
    }

    /// Assignments in order of application: those of the environment, then those of the command line, which override
    /// them.
    fn assignments(&self) -> Vec<String> {
        let of_environment = std::env::var(SET).unwrap_or_default();
        let mut assignments = split(&of_environment);
        assignments.extend_from_slice(&self.set);
        assignments
    }

    fn overrides(&self) -> Vec<String> {
        let mut overrides = self.assignments();
        overrides.extend(self.method.iter().map(|method| format!("train.method=\"{method}\"")));
        overrides.extend(self.rounds.iter().map(|rounds| format!("train.rounds={rounds}")));
        overrides.extend(self.seed.iter().map(|seed| format!("seed={seed}")));
        overrides
    }
}

fn parse_preset(text: &str) -> Result<Preset, String> {
    text.parse()
}

/// Splits one text into assignments.
fn split(text: &str) -> Vec<String> {
    let parts = text.split([';', '\n']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Makes a path absolute, since nodes may start in other folders. The path goes into the scenario, which is text.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CoordinatorError> {
    if path.to_str().is_none() {
        let message =
            format!("--data {}: the folder's name must be UTF-8; rename it or link to it", path.display());
        return Err(CoordinatorError::Input(message));
    }
    Ok(std::path::absolute(path).unwrap_or_else(|_| path.into()))
}
