//! Extending a run beyond its number of rounds, and forking a run off another one.

use std::{fs, path::Path};

use scenario::{Checkpoint, Objective, Scenario};
use serde::{Deserialize, Serialize};

use crate::{CoordinatorError, RunFolder, checkpoints::Checkpoints};

/// The file that records the origin of a run that did not start at round 0 of its own scenario.
pub(crate) const LINEAGE: &str = "lineage.json";

/// Origin of a run, for its summary, besides its scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lineage {
    pub(crate) forked: Option<Fork>,
    pub(crate) extended: Vec<Extension>,
}

/// A run that began with the parameters of another run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fork {
    /// The other run's folder.
    pub from: String,
    /// The round of its checkpoint: earlier rounds belong to the other run.
    pub round: u64,
    /// The keys of its scenario that were changed, as "key: before -> after".
    pub changed: Vec<String>,
}

/// An extension of a run by rounds on which its schedules depend: the result differs from a run that had them from the
/// start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// Rounds trained by then.
    pub round: u64,
    /// Number of rounds before the extension.
    pub rounds_before: u64,
    /// Number of rounds after it.
    pub rounds: u64,
    /// Its schedules from there on: those of a run with that many rounds.
    pub schedule: String,
}

impl Lineage {
    pub(crate) fn of(folder: &RunFolder) -> Result<Self, CoordinatorError> {
        let path = folder.file(LINEAGE);
        if !path.exists() {
            return Ok(Lineage::default());
        }
        let text = fs::read(&path).map_err(CoordinatorError::file(&path))?;
        serde_json::from_slice(&text)
            .map_err(|error| CoordinatorError::Input(format!("{}: {error}", path.display())))
    }

    /// The number of rounds of a run under this lineage, if the scenario of its checkpoint at `round` had `rounds`:
    /// later extensions apply in order.
    pub(crate) fn rounds_since(&self, round: u64, rounds: u64) -> u64 {
        let later = self.extended.iter().filter(|extension| extension.round >= round);
        later.fold(
            rounds,
            |rounds, extension| {
                if extension.rounds_before == rounds { extension.rounds } else { rounds }
            },
        )
    }

    fn write(&self, folder: &RunFolder) -> Result<(), CoordinatorError> {
        let text = serde_json::to_vec_pretty(self).expect("a lineage has only strings and numbers");
        folder.write_whole(LINEAGE, &text)
    }
}

/// Sets the number of rounds of the run in a folder. The caller holds the folder's lock.
///
/// # Errors
/// If the run has trained more rounds already.
pub fn extend(folder: &Path, rounds: u64) -> Result<(), CoordinatorError> {
    let run = RunFolder::at(folder);
    wait(async { give_rounds(&run, &run.checkpoints(&run.scenario()?)?, rounds).await })
}

/// The same for a run whose files remain only in its store: they are fetched into the folder first.
///
/// # Errors
/// If there is no checkpoint, or the run has trained more already.
pub(crate) fn extend_from_store(
    folder: &Path,
    store: &Scenario,
    rounds: u64,
) -> Result<(), CoordinatorError> {
    let run = RunFolder::at(folder);
    wait(async {
        let checkpoints = run.checkpoints(store)?;
        if checkpoints.last(None).await?.is_none() {
            return Err(CoordinatorError::Input(format!(
                "{} has no checkpoint from which the run could be trained further",
                store.checkpoint.store.as_deref().unwrap_or_default()
            )));
        }
        run.fetch_files(&checkpoints).await?;
        give_rounds(&run, &checkpoints, rounds).await
    })
}

async fn give_rounds(
    run: &RunFolder,
    checkpoints: &Checkpoints,
    rounds: u64,
) -> Result<(), CoordinatorError> {
    let before = run.scenario()?;
    if rounds == before.train.rounds {
        return Ok(());
    }
    let after = run.changed_scenario(&[format!("train.rounds={rounds}")])?;
    let trained = checkpoints.last(None).await?.map_or(0, |manifest| manifest.round);
    if rounds < trained {
        return Err(CoordinatorError::Input(format!(
            "--rounds {rounds}: {} has trained {trained} rounds already; give more",
            run.path().display()
        )));
    }
    // Training without a schedule, or no training yet, is the beginning of the longer run.
    let schedule = after.train.schedule().or(before.train.schedule()).filter(|_| trained > 0);
    if let Some(schedule) = schedule {
        let mut lineage = Lineage::of(run)?;
        let rounds_before = before.train.rounds;
        lineage.extended.push(Extension { round: trained, rounds_before, rounds, schedule });
        lineage.write(run)?;
    }
    // The old results no longer describe the folder's run, but are kept under other names.
    for name in ["summary", "recordings", "evaluation", "snr"] {
        let path = run.file(&format!("{name}.json"));
        if path.exists() {
            let kept = run.file(&format!("{name}-round-{trained:06}.json"));
            fs::rename(&path, &kept).map_err(CoordinatorError::file(&path))?;
        }
    }
    run.write_whole("scenario.toml", after.to_toml().as_bytes())
}

/// Makes a folder of a run that continues from the last checkpoint of another run, with another scenario. The caller
/// holds the folder's lock. The scenario is written last: an interrupted fork leaves no run.
///
/// # Errors
/// If the other run has no checkpoint, the scenario has other networks or no rounds left, or the folder holds a run.
pub fn fork(from: &Path, to: &Path, scenario: &Scenario, force: bool) -> Result<(), CoordinatorError> {
    wait(async {
        let source = RunFolder::at(from);
        let before = source.scenario()?;
        if fs::canonicalize(from).is_ok_and(|from| fs::canonicalize(to).is_ok_and(|to| from == to)) {
            return Err(CoordinatorError::Input(format!(
                "{} cannot become another run: choose another --out, or go on with it by --resume",
                from.display()
            )));
        }
        check_networks(&before, scenario)?;
        let checkpoints = source.checkpoints(&before)?;
        let name = from.display();
        let Some(manifest) = checkpoints.last(None).await? else {
            return Err(CoordinatorError::Input(format!(
                "{name} has no checkpoint yet from which another run could go on"
            )));
        };
        checkpoints.check_numerics(&manifest)?;
        let round = manifest.round;
        if scenario.train.rounds <= round {
            return Err(CoordinatorError::Input(format!(
                "{name} has trained {round} rounds, and the new run is to have {} in all: give more with --rounds",
                scenario.train.rounds
            )));
        }
        let target = RunFolder::make_room(to, force)?;
        let copies = target.checkpoints(scenario)?;
        if copies.any().await? {
            return Err(CoordinatorError::Input(format!(
                "{} holds checkpoints already: choose another --out",
                to.display()
            )));
        }
        for log in ["metrics.jsonl", "selection.jsonl"] {
            fs::copy(source.file(log), target.file(log)).map_err(CoordinatorError::file(source.file(log)))?;
        }
        target.write_incarnation(checkpoints.last_incarnation().await?.unwrap_or(0))?;
        let changed = before.changes(scenario).iter().map(ToString::to_string).collect();
        let from = std::path::absolute(from).unwrap_or_else(|_| from.into()).display().to_string();
        let mut lineage = Lineage { forked: Some(Fork { from, round, changed }), ..Lineage::of(&source)? };
        // Extensions that the other run had not reached do not concern the fork.
        lineage.extended.retain(|extension| extension.round < round);
        lineage.write(&target)?;
        checkpoints.copy(manifest, &copies, scenario).await?;
        target.write_whole("scenario.toml", scenario.to_toml().as_bytes())
    })
}

/// Makes a folder in which a round of the run in another one can be computed again, with its draws recorded: it begins
/// with the last checkpoint at or before that round, or from nothing. Returns the round with which it begins.
///
/// # Errors
/// If the folder holds no run, or its rounds since such a checkpoint were not trained by its scenario alone.
pub fn rewind(from: &Path, to: &Path, round: u64) -> Result<u64, CoordinatorError> {
    wait(async {
        let source = RunFolder::at(from);
        let mut scenario = source.scenario()?;
        let checkpoints = source.checkpoints(&scenario)?;
        let begin = checkpoints.rounds().await?.into_iter().rfind(|begin| *begin <= round).unwrap_or(0);
        let lineage = Lineage::of(&source)?;
        let elsewhere = |what: &str| {
            let name = from.display();
            CoordinatorError::Input(format!(
                "{name} has no checkpoint at or before round {round} since {what}: choose a later tick"
            ))
        };
        if lineage.forked.as_ref().is_some_and(|fork| begin < fork.round) {
            return Err(elsewhere("it began with another run's parameters"));
        }
        if lineage.extended.iter().any(|extension| begin < extension.round) {
            return Err(elsewhere("its schedules were extended"));
        }
        scenario.record.draws = true;
        scenario.checkpoint = Checkpoint { every: 0, store: None };
        scenario.evaluation.every = 0;
        let target = RunFolder::make_room(to, false)?;
        if begin > 0 {
            let manifest = checkpoints.manifest(begin).await?;
            checkpoints.check_numerics(&manifest)?;
            for log in ["metrics.jsonl", "selection.jsonl"] {
                fs::copy(source.file(log), target.file(log))
                    .map_err(CoordinatorError::file(source.file(log)))?;
            }
            lineage.write(&target)?;
            checkpoints.copy(manifest, &target.checkpoints(&scenario)?, &scenario).await?;
        }
        target.write_whole("scenario.toml", scenario.to_toml().as_bytes())?;
        Ok(begin)
    })
}

/// Checks that a checkpoint fits: networks must have the same shapes, selection must be by the same rule, and weights of
/// receivers must be there if they are to move.
fn check_networks(before: &Scenario, after: &Scenario) -> Result<(), CoordinatorError> {
    if (before.train.objective, after.train.objective) == (Objective::Sum, Objective::Worst) {
        let line = "train.objective cannot become \"worst\" from a checkpoint on that was trained for the \"sum\": it has no \
                    weights of receivers; train anew without --from";
        return Err(CoordinatorError::Input(line.into()));
    }
    if before.train.selection != after.train.selection {
        let line = "train.selection cannot change from a checkpoint on: it has no state of what would select then; \
                    train anew without --from";
        return Err(CoordinatorError::Input(line.into()));
    }
    let nodes = |scenario: &Scenario| {
        let modalities = scenario.transmitter.iter().map(|node| node.modalities.clone());
        (modalities.collect::<Vec<_>>(), scenario.tasks())
    };
    let ((observed, tasks), (observed_after, tasks_after)) = (nodes(before), nodes(after));
    let changes = before.changes(after);
    // Which of them learn may change.
    let shaped =
        changes.iter().find(|change| change.key.starts_with("network.") && !change.key.ends_with(".train"));
    let line = match shaped {
        Some(change) => change.to_string(),
        None if observed != observed_after => "modalities of transmitters".into(),
        None if tasks != tasks_after => "tasks of receivers".into(),
        None => return Ok(()),
    };
    Err(CoordinatorError::Input(format!(
        "{line} cannot change from a checkpoint on: its networks have their shapes; train anew without --from"
    )))
}

/// Runs a short operation on a store before there is a runtime.
pub(crate) fn wait<T>(
    work: impl Future<Output = Result<T, CoordinatorError>>,
) -> Result<T, CoordinatorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CoordinatorError::Run(format!("cannot start the async runtime: {error}")))?;
    runtime.block_on(work)
}
