use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use bytes::Bytes;
use randomness::Seed;
use scenario::Scenario;

use crate::{
    Binding, CoordinatorError, Manifest, Mode, Options, RunFolder, Written, checkpoints::Checkpoints,
    further::Lineage, incarnations, lock, service::Current, started::Started, summary::hex, totals::Totals,
    validation::Best,
};

/// The highest valid incarnation: far above that of any run, and it can still be incremented.
const HIGHEST: u64 = u64::MAX / 2;

/// Distance above the highest known incarnation that is proposed if one cannot be read: some may have left no trace.
const LEAP: u64 = 1000;

/// State before the first node of an incarnation joins.
pub(crate) struct Setup {
    /// The run's name on the wire.
    pub(crate) run: Bytes,
    /// Incremented and written down before any node is told of it.
    pub(crate) incarnation: u64,
    pub(crate) seed: Seed,
    /// The scenario. A continued run has its folder's.
    pub(crate) scenario: Scenario,
    pub(crate) folder: RunFolder,
    pub(crate) checkpoints: Checkpoints,
    /// The version of the checkpoint from which the run continues.
    pub(crate) restore: Option<u64>,
    /// The checkpoint's record of the run, unless it is of the first versions.
    pub(crate) committed: Option<Binding>,
    /// The version of the last checkpoint.
    pub(crate) saved: Option<u64>,
    /// Evaluation only: another coordinator that trains from the same checkpoints is not disturbed.
    only_evaluates: bool,
}

impl Setup {
    /// Opens or makes the run's folder, and finds the checkpoint from which the run continues.
    pub(crate) async fn set(options: &Options, address: SocketAddr) -> Result<Self, CoordinatorError> {
        let folder = RunFolder::at(&options.folder);
        let overwrites = options.mode == Mode::Train { force: true };
        let (restore, before, newest) = match options.mode {
            Mode::Train { force } => {
                start_afresh(options, force).await?;
                (None, 0, None)
            }
            mode => {
                let checkpoints = open_checkpoints(&folder, options, &options.scenario)?;
                let newest = checkpoints.newest().await?;
                let members = members(&folder, &checkpoints).await;
                let restore = match options.best {
                    true => Some(checkpoints.best(members).await?.ok_or_else(|| no_best(&options.folder))?),
                    false => checkpoints.last(members).await?,
                };
                let before = last_incarnation(&folder, &checkpoints).await?;
                match &restore {
                    Some(manifest) if mode != Mode::Evaluate => {
                        go_on(&folder, &checkpoints, manifest).await?;
                    }
                    Some(_) => {}
                    // The remains of a run without a checkpoint are not worth keeping.
                    None if mode == Mode::ResumeOrStart => start_afresh(options, true).await?,
                    // Its logs are cut back to the beginning as they would be to a checkpoint.
                    None if mode == Mode::Resume && folder.holds_run() => {
                        eprintln!("{} has no checkpoint yet: it begins anew", options.folder.display());
                    }
                    None => return Err(no_checkpoint(&options.folder)),
                }
                (restore, before, newest)
            }
        };
        let scenario =
            if restore.is_some() { own_scenario(&folder, options)? } else { options.scenario.clone() };
        let checkpoints = open_checkpoints(&folder, options, &scenario)?;
        let committed = match &restore {
            Some(manifest) => bound(&folder, manifest)?,
            None => None,
        };
        let restore = restore.map(|manifest| manifest.round);
        let mut run = [0; 16];
        getrandom::fill(&mut run)
            .map_err(|error| CoordinatorError::Run(format!("the system gives no random bytes: {error}")))?;
        let mut setup = Setup {
            run: Bytes::copy_from_slice(&run),
            incarnation: before,
            seed: Seed::from_number(scenario.seed),
            checkpoints,
            scenario,
            folder,
            restore,
            committed,
            saved: restore,
            only_evaluates: options.mode == Mode::Evaluate,
        };
        setup.begin_incarnation().await?;
        if !setup.only_evaluates {
            Started::write(&setup.folder, &options.command)?;
        }
        // Another coordinator that worked on this store has lost the run now and writes no more.
        if setup.is_elsewhere() {
            if overwrites {
                setup.checkpoints.clear().await?;
            } else if setup.checkpoints.newest().await? != newest {
                return Err(CoordinatorError::Run(format!(
                    "{}: another coordinator has just written a checkpoint there: start again",
                    setup.checkpoints.name_of("")
                )));
            }
            if setup.restore.is_none() {
                setup.checkpoints.forget_lineage().await?;
            }
        }
        setup.folder.write_whole("address", address.to_string().as_bytes())?;
        lock::name_run(setup.folder.path(), &hex(&run));
        tracing::info!(%address, run = hex(&run), "listening");
        Ok(setup)
    }

    /// Prepares the next incarnation, at the last committed checkpoint or, without one, at the beginning.
    pub(crate) async fn go_back(&mut self) -> Result<(), CoordinatorError> {
        self.check_ownership().await?;
        let members = (self.scenario.transmitters(), self.scenario.receivers());
        let manifest = match self.saved {
            // An evaluation is of this checkpoint and of no other.
            Some(round) if self.only_evaluates => Some(self.checkpoints.manifest(round).await?),
            Some(_) => self.checkpoints.last(Some(members)).await?,
            None => None,
        };
        self.restore = manifest.as_ref().map(|manifest| manifest.round);
        self.committed = manifest.and_then(|manifest| manifest.run);
        self.saved = self.restore;
        self.begin_incarnation().await
    }

    /// Increments the incarnation and writes it down, in every place from which the run may continue.
    async fn begin_incarnation(&mut self) -> Result<(), CoordinatorError> {
        if !self.is_elsewhere() {
            self.incarnation += 1;
            return self.folder.write_incarnation(self.incarnation);
        }
        self.incarnation = incarnations::claim(self.checkpoints.store(), self.incarnation).await?;
        self.folder.write_incarnation(self.incarnation)?;
        self.checkpoints.keep("incarnation", self.incarnation.to_string()).await
    }

    /// Whether checkpoints go to a remote store, which other folders may share.
    fn is_elsewhere(&self) -> bool {
        self.scenario.checkpoint.store.is_some() && !self.only_evaluates
    }

    /// Makes sure that no coordinator with another folder has continued the run. The folder itself is locked.
    async fn check_ownership(&self) -> Result<(), CoordinatorError> {
        match self.is_elsewhere() {
            true => incarnations::check(self.checkpoints.store(), self.incarnation).await,
            false => Ok(()),
        }
    }

    /// Commits a checkpoint, with all the files that the run needs to continue from a remote store alone.
    pub(crate) async fn commit(
        &mut self,
        version: u64,
        files: BTreeMap<String, String>,
        (logs, totals): (BTreeMap<String, Written>, Totals),
        best: Option<Best>,
    ) -> Result<(), CoordinatorError> {
        let run = Binding {
            incarnation: self.incarnation,
            transmitters: self.scenario.transmitters(),
            receivers: self.scenario.receivers(),
            scenario: self.scenario.to_toml(),
            logs,
            totals,
            best,
        };
        if self.is_elsewhere() {
            self.check_ownership().await?;
            self.folder.keep_files(&self.checkpoints).await?;
        }
        self.checkpoints.commit(&Manifest::new(version, files, run)).await?;
        self.saved = Some(version);
        Ok(())
    }

    /// Steps that all parameters have taken at the start of the incarnation.
    pub(crate) fn version(&self) -> u64 {
        self.restore.unwrap_or(0)
    }

    /// The service's state for this incarnation.
    pub(crate) fn current(&self) -> Current {
        Current { incarnation: self.incarnation, restore: self.restore, reload: None }
    }
}

/// The store of a run's checkpoints: the one already open, or that of its scenario.
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

/// Clears the folder for a run from the beginning; a remote store must be empty already, or may be overwritten.
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

/// Makes sure that the run can continue from a checkpoint, and that its own files are in the folder.
async fn go_on(
    folder: &RunFolder,
    checkpoints: &Checkpoints,
    manifest: &Manifest,
) -> Result<(), CoordinatorError> {
    checkpoints.check_numerics(manifest)?;
    if folder.holds_run() { Ok(()) } else { folder.fetch_files(checkpoints).await }
}

/// The scenario with which the run began; only the locations of data and checkpoints and the evaluation settings may
/// differ.
fn own_scenario(folder: &RunFolder, options: &Options) -> Result<Scenario, CoordinatorError> {
    let mut scenario =
        if options.mode == Mode::Evaluate { folder.scenario_to_evaluate(&[])? } else { folder.scenario()? };
    scenario.data.path = options.scenario.data.path.clone().or(scenario.data.path);
    scenario.checkpoint.store = options.scenario.checkpoint.store.clone().or(scenario.checkpoint.store);
    if options.mode == Mode::Evaluate {
        scenario.evaluation = options.scenario.evaluation.clone();
        scenario.straggler = options.scenario.straggler;
        scenario.link.clone_from(&options.scenario.link);
        scenario.channel.clone_from(&options.scenario.channel);
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

pub(crate) fn no_checkpoint(folder: &Path) -> CoordinatorError {
    let folder = folder.display();
    CoordinatorError::Input(format!("{folder} has no checkpoint: train with checkpoint.every, or to the end"))
}

pub(crate) fn no_best(folder: &Path) -> CoordinatorError {
    let folder = folder.display();
    CoordinatorError::Input(format!(
        "{folder} has no best checkpoint: nothing was evaluated on validation rows in training (evaluation.every); leave out --best for the \
         last"
    ))
}

/// The numbers of transmitters and receivers by the run's own scenario, if that can be read.
async fn members(folder: &RunFolder, checkpoints: &Checkpoints) -> Option<(usize, usize)> {
    let scenario = if folder.holds_run() {
        folder.scenario().ok()?
    } else {
        let text = checkpoints.kept("scenario.toml").await.ok()??;
        Scenario::parse(std::str::from_utf8(&text).ok()?, "the store's scenario", &[]).ok()?
    };
    Some((scenario.transmitters(), scenario.receivers()))
}

/// The checkpoint's record of the run, which must belong to the folder's scenario.
pub(crate) fn bound(folder: &RunFolder, manifest: &Manifest) -> Result<Option<Binding>, CoordinatorError> {
    let path = folder.file("scenario.toml");
    if manifest.run.is_none() {
        eprintln!(
            "warning: the checkpoint of round {} is of an earlier version of this program: whether {} and the logs have \
             changed since it was made cannot be told",
            manifest.round,
            path.display()
        );
    }
    match manifest.differs_from(&folder.scenario()?, &Lineage::of(folder)?) {
        None => Ok(manifest.run.clone()),
        Some(line) => Err(CoordinatorError::Input(format!(
            "{}: {line}: put it back to go on, or train anew in another folder",
            path.display()
        ))),
    }
}

/// The highest recorded incarnation, in folder or store: the next must be higher.
async fn last_incarnation(folder: &RunFolder, checkpoints: &Checkpoints) -> Result<u64, CoordinatorError> {
    let known = checkpoints.last_incarnation().await?.filter(|known| *known <= HIGHEST).unwrap_or(0);
    let own = (folder.file("incarnation").display().to_string(), folder.incarnation()?);
    let kept = checkpoints.kept("incarnation").await?.map(|text| text.to_vec());
    let kept = (checkpoints.name_of("incarnation"), kept);
    let mut last = known;
    for (name, text) in [own, kept] {
        let Some(text) = text else { continue };
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<u64>().ok());
        last = match number.filter(|number| *number <= HIGHEST) {
            Some(number) => last.max(number),
            None => {
                let text: String = String::from_utf8_lossy(&text).chars().take(20).collect();
                return Err(CoordinatorError::Input(format!(
                    "{name}: it should hold the number of the last incarnation, and holds {text:?}: write {} into it, \
                     which is higher than any that this run has left a trace of",
                    known + LEAP
                )));
            }
        };
    }
    Ok(last)
}
