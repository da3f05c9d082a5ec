//! `status`, `pause`, `resume` and `stop`: what people may ask of a run under way.

use std::{io::Write, process::ExitCode, time::Duration};

use link::Name;
use node::SecurityOptions;
use proto::v1::{Action, ManageRequest, NodeStatus, RunStatus, coordinator_client::CoordinatorClient};
use serde_json::json;

use crate::stall::{describe, name};

/// Whom to ask, and how to show the answer.
#[derive(Clone, Debug, clap::Args)]
pub struct ManageArguments {
    /// Where the coordinator listens, as host:port (a run's folder has it in the file "address")
    #[arg(env = "POM2DIB_COORDINATOR", default_value = "127.0.0.1:7310", value_name = "HOST:PORT")]
    pub address: String,

    /// How many seconds to wait for its answer
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub patience: u64,

    /// What the coordinator asks for.
    #[command(flatten)]
    pub security: SecurityOptions,

    /// Print the run's status as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What may be asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// Only how it stands.
    Status,
    /// To grant no more rounds.
    Pause,
    /// To go on.
    Resume,
    /// To save a checkpoint and end.
    Stop,
}

/// Asks a coordinator, prints how its run stands and gives the exit status: 0 answered, 1 not.
pub fn manage(action: Manage, arguments: &ManageArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(ask(action, arguments)),
        Err(error) => Err(format!("cannot start the async runtime: {error}")),
    };
    match answer {
        Ok(status) => {
            let text = if arguments.json { to_json(&status) } else { to_text(action, &status) };
            // A reader that has gone away has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(action: Manage, arguments: &ManageArguments) -> Result<RunStatus, String> {
    let patience = Duration::from_secs(arguments.patience);
    let answer = async {
        let security = arguments.security.of_admin().map_err(|error| error.to_string())?;
        let channel = link::dial(Name::Coordinator, &arguments.address, &security, patience).await;
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
    let silent = || format!("{} did not answer within {} s", arguments.address, arguments.patience);
    // Dialling alone may take all of its patience.
    tokio::time::timeout(2 * patience, answer).await.map_err(|_| silent())?
}

/// A status whose words can be shown, whoever has answered.
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

fn to_json(status: &RunStatus) -> String {
    let node = |node: &NodeStatus| {
        json!({
            "node": name(node),
            "joined": node.joined,
            "silent_seconds": node.silent,
            "version": node.heartbeat.as_ref().map(|heartbeat| heartbeat.version),
            "doing": describe(node),
        })
    };
    let object = json!({
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
    });
    format!("{object}\n")
}
