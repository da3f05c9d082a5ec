//! A network that is to be run: its scenario, its coordinator's arguments, and where and how its nodes run.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use coordinator::{CoordinatorError, PageAddress, RunFolder, ScenarioArguments};
use scenario::Scenario;

use super::loopback;

/// Seconds for a restarted process to join.
pub(crate) const REJOIN: u64 = 120;

/// Where and how the nodes run.
#[derive(Clone, Debug, Default, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Where and how the nodes run")]
pub(crate) struct LaunchOptions {
    /// Device of the nodes: cpu, cuda:N or auto; overrides the scenario's devices
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    pub(crate) device: Option<scenario::Device>,

    /// Run all nodes as tasks of this process instead of separate processes
    #[arg(long)]
    pub(crate) in_process: bool,

    /// Let the nodes communicate over TCP instead of Unix-domain sockets
    #[arg(long, env = "POM2DIB_TCP_ONLY", value_parser = node::boolean)]
    pub(crate) tcp_only: bool,

    /// Encrypt all connections and show certificates: a folder made by `pom2dib certs new`
    #[arg(long, env = "POM2DIB_TLS", value_name = "DIR")]
    pub(crate) tls: Option<PathBuf>,

    /// File with the join token that peers must present; POM2DIB_TOKEN can hold the token itself
    #[arg(long, env = "POM2DIB_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Threads for the matrix products of each node; by default its share of the cores. Results do not depend on
    /// it, but for networks and channels of one's own
    #[arg(long, env = "POM2DIB_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// How often killed processes of the run are restarted, all together; the network then continues from its last
    /// checkpoint
    #[arg(long, env = "POM2DIB_RESTARTS", default_value_t = 10, value_name = "N")]
    pub(crate) restarts: u32,

    /// Verify all draws of every round: a node that cheats or diverges is named
    #[arg(long, env = "POM2DIB_VERIFY", value_parser = node::boolean)]
    pub(crate) verify: bool,

    /// Print only the summary, as one JSON object, on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// The network is spread over this many machines that share the run's folder, of which this is the first
    #[arg(long, hide = true, value_name = "N", conflicts_with = "in_process", value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) spread: Option<u16>,
}

impl LaunchOptions {
    /// Who may connect.
    pub(crate) fn security(&self) -> node::SecurityOptions {
        let (tls, token_file) = (self.tls.clone(), self.token_file.clone());
        node::SecurityOptions { tls, token_file, ..Default::default() }
    }

    /// The same as command line words.
    pub(crate) fn security_words(&self) -> Vec<OsString> {
        let flags = [("--tls", &self.tls), ("--token-file", &self.token_file)];
        let given =
            flags.into_iter().filter_map(|(flag, path)| Some([flag.into(), path.clone()?.into_os_string()]));
        given.flatten().collect()
    }

    /// All options but --json as command line words of `run`, with `threads` threads for each node.
    pub(crate) fn words(&self, threads: u16) -> Vec<OsString> {
        let mut words = self.security_words();
        let device = self.device.map(|device| device.to_string());
        words.extend(device.into_iter().flat_map(|device| ["--device".into(), device.into()]));
        words.extend(["--threads".into(), threads.to_string().into()]);
        words.extend(["--restarts".into(), self.restarts.to_string().into()]);
        for (flag, set) in
            [("--in-process", self.in_process), ("--tcp-only", self.tcp_only), ("--verify", self.verify)]
        {
            words.extend(set.then(|| flag.into()));
        }
        let spread = self.spread.map(|machines| machines.to_string());
        words.extend(spread.into_iter().flat_map(|machines| ["--spread".into(), machines.into()]));
        words
    }
}

/// A whole network to run on this machine.
pub(crate) struct Launch {
    pub(crate) scenario: Scenario,
    /// The coordinator's own arguments.
    pub(crate) coordinator: coordinator::Arguments,
    pub(crate) place: LaunchOptions,
    /// How its folder is prepared.
    pub(super) before: Before,
}

/// Preparation of the run's folder.
pub(super) enum Before {
    Nothing,
    /// The run is extended to this number of rounds.
    Extend(u64),
    /// The folder is created from the checkpoint of the run in another one.
    Fork {
        from: PathBuf,
        force: bool,
    },
}

/// A coordinator on a free port of this machine.
pub(crate) fn local_coordinator(
    scenario: ScenarioArguments,
    out: PathBuf,
    place: &LaunchOptions,
) -> Result<coordinator::Arguments, CoordinatorError> {
    let listen = match place.spread {
        Some(_) => std::net::SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
        None => loopback::free_port().map_err(CoordinatorError::Run)?,
    };
    Ok(coordinator::Arguments {
        scenario,
        out,
        force: false,
        resume: false,
        resume_or_start: false,
        evaluate: false,
        serve: None,
        stream: coordinator::StreamArguments::default(),
        command: Some(coordinator::command_line()),
        best: false,
        listen,
        security: place.security(),
        insecure: false,
        json: place.json,
        verify: place.verify,
        patience: 120,
        // Without restarts a lost node does not come back.
        rejoin: if place.restarts > 0 && !place.in_process { REJOIN } else { 0 },
        silence: 10,
        stall: 600,
        health: None,
        page: Some(PageAddress::Off),
        stop_after: None,
        print_only: false,
        tensorboard: None,
        tui: false,
        otlp: None,
        end_with_parent: true,
        lock_inherited: true,
    })
}

impl Launch {
    /// A network whose folder needs no preparation.
    pub(crate) fn of(scenario: Scenario, coordinator: coordinator::Arguments, place: LaunchOptions) -> Self {
        Launch { scenario, coordinator, place, before: Before::Nothing }
    }

    /// The run in a folder, computed again as tasks of this process up to a round: from its checkpoint, or from its
    /// beginning.
    pub(crate) fn again(
        folder: &Path,
        is_begun: bool,
        stop_after: u64,
        place: LaunchOptions,
        data: Option<PathBuf>,
    ) -> Result<Self, CoordinatorError> {
        let scenario = RunFolder::at(folder).scenario()?;
        let file = (!is_begun).then(|| folder.join("scenario.toml"));
        let arguments = ScenarioArguments { scenario: file, data, ..ScenarioArguments::default() };
        let out = if is_begun { folder.to_owned() } else { folder.join("again") };
        // What takes a folder's lock makes the folder; nobody else knows of this one.
        std::fs::create_dir_all(&out)
            .map_err(|error| CoordinatorError::Run(format!("{}: {error}", out.display())))?;
        let coordinator = local_coordinator(arguments, out, &place)?;
        let coordinator =
            coordinator::Arguments { resume: is_begun, stop_after: Some(stop_after), ..coordinator };
        Ok(Launch { scenario, coordinator, place, before: Before::Nothing })
    }

    /// Prepares the folder, which is locked.
    pub(super) fn prepare(&self) -> Result<(), CoordinatorError> {
        let folder = &self.coordinator.out;
        match &self.before {
            Before::Nothing => Ok(()),
            Before::Extend(rounds) => coordinator::extend(folder, *rounds),
            Before::Fork { from, force } => coordinator::fork(from, folder, &self.scenario, *force),
        }
    }

    /// The file into which the coordinator writes its address; that of an earlier run is removed.
    pub(crate) fn fresh_address_file(&self) -> PathBuf {
        let file = self.coordinator.out.join("address");
        // The file may not exist.
        let _ = std::fs::remove_file(&file);
        file
    }

    /// The launch options with a node's credentials for the coordinator at an address. A node finds a token generated
    /// by the coordinator by itself; if no folder is suitable for that, it gets the path of the run's own file.
    pub(crate) fn place_of_nodes(&self, address: &str) -> LaunchOptions {
        let own = self.coordinator.out.join("token");
        let security =
            self.place.security().of_coordinator().map(|security| security.finding_token_of(address));
        let finds = security.is_ok_and(|security| security.protects() || security.has_token());
        let token_file = self.place.token_file.clone().or((!finds && own.exists()).then_some(own));
        LaunchOptions { token_file, ..self.place.clone() }
    }

    /// Each node's share of the cores: transmitters and receivers mostly compute alternately, so that only nodes of one
    /// kind share them.
    pub(crate) fn threads(&self) -> u16 {
        let nodes = self.scenario.transmitters().max(self.scenario.receivers());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.place.threads.unwrap_or_else(|| u16::try_from(cores / nodes).unwrap_or(u16::MAX).max(1))
    }

    /// The options of every node, as a task of this process.
    pub(crate) fn node_options(&self, address: &str, index: usize) -> node::Options {
        node::Options {
            coordinator: address.into(),
            index: Some(index as u32),
            // At the coordinator's address, on any free port.
            listen: std::net::SocketAddr::new(self.coordinator.listen.ip(), 0),
            advertise: None,
            tcp_only: self.place.tcp_only,
            threads: self.threads(),
            data: None,
            device: self.place.device,
            security: self.place_of_nodes(address).security(),
            insecure: false,
            patience: 60,
            health: None,
            otlp: self.coordinator.otlp.clone(),
            end_with_parent: true,
            shares_data: true,
            network: link::Transport::System,
            shutdown: node::Shutdown::default(),
            traces: node::Traces::default(),
            state_of_health: node::Health::default(),
        }
    }
}

/// Waits until the coordinator has written its address.
pub(crate) async fn address(file: &Path) -> String {
    loop {
        if let Ok(address) = tokio::fs::read_to_string(file).await {
            return address;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
