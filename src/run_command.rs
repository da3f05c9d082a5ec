//! `pom2dib run` and `pom2dib evaluate`.

use std::{path::PathBuf, process::ExitCode};

use coordinator::{CoordinatorError, RunFolder, ScenarioArguments};
use scenario::Scenario;

use crate::{folder, in_process, processes};

/// Train and judge a whole network on this machine: a coordinator, K transmitters and T receivers as processes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,

    #[command(flatten)]
    place: Place,

    /// The run's folder; by default a fresh one under runs/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Overwrite the run that --out holds
    #[arg(long)]
    force: bool,

    /// Go on from the last checkpoint of the run in this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "scenario", "set", "method", "rounds", "seed"])]
    resume: Option<PathBuf>,
}

/// Judge the last checkpoint of a run again: Algorithm 2 on the whole test set.
#[derive(clap::Args)]
pub(crate) struct EvaluateArguments {
    /// The run's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Folder of the data set, if it has moved
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

/// Where and how the nodes run.
#[derive(Clone, clap::Args)]
pub(crate) struct Place {
    /// Where the nodes compute: cpu, cuda:N or auto; goes before the scenario's devices
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    pub(crate) device: Option<scenario::Device>,

    /// Run all nodes as tasks of this process instead of processes of their own
    #[arg(long)]
    pub(crate) in_process: bool,

    /// Let the nodes talk over TCP instead of Unix-domain sockets
    #[arg(long, env = "POM2DIB_TCP_ONLY")]
    pub(crate) tcp_only: bool,

    /// Threads for the matrix products of each node; without it, its share of the cores. No result depends on it
    #[arg(long, env = "POM2DIB_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print the summary as one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// A whole network to be run on this machine.
pub(crate) struct Launch {
    pub(crate) scenario: Scenario,
    /// The coordinator's own arguments.
    pub(crate) coordinator: coordinator::Arguments,
    pub(crate) place: Place,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    launch(launch_of_run(arguments))
}

pub(crate) fn evaluate(arguments: &EvaluateArguments) -> ExitCode {
    launch(launch_of_evaluation(arguments))
}

fn launch(launch: Result<Launch, CoordinatorError>) -> ExitCode {
    match launch {
        Ok(launch) if launch.place.in_process => in_process::run(&launch),
        Ok(launch) => processes::run(&launch),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}

fn launch_of_run(arguments: &Arguments) -> Result<Launch, CoordinatorError> {
    let (scenario, out) = match &arguments.resume {
        Some(folder) => (RunFolder::at(folder).scenario()?, folder.clone()),
        None => {
            let scenario = arguments.scenario.resolve()?;
            let out = arguments.out.clone().unwrap_or_else(|| folder::fresh(&scenario));
            (scenario, out)
        }
    };
    let mut coordinator = local_coordinator(arguments.scenario.clone(), out, arguments.place.json);
    coordinator.resume = arguments.resume.is_some();
    coordinator.force = arguments.force;
    Ok(Launch { scenario, coordinator, place: arguments.place.clone() })
}

fn launch_of_evaluation(arguments: &EvaluateArguments) -> Result<Launch, CoordinatorError> {
    let scenario = RunFolder::at(&arguments.folder).scenario()?;
    let data = ScenarioArguments { data: arguments.data.clone(), ..ScenarioArguments::default() };
    let mut coordinator = local_coordinator(data, arguments.folder.clone(), arguments.place.json);
    coordinator.evaluate = true;
    Ok(Launch { scenario, coordinator, place: arguments.place.clone() })
}

/// A coordinator on a free port of this machine.
fn local_coordinator(scenario: ScenarioArguments, out: PathBuf, json: bool) -> coordinator::Arguments {
    coordinator::Arguments {
        scenario,
        out,
        force: false,
        resume: false,
        resume_or_start: false,
        evaluate: false,
        listen: ([127, 0, 0, 1], 0).into(),
        insecure: false,
        json,
        patience: 120,
        end_with_parent: true,
    }
}

impl Launch {
    /// The file into which the coordinator writes its address; an earlier run's is removed.
    pub(crate) fn fresh_address_file(&self) -> PathBuf {
        let file = self.coordinator.out.join("address");
        // It may well not be there.
        let _ = std::fs::remove_file(&file);
        file
    }

    /// Each node's share of the cores: transmitters and receivers mostly compute in turns, so that only nodes of one kind
    /// have to share them.
    pub(crate) fn threads(&self) -> u16 {
        let nodes = self.scenario.transmitters().max(self.scenario.receivers());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.place.threads.unwrap_or_else(|| u16::try_from(cores / nodes).unwrap_or(u16::MAX).max(1))
    }

    /// What every node is told.
    pub(crate) fn node_options(&self, address: &str, index: usize) -> node::Options {
        node::Options {
            coordinator: address.into(),
            index: Some(index as u32),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            tcp_only: self.place.tcp_only,
            threads: self.threads(),
            data: None,
            device: self.place.device,
            insecure: false,
            patience: 60,
            end_with_parent: true,
        }
    }
}
