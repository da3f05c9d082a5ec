//! The plan of a sweep, checked before anything runs, and the runs found in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use coordinator::{RunFolder, ScenarioArguments, Summary};
use scenario::Scenario;

use super::point::Point;
use crate::records::origin::{Kinship, Origin, Origins};

/// A point that is ready to run.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) point: Point,
    pub(crate) arguments: ScenarioArguments,
    pub(crate) scenario: Scenario,
    pub(crate) folder: PathBuf,
    pub(crate) found: Found,
    /// Where it writes event files of TensorBoard.
    pub(crate) board: Option<PathBuf>,
    /// The origin of a run made now.
    pub(crate) origin: Origin,
    /// Its relation to the origin of the run found; none for a new run.
    pub(crate) kinship: Option<Kinship>,
}

/// The content of a point's folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Nothing,
    /// A run without a checkpoint: it starts again.
    Begun,
    /// A run that continues from its last checkpoint.
    Checkpoint,
    /// A finished run.
    Finished(Box<Summary>),
}

impl Planned {
    /// Checks the scenario of a point and its folder under `out`. `any_rounds`: a run there may have another number of
    /// rounds.
    ///
    /// # Errors
    /// If the scenario is invalid, the data cannot be read, or the folder's run has another scenario, other data or
    /// other numerics.
    pub(crate) fn new(
        base: &ScenarioArguments,
        point: Point,
        out: &Path,
        origins: &mut Origins,
        any_rounds: bool,
    ) -> anyhow::Result<Self> {
        let mut arguments = base.clone();
        arguments.set.extend(point.set.iter().cloned());
        let mut scenario = arguments.resolve().with_context(|| point.name.clone())?;
        if let Some(store) = &scenario.checkpoint.store {
            // A store has the checkpoints of one run: each point has a place of its own in it.
            let own = format!("{}/{}", store.trim_end_matches('/'), point.name);
            arguments.set.push(format!("checkpoint.store={}", toml::Value::from(own.as_str())));
            scenario.checkpoint.store = Some(own);
        }
        let folder = out.join(&point.name);
        let found =
            if any_rounds { look_at_any_rounds(&folder, &scenario) } else { look(&folder, &scenario) }?;
        let origin = origins.of(&scenario)?;
        let kinship = match found {
            Found::Nothing | Found::Begun => None,
            Found::Checkpoint | Found::Finished(_) => Some(kinship(&folder, &origin)?),
        };
        Ok(Planned { point, arguments, scenario, folder, found, board: None, origin, kinship })
    }
}

/// The relation of the run in a folder to one made now.
fn kinship(folder: &Path, origin: &Origin) -> anyhow::Result<Kinship> {
    let there = Origin::read(folder)?;
    origin.kinship(there.as_ref()).with_context(|| {
        format!(
            "{}: choose another --out, or go on with the data and program it began with",
            folder.display()
        )
    })
}

/// The same of a run that may have been trained for another number of rounds so far.
pub(super) fn look_at_any_rounds(folder: &Path, scenario: &Scenario) -> anyhow::Result<Found> {
    let mut scenario = scenario.clone();
    if let Ok(there) = RunFolder::at(folder).scenario() {
        scenario.train.rounds = there.train.rounds;
    }
    look(folder, &scenario)
}

/// The state of a scenario's run in a folder; a run of another scenario is refused.
pub(super) fn look(folder: &Path, scenario: &Scenario) -> anyhow::Result<Found> {
    let run = RunFolder::at(folder);
    if !run.holds_run() {
        return Ok(Found::Nothing);
    }
    let began = run.file("metrics.jsonl").exists();
    // A run that never began may be replaced.
    let there = run.scenario();
    let difference = there.as_ref().map(|there| difference(there, scenario));
    match difference {
        Ok(None) => {}
        _ if !began => return Ok(Found::Begun),
        Ok(Some(difference)) => bail!(
            "{} holds a run of another scenario ({difference}): choose another --out, or remove it",
            folder.display()
        ),
        Err(error) => bail!("{}: {error}: choose another --out, or remove it", folder.display()),
    }
    if let Some(summary) = finished(folder)? {
        return Ok(Found::Finished(Box::new(summary)));
    }
    // A run whose checkpoints are elsewhere looks for them itself, and begins again if there is none.
    let goes_on = scenario.checkpoint.store.is_some() || has_checkpoint(folder);
    Ok(if goes_on { Found::Checkpoint } else { Found::Begun })
}

/// The summary of a run, if it is done.
pub(crate) fn finished(folder: &Path) -> anyhow::Result<Option<Summary>> {
    let path = folder.join("summary.json");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(Some(serde_json::from_slice(&text).with_context(|| path.display().to_string())?))
}

pub(crate) fn has_checkpoint(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder.join("checkpoints")) else { return false };
    entries.flatten().any(|entry| entry.path().join("manifest.json").exists())
}

/// The first key in which two scenarios differ, with both values. The location of the data does not count (nodes
/// compare the data itself), nor does the checkpoint interval.
pub(crate) fn difference(there: &Scenario, here: &Scenario) -> Option<String> {
    let keys = |scenario: &Scenario| {
        let mut scenario = scenario.clone();
        scenario.data.path = None;
        scenario.checkpoint.every = 0;
        let table = toml::Table::try_from(scenario).expect("a scenario has only strings, numbers and lists");
        let mut keys = std::collections::BTreeMap::new();
        flatten("", &toml::Value::Table(table), &mut keys);
        keys
    };
    let (there, here) = (keys(there), keys(here));
    let differs = |key: &&String| there.get(*key) != here.get(*key);
    let key = there.keys().chain(here.keys()).find(differs)?;
    let value = |keys: &std::collections::BTreeMap<String, String>| {
        keys.get(key).cloned().unwrap_or("not set".into())
    };
    Some(format!("{key} is {} there, {} here", value(&there), value(&here)))
}

fn flatten(prefix: &str, value: &toml::Value, keys: &mut std::collections::BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, keys);
            }
        }
        value => drop(keys.insert(prefix.into(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[network]\nreceiver_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";

    fn scenario(set: &[&str]) -> Scenario {
        let set: Vec<String> = set.iter().map(|&text| text.into()).collect();
        Scenario::parse(SMALL, "test", &set).unwrap()
    }

    #[test]
    fn the_key_that_differs_is_named_with_both_values_but_not_one_that_makes_no_other_run() {
        let here = scenario(&[]);
        assert_eq!(difference(&scenario(&["data.path=\"/elsewhere\"", "checkpoint.every=7"]), &here), None);
        let other = difference(&scenario(&["train.beta=0.5"]), &here).unwrap();
        assert_eq!(other, "train.beta is 0.5 there, 0.001 here");
        let other = difference(&scenario(&["train.beta_start=0.5"]), &here).unwrap();
        assert_eq!(other, "train.beta_start is 0.5 there, not set here");
    }

    #[test]
    fn a_folder_tells_how_far_its_run_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, here) = (folder.path(), scenario(&[]));
        assert_eq!(look(path, &here).unwrap(), Found::Nothing);
        std::fs::write(path.join("scenario.toml"), scenario(&["seed=2"]).to_toml()).unwrap();
        assert_eq!(look(path, &here).unwrap(), Found::Begun, "another one, but it never began");
        std::fs::write(path.join("metrics.jsonl"), "{\"round\":0}\n").unwrap();
        let message = look(path, &here).unwrap_err().to_string();
        assert!(message.contains("another scenario (seed is 2 there, 1 here)"), "{message}");
        std::fs::write(path.join("scenario.toml"), here.to_toml()).unwrap();
        assert_eq!(look(path, &here).unwrap(), Found::Begun);
        std::fs::create_dir_all(path.join("checkpoints/round-000001")).unwrap();
        assert_eq!(look(path, &here).unwrap(), Found::Begun, "a checkpoint without a manifest is none");
        std::fs::write(path.join("checkpoints/round-000001/manifest.json"), "{}").unwrap();
        assert_eq!(look(path, &here).unwrap(), Found::Checkpoint);
        std::fs::write(path.join("summary.json"), "{}").unwrap();
        assert!(format!("{:#}", look(path, &here).unwrap_err()).contains("summary.json"));
    }
}
