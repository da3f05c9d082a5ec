//! A whole network as processes on this machine, and their supervision.

use std::{
    ffi::OsString,
    fs::File,
    io::IsTerminal,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use coordinator::{CoordinatorError, Outcome, PageAddress, RunLock};
use rustix::process::{Pid, kill_process};
use tokio::{
    process::{Child, ChildStdin, Command},
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use super::launch::{Launch, LaunchOptions, address};
use crate::program;

/// How long the other processes may take to end after one has.
const GRACE: Duration = Duration::from_secs(5);

/// How long an interrupted run may take for a last checkpoint.
const LAST_CHECKPOINT: Duration = Duration::from_secs(30);

/// Environment variables, without "POM2DIB_", that apply to one process only: child processes get these settings on
/// their command lines.
pub(crate) const OF_ONE_PROCESS: [&str; 25] = [
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
    "SERVE",
    "PAGE",
    "TENSORBOARD",
    "OTLP",
    "TUI",
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

/// Starts all processes and waits for the end of the run; killed ones are restarted. Processes still running when this
/// returns are killed; and if this process itself is killed, its children see their standard input close and end.
async fn supervise(launch: &Launch, lock: &RunLock) -> anyhow::Result<ExitCode> {
    let address_file = launch.fresh_address_file();
    let watch = |kind| signal(kind).context("cannot watch for signals");
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut restarts = launch.place.restarts;
    let mut coordinator = start_coordinator(&launch.coordinator, &launch.place, lock)?;
    let address = loop {
        tokio::select! {
            address = address(&address_file) => break launch.reachable(address)?,
            status = coordinator.end() => {
                let status = status?;
                if status.signal().is_none() || restarts == 0 {
                    return Ok(exit_code(status));
                }
                // The run has not begun yet: it starts as configured. Nobody answers at the address that the killed one
                // may have written.
                restarts -= 1;
                launch.fresh_address_file();
                coordinator = start_coordinator(&launch.coordinator, &launch.place, lock)?;
            }
        }
    };
    let mut nodes = JoinSet::new();
    // Nodes that have finished, by order of a coordinator that may yet be killed before it has finished itself.
    let mut done: Vec<Node> = Vec::new();
    for (role, count) in
        [("transmitter", launch.scenario.transmitters()), ("receiver", launch.scenario.receivers())]
    {
        for index in launch.share(0, count) {
            nodes.spawn(Node::new(launch, role, index, &address).live()?);
        }
    }
    loop {
        tokio::select! {
            status = coordinator.end() => {
                let status = status?;
                if status.signal().is_some() && launch.coordinator.tui {
                    give_terminal_back();
                }
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
                // The coordinator knows of the node's own error too, and reports it better as it ends the run.
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

/// Runs the nodes of a service as processes, with their coordinator in this one, which reads the samples and writes the
/// answers. Killed nodes are restarted.
pub(crate) fn serve(launch: &Launch) -> Result<Outcome, CoordinatorError> {
    let options = launch.coordinator.options()?.with_own_token()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| CoordinatorError::Run(format!("cannot start the async runtime: {error}")))?;
    let outcome = runtime.block_on(supervise_nodes(launch, options));
    // Threads that read samples may wait for ever.
    runtime.shutdown_background();
    outcome
}

async fn supervise_nodes(
    launch: &Launch,
    options: coordinator::Options,
) -> Result<Outcome, CoordinatorError> {
    let failed = |error: anyhow::Error| CoordinatorError::Run(format!("{error:#}"));
    let address_file = launch.fresh_address_file();
    let terminate = node::Shutdown::on(&[SignalKind::terminate(), SignalKind::interrupt()]);
    let mut coordinator = tokio::spawn(coordinator::run(coordinator::Options { terminate, ..options }));
    let ended = |ended: Result<_, tokio::task::JoinError>| {
        ended.map_err(|error| CoordinatorError::Run(format!("the coordinator's task failed: {error}")))?
    };
    let address = tokio::select! {
        address = address(&address_file) => address,
        outcome = &mut coordinator => return ended(outcome),
    };
    let mut restarts = launch.place.restarts;
    let mut nodes = JoinSet::new();
    for (role, count) in
        [("transmitter", launch.scenario.transmitters()), ("receiver", launch.scenario.receivers())]
    {
        for index in 0..count {
            nodes.spawn(Node::new(launch, role, index, &address).live().map_err(failed)?);
        }
    }
    let outcome = loop {
        tokio::select! {
            outcome = &mut coordinator => break ended(outcome)?,
            Some(end) = nodes.join_next() => match end {
                Ok(End::Bad { node, complaint }) if restarts > 0 => {
                    restarts -= 1;
                    eprintln!("{} {}: starting it again", node.name(), link::printable(&complaint));
                    nodes.spawn(node.live().map_err(failed)?);
                }
                Ok(End::Bad { node, complaint }) => {
                    // The coordinator knows of it too, and reports it better if it ends for that.
                    eprintln!("{}: {}", node.name(), link::printable(&complaint));
                }
                Ok(End::Good(_)) => {}
                Err(error) => return Err(CoordinatorError::Run(format!("a node's task failed: {error}"))),
            },
        }
    };
    let goodbyes = async { while nodes.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, goodbyes).await;
    Ok(outcome)
}

/// Lets the coordinator save a checkpoint and end; gives up at the next signal, or after a time limit. An interrupted
/// run counts as failed even if it has saved a checkpoint.
async fn stop(mut coordinator: Lifeline, mut signal: Signal, why: &str) -> anyhow::Result<ExitCode> {
    if let Some(pid) = coordinator.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // The coordinator may just have ended by itself.
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
pub(super) enum End {
    /// Successfully.
    Good(Node),
    /// With an error.
    Bad {
        /// The node.
        node: Node,
        /// The error, as words that follow the node's name.
        complaint: String,
    },
}

/// A node that runs as a process, once or repeatedly.
pub(super) struct Node {
    role: &'static str,
    index: usize,
    arguments: Vec<OsString>,
    log: PathBuf,
    lives: u32,
}

impl Node {
    pub(super) fn new(launch: &Launch, role: &'static str, index: usize, address: &str) -> Self {
        let log = launch.coordinator.out.join("logs").join(format!("{role}-{index}.log"));
        let mut arguments: Vec<String> = vec![role.into(), "--end-with-parent".into()];
        arguments.extend(["--coordinator".into(), address.into(), "--index".into(), index.to_string()]);
        if let Some(device) = launch.place.device {
            arguments.extend(["--device".into(), device.to_string()]);
        }
        arguments.extend(["--threads".into(), launch.threads().to_string()]);
        let own = std::net::SocketAddr::new(launch.listening(address), 0);
        arguments.extend(["--listen".into(), own.to_string()]);
        let otlp = launch.coordinator.otlp.iter();
        arguments.extend(otlp.flat_map(|collector| ["--otlp".into(), collector.to_string()]));
        arguments.extend(launch.place.tcp_only.then(|| "--tcp-only".into()));
        let arguments = with_security(arguments, &launch.place_of_nodes(address));
        Node { role, index, arguments, log, lives: 0 }
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.role, self.index)
    }

    /// Starts it; the returned future resolves when it ends. Logs of earlier processes are kept.
    pub(super) fn live(mut self) -> anyhow::Result<impl Future<Output = End>> {
        std::fs::create_dir_all(self.log.parent().expect("a log lies in a folder"))?;
        let first = self.lives == 0;
        let log = File::options().create(true).write(true).append(!first).truncate(first).open(&self.log)?;
        let mut process = spawn(self.arguments.clone(), Stdio::null(), log.into())?;
        self.lives += 1;
        Ok(async move {
            let how = match process.end().await {
                Ok(status) if status.success() => return End::Good(self),
                // A killed process leaves no last line; and after a process that ended by itself the coordinator may
                // still end the run.
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

/// Starts the coordinator, which shares the folder's lock with this process: if this one is killed, the folder becomes
/// free only once the coordinator has noticed and ended.
fn start_coordinator(
    arguments: &coordinator::Arguments,
    place: &LaunchOptions,
    lock: &RunLock,
) -> anyhow::Result<Lifeline> {
    let _lent = lock.lend()?;
    spawn(with_security(coordinator_arguments(arguments), place), Stdio::inherit(), Stdio::inherit())
}

/// Arguments of a coordinator that continues after a killed one, at the same address, where the nodes look for it.
fn again(arguments: &coordinator::Arguments, address: &str) -> anyhow::Result<coordinator::Arguments> {
    let port =
        address.rsplit(':').next().and_then(|port| port.parse().ok()).context("the coordinator\'s port")?;
    Ok(coordinator::Arguments {
        listen: std::net::SocketAddr::new(arguments.listen.ip(), port),
        force: false,
        resume: false,
        resume_or_start: !arguments.evaluate,
        page: page_again(arguments),
        ..arguments.clone()
    })
}

/// Where the page of the coordinator was: its readers look for it there.
fn page_again(arguments: &coordinator::Arguments) -> Option<PageAddress> {
    let written = std::fs::read_to_string(arguments.out.join("page")).ok();
    let address =
        written.as_deref().and_then(|url| url.strip_prefix("http://")?.strip_suffix('/')?.parse().ok());
    match (arguments.page, address) {
        (Some(PageAddress::Off), _) | (_, None) => arguments.page,
        (_, Some(address)) => Some(PageAddress::At(address)),
    }
}

fn last_line(log: &Path) -> Option<String> {
    std::fs::read_to_string(log).ok()?.lines().last().map(str::to_owned)
}

/// A process, and the pipe to its standard input, which keeps it alive. (Waiting for a child closes a pipe that the
/// child object still owns.)
struct Lifeline {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Lifeline {
    /// Waits for the process to end, holding the pipe meanwhile.
    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// Adds the credentials. A token in the environment is passed on through the environment.
fn with_security(arguments: Vec<String>, place: &LaunchOptions) -> Vec<OsString> {
    arguments.into_iter().map(OsString::from).chain(place.security_words()).collect()
}

/// Starts this program again in another role.
fn spawn(arguments: Vec<OsString>, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Lifeline> {
    let mut command = Command::from(program::again()?);
    let role = arguments.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    command.args(arguments).stdin(Stdio::piped()).stdout(stdout).stderr(stderr).kill_on_drop(true);
    // Environment variables for listening, indices and folders are meant for nodes started manually.
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
    let board = arguments.tensorboard.as_ref().map(|folder| folder.to_string_lossy().into_owned());
    words.extend(board.into_iter().flat_map(|folder| ["--tensorboard".into(), folder]));
    words.extend(arguments.otlp.iter().flat_map(|collector| ["--otlp".into(), collector.to_string()]));
    words.extend(arguments.page.iter().flat_map(|page| ["--page".into(), page.to_string()]));
    words.extend(arguments.command.iter().flat_map(|command| ["--command".into(), command.clone()]));
    for (name, set) in [
        ("force", arguments.force),
        ("resume", arguments.resume),
        ("resume-or-start", arguments.resume_or_start),
        ("evaluate", arguments.evaluate),
        ("print-only", arguments.print_only),
        ("best", arguments.best),
        ("json", arguments.json),
        ("tui", arguments.tui),
        ("verify", arguments.verify),
        ("lock-inherited", arguments.lock_inherited),
    ] {
        words.extend(set.then(|| format!("--{name}")));
    }
    words
}

/// A coordinator that was killed has left its live table on the terminal: shows what was there before, and the cursor.
fn give_terminal_back() {
    if std::io::stderr().is_terminal() {
        eprint!("\x1b[?1049l\x1b[?25h");
    }
}

/// The exit status of the run is that of the coordinator; if a signal ended it, the run failed.
fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => {
            eprintln!("error: the coordinator was killed ({status})");
            ExitCode::FAILURE
        }
    }
}
