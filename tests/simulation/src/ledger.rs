//! What happens in a simulated run, written down where no crash reaches it, and what must never happen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use node::{Context, Role};
use proto::Secret;

use crate::arithmetic::Weights;

/// A host of the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Coordinator,
    Transmitter(usize),
    Receiver(usize),
}

/// Keeps the record of one run. Clones keep the same one.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Record>>);

/// The record of a run.
#[derive(Default)]
pub(crate) struct Record {
    /// Simulated time.
    pub(crate) now: Duration,
    /// All that happens, in order.
    pub(crate) log: Vec<String>,
    /// What must not have happened.
    pub(crate) violations: Vec<String>,
    /// The weights of every node at every version, as whoever got there first had them.
    pub(crate) truth: BTreeMap<(Host, u64), u64>,
    /// Versions whose manifest has been written.
    committed: BTreeSet<u64>,
    /// By incarnation, what was the last committed version when it was written down.
    incarnations: BTreeMap<u64, u64>,
    /// Who has ended since the driver looked last, and how.
    pub(crate) ended: Vec<(Host, Result<(), String>)>,
    /// Calls of the store.
    pub(crate) store_calls: u64,
    /// Steps, and evaluation passes, of all nodes.
    pub(crate) steps: u64,
    pub(crate) passes: u64,
    /// How often the run was told to stop.
    pub(crate) stops: u64,
    /// Whether something was spoilt that a node or the coordinator may rightly complain of.
    pub(crate) spoilt: bool,
    /// The run's name and incarnation, as the last machine had them.
    pub(crate) run: Option<(Bytes, u64)>,
    /// What each node is known by, and in which incarnation.
    pub(crate) secrets: BTreeMap<Host, (Secret, u64)>,
    /// The folder in which the run's coordinator is at work.
    pub(crate) holds: Option<PathBuf>,
    /// How often somebody has started a rival.
    pub(crate) rivals: u64,
    /// Versions that a coordinator has committed after another one had taken the run over: they may be gone on from.
    overtaken: BTreeSet<u64>,
    /// Versions of which a file has been damaged since they were committed.
    damaged: BTreeSet<u64>,
    /// And those that have been removed.
    gone: BTreeSet<u64>,
    /// Whether a log has been damaged: of its lines, some may be lost.
    pub(crate) logs_damaged: bool,
    /// Receivers go on without what comes late: then the clock has a word in what is true, until it is committed.
    skips: bool,
    /// The lengths of the run's logs when the last version was committed: so much must have been synced.
    pub(crate) synced: [u64; 2],
}

impl Host {
    pub(crate) fn node(role: Role, index: usize) -> Self {
        match role {
            Role::Transmitter => Host::Transmitter(index),
            Role::Receiver => Host::Receiver(index),
        }
    }
}

impl fmt::Display for Host {
    /// Its name in the network, and that of its weights.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Coordinator => formatter.write_str("coordinator"),
            Host::Transmitter(k) => write!(formatter, "transmitter-{k}"),
            Host::Receiver(t) => write!(formatter, "receiver-{t}"),
        }
    }
}

impl Ledger {
    /// A ledger that knows how an undisturbed run went.
    pub(crate) fn with_truth(truth: BTreeMap<(Host, u64), u64>) -> Self {
        Ledger(Arc::new(Mutex::new(Record { truth, ..Record::default() })))
    }

    /// One of a run whose receivers go on without what comes late.
    pub(crate) fn of_skipping() -> Self {
        Ledger(Arc::new(Mutex::new(Record { skips: true, ..Record::default() })))
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().expect("no code panics while it holds this lock")
    }

    /// Writes a line.
    pub(crate) fn note(&self, line: impl fmt::Display) {
        self.record().note(line);
    }

    /// Writes down what must not happen.
    pub(crate) fn violation(&self, line: impl fmt::Display) {
        self.record().violation(line);
    }

    /// A node's machine is built, from nothing or from a checkpoint.
    pub(crate) fn began(&self, host: Host, incarnation: u64, weights: Weights) {
        let mut record = self.record();
        let version = weights.version;
        record.note(format!("{host} begins incarnation {incarnation} at version {version}"));
        record.check_truth(host, weights);
        match record.incarnations.get(&incarnation).copied() {
            None => record.violation(format!("incarnation {incarnation} was not written down before {host} knew")),
            Some(committed) if committed == version => {}
            // Damaged while it was fetched, or committed by a coordinator that had lost the run.
            Some(committed) if version > committed && record.is_doubtful(version) => {}
            Some(committed) => record.violation(format!(
                "{host} begins incarnation {incarnation} at version {version}, and version {committed} was committed"
            )),
        }
    }

    /// A node has taken a step.
    pub(crate) fn stepped(&self, host: Host, incarnation: u64, weights: Weights) {
        let mut record = self.record();
        record.note(format!("{host} is at version {} in incarnation {incarnation}", weights.version));
        record.steps += 1;
        if record.skips {
            record.truth.insert((host, weights.version), weights.value);
        }
        record.check_truth(host, weights);
    }

    /// A node has done an evaluation pass.
    pub(crate) fn judged(&self, host: Host, pass: u64) {
        let mut record = self.record();
        record.note(format!("{host} has done pass {pass}"));
        record.passes += 1;
    }

    /// A machine knows its run, and has a secret.
    pub(crate) fn knows(&self, host: Host, context: &Context) {
        let mut record = self.record();
        record.run = Some((context.run.clone(), context.incarnation));
        record.secrets.insert(host, (context.secret.clone(), context.incarnation));
    }

    /// The coordinator has stopped with a checkpoint of a version: it must have been told to, and it must be the last.
    pub(crate) fn stopped(&self, version: u64) {
        let mut record = self.record();
        record.note(format!("the run has stopped at version {version}"));
        let last = record.last_committed();
        if record.stops == 0 {
            record.violation(format!("nobody told the run to stop at version {version}"));
        } else if version != last && !record.is_doubtful(version) {
            record.violation(format!(
                "the run says that it stopped at version {version}, and {last} was committed"
            ));
        }
        record.ended.push((Host::Coordinator, Ok(())));
    }

    /// A message has reached a node's machine.
    pub(crate) fn heard(&self, host: Host, incarnation: u64, stamp: Option<&proto::v1::Stamp>) {
        let of = stamp.map(|stamp| stamp.incarnation);
        if of != Some(incarnation) {
            self.violation(format!("{host} hears in incarnation {incarnation} from incarnation {of:?}"));
        }
    }

    /// An incarnation is claimed.
    pub(crate) fn incarnation(&self, incarnation: u64) {
        let mut record = self.record();
        record.note(format!("incarnation {incarnation} is claimed"));
        if record.last_incarnation() >= incarnation {
            // Of two that claim at the same time, one may come too late: then it must claim another.
            if record.rivals == 0 {
                record.violation(format!("incarnation {incarnation} is claimed after a later one"));
            }
            return;
        }
        let committed = record.last_committed();
        record.incarnations.insert(incarnation, committed);
    }

    /// The manifest of a version is written by an incarnation, over states of these hosts.
    pub(crate) fn committed(&self, version: u64, incarnation: u64, states: &[(Host, Weights)]) {
        let mut record = self.record();
        record.note(format!("version {version} is committed"));
        let is_overtaken = incarnation < record.last_incarnation();
        if version < record.last_committed() && !is_overtaken {
            record.violation(format!("version {version} is committed after a later one"));
        }
        for (host, weights) in states {
            if weights.version != version {
                let other = weights.version;
                record.violation(format!("version {version} is committed with version {other} of {host}"));
            }
            record.check_truth(*host, *weights);
        }
        if is_overtaken {
            record.note(format!("but incarnation {incarnation} had lost the run"));
            record.overtaken.insert(version);
            return;
        }
        record.committed.insert(version);
        record.damaged.remove(&version);
        record.gone.remove(&version);
    }

    /// Something of a version's checkpoint is removed from the store.
    pub(crate) fn removes(&self, version: u64) {
        let mut record = self.record();
        if record.committed.contains(&version) && version == record.last_committed() {
            record.violation(format!("the last committed version, {version}, is removed"));
        }
        record.gone.insert(version);
    }

    /// A file of a committed version's checkpoint is damaged.
    pub(crate) fn damages(&self, version: u64) {
        self.record().damaged.insert(version);
    }

    /// A process has ended.
    pub(crate) fn ended(&self, host: Host, how: Result<(), String>) {
        self.record().ended.push((host, how));
    }
}

impl Record {
    pub(crate) fn note(&mut self, line: impl fmt::Display) {
        let line = format!("{:>9.3} {line}", self.now.as_secs_f64());
        self.log.push(line);
    }

    pub(crate) fn violation(&mut self, line: impl fmt::Display) {
        self.note(format_args!("VIOLATION {line}"));
        self.violations.push(line.to_string());
    }

    /// There are never two truths about a version of a node.
    fn check_truth(&mut self, host: Host, weights: Weights) {
        let known = *self.truth.entry((host, weights.version)).or_insert(weights.value);
        if known != weights.value {
            let (version, value) = (weights.version, weights.value);
            self.violation(format!(
                "{host} has {value:016x} at version {version}, where {known:016x} was true"
            ));
        }
    }

    /// How many incarnations there have been.
    pub(crate) fn incarnations(&self) -> u64 {
        self.incarnations.len() as u64
    }

    /// The highest incarnation that anybody has claimed.
    fn last_incarnation(&self) -> u64 {
        self.incarnations.last_key_value().map_or(0, |(last, _)| *last)
    }

    /// The last version that was committed and is whole; 0, the beginning, if none is.
    pub(crate) fn last_committed(&self) -> u64 {
        self.committed.difference(&self.damaged).last().copied().unwrap_or(0)
    }

    /// Versions that are committed, whole, and still there.
    pub(crate) fn whole(&self) -> Vec<u64> {
        self.committed
            .iter()
            .filter(|version| !self.damaged.contains(version) && !self.gone.contains(version))
            .copied()
            .collect()
    }

    /// Whether a coordinator may or may not take a version for the last one.
    fn is_doubtful(&self, version: u64) -> bool {
        self.damaged.contains(&version) || self.overtaken.contains(&version)
    }
}
