//! A network that is spread over several machines which share the run's folder, as one job of a batch system gives
//! them.
//!
//! The first machine runs the coordinator; transmitter k and receiver t run on machine k and t, modulo their number.
//! The coordinator's address is in a file of the run's folder, and so is the token by which the nodes are admitted,
//! which only its owner can read.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use coordinator::CoordinatorError;
use scenario::Scenario;
use tokio::{signal::unix::SignalKind, task::JoinSet};

use super::{
    launch::{Launch, LaunchOptions, local_coordinator},
    processes::{End, Node},
};
use crate::launch::whole::replace;

/// The subfolder with what the machines tell each other.
const FOLDER: &str = "machines";

/// How long the first machine may take to have a coordinator.
const PATIENCE: Duration = Duration::from_secs(600);

/// Pause between two looks for its address.
const PAUSE: Duration = Duration::from_millis(100);

/// This machine's place among those of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) rank: u16,
    pub(crate) of: u16,
}

impl Rank {
    /// From what Slurm's srun says; none in a job of one machine, or outside of srun.
    pub(crate) fn of_job() -> Option<Self> {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let (rank, of) = (number("SLURM_PROCID")?, number("SLURM_STEP_NUM_TASKS")?);
        (of > 1 && rank < of).then_some(Rank { rank, of })
    }
}

/// The options of a spread network with a token, which is drawn once for a run; others as they are.
pub(super) fn with_token(place: &LaunchOptions, out: &Path) -> Result<LaunchOptions, CoordinatorError> {
    if place.spread.is_none() || place.tls.is_some() || place.token_file.is_some() {
        return Ok(place.clone());
    }
    let file = out.join(FOLDER).join("token");
    let failed = |error: std::io::Error| CoordinatorError::File { path: file.clone(), error };
    std::fs::create_dir_all(out.join(FOLDER)).map_err(failed)?;
    if !file.exists() {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| failed(std::io::Error::other(error)))?;
        let text = randomness::hex(&bytes);
        authority::replace(&file, &text, 0o600).map_err(|error| CoordinatorError::Run(error.to_string()))?;
    }
    Ok(LaunchOptions { token_file: Some(file), ..place.clone() })
}

impl Launch {
    /// The address at which all nodes reach the coordinator, which the other machines are told. The coordinator of one
    /// machine is reached where it listens.
    pub(super) fn reachable(&self, address: String) -> anyhow::Result<String> {
        if self.place.spread.is_none() {
            return Ok(address);
        }
        let listening: SocketAddr = address.parse().with_context(|| address.clone())?;
        let address = format!("{}:{}", own_name(), listening.port());
        let file = address_file(&self.coordinator.out);
        replace(&file, address.as_bytes()).with_context(|| file.display().to_string())?;
        Ok(address)
    }

    /// The address on which a node listens, as the coordinator is at `coordinator`: the coordinator's own, or of a
    /// spread network all of its machine's. On loopback, where all machines are this one, the others could not be told
    /// of it.
    pub(super) fn listening(&self, coordinator: &str) -> IpAddr {
        let named: Option<SocketAddr> = coordinator.parse().ok();
        let loopback = named.map(|address| address.ip()).filter(|address| address.is_loopback());
        loopback.unwrap_or(self.coordinator.listen.ip())
    }

    /// Indices of `count` nodes of a role that run on a machine.
    pub(super) fn share(&self, rank: u16, count: usize) -> impl Iterator<Item = usize> + use<> {
        let all: Range<usize> = 0..count;
        all.skip(rank.into()).step_by(self.place.spread.unwrap_or(1).into())
    }
}

/// The name or address by which others reach this machine. Slurm knows the address from which it starts the job's
/// processes, which is that of the first machine.
fn own_name() -> String {
    let named = std::env::var("SLURM_LAUNCH_NODE_IPADDR").ok().filter(|address| !address.is_empty());
    named.unwrap_or_else(crate::launch::claim::host)
}

/// The file with the coordinator's address. Another start of the job has another one: nobody is to dial the old one.
fn address_file(out: &Path) -> PathBuf {
    let named = |name: &str| std::env::var(name).unwrap_or_default();
    let job = named("SLURM_JOB_ID");
    let life =
        if job.is_empty() { "by-hand".into() } else { format!("{job}-{}", named("SLURM_RESTART_COUNT")) };
    out.join(FOLDER).join(format!("coordinator-{life}"))
}

/// Runs the nodes of a machine that is not the first, until they have finished.
pub(crate) fn run(
    out: &Path,
    scenario: Scenario,
    place: &LaunchOptions,
    rank: Rank,
) -> anyhow::Result<ExitCode> {
    let file = address_file(out);
    let begun = Instant::now();
    let address = loop {
        if let Ok(address) = std::fs::read_to_string(&file) {
            break address;
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{}: no coordinator on the first machine within {} s; its log says why",
            file.display(),
            PATIENCE.as_secs()
        );
        // Listing the folder lets NFS show new files.
        let _ = std::fs::read_dir(out.join(FOLDER)).map(Iterator::count);
        std::thread::sleep(PAUSE);
    };
    let place = LaunchOptions { spread: Some(rank.of), ..place.clone() };
    let place = with_token(&place, out)?;
    let coordinator = local_coordinator(coordinator::ScenarioArguments::default(), out.into(), &place)?;
    let launch = Launch::of(scenario, coordinator, place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(conduct(&launch, rank, &address))
}

async fn conduct(launch: &Launch, rank: Rank, address: &str) -> anyhow::Result<ExitCode> {
    // The first machine's coordinator is told too, and lets all nodes end after a checkpoint.
    let _told =
        node::Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt(), SignalKind::user_defined1()]);
    let mut nodes = JoinSet::new();
    for (role, count) in
        [("transmitter", launch.scenario.transmitters()), ("receiver", launch.scenario.receivers())]
    {
        for index in launch.share(rank.rank, count) {
            nodes.spawn(Node::new(launch, role, index, address).live()?);
        }
    }
    let mut restarts = launch.place.restarts;
    while let Some(ended) = nodes.join_next().await {
        match ended? {
            End::Good(_) => {}
            End::Bad { node, complaint } => {
                ensure!(restarts > 0, "{}: {complaint}", node.name());
                restarts -= 1;
                eprintln!("{} {}: starting it again", node.name(), link::printable(&complaint));
                nodes.spawn(node.live()?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::{super::launch::Before, *};

    #[test]
    fn every_node_runs_on_one_machine() {
        let launch = |spread| {
            let place = LaunchOptions { spread, ..LaunchOptions::default() };
            let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
            let coordinator =
                local_coordinator(coordinator::ScenarioArguments::default(), "x".into(), &place).unwrap();
            Launch { scenario, coordinator, place, before: Before::Nothing }
        };
        let shares = |spread: u16, count| -> Vec<Vec<usize>> {
            (0..spread).map(|rank| launch(Some(spread)).share(rank, count).collect()).collect()
        };
        assert_eq!(shares(3, 4), [vec![0, 3], vec![1], vec![2]]);
        assert_eq!(shares(3, 2), [vec![0], vec![1], vec![]]);
        assert_eq!(launch(None).share(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
