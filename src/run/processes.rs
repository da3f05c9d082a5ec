//! A whole network as processes on this machine, and the eye that is kept on them.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use coordinator::RunLock;
use rustix::process::{Pid, kill_process};
use tokio::{
    process::{Child, ChildStdin, Command},
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use crate::{
    program,
    run::{Launch, LaunchOptions, in_process::address},
};

/// How long the others may take to end once one has.
const GRACE: Duration = Duration::from_secs(5);

/// How long a run that is told to end may take over a last checkpoint.
const LAST_CHECKPOINT: Duration = Duration::from_secs(30);

/// What the environment says to one process alone, without "POM2DIB_": those that it starts have it on their command lines.
pub(crate) const OF_ONE_PROCESS: [&str; 20] = [
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
    "SET",
    "HEALTH",
    "TLS",
    "TLS_CA",
    "TLS_CERT",
    "TLS_KEY",
    "TOKEN_FILE",
];

pub(crate) fn run(launch: &Launch, lock: &RunLock) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(supervise(launch, lock)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start the async runtime")),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", link::printable(&format!("{error:#}")));
        ExitCode::FAILURE
    })
}

/// Starts all processes and waits for the end of the run; who is killed is started again. Whoever is still there when this
/// returns is killed; and if this process itself is killed, its children see their standard input close and end.
async fn supervise(launch: &Launch, lock: &RunLock) -> anyhow::Result<ExitCode> {
    let address_file = launch.fresh_address_file();
    let watch = |kind| signal(kind).context("cannot watch for signals");
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut restarts = launch.place.restarts;
    let mut coordinator = start_coordinator(&launch.coordinator, &launch.place, lock)?;
    let address = loop {
        tokio::select! {
            address = address(&address_file) => break address,
            status = coordinator.end() => {
                let status = status?;
                if status.signal().is_none() || restarts == 0 {
                    return Ok(exit_code(status));
                }
                // It has not begun yet: it begins as it was told to.
                restarts -= 1;
                coordinator = start_coordinator(&launch.coordinator, &launch.place, lock)?;
            }
        }
    };
    let mut nodes = JoinSet::new();
    // Who has done its work, as it was told by a coordinator that may yet be killed before it has done its own.
    let mut done: Vec<Node> = Vec::new();
    for (role, count) in
        [("transmitter", launch.scenario.transmitters()), ("receiver", launch.scenario.receivers())]
    {
        for index in 0..count {
            nodes.spawn(Node::new(launch, role, index, &address).live()?);
        }
    }
    loop {
        tokio::select! {
            status = coordinator.end() => {
                let status = status?;
                if status.signal().is_none() || restarts == 0 {
                    let goodbyes = async { while nodes.join_next().await.is_some() {} };
                    let _ = tokio::time::timeout(GRACE, goodbyes).await;
                    return Ok(exit_code(status));
                }
                restarts -= 1;
                eprintln!("the coordinator was killed ({status}): starting it again");
                coordinator = start_coordinator(&again(&launch.coordinator, &address)?, &launch.place, lock)?;
                for node in done.drain(..) {
                    nodes.spawn(node.live()?);
                }
            }
            Some(ended) = nodes.join_next() => match ended? {
                End::Good(node) => done.push(node),
                // What it said itself the coordinator knows too, and says better as it ends the run.
                End::Bad { node, complaint } if restarts == 0 => {
                    return match tokio::time::timeout(GRACE, coordinator.end()).await {
                        Ok(status) => Ok(exit_code(status?)),
                        Err(_) => Err(anyhow::anyhow!("{}: {complaint}", node.name())),
                    };
                }
                End::Bad { node, complaint } => {
                    restarts -= 1;
                    eprintln!("{} {}: starting it again", node.name(), link::printable(&complaint));
                    nodes.spawn(node.live()?);
                }
            },
            _ = interrupt.recv() => return stop(coordinator, interrupt, "interrupted").await,
            _ = terminate.recv() => return stop(coordinator, terminate, "told to end").await,
        }
    }
}

/// Lets the coordinator save a checkpoint and end, which it says itself; gives up at the next signal, or when that takes
/// too long. A run that was interrupted has not done what it was to do, whatever it has saved.
async fn stop(mut coordinator: Lifeline, mut signal: Signal, why: &str) -> anyhow::Result<ExitCode> {
    if let Some(pid) = coordinator.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // A coordinator that has just ended by itself needs no telling.
        let _ = kill_process(pid, rustix::process::Signal::TERM);
    }
    tokio::select! {
        ended = tokio::time::timeout(LAST_CHECKPOINT, coordinator.end()) => match ended {
            Ok(Ok(status)) if status.success() => Ok(ExitCode::FAILURE),
            _ => Err(anyhow::anyhow!("{why}")),
        },
        _ = signal.recv() => Err(anyhow::anyhow!("{why}")),
    }
}

/// How a node's process ended.
enum End {
    /// As it should.
    Good(Node),
    /// Otherwise.
    Bad {
        /// Which node.
        node: Node,
        /// How it ended, in words that follow its name.
        complaint: String,
    },
}

/// A node that runs as a process, once or again and again.
struct Node {
    role: &'static str,
    index: usize,
    arguments: Vec<OsString>,
    log: PathBuf,
    lives: u32,
}

impl Node {
    fn new(launch: &Launch, role: &'static str, index: usize, address: &str) -> Self {
        let log = launch.coordinator.out.join("logs").join(format!("{role}-{index}.log"));
        let mut arguments: Vec<String> = vec![role.into(), "--end-with-parent".into()];
        arguments.extend(["--coordinator".into(), address.into(), "--index".into(), index.to_string()]);
        if let Some(device) = launch.place.device {
            arguments.extend(["--device".into(), device.to_string()]);
        }
        arguments.extend(["--threads".into(), launch.threads().to_string()]);
        let own = std::net::SocketAddr::new(launch.coordinator.listen.ip(), 0);
        arguments.extend(["--listen".into(), own.to_string()]);
        arguments.extend(launch.place.tcp_only.then(|| "--tcp-only".into()));
        let arguments = with_security(arguments, &launch.place_of_nodes(address));
        Node { role, index, arguments, log, lives: 0 }
    }

    fn name(&self) -> String {
        format!("{} {}", self.role, self.index)
    }

    /// Starts it; what it gives resolves with its end. The log of earlier lives is kept.
    fn live(mut self) -> anyhow::Result<impl Future<Output = End>> {
        std::fs::create_dir_all(self.log.parent().expect("a log lies in a folder"))?;
        let first = self.lives == 0;
        let log = File::options().create(true).write(true).append(!first).truncate(first).open(&self.log)?;
        let mut process = spawn(self.arguments.clone(), Stdio::null(), log.into())?;
        self.lives += 1;
        Ok(async move {
            let how = match process.end().await {
                Ok(status) if status.success() => return End::Good(self),
                // A signal leaves no last words; and what ends by itself, the coordinator may still end the run for.
                Ok(status) if status.signal().is_some() => format!("was killed ({status})"),
                Ok(status) => {
                    tokio::time::sleep(GRACE).await;
                    let last = last_line(&self.log).unwrap_or_else(|| "it said nothing".into());
                    format!("ended ({status}): {last}")
                }
                Err(error) => error.to_string(),
            };
            End::Bad { node: self, complaint: how }
        })
    }
}

/// Starts the coordinator, which holds the folder's lock with this process: should this one be killed, the folder is free only
/// once the coordinator has noticed and ended.
fn start_coordinator(
    arguments: &coordinator::Arguments,
    place: &LaunchOptions,
    lock: &RunLock,
) -> anyhow::Result<Lifeline> {
    let _lent = lock.lend()?;
    spawn(with_security(coordinator_arguments(arguments), place), Stdio::inherit(), Stdio::inherit())
}

/// A coordinator that goes on where a killed one left off, under the same address, where the nodes look for it.
fn again(arguments: &coordinator::Arguments, address: &str) -> anyhow::Result<coordinator::Arguments> {
    Ok(coordinator::Arguments {
        listen: address.parse()?,
        force: false,
        resume: false,
        resume_or_start: !arguments.evaluate,
        ..arguments.clone()
    })
}

fn last_line(log: &Path) -> Option<String> {
    std::fs::read_to_string(log).ok()?.lines().last().map(str::to_owned)
}

/// A process, and the pipe to its standard input: its lifeline. (To wait for a child closes a pipe that it still owns.)
struct Lifeline {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Lifeline {
    /// Waits for the process to end, and holds the pipe as long.
    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// Adds who is let in. The token itself, if it is in the environment, goes on through the environment.
fn with_security(arguments: Vec<String>, place: &LaunchOptions) -> Vec<OsString> {
    arguments.into_iter().map(OsString::from).chain(place.security_words()).collect()
}

/// Starts this program again in another role.
fn spawn(arguments: Vec<OsString>, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Lifeline> {
    let mut command = Command::from(program::again()?);
    let role = arguments.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    command.args(arguments).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).kill_on_drop(true);
    // A round allocates and frees the same megabytes again and again: without this, the allocator gives them back to the
    // system in between, and a tenth of the time goes into page faults.
    command.env("MIMALLOC_PURGE_DELAY", "-1");
    // What the environment says of listening, indices and folders is meant for nodes started manually.
    for name in OF_ONE_PROCESS {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    let mut child = command.spawn().with_context(|| format!("cannot start a process of the {role}"))?;
    let stdin = child.stdin.take();
    Ok(Lifeline { child, _stdin: stdin })
}

fn coordinator_arguments(arguments: &coordinator::Arguments) -> Vec<String> {
    let mut words: Vec<String> = vec!["coordinator".into(), "--end-with-parent".into()];
    words.extend(arguments.scenario.words());
    words.extend(["--out".into(), arguments.out.to_string_lossy().into_owned()]);
    words.extend(["--listen".into(), arguments.listen.to_string()]);
    for (name, seconds) in [
        ("patience", arguments.patience),
        ("rejoin", arguments.rejoin),
        ("silence", arguments.silence),
        ("stall", arguments.stall),
    ] {
        words.extend([format!("--{name}"), seconds.to_string()]);
    }
    words.extend(arguments.command.iter().flat_map(|command| ["--command".into(), command.clone()]));
    for (name, set) in [
        ("force", arguments.force),
        ("resume", arguments.resume),
        ("resume-or-start", arguments.resume_or_start),
        ("evaluate", arguments.evaluate),
        ("best", arguments.best),
        ("json", arguments.json),
        ("verify", arguments.verify),
        ("lock-inherited", arguments.lock_inherited),
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
