//! `status`, `pause`, `resume` and `stop`: requests to a run under way.

use std::{path::Path, process::ExitCode, time::Duration};

use link::{Name, Security, Token};
use node::SecurityOptions;
use proto::v1::{Action, ManageRequest, NodeStatus, RunStatus, coordinator_client::CoordinatorClient};
use serde_json::{Value, json};

use crate::{
    RunFolder, RunLock,
    options::TOKEN,
    stall::{describe, name},
};

/// Which coordinator to ask, and how to print the answer.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples, of `status`:
  pom2dib status runs/mine
  pom2dib status coordinator.example:7310 --tls certs --json")]
pub struct ManageArguments {
    /// The run's folder, or its coordinator's address as host:port
    #[arg(env = "POM2DIB_COORDINATOR", default_value = "127.0.0.1:7310", value_name = "DIR or HOST:PORT")]
    pub run: String,

    /// How many seconds to wait for the answer
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub patience: u64,

    /// Credentials for the coordinator.
    #[command(flatten)]
    pub security: SecurityOptions,

    /// Print the run's status as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A request to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// Report the status only.
    Status,
    /// Grant no more rounds.
    Pause,
    /// Grant rounds again.
    Resume,
    /// Save a checkpoint and end.
    Stop,
}

/// Sends a request to a coordinator, prints the run's status and returns the exit status: 0 answered, 1 not.
pub fn manage(action: Manage, arguments: &ManageArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(ask(action, arguments)),
        Err(error) => Err(format!("cannot start the async runtime: {error}")),
    };
    match answer {
        Ok(status) => {
            let json = || format!("{}\n", to_json(&status));
            let text = if arguments.json { json() } else { to_text(action, &status) };
            node::say(&text);
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

impl ManageArguments {
    /// The coordinator's address and credentials: given directly, or those of a run's folder, with the token stored
    /// there.
    fn whom(&self) -> Result<(String, Security), String> {
        let security = self.security.of_admin().map_err(|error| error.to_string())?;
        let path = Path::new(&self.run);
        if !path.is_dir() {
            link::check_address(&self.run).map_err(|_| {
                format!("\"{}\" is neither a run's folder nor an address (host:port)", self.run)
            })?;
            return Ok((self.run.clone(), security.finding_token_of(&self.run)));
        }
        let folder = RunFolder::at(path);
        let over = || format!("no run is under way in {}", path.display());
        let address = std::fs::read_to_string(folder.file("address")).map_err(|_| over())?;
        if RunLock::is_free(path) {
            return Err(over());
        }
        let token = folder.file(TOKEN);
        if security.protects() || !token.exists() {
            return Ok((address, security));
        }
        let token = Token::read(&token).map_err(|error| error.to_string())?;
        Ok((address, security.with_token(token)))
    }
}

async fn ask(action: Manage, arguments: &ManageArguments) -> Result<RunStatus, String> {
    let patience = Duration::from_secs(arguments.patience);
    let (address, security) = arguments.whom()?;
    let answer = async {
        let channel = link::dial(Name::Coordinator, &address, &security, patience).await;
        let channel = channel.map_err(|error| error.to_string())?;
        let action = match action {
            Manage::Status => Action::Status,
            Manage::Pause => Action::Pause,
            Manage::Resume => Action::Resume,
            Manage::Stop => Action::Stop,
        };
        let request = ManageRequest { action: action.into() };
        let answer = CoordinatorClient::new(channel).manage(request).await;
        answer
            .map(|answer| spelt_out(answer.into_inner()))
            .map_err(|status| link::printable(status.message()))
    };
    let silent = || format!("{address} did not answer within {} s", arguments.patience);
    // Connecting alone may take the whole patience.
    tokio::time::timeout(2 * patience, answer).await.map_err(|_| silent())?
}

/// A status with printable text only, since any server may have answered.
fn spelt_out(status: RunStatus) -> RunStatus {
    let [scenario, phase, trouble] =
        [&status.scenario, &status.phase, &status.trouble].map(|text| link::printable(text));
    RunStatus { scenario, phase, trouble, ..status }
}

fn to_text(action: Manage, status: &RunStatus) -> String {
    let held = if status.paused { ", paused" } else { "" };
    let mut text = format!(
        "{}: {}{held}, round {} of {}, incarnation {}\n",
        status.scenario, status.phase, status.round, status.rounds, status.incarnation
    );
    if let Some(version) = status.checkpoint {
        text += &format!("last checkpoint: round {version}\n");
    }
    if status.rollbacks > 0 {
        text += &format!("went back {} times, last because {}\n", status.rollbacks, status.trouble);
    }
    for node in &status.nodes {
        text += &format!("  {:<15} {}\n", name(node), describe(node));
    }
    match action {
        Manage::Status => text,
        Manage::Pause => text + "it is to pause: rounds that are granted already are still computed\n",
        Manage::Resume => text + "it is to go on\n",
        Manage::Stop => text + "it is to stop: it saves a checkpoint first\n",
    }
}

/// A run's status as an object.
pub(crate) fn to_json(status: &RunStatus) -> Value {
    // 0 stands for a link that was not measured; a node may send anything.
    let seconds = |seconds: f64| (seconds.is_finite() && seconds > 0.0).then_some(seconds);
    let node = |node: &NodeStatus| {
        json!({
            "node": name(node),
            "joined": node.joined,
            "silent_seconds": node.silent,
            "version": node.heartbeat.as_ref().map(|heartbeat| heartbeat.version),
            "doing": describe(node),
            "memory_bytes": node.heartbeat.as_ref().and_then(|heartbeat| heartbeat.memory),
            "round_trip_seconds": node.heartbeat.as_ref().and_then(|heartbeat| seconds(heartbeat.round_trip?)),
            "transmitter_round_trip_seconds": node.heartbeat.iter()
                .flat_map(|heartbeat| heartbeat.transmitter_round_trips.iter().copied().map(seconds))
                .collect::<Vec<_>>(),
        })
    };
    json!({
        "scenario": status.scenario,
        "phase": status.phase,
        "paused": status.paused,
        "round": status.round,
        "rounds": status.rounds,
        "incarnation": status.incarnation,
        "checkpoint": status.checkpoint,
        "rollbacks": status.rollbacks,
        "trouble": status.trouble,
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}
