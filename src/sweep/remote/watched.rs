//! What a point's folder says of the point.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use coordinator::Summary;

use super::{
    super::{
        job::{Done, DoneStatus},
        plan::{Planned, finished},
        progress::rounds_done,
    },
    GRACE,
};
use crate::launch::{Claims, claim::Owner};

/// A point under watch.
pub(super) struct Watched<'a> {
    folder: &'a Path,
    /// Of a run whose checkpoints are not in its folder: the rounds between two of them.
    stored_every: Option<u64>,
    claims: Claims,
    /// The last claim that does not count: its end is that of an earlier sweep's attempt.
    before: u64,
    /// Whether this process started it.
    pub(super) is_started: bool,
    /// Since when nothing seems to run it.
    ended: Option<Instant>,
    /// Starts in a row that led to no new checkpoint.
    vain: u32,
    /// Rounds of the last checkpoint when it was started last.
    pub(super) checkpoint: u64,
    was_started: bool,
    /// Why it is to be started again, in words.
    pub(super) why: String,
}

/// What the folder says.
pub(super) enum Look {
    Done(Box<Summary>),
    /// With its last line.
    Failed(String),
    Working(Owner),
    /// Paused after so many rounds.
    Paused(u64),
    /// Stopped with a checkpoint.
    Stopped,
    /// Claimed by a process that is no longer there.
    Dead,
    /// Not begun since it was started.
    Unclaimed,
}

impl<'a> Watched<'a> {
    pub(super) fn new(planned: &'a Planned) -> Self {
        let (folder, checkpoint) = (planned.folder.as_path(), &planned.scenario.checkpoint);
        let stored_every = checkpoint.store.as_ref().map(|_| checkpoint.every);
        let mut claims = Claims::on(folder);
        let is_owned = claims.owner().is_some();
        let before = claims.last().saturating_sub(u64::from(is_owned));
        Watched {
            folder,
            stored_every,
            claims,
            before,
            is_started: false,
            ended: None,
            vain: 0,
            checkpoint: 0,
            was_started: false,
            why: String::new(),
        }
    }

    /// # Errors
    /// If the folder is no longer there.
    pub(super) fn look(&mut self) -> anyhow::Result<Look> {
        // Listing a folder lets NFS show its new files at once.
        fs::read_dir(self.folder).with_context(|| {
            format!(
                "{}: the sweep's folder is gone; bring it back, and go on with --resume",
                self.folder.display()
            )
        })?;
        let done = Done::read(self.folder)?.filter(|done| done.claim > self.before);
        match done {
            Some(Done { status: DoneStatus::Done, .. }) => {
                let summary = finished(self.folder)?;
                return Ok(summary.map_or(Look::Stopped, |summary| Look::Done(Box::new(summary))));
            }
            Some(Done { status: DoneStatus::Failed, error, host, job, .. }) => {
                let place = job.map_or_else(|| host.clone(), |job| format!("{job} on {host}"));
                let log = super::super::pool::log(self.folder);
                let error = error.unwrap_or_else(|| "it said nothing".into());
                return Ok(Look::Failed(format!("{error} ({place}; log {})", log.display())));
            }
            Some(Done { status: DoneStatus::Paused, rounds, .. }) => return Ok(Look::Paused(rounds)),
            // The next owner removes the file first of all.
            Some(Done { status: DoneStatus::Stopped, claim, .. }) if claim == self.claims.last() => {
                return Ok(Look::Stopped);
            }
            Some(_) | None => {}
        }
        Ok(match self.claims.owner() {
            Some(owner) => Look::Working(owner),
            None if self.claims.last() > self.before => Look::Dead,
            None => Look::Unclaimed,
        })
    }

    /// Notes that it waits or runs.
    pub(super) fn lives(&mut self) {
        self.ended = None;
        self.why.clear();
    }

    /// Notes that it is about to be started.
    pub(super) fn begin(&mut self) {
        self.was_started = self.is_started;
        let checkpoint = self.last_checkpoint();
        self.vain = if checkpoint > self.checkpoint || !self.is_started { 1 } else { self.vain + 1 };
        self.checkpoint = checkpoint;
        self.is_started = true;
        self.ended = None;
        self.before = self.claims.last();
    }

    /// Notes that it is to train further: its last end does not count any more.
    pub(super) fn reopen(&mut self) {
        self.before = self.claims.last();
        self.is_started = false;
        self.ended = None;
        self.vain = 0;
    }

    /// Notes that it could not be started after all.
    pub(super) fn take_back(&mut self) {
        self.is_started = self.was_started;
        self.vain = self.vain.saturating_sub(1);
    }

    /// The line of its failure if it has been started too often in vain.
    pub(super) fn is_hopeless(&self, attempts: u32, how: &str) -> Option<String> {
        let in_vain = self.is_started && self.last_checkpoint() <= self.checkpoint;
        (in_vain && self.vain >= attempts)
            .then(|| format!("{how}; it was started {} times in a row without a new checkpoint", self.vain))
    }

    /// Rounds of the last checkpoint. Of one that is stored elsewhere, it is what the run's log says of it.
    fn last_checkpoint(&self) -> u64 {
        match self.stored_every {
            Some(every) => rounds_done(self.folder).checked_div(every).unwrap_or(0) * every,
            None => last_checkpoint(self.folder),
        }
    }

    /// Something once nothing has seemed to run it for a while, which grows with the starts in vain.
    pub(super) fn after_grace(&mut self) -> Option<()> {
        let since = *self.ended.get_or_insert_with(Instant::now);
        let wait = GRACE + Duration::from_secs(1 << self.vain.min(5)) - Duration::from_secs(2);
        (since.elapsed() >= wait).then_some(())
    }
}

/// Rounds of the newest whole checkpoint; 0 without one.
fn last_checkpoint(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder.join("checkpoints")) else { return 0 };
    let whole = entries.flatten().filter(|entry| entry.path().join("manifest.json").exists());
    let rounds =
        whole.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("round-")?.parse::<u64>().ok());
    rounds.max().unwrap_or(0)
}
