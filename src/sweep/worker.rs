//! `pom2dib point`: runs one point of a sweep, wherever a launcher starts it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::{Context, ensure};
use coordinator::RunFolder;
use rustix::process::{Signal, kill_process};
use scenario::Scenario;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    job::{Done, DoneStatus, Job, Room, SCENARIO},
    plan::{Found, look_at_any_rounds},
    pool::{End, board_words, end_of, log, spawn, threads},
    progress::rounds_done,
};
use crate::{
    cli::complain::complain,
    launch::{Claims, Taken, claim},
    run::spread::{self, Rank},
};

/// Interval between looks whether a stage is over.
const LOOK: Duration = Duration::from_millis(100);

/// Environment variables with which batch systems number the jobs of an array.
const INDICES: [&str; 5] =
    ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX", "PBS_ARRAYID", "LSB_JOBINDEX"];

/// Run one point of a sweep: the command that launchers start, on any machine that shares the sweep's folder
///
/// The point's folder says what is to run, and the run goes on from its last checkpoint. No point runs twice: whoever
/// claims the folder first runs it, and all others end. When told to end (TERM, INT, USR1), the run saves a checkpoint.
/// At the end the folder has a file done.json with "status": done, failed or stopped.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "Examples:
  pom2dib point betas/train.beta=0.001,seed=3
  pom2dib point --list betas/jobs/0001.list        # the line of that file that the batch system's index says"
)]
pub(crate) struct PointArguments {
    /// The point's folder
    #[arg(value_name = "DIR", required_unless_present = "list")]
    folder: Option<PathBuf>,

    /// A file with the folder of a point in each line
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    list: Option<PathBuf>,

    /// The line of the list, counted from 0; by default the batch system's index of this job in its array
    #[arg(long, value_name = "N", requires = "list")]
    index: Option<usize>,

    /// End with status 0 whatever comes of the run, which the done file tells: for engines that repeat what fails
    #[arg(long = "status-0")]
    status_0: bool,
}

pub(crate) fn run(arguments: &PointArguments) -> ExitCode {
    let folder = match arguments.folder() {
        Ok(folder) => folder,
        Err(error) => return complain(&error, 2),
    };
    match work(&folder) {
        // The done file was written.
        Ok(_) if arguments.status_0 => ExitCode::SUCCESS,
        Ok(code) => code,
        Err(error) => complain(&error, 1),
    }
}

impl PointArguments {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let Some(list) = &self.list else {
            let folder = self.folder.as_ref().expect("one of the two is required");
            return std::path::absolute(folder).with_context(|| folder.display().to_string());
        };
        let named = || INDICES.iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
        let index = self.index.or_else(named).with_context(|| {
            format!("--list {}: say by --index which line, counted from 0", list.display())
        })?;
        let text = std::fs::read_to_string(list).with_context(|| {
            format!("{}: is the storage of the sweep shared with {}?", list.display(), claim::host())
        })?;
        let line = text.lines().nth(index);
        line.map(PathBuf::from).with_context(|| format!("{} has no line {index}", list.display()))
    }
}

/// Runs the point, unless it is done or somebody else runs it.
fn work(folder: &Path) -> anyhow::Result<ExitCode> {
    let job = Job::read(folder)?;
    if let Some(rank) = Rank::of_job().filter(|rank| rank.rank > 0) {
        job.check_program()?;
        let scenario = Scenario::read(&folder.join(SCENARIO), &[])?;
        return spread::run(folder, scenario, &job.place, rank);
    }
    // A process that could not write for so long that another took its place ends at once, and its run with it.
    let lost = || {
        eprintln!("error: another process took over this folder, to which this one could not write");
        std::process::exit(1)
    };
    let claim =
        match Claims::on(folder).take_for_certain(lost).with_context(|| folder.display().to_string())? {
            Taken::Here(claim) => claim,
            Taken::By(owner) => {
                eprintln!("note: {} is run by {owner}: nothing is left to do here", folder.display());
                return Ok(ExitCode::SUCCESS);
            }
        };
    Done::remove(folder).with_context(|| folder.display().to_string())?;
    let room = Room::keep(folder);
    let end = run_to_end(folder, &job).unwrap_or_else(|error| End::Failed(format!("{error:#}")));
    let end = match (room.release(), end) {
        // The run may not have been able to say so.
        (Some(full), End::Failed(error)) if !error.contains("No space left") => {
            End::Failed(format!("{error}; {full}"))
        }
        (_, end) => end,
    };
    let (status, error, code) = match end {
        End::Done(_) => (DoneStatus::Done, None, ExitCode::SUCCESS),
        End::Failed(error) => (DoneStatus::Failed, Some(error), ExitCode::FAILURE),
        End::Paused(_) => (DoneStatus::Paused, None, ExitCode::SUCCESS),
        End::Open | End::Cancelled(_) => (DoneStatus::Stopped, None, ExitCode::FAILURE),
    };
    if let Some(error) = &error {
        eprintln!("error: {}: {}", job.name, link::printable(error));
    }
    let (number, rounds) = (claim.number, rounds_done(folder));
    let done = Done { status, error, claim: number, rounds, host: claim::host(), job: claim::job() };
    done.write(folder)?;
    drop(claim);
    Ok(code)
}

fn run_to_end(folder: &Path, job: &Job) -> anyhow::Result<End> {
    job.check_program()?;
    std::env::set_current_dir(&job.directory).with_context(|| {
        let directory = job.directory.display();
        format!("{directory} is not there on {}: the sweep was started in it", claim::host())
    })?;
    let mut scenario = Scenario::read(&folder.join(SCENARIO), &[])?;
    let found = look_at_any_rounds(folder, &scenario)?;
    // The rounds of the run that is there, which may be fewer than it is to have.
    let there = RunFolder::at(folder).scenario().ok().filter(|_| found != Found::Begun);
    scenario.train.rounds = there.map_or(job.rounds, |there| there.train.rounds);
    if let Found::Finished(summary) = &found
        && scenario.train.rounds >= job.rounds
    {
        return Ok(End::Done(summary.clone()));
    }
    if !matches!(found, Found::Checkpoint | Found::Finished(_)) {
        job.origin.write(folder)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(folder, job.words(folder, &scenario, &found), job.pause))
}

/// Runs to the end, or to a checkpoint if this process is told to end, or once the run has `pause` rounds.
async fn supervise(folder: &Path, words: Vec<OsString>, pause: Option<u64>) -> anyhow::Result<End> {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::user_defined1()];
    let [mut terminate, mut interrupt, mut user] = kinds.map(signal);
    let (terminate, interrupt, user) = (terminate.as_mut(), interrupt.as_mut(), user.as_mut());
    let (Ok(terminate), Ok(interrupt), Ok(user)) = (terminate, interrupt, user) else {
        anyhow::bail!("cannot watch for signals")
    };
    let (pid, ended) = spawn(words, &log(folder))?;
    tokio::pin!(ended);
    let mut stopping = false;
    let mut look = tokio::time::interval(LOOK);
    let is_over = || pause.is_some_and(|pause| rounds_done(folder) >= pause);
    let status: std::io::Result<ExitStatus> = loop {
        tokio::select! {
            status = &mut ended => break status,
            _ = look.tick(), if pause.is_some() && !stopping => {
                if !is_over() {
                    continue;
                }
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = user.recv() => {}
        }
        // A batch system may say it several times; it is also the one that kills.
        if !stopping {
            eprintln!("told to end: the run saves a checkpoint first");
            // It may just have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        stopping = true;
    };
    Ok(match end_of(folder, status, stopping) {
        End::Open if is_over() => End::Paused(rounds_done(folder)),
        end => end,
    })
}

impl Job {
    /// Runs of other versions, or of other numerics, would not be comparable.
    fn check_program(&self) -> anyhow::Result<()> {
        let (host, own) = (claim::host(), env!("CARGO_PKG_VERSION"));
        ensure!(
            self.version == own && self.origin.numerics == dib::NUMERICS,
            "{host} has version {own} of this program (numerics {}), but the sweep was made by version {} (numerics {}): \
             install the same on all nodes",
            dib::NUMERICS,
            self.version,
            self.origin.numerics
        );
        Ok(())
    }

    /// `run` and its arguments.
    fn words(&self, folder: &Path, scenario: &Scenario, found: &Found) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            ["run", "--end-with-parent", "--json", "--page", "off"].map(Into::into).into();
        let extends = scenario.train.rounds != self.rounds;
        match found {
            Found::Checkpoint | Found::Finished(_) => {
                words.extend(["--resume".into(), folder.into()]);
                let rounds = || ["--rounds".into(), self.rounds.to_string().into()];
                words.extend(extends.then(rounds).into_iter().flatten());
                // An object store's address cannot have moved.
                let data = scenario.data.path.clone().filter(|path| !path.to_string_lossy().contains("://"));
                words.extend(data.into_iter().flat_map(|data| ["--data".into(), data.into_os_string()]));
            }
            Found::Nothing | Found::Begun => {
                words.extend([folder.join(SCENARIO).into(), "--out".into(), folder.into()]);
                words.extend((*found == Found::Begun).then(|| "--force".into()));
            }
        }
        words.extend(board_words(self.board.as_deref()));
        words.extend(self.place.words(threads(scenario, &self.place, 1)));
        words
    }
}
