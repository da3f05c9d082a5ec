//! A whole network as processes on this machine, and the eye that is kept on them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, ChildStdin, Command},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{in_process::address, run_command::Launch};

/// How long the others may take to end once one has.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(launch: &Launch) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(supervise(launch)),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Starts all processes and waits for the end of the run. Whoever is still there when this returns is killed; and if
/// this process itself is killed, its children see their standard input close and end.
async fn supervise(launch: &Launch) -> anyhow::Result<ExitCode> {
    let address_file = launch.fresh_address_file();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut coordinator = spawn(coordinator_arguments(launch), Stdio::inherit(), Stdio::inherit())?;
    let address = tokio::select! {
        address = address(&address_file) => address,
        status = coordinator.child.wait() => return Ok(exit_code(status?)),
    };
    let mut nodes = JoinSet::new();
    for (role, count) in
        [("transmitter", launch.scenario.transmitters()), ("receiver", launch.scenario.receivers())]
    {
        for index in 0..count {
            let node = Node::start(launch, role, index, &address)?;
            nodes.spawn(node.end());
        }
    }
    loop {
        tokio::select! {
            status = coordinator.child.wait() => {
                let goodbyes = async { while nodes.join_next().await.is_some() {} };
                let _ = tokio::time::timeout(GRACE, goodbyes).await;
                return Ok(exit_code(status?));
            }
            Some(ended) = nodes.join_next() => {
                if let Some(complaint) = ended? {
                    // The coordinator knows of it too, if the node had joined, and says so better.
                    return match tokio::time::timeout(GRACE, coordinator.child.wait()).await {
                        Ok(status) => Ok(exit_code(status?)),
                        Err(_) => Err(anyhow::anyhow!(complaint)),
                    };
                }
            }
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("told to end"),
        }
    }
}

/// A node's process.
struct Node {
    name: String,
    process: Lifeline,
    log: PathBuf,
}

impl Node {
    fn start(launch: &Launch, role: &str, index: usize, address: &str) -> anyhow::Result<Self> {
        let name = format!("{role} {index}");
        let log = launch.coordinator.out.join("logs").join(format!("{role}-{index}.log"));
        std::fs::create_dir_all(log.parent().expect("a log lies in a folder"))?;
        let mut arguments: Vec<String> = vec![role.into(), "--end-with-parent".into()];
        arguments.extend(["--coordinator".into(), address.into(), "--index".into(), index.to_string()]);
        if let Some(device) = launch.place.device {
            arguments.extend(["--device".into(), device.to_string()]);
        }
        arguments.extend(["--threads".into(), launch.threads().to_string()]);
        arguments.extend(launch.place.tcp_only.then(|| "--tcp-only".into()));
        let process = spawn(arguments, Stdio::null(), File::create(&log)?.into())?;
        Ok(Node { name, process, log })
    }

    /// Waits for the end; a complaint if it was not a good one.
    async fn end(mut self) -> Option<String> {
        let status = match self.process.child.wait().await {
            Ok(status) if status.success() => return None,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let last = last_line(&self.log).unwrap_or_else(|| "it said nothing".into());
        Some(format!("{} ended ({status}): {last}", self.name))
    }
}

fn last_line(log: &Path) -> Option<String> {
    std::fs::read_to_string(log).ok()?.lines().last().map(str::to_owned)
}

/// A process, and the pipe to its standard input: its lifeline. (To wait for a child closes a pipe that it still owns.)
struct Lifeline {
    child: Child,
    _stdin: Option<ChildStdin>,
}

/// Starts this program again in another role.
fn spawn(arguments: Vec<String>, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Lifeline> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).kill_on_drop(true);
    // A round allocates and frees the same megabytes again and again: without this, the allocator gives them back to the
    // system in between, and a tenth of the time goes into page faults.
    command.env("MIMALLOC_PURGE_DELAY", "-1");
    // What the environment says of listening, indices and folders is meant for nodes started by hand.
    for name in [
        "LISTEN",
        "INDEX",
        "ADVERTISE",
        "COORDINATOR",
        "OUT",
        "DATA",
        "FORCE",
        "JSON",
        "SCENARIO",
        "METHOD",
        "ROUNDS",
        "SEED",
        "RESUME_OR_START",
    ] {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    Ok(Lifeline { child, _stdin: stdin })
}

fn coordinator_arguments(launch: &Launch) -> Vec<String> {
    let arguments = &launch.coordinator;
    let mut words: Vec<String> = vec!["coordinator".into(), "--end-with-parent".into()];
    words.extend(arguments.scenario.words());
    words.extend(["--out".into(), arguments.out.to_string_lossy().into_owned()]);
    words.extend(["--listen".into(), arguments.listen.to_string()]);
    words.extend(["--patience".into(), arguments.patience.to_string()]);
    for (name, set) in [
        ("force", arguments.force),
        ("resume", arguments.resume),
        ("evaluate", arguments.evaluate),
        ("json", arguments.json),
    ] {
        words.extend(set.then(|| format!("--{name}")));
    }
    words
}

/// The coordinator's status is the run's; one that a signal ended has failed.
fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => {
            eprintln!("error: the coordinator was killed ({status})");
            ExitCode::FAILURE
        }
    }
}
