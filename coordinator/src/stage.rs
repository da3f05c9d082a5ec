use std::{net::SocketAddr, path::Path};

use bytes::Bytes;
use randomness::Seed;
use scenario::Scenario;

use crate::{
    CoordinatorError, Mode, Options, RunFolder, checkpoints::Checkpoints, incarnations, lock,
    service::Current, summary::hex,
};

/// What stands before the first node of an incarnation joins.
pub(crate) struct Stage {
    /// The run's name on the wire.
    pub(crate) run: Bytes,
    /// Counted up, and written down, before anybody hears of it.
    pub(crate) incarnation: u64,
    pub(crate) seed: Seed,
    /// What is run. One that goes on has its folder's.
    pub(crate) scenario: Scenario,
    pub(crate) folder: RunFolder,
    pub(crate) checkpoints: Checkpoints,
    /// The version of the checkpoint from which the run goes on.
    pub(crate) restore: Option<u64>,
    /// The version of the last checkpoint.
    pub(crate) saved: Option<u64>,
    /// Nothing is trained: whoever trains on from the same checkpoints is not disturbed.
    only_judges: bool,
}

impl Stage {
    /// Opens or makes the run's folder, and finds the checkpoint from which the run goes on.
    pub(crate) async fn set(options: &Options, address: SocketAddr) -> Result<Self, CoordinatorError> {
        let folder = RunFolder::at(&options.folder);
        let (restore, before) = match options.mode {
            Mode::Train { force } => {
                start_afresh(options, force).await?;
                (None, 0)
            }
            mode => {
                let checkpoints = open_checkpoints(&folder, options, &options.scenario)?;
                let restore = checkpoints.last().await?;
                // The incarnation must be higher than any before, wherever that was written down.
                let before = folder.incarnation().max(kept_incarnation(&checkpoints).await?);
                match restore {
                    Some(round) if mode != Mode::Evaluate => go_on(&folder, &checkpoints, round).await?,
                    Some(_) => {}
                    // What a run without a checkpoint has left is not worth keeping.
                    None if mode == Mode::ResumeOrStart => start_afresh(options, true).await?,
                    // Its logs are cut back to the beginning as they are to a checkpoint.
                    None if mode == Mode::Resume && folder.holds_run() => {
                        eprintln!("{} has no checkpoint yet: it begins anew", options.folder.display());
                    }
                    None => return Err(no_checkpoint(&options.folder)),
                }
                (restore, before)
            }
        };
        let scenario =
            if restore.is_some() { own_scenario(&folder, options)? } else { options.scenario.clone() };
        let mut run = [0; 16];
        getrandom::fill(&mut run)
            .map_err(|error| CoordinatorError::Run(format!("the system gives no random bytes: {error}")))?;
        let mut stage = Stage {
            run: Bytes::copy_from_slice(&run),
            incarnation: before,
            seed: Seed::from_number(scenario.seed),
            checkpoints: open_checkpoints(&folder, options, &scenario)?,
            scenario,
            folder,
            restore,
            saved: restore,
            only_judges: options.mode == Mode::Evaluate,
        };
        stage.begin_incarnation().await?;
        // Whoever was at work with what lies there has lost it now, and writes nothing more.
        if stage.restore.is_none() && stage.is_elsewhere() {
            stage.checkpoints.clear().await?;
        }
        stage.folder.write_whole("address", address.to_string().as_bytes())?;
        lock::name_run(stage.folder.path(), &hex(&run));
        tracing::info!(%address, run = hex(&run), "listening");
        Ok(stage)
    }

    /// Sets the stage anew for the next incarnation, at the last committed checkpoint or, if there is none, the beginning.
    pub(crate) async fn go_back(&mut self) -> Result<(), CoordinatorError> {
        self.check_ownership().await?;
        // A fresh run over an old one has emptied its folder, but not a store elsewhere: what counts is its own.
        self.restore = if self.saved.is_some() { self.checkpoints.last().await? } else { None };
        self.saved = self.restore;
        self.begin_incarnation().await
    }

    /// Counts the incarnation up and writes it down, wherever the run may go on from.
    async fn begin_incarnation(&mut self) -> Result<(), CoordinatorError> {
        if !self.is_elsewhere() {
            self.incarnation += 1;
            return self.folder.write_incarnation(self.incarnation);
        }
        self.incarnation = incarnations::claim(self.checkpoints.store(), self.incarnation).await?;
        self.folder.write_incarnation(self.incarnation)?;
        self.checkpoints.keep("incarnation", self.incarnation.to_string()).await
    }

    /// Whether it writes checkpoints to a store elsewhere, which other folders may share.
    fn is_elsewhere(&self) -> bool {
        self.scenario.checkpoint.store.is_some() && !self.only_judges
    }

    /// Makes sure that no coordinator with another folder has gone on with the run. The folder itself is locked.
    async fn check_ownership(&self) -> Result<(), CoordinatorError> {
        match self.is_elsewhere() {
            true => incarnations::check(self.checkpoints.store(), self.incarnation).await,
            false => Ok(()),
        }
    }

    /// Commits a checkpoint, with all that the run needs to go on from its store alone if that is elsewhere.
    pub(crate) async fn commit(
        &mut self,
        version: u64,
        files: std::collections::BTreeMap<String, String>,
    ) -> Result<(), CoordinatorError> {
        if self.is_elsewhere() {
            self.check_ownership().await?;
            self.folder.keep_files(&self.checkpoints).await?;
        }
        self.checkpoints.commit(version, files).await?;
        self.saved = Some(version);
        Ok(())
    }

    /// Steps that all parameters have taken at the start of the incarnation.
    pub(crate) fn version(&self) -> u64 {
        self.restore.unwrap_or(0)
    }

    /// What the door must know of it.
    pub(crate) fn current(&self) -> Current {
        Current { incarnation: self.incarnation, restore: self.restore }
    }
}

/// The store of a run's checkpoints: the one that is open already, or the one of its scenario.
fn open_checkpoints(
    folder: &RunFolder,
    options: &Options,
    scenario: &Scenario,
) -> Result<Checkpoints, CoordinatorError> {
    match &options.store {
        Some(store) => Ok(Checkpoints::new(store.clone())),
        None => folder.checkpoints(scenario),
    }
}

/// Makes room for a run from the beginning in its folder; a store elsewhere must have room already, or is to be overwritten.
async fn start_afresh(options: &Options, force: bool) -> Result<(), CoordinatorError> {
    let folder = RunFolder::create(&options.folder, &options.scenario, force)?;
    let Some(location) = &options.scenario.checkpoint.store else { return Ok(()) };
    let checkpoints = open_checkpoints(&folder, options, &options.scenario)?;
    if !force && checkpoints.any().await? {
        return Err(CoordinatorError::Input(format!(
            "{location} holds the checkpoints of a run already: choose another checkpoint.store, or overwrite them with --force"
        )));
    }
    Ok(())
}

/// Makes sure that the run can go on from a checkpoint, and that its own files are in the folder.
async fn go_on(folder: &RunFolder, checkpoints: &Checkpoints, round: u64) -> Result<(), CoordinatorError> {
    checkpoints.check_numerics(round).await?;
    if folder.holds_run() { Ok(()) } else { folder.fetch_files(checkpoints).await }
}

/// The scenario with which the run began; only where data and checkpoints lie may have changed, and how it is judged.
fn own_scenario(folder: &RunFolder, options: &Options) -> Result<Scenario, CoordinatorError> {
    let mut scenario = folder.scenario()?;
    scenario.data.path = options.scenario.data.path.clone().or(scenario.data.path);
    scenario.checkpoint.store = options.scenario.checkpoint.store.clone().or(scenario.checkpoint.store);
    if options.mode == Mode::Evaluate {
        scenario.evaluation = options.scenario.evaluation.clone();
        scenario.straggler = options.scenario.straggler;
        scenario.link.clone_from(&options.scenario.link);
    }
    if options.mode == Mode::ResumeOrStart && scenario != options.scenario {
        let folder = folder.path().display();
        eprintln!(
            "{folder} holds a run of another scenario and goes on with that; for this one choose another --out, or take \
             the folder away"
        );
    }
    Ok(scenario)
}

fn no_checkpoint(folder: &Path) -> CoordinatorError {
    let folder = folder.display();
    CoordinatorError::Input(format!("{folder} has no checkpoint: train with checkpoint.every, or to the end"))
}

async fn kept_incarnation(checkpoints: &Checkpoints) -> Result<u64, CoordinatorError> {
    let text = checkpoints.kept("incarnation").await?.unwrap_or_default();
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}
