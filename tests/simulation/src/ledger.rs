//! The record of a simulated run, safe from its crashes, and the events that must never happen.

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

use crate::{arithmetic::Weights, serving::StreamRecord};

/// A host of the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Coordinator,
    Transmitter(usize),
    Receiver(usize),
}

/// The record of one run. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Record>>);

/// The record of a run.
#[derive(Default)]
pub(crate) struct Record {
    /// Simulated time.
    pub(crate) now: Duration,
    /// All events, in order.
    pub(crate) log: Vec<String>,
    /// Events that must not happen.
    pub(crate) violations: Vec<String>,
    /// The weights of every node at every version, as the first to reach it had them.
    pub(crate) truth: BTreeMap<(Host, u64), u64>,
    /// Versions whose manifest has been written.
    committed: BTreeSet<u64>,
    /// By incarnation, the last committed version when it was written down.
    incarnations: BTreeMap<u64, u64>,
    /// The processes that have ended since the driver last checked, and how.
    pub(crate) ended: Vec<(Host, Result<(), String>)>,
    /// Calls of the store.
    pub(crate) store_calls: u64,
    /// Steps, and evaluation passes, of all nodes.
    pub(crate) steps: u64,
    pub(crate) passes: u64,
    /// How often the run was stopped.
    pub(crate) stops: u64,
    /// Whether data was corrupted so that a node or the coordinator may rightly report an error.
    pub(crate) spoilt: bool,
    /// The run's name and incarnation, as the last machine had them.
    pub(crate) run: Option<(Bytes, u64)>,
    /// The secret of each node, and its incarnation.
    pub(crate) secrets: BTreeMap<Host, (Secret, u64)>,
    /// The members that are to report out of turn when they next do anything.
    pub(crate) out_of_turn: BTreeSet<Host>,
    /// How many have, and were not yet refused for it. A member may live on another host than that of its name: hosts
    /// that join at once take places as they come.
    pub(crate) spoke_out_of_turn: usize,
    /// The folder in which the run's coordinator is at work.
    pub(crate) holds: Option<PathBuf>,
    /// How often a rival coordinator was started.
    pub(crate) rivals: u64,
    /// Versions committed by a coordinator after another had taken over the run: a run may continue from them.
    overtaken: BTreeSet<u64>,
    /// Versions with a file damaged since their commit.
    damaged: BTreeSet<u64>,
    /// Versions that have been removed.
    gone: BTreeSet<u64>,
    /// Whether a log has been damaged, so that lines may be missing.
    pub(crate) logs_damaged: bool,
    /// Receivers continue without late entries: then the true result depends on the clock, until it is committed.
    skips: bool,
    /// The lengths of the run's logs at the last commit, which must have been synced.
    pub(crate) synced: [u64; 2],
    /// Whether the run has been trained and is served: its incarnations are written to the folder alone.
    pub(crate) is_served: bool,
    /// What has been seen of the service.
    pub(crate) stream: StreamRecord,
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
    /// Its name in the network and for its weights.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Coordinator => formatter.write_str("coordinator"),
            Host::Transmitter(k) => write!(formatter, "transmitter-{k}"),
            Host::Receiver(t) => write!(formatter, "receiver-{t}"),
        }
    }
}

impl Ledger {
    /// A ledger with the results of an undisturbed run.
    pub(crate) fn with_truth(truth: BTreeMap<(Host, u64), u64>) -> Self {
        Ledger(Arc::new(Mutex::new(Record { truth, ..Record::default() })))
    }

    /// The ledger of a run whose receivers continue without late entries.
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

    /// Records a violation.
    pub(crate) fn violation(&self, line: impl fmt::Display) {
        self.record().violation(line);
    }

    /// Records that a node's machine is built, from nothing or from a checkpoint.
    pub(crate) fn began(&self, host: Host, incarnation: u64, weights: Weights) {
        let mut record = self.record();
        let version = weights.version;
        record.note(format!("{host} begins incarnation {incarnation} at version {version}"));
        record.check_truth(host, weights);
        if record.is_served {
            return;
        }
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

    /// Records a node's step.
    pub(crate) fn stepped(&self, host: Host, incarnation: u64, weights: Weights) {
        let mut record = self.record();
        record.note(format!("{host} is at version {} in incarnation {incarnation}", weights.version));
        record.steps += 1;
        if record.skips {
            record.truth.insert((host, weights.version), weights.value);
        }
        record.check_truth(host, weights);
    }

    /// Records a node's evaluation pass.
    pub(crate) fn judged(&self, host: Host, pass: u64) {
        let mut record = self.record();
        record.note(format!("{host} has done pass {pass}"));
        record.passes += 1;
    }

    /// Records a machine's run and secret.
    pub(crate) fn knows(&self, host: Host, context: &Context) {
        let mut record = self.record();
        record.run = Some((context.run.clone(), context.incarnation));
        record.secrets.insert(host, (context.secret.clone(), context.incarnation));
    }

    /// Whether a member reports out of turn now: once for every such fault.
    pub(crate) fn speaks_out_of_turn(&self, host: Host) -> bool {
        let mut record = self.record();
        let speaks = record.out_of_turn.remove(&host);
        if speaks {
            record.note(format_args!("{host} reports out of turn"));
            record.spoke_out_of_turn += 1;
        }
        speaks
    }

    /// The coordinator has stopped with a checkpoint of a version: it must have been requested, and the version must be
    /// the last.
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

    /// Records that a message has reached a node's machine.
    pub(crate) fn heard(&self, host: Host, incarnation: u64, stamp: Option<&proto::v1::Stamp>) {
        let of = stamp.map(|stamp| stamp.incarnation);
        if of != Some(incarnation) {
            self.violation(format!("{host} hears in incarnation {incarnation} from incarnation {of:?}"));
        }
    }

    /// Records a claimed incarnation.
    pub(crate) fn incarnation(&self, incarnation: u64) {
        let mut record = self.record();
        record.note(format!("incarnation {incarnation} is claimed"));
        if record.last_incarnation() >= incarnation {
            // Of two concurrent claims one may be too late and must claim another number.
            if record.rivals == 0 {
                record.violation(format!("incarnation {incarnation} is claimed after a later one"));
            }
            return;
        }
        let committed = record.last_committed();
        record.incarnations.insert(incarnation, committed);
    }

    /// Records a manifest of a version written by an incarnation, over states of these hosts.
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

    /// Records that part of a version's checkpoint is removed from the store.
    pub(crate) fn removes(&self, version: u64) {
        let mut record = self.record();
        // A coordinator that has lost the run may have written a later whole one just before it heard of that.
        let is_whole = |later: &u64| !record.damaged.contains(later) && !record.gone.contains(later);
        let is_superseded = record.overtaken.range(version + 1..).any(is_whole);
        if record.committed.contains(&version) && version == record.last_committed() && !is_superseded {
            record.violation(format!("the last committed version, {version}, is removed"));
        }
        record.gone.insert(version);
    }

    /// Records damage to a file of a committed version's checkpoint.
    pub(crate) fn damages(&self, version: u64) {
        self.record().damaged.insert(version);
    }

    /// Records the end of a process.
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

    /// A version of a node always has the same weights.
    fn check_truth(&mut self, host: Host, weights: Weights) {
        let known = *self.truth.entry((host, weights.version)).or_insert(weights.value);
        if known != weights.value {
            let (version, value) = (weights.version, weights.value);
            self.violation(format!(
                "{host} has {value:016x} at version {version}, where {known:016x} was true"
            ));
        }
    }

    /// The number of incarnations so far.
    pub(crate) fn incarnations(&self) -> u64 {
        self.incarnations.len() as u64
    }

    /// The highest claimed incarnation.
    fn last_incarnation(&self) -> u64 {
        self.incarnations.last_key_value().map_or(0, |(last, _)| *last)
    }

    /// The last committed version that is whole; 0, the beginning, without one.
    pub(crate) fn last_committed(&self) -> u64 {
        self.committed.difference(&self.damaged).last().copied().unwrap_or(0)
    }

    /// Committed versions that are whole and not removed.
    pub(crate) fn whole(&self) -> Vec<u64> {
        self.committed
            .iter()
            .filter(|version| !self.damaged.contains(version) && !self.gone.contains(version))
            .copied()
            .collect()
    }

    /// Whether a coordinator may, but need not, take a version for the last one.
    fn is_doubtful(&self, version: u64) -> bool {
        self.damaged.contains(&version) || self.overtaken.contains(&version)
    }
}
