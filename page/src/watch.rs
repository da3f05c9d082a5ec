use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::Value;
use tokio::sync::broadcast;

use crate::{
    history::History,
    logs::{self, Logs},
    moments::{self, Moment, Moments},
};

/// How many messages a reader may be behind before it loses some.
const BEHIND: usize = 256;

/// What a page can ask of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Grant no more rounds.
    Pause,
    /// Grant rounds again.
    Resume,
    /// Save a checkpoint and end.
    Stop,
}

/// The state of a run as it is now: phase, nodes.
type Status = Box<dyn Fn() -> Value + Send + Sync>;

/// Passes a command on; an error is one line.
type Obey = Box<dyn Fn(Command) -> Result<(), String> + Send + Sync>;

/// What is known of a run, and who follows it.
///
/// A coordinator feeds it. It never waits for a reader: readers that are behind lose messages and are told so.
pub struct Watch {
    about: Value,
    folder: PathBuf,
    status: Status,
    obey: Option<Obey>,
    known: Mutex<Known>,
    messages: broadcast::Sender<Message>,
}

#[derive(Default)]
struct Known {
    history: History,
    moments: Moments,
    /// The summary, as text of JSON.
    summary: Option<Arc<str>>,
    /// The scores of the passes over the test set so far, likewise.
    pass: Option<Arc<str>>,
    ended: bool,
}

/// A message to readers.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A round: an object of JSON.
    Round(u64, Arc<str>),
    /// Anything else, by name.
    Named(&'static str, Arc<str>),
    /// Nothing follows.
    End,
}

impl Watch {
    /// What is known of a run that begins, or goes on, in a folder. `about` is what never changes, `status` tells what
    /// it does now.
    pub fn new(
        about: Value,
        folder: &Path,
        status: impl Fn() -> Value + Send + Sync + 'static,
        obey: Option<impl Fn(Command) -> Result<(), String> + Send + Sync + 'static>,
    ) -> Self {
        let known = Known { moments: Moments::read(folder), ..Known::default() };
        Watch {
            about,
            folder: folder.into(),
            status: Box::new(status),
            obey: obey.map(|obey| Box::new(obey) as Obey),
            known: Mutex::new(known),
            messages: broadcast::channel(BEHIND).0,
        }
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    // ------------------------------------------------------------------------------------------------- what happens

    /// A round has ended: its lines in the logs, and what else is known of it, each an object of JSON.
    pub fn round(&self, round: u64, metrics: &str, selection: Option<&str>, nodes: Option<&str>) {
        self.push(round, logs::round_text(round, metrics, selection, nodes));
    }

    /// The network is at this version, by a checkpoint: the rounds before are those of the logs.
    pub fn restart(&self, version: u64) {
        let rounds = Logs::of(&self.folder).added().map(|added| added.rounds).unwrap_or_default();
        {
            let mut known = self.known();
            known.history = History::default();
            known.pass = None;
            for (round, text) in rounds.into_iter().filter(|(round, _)| *round < version) {
                known.history.push(round, text.into());
            }
        }
        self.send(Message::Named("resync", format!("{{\"round\":{version}}}").into()));
    }

    /// Something happened, after this many rounds: it is kept in the folder as well. `kind` is one word.
    pub fn moment(&self, kind: &str, round: u64, text: &str) {
        let moment = Moment::now(kind, round, text);
        // The run does not fail for it: what it needs is in other files.
        if let Err(error) = moments::write_down(&self.folder, &moment) {
            tracing::debug!(%error, "an event is not written down");
        }
        let line = moment.line();
        self.known().moments.push(moment);
        self.send(Message::Named("event", line.into()));
    }

    /// Passes over the test set have ended: the scores so far, an object of JSON.
    pub fn pass(&self, so_far: &str) {
        let so_far: Arc<str> = so_far.into();
        self.known().pass = Some(so_far.clone());
        self.send(Message::Named("pass", so_far));
    }

    /// The run has its summary, an object of JSON.
    pub fn summary(&self, summary: &str) {
        let summary: Arc<str> = summary.into();
        self.known().summary = Some(summary.clone());
        self.send(Message::Named("summary", summary));
    }

    /// The run has ended. Returns whether anybody is there to be told.
    pub fn end(&self) -> bool {
        self.known().ended = true;
        self.messages.send(Message::End).is_ok()
    }

    /// Adds what a run's logs have gained.
    pub(crate) fn add(&self, added: logs::Added) {
        if added.anew {
            self.known().history = History::default();
            self.send(Message::Named("resync", "{\"round\":0}".into()));
        }
        added.rounds.into_iter().for_each(|(round, text)| self.push(round, text));
    }

    /// Replaces the moments by those in the folder.
    pub(crate) fn read_moments(&self) {
        self.known().moments = Moments::read(&self.folder);
    }

    fn push(&self, round: u64, text: String) {
        let text: Arc<str> = text.into();
        self.known().history.push(round, text.clone());
        self.send(Message::Round(round, text));
    }

    fn send(&self, message: Message) {
        // Usually nobody reads.
        let _ = self.messages.send(message);
    }

    // ------------------------------------------------------------------------------------------------- what is asked

    /// The state as text of JSON: all of it, with the rounds thinned.
    pub fn state(&self) -> String {
        let status = self.status();
        let (stride, rounds, moments, summary, pass) = {
            let known = self.known();
            let rounds: Vec<Arc<str>> = known.history.rounds().cloned().collect();
            let (summary, pass) = (known.summary.clone(), known.pass.clone());
            (known.history.stride(), rounds, known.moments.to_json(), summary, pass)
        };
        let size: usize = rounds.iter().map(|round| round.len() + 1).sum();
        let mut text = format!(
            "{{\"program\":\"{}\",\"run\":{},\"status\":{status},\"commands\":{},\"events\":{moments},\"summary\":{},\"pass\":{},\
             \"stride\":{stride},\"rounds\":[",
            env!("CARGO_PKG_VERSION"),
            self.about,
            self.obey.is_some(),
            summary.as_deref().unwrap_or("null"),
            pass.as_deref().unwrap_or("null"),
        );
        text.reserve(size + 2);
        for (position, round) in rounds.iter().enumerate() {
            text.push_str(if position > 0 { "," } else { "" });
            text.push_str(round);
        }
        text.push_str("]}");
        text
    }

    /// What the run does now.
    pub fn status(&self) -> Value {
        (self.status)()
    }

    pub(crate) fn has_summary(&self) -> bool {
        self.known().summary.is_some()
    }

    /// Passes on a command.
    pub(crate) fn command(&self, command: Command) -> Result<(), String> {
        match &self.obey {
            Some(obey) => obey(command),
            None => Err("this page shows the files of a run and has no say in it: use `pom2dib pause`, `resume` or `stop`".into()),
        }
    }

    /// Messages from now on; none if the run has ended.
    pub(crate) fn follow(&self) -> Option<broadcast::Receiver<Message>> {
        let known = self.known();
        (!known.ended).then(|| self.messages.subscribe())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no code panics while it holds this lock")
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Watch of {}", self.folder.display())
    }
}
