//! Runs points as processes of this program, a limited number at a time.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use scenario::Scenario;
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use super::{
    plan::{Found, Planned, finished},
    progress::Progress,
};
use crate::{
    program,
    run::{LaunchOptions, processes::OF_ONE_PROCESS},
};

/// Interval between checks of the runs' progress.
const LOOK: Duration = Duration::from_secs(1);

/// How a point ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Done(Box<coordinator::Summary>),
    /// Failed, with the last line of the run's log.
    Failed(String),
    /// It was left after so many rounds, since others do better.
    Paused(u64),
    /// A person cancelled its job, in words: it continues when the sweep is started again.
    Cancelled(String),
    /// It was not started, or was interrupted: it continues when the sweep does.
    Open,
}

/// Runs unfinished points and returns the end of every point, in order; `heard` is called at each end. Interrupted
/// once, it lets the runs save a checkpoint and leaves the rest open; interrupted twice, it ends them at once.
pub(crate) fn run(
    planned: &[Planned],
    place: &LaunchOptions,
    parallel: usize,
    heard: &mut dyn FnMut(&Planned, &End),
) -> anyhow::Result<Vec<End>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(conduct(planned, place, parallel, heard))
}

async fn conduct(
    planned: &[Planned],
    place: &LaunchOptions,
    parallel: usize,
    heard: &mut dyn FnMut(&Planned, &End),
) -> anyhow::Result<Vec<End>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut ends: Vec<End> = planned.iter().map(already).collect();
    planned
        .iter()
        .zip(&ends)
        .filter(|(_, end)| **end != End::Open)
        .for_each(|(planned, end)| heard(planned, end));
    let mut waiting = (0..planned.len()).filter(|&at| ends[at] == End::Open).collect::<Vec<_>>().into_iter();
    let mut progress = Progress::new(planned, &ends);
    let mut running = JoinSet::new();
    let mut pids = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    let mut stopping = false;
    loop {
        while !stopping && running.len() < parallel {
            let Some(at) = waiting.next() else { break };
            progress.begin(at);
            match start(&planned[at], place, parallel) {
                Ok((pid, end)) => {
                    pids.insert(at, pid);
                    running.spawn(async move { (at, end.await) });
                }
                Err(error) => {
                    ends[at] = End::Failed(format!("{error:#}"));
                    progress.end(at, &ends[at]);
                    heard(&planned[at], &ends[at]);
                }
            }
        }
        if running.is_empty() {
            break;
        }
        let stop = tokio::select! {
            Some(ended) = running.join_next() => {
                let (at, status) = ended?;
                pids.remove(&at);
                ends[at] = end(&planned[at], status, stopping);
                progress.end(at, &ends[at]);
                heard(&planned[at], &ends[at]);
                false
            }
            _ = look.tick() => {
                progress.look();
                false
            }
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        if stop {
            let signal = if stopping { Signal::KILL } else { Signal::TERM };
            for pid in pids.values() {
                // The run may just have ended by itself.
                let _ = kill_process(*pid, signal);
            }
            if !stopping {
                progress.say("stopping: the runs save a checkpoint first");
            }
            stopping = true;
        }
    }
    progress.finish();
    Ok(ends)
}

fn already(planned: &Planned) -> End {
    match &planned.found {
        Found::Finished(summary) => End::Done(summary.clone()),
        _ => End::Open,
    }
}

/// Starts a run as a process.
fn start(
    planned: &Planned,
    place: &LaunchOptions,
    parallel: usize,
) -> anyhow::Result<(Pid, impl Future<Output = std::io::Result<ExitStatus>> + use<>)> {
    std::fs::create_dir_all(&planned.folder)?;
    // A continued run keeps its scenario.
    if planned.found != Found::Checkpoint {
        planned.origin.write(&planned.folder)?;
    }
    spawn(words(planned, place, parallel), &log(&planned.folder))
}

/// Starts this program with these words. It ends with this process, which holds the other end of its standard input,
/// and does not receive the terminal's Ctrl-C.
pub(super) fn spawn(
    words: Vec<OsString>,
    log: &Path,
) -> anyhow::Result<(Pid, impl Future<Output = std::io::Result<ExitStatus>> + use<>)> {
    let mut command = Command::from(program::again()?);
    command.args(words).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(log)?);
    // The words already include all settings of the environment.
    for name in OF_ONE_PROCESS {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    let mut child = command.spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let lifeline = child.stdin.take();
    let end = async move {
        let status = child.wait().await;
        drop(lifeline);
        status
    };
    Ok((pid.ok_or_else(|| anyhow::anyhow!("it ended at once"))?, end))
}

/// The log of the run in a point's folder.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("stderr.log")
}

/// `run` and its arguments.
fn words(planned: &Planned, place: &LaunchOptions, parallel: usize) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["run", "--end-with-parent", "--json", "--page", "off"].map(Into::into).into();
    let folder = planned.folder.clone().into_os_string();
    if planned.found == Found::Checkpoint {
        words.extend(["--resume".into(), folder]);
        let data = planned.arguments.data.clone();
        words.extend(data.into_iter().flat_map(|data| ["--data".into(), data.into_os_string()]));
    } else {
        words.extend(planned.arguments.words().into_iter().map(OsString::from));
        words.extend(["--out".into(), folder]);
        words.extend((planned.found == Found::Begun).then(|| "--force".into()));
    }
    words.extend(board_words(planned.board.as_deref()));
    words.extend(place.words(threads(&planned.scenario, place, parallel)));
    words
}

/// Where a run writes event files of TensorBoard, as command line words.
pub(super) fn board_words(board: Option<&Path>) -> impl Iterator<Item = OsString> {
    board.into_iter().flat_map(|board| ["--tensorboard".into(), board.into()])
}

/// The threads of a node when `parallel` runs share the cores.
pub(super) fn threads(scenario: &Scenario, place: &LaunchOptions, parallel: usize) -> u16 {
    let nodes = scenario.transmitters().max(scenario.receivers());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    place.threads.unwrap_or_else(|| u16::try_from(cores / (nodes * parallel)).unwrap_or(u16::MAX).max(1))
}

/// A run with a summary is done, even if it was interrupted.
fn end(planned: &Planned, status: std::io::Result<ExitStatus>, stopping: bool) -> End {
    end_of(&planned.folder, status, stopping)
}

/// The same of the run in a folder.
pub(super) fn end_of(folder: &Path, status: std::io::Result<ExitStatus>, stopping: bool) -> End {
    match (finished(folder), status) {
        (Ok(Some(summary)), Ok(status)) if status.success() => End::Done(Box::new(summary)),
        (Err(error), _) => End::Failed(format!("{error:#}")),
        _ if stopping => End::Open,
        (_, Ok(status)) => {
            let said = last_line(&log(folder)).unwrap_or_else(|| "it said nothing".into());
            End::Failed(format!("{said} ({status})"))
        }
        (_, Err(error)) => End::Failed(error.to_string()),
    }
}

/// The last line of a log, without the mark of an error.
pub(super) fn last_line(log: &Path) -> Option<String> {
    let said = std::fs::read(log).ok()?;
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty())?;
    Some(last.trim_start_matches("error: ").to_owned())
}
