use std::path::{Path, PathBuf};

use scenario::{Policy, Scenario, Straggler, TrainCoding};
use store::Store;

use super::StreamArguments;
use crate::{
    CoordinatorError, RunFolder,
    checkpoints::Checkpoints,
    further::wait,
    setup::{bound, no_best, no_checkpoint},
};

/// The folder within a run's that a service works in: the run itself may be trained further meanwhile.
const FOLDER: &str = "serve";

/// The folder that a service of a run works in.
pub fn service_folder(run: &Path) -> PathBuf {
    run.join(FOLDER)
}

/// How often a checkpoint is read again that has just been removed for a newer one.
const ATTEMPTS: usize = 5;

/// What a service begins with.
pub(crate) struct Prepared {
    /// The run's scenario, as it is served.
    pub(crate) scenario: Scenario,
    /// A copy of the checkpoint.
    pub(crate) store: Store,
}

/// Copies the last or the best checkpoint of a run into memory, and makes the folder that the service works in, whose
/// lock the caller holds. The run's own folder is only read. Assignments may change what an evaluation may change.
///
/// # Errors
/// If the folder holds no run or no whole checkpoint of it, or a run that cannot be served.
pub(crate) fn prepare(
    run: &Path,
    best: bool,
    set: &[String],
    stream: &StreamArguments,
) -> Result<Prepared, CoordinatorError> {
    let from = RunFolder::at(run);
    let trained = from.scenario()?;
    let scenario = served(&from.scenario_to_evaluate(set)?, stream)?;
    let folder = RunFolder::at(service_folder(run));
    folder.write_whole("scenario.toml", scenario.to_toml().as_bytes())?;
    let store = Store::in_memory();
    wait(async {
        let members = (trained.transmitters(), trained.receivers());
        let checkpoints = from.checkpoints(&trained)?;
        let to = Checkpoints::new(store.clone());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let manifest = match best {
                true => checkpoints.best(Some(members)).await?.ok_or_else(|| no_best(run))?,
                false => checkpoints.last(Some(members)).await?.ok_or_else(|| no_checkpoint(run))?,
            };
            bound(&from, &manifest)?;
            match checkpoints.copy(manifest, &to, &scenario).await {
                Ok(()) => return Ok(()),
                Err(CoordinatorError::Run(_)) if attempts < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    })?;
    Ok(Prepared { scenario, store })
}

/// The scenario as it is served.
fn served(trained: &Scenario, stream: &StreamArguments) -> Result<Scenario, CoordinatorError> {
    let refuse = |what: &str| Err(CoordinatorError::Input(what.into()));
    if trained.evaluates_by_tick() {
        return refuse(
            "this run's selection is drawn for every tick (evaluation.draw = \"tick\"), and each batch of a service would wait for requests of its \
             own: add --set evaluation.draw=pass to serve it under one draw, or under a new one now and then with --redraw",
        );
    }
    if trained.network.multicast {
        return refuse(
            "network.multicast: features that know no receiver cannot be served yet; those of a run without it can",
        );
    }
    let mut channels = trained.channels();
    if channels.any(|(_, _, channel)| channel.power == scenario::Power::Entry) {
        return refuse(
            "a channel of this run scales all samples of a tick together (power = \"entry\"), and a sample cannot be sent before the others of its \
             tick have been observed: give the channel another power, by --set channel=[...], to serve it",
        );
    }
    if trained.sends_bits() {
        return refuse(
            "a channel of this run sends an entry's samples of a tick as one block of bits (transport = \"digital\"), and a sample cannot be sent \
             before the others of its tick have been observed: serve it without the air between, by --set channel=[]",
        );
    }
    let mut scenario = trained.clone();
    scenario.checkpoint.store = None;
    if let Some(deadline) = stream.deadline() {
        let seconds = deadline.as_secs_f64();
        // Patience has to be a little longer.
        let patience = seconds * 1.001;
        scenario.straggler = Straggler { policy: Policy::Skip, deadline: seconds, patience };
    }
    if scenario.train.simulates() {
        eprintln!("note: simulated features need whole pieces; in service they travel as they are drawn");
        scenario.train.coding = Some(TrainCoding::Gaussian);
    }
    // Not every run can do without what is late.
    Ok(Scenario::parse(&scenario.to_toml(), "in service", &[])?)
}
