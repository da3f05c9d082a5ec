use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::Write,
};

use proto::v1::{ReceiverRound, TransmitterRound};
use scenario::Scenario;
use serde::Serialize;
use serde_json::Value;

use crate::{CoordinatorError, Missing, RunFolder, check, verify::Verifier};

/// Rounds over which late figures ("mass on noise") are taken.
const LATE: usize = 100;

/// A line of metrics.jsonl. Means are over the round's ticks; everything in nats unless said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Metrics {
    pub(crate) round: u64,
    pub(crate) sum_rate: f64,
    pub(crate) n_ce: f64,
    pub(crate) loss: f64,
    pub(crate) logl: f64,
    pub(crate) ce: Vec<f64>,
    pub(crate) rate: Vec<f64>,
    /// The longest of the receivers' times between rounds.
    pub(crate) seconds: f64,
    pub(crate) bytes: Bytes,
    pub(crate) most_asks: u32,
    pub(crate) most_entries: u32,
    /// What receivers went on without, where they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Missing>,
    /// Seconds that all nodes together spent on each kind of work.
    pub(crate) work: BTreeMap<&'static str, f64>,
}

/// Bytes on the wire between transmitters and receivers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Bytes {
    pub(crate) feature: u64,
    pub(crate) gradient: u64,
    pub(crate) total: u64,
}

/// What a summary needs of a round.
struct Tally {
    bytes: Bytes,
    most_asks: u32,
    most_entries: u32,
    missing: Option<Missing>,
    seconds: f64,
}

/// A line of selection.jsonl: what was chosen, as shares of the round's ticks.
#[derive(Serialize)]
struct SelectionLine {
    round: u64,
    /// By receiver, then (k, m) in order: when the entry was granted.
    granted: Vec<Vec<f64>>,
    /// By (k, m): the share of ticks at which it was granted to anybody, and so encoded.
    encoded: Vec<f64>,
    /// By transmitter: how many receivers asked it at a tick, mean over ticks.
    asked: Vec<f64>,
}

/// Gathers the nodes' reports of rounds and logs each round once it is whole.
pub(crate) struct Rounds {
    transmitters: usize,
    receivers: usize,
    ticks: usize,
    /// m(k), by transmitter.
    modalities: Vec<usize>,
    pending: BTreeMap<u64, Pending>,
    verifier: Option<Verifier>,
    metrics: File,
    selection: File,
    next: u64,
    wire_before: u64,
    late: VecDeque<Vec<Vec<u32>>>,
    /// What went over the wire in all rounds of the run, however often it was interrupted; rounds that were lost count once.
    pub(crate) bytes: Bytes,
    pub(crate) most_asks: u32,
    pub(crate) most_entries: u32,
    pub(crate) missing: Option<Missing>,
    pub(crate) seconds: Vec<f64>,
}

#[derive(Default)]
struct Pending {
    receivers: BTreeMap<usize, ReceiverRound>,
    transmitters: BTreeMap<usize, TransmitterRound>,
}

impl Rounds {
    /// From round `first` on; with `verify`, all that is reported of draws is verified.
    pub(crate) fn new(
        scenario: &Scenario,
        folder: &RunFolder,
        first: u64,
        verify: bool,
    ) -> Result<Self, CoordinatorError> {
        for name in ["metrics.jsonl", "selection.jsonl"] {
            folder.cut_log(name, first)?;
        }
        let mut rounds = Rounds {
            transmitters: scenario.transmitters(),
            receivers: scenario.receivers(),
            ticks: scenario.train.ticks_per_round,
            modalities: (0..scenario.transmitters()).map(|k| scenario.modalities(k)).collect(),
            pending: BTreeMap::new(),
            verifier: verify.then(|| Verifier::new(scenario)),
            metrics: folder.log("metrics.jsonl")?,
            selection: folder.log("selection.jsonl")?,
            next: first,
            wire_before: 0,
            late: VecDeque::new(),
            bytes: Bytes::default(),
            most_asks: 0,
            most_entries: 0,
            missing: None,
            seconds: Vec::new(),
        };
        for (metrics, selection) in
            folder.lines("metrics.jsonl")?.iter().zip(&folder.lines("selection.jsonl")?)
        {
            rounds.recall(metrics, selection);
        }
        Ok(rounds)
    }

    /// Counts a round that was logged before this process, or this incarnation, began.
    fn recall(&mut self, metrics: &Value, selection: &Value) {
        let count = |name: &str| metrics["bytes"][name].as_u64().unwrap_or(0);
        let most = |name: &str| metrics[name].as_u64().unwrap_or(0) as u32;
        let ticks = |share: &Value| (share.as_f64().unwrap_or(0.0) * self.ticks as f64).round() as u32;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let granted = list(&selection["granted"]);
        let granted = granted.iter().map(|entries| list(entries).iter().map(ticks).collect()).collect();
        let tally = Tally {
            bytes: Bytes { feature: count("feature"), gradient: count("gradient"), total: count("total") },
            most_asks: most("most_asks"),
            most_entries: most("most_entries"),
            missing: serde_json::from_value(metrics["missing"].clone()).ok(),
            seconds: metrics["seconds"].as_f64().unwrap_or(0.0),
        };
        self.tally(tally, granted);
    }

    /// Rounds that every node has reported.
    pub(crate) fn whole(&self) -> u64 {
        self.next
    }

    /// Rounds that all receivers have finished: sync ticks may be granted from here on.
    pub(crate) fn finished_by_receivers(&self) -> u64 {
        let whole = |pending: &Pending| pending.receivers.len() == self.receivers;
        self.next + self.pending.values().take_while(|pending| whole(pending)).count() as u64
    }

    /// The next round that a node will report: nodes report theirs one after the other.
    fn due(&self, reported: impl Fn(&Pending) -> bool) -> u64 {
        self.next + self.pending.values().filter(|pending| reported(pending)).count() as u64
    }

    pub(crate) fn receiver(
        &mut self,
        t: usize,
        report: ReceiverRound,
    ) -> Result<Option<Metrics>, CoordinatorError> {
        let due = self.due(|pending| pending.receivers.contains_key(&t));
        check::receiver_round(&report, due, self.modalities.iter().sum(), self.ticks)
            .map_err(CoordinatorError::blame(format!("receiver {t}")))?;
        self.pending.entry(report.round).or_default().receivers.insert(t, report);
        self.log_whole()
    }

    pub(crate) fn transmitter(
        &mut self,
        k: usize,
        report: TransmitterRound,
    ) -> Result<Option<Metrics>, CoordinatorError> {
        let due = self.due(|pending| pending.transmitters.contains_key(&k));
        check::transmitter_round(&report, due, self.modalities[k], self.ticks, self.receivers)
            .map_err(CoordinatorError::blame(format!("transmitter {k}")))?;
        self.pending.entry(report.round).or_default().transmitters.insert(k, report);
        self.log_whole()
    }

    /// Logs all rounds that are whole, in order; gives the last.
    fn log_whole(&mut self) -> Result<Option<Metrics>, CoordinatorError> {
        let mut last = None;
        while let Some(pending) = self.pending.get(&self.next) {
            if pending.receivers.len() < self.receivers || pending.transmitters.len() < self.transmitters {
                break;
            }
            let pending = self.pending.remove(&self.next).expect("looked up just now");
            last = Some(self.log(&pending)?);
            self.next += 1;
        }
        Ok(last)
    }

    fn log(&mut self, pending: &Pending) -> Result<Metrics, CoordinatorError> {
        let receivers: Vec<&ReceiverRound> = pending.receivers.values().collect();
        let transmitters: Vec<&TransmitterRound> = pending.transmitters.values().collect();
        if let Some(verifier) = &self.verifier {
            verifier.verify(&receivers, &transmitters).map_err(CoordinatorError::Run)?;
        }
        let wire: u64 = transmitters.iter().map(|report| report.wire_bytes).sum();
        let bytes = Bytes {
            feature: receivers.iter().map(|report| report.feature_bytes).sum(),
            gradient: receivers.iter().map(|report| report.gradient_bytes).sum(),
            total: wire.saturating_sub(self.wire_before),
        };
        self.wire_before = wire;
        let metrics = Metrics {
            round: self.next,
            sum_rate: receivers.iter().map(|report| report.rate).sum(),
            n_ce: -receivers.iter().map(|report| report.cross_entropy).sum::<f64>(),
            loss: receivers.iter().map(|report| report.objective).sum(),
            logl: receivers.iter().map(|report| report.log_likelihood).sum::<f64>()
                + transmitters.iter().map(|report| report.log_likelihood).sum::<f64>(),
            ce: receivers.iter().map(|report| report.cross_entropy).collect(),
            rate: receivers.iter().map(|report| report.rate).collect(),
            seconds: receivers.iter().map(|report| report.seconds).fold(0.0, f64::max),
            bytes,
            most_asks: receivers.iter().map(|report| report.most_asks).max().unwrap_or(0),
            most_entries: transmitters.iter().map(|report| report.most_entries).max().unwrap_or(0),
            missing: Missing::sum(receivers.iter().filter_map(|report| report.missing.as_ref())),
            work: work(
                receivers
                    .iter()
                    .map(|report| &report.work)
                    .chain(transmitters.iter().map(|report| &report.work)),
            ),
        };
        let share = |count: &u32| f64::from(*count) / self.ticks as f64;
        let selection = SelectionLine {
            round: self.next,
            granted: receivers.iter().map(|report| report.granted.iter().map(share).collect()).collect(),
            encoded: transmitters.iter().flat_map(|report| report.encoded.iter().map(share)).collect(),
            asked: transmitters.iter().map(|report| share(&report.asked)).collect(),
        };
        let tally = Tally {
            bytes: metrics.bytes,
            most_asks: metrics.most_asks,
            most_entries: metrics.most_entries,
            missing: metrics.missing,
            seconds: metrics.seconds,
        };
        self.tally(tally, receivers.iter().map(|report| report.granted.clone()).collect());
        append(&mut self.metrics, "metrics.jsonl", &metrics)?;
        append(&mut self.selection, "selection.jsonl", &selection)?;
        Ok(metrics)
    }

    fn tally(&mut self, round: Tally, granted: Vec<Vec<u32>>) {
        self.bytes.feature += round.bytes.feature;
        self.bytes.gradient += round.bytes.gradient;
        self.bytes.total += round.bytes.total;
        self.most_asks = self.most_asks.max(round.most_asks);
        self.most_entries = self.most_entries.max(round.most_entries);
        if let Some(missing) = round.missing {
            self.missing.get_or_insert_default().add(missing);
        }
        self.seconds.push(round.seconds);
        self.late.push_back(granted);
        if self.late.len() > LATE {
            self.late.pop_front();
        }
    }

    /// The noise entries' share of all grants of the last 100 rounds, if there were any.
    pub(crate) fn noise_share(&self, scenario: &Scenario) -> Option<f64> {
        let names = scenario.transmitter.iter().flat_map(|transmitter| &transmitter.modalities);
        let noise: Vec<bool> = names.map(|name| name.starts_with("noise")).collect();
        let (mut on_noise, mut all) = (0u64, 0u64);
        for counts in self.late.iter().flatten() {
            for (count, noise) in counts.iter().zip(&noise) {
                all += u64::from(*count);
                on_noise += if *noise { u64::from(*count) } else { 0 };
            }
        }
        (all > 0).then(|| on_noise as f64 / all as f64)
    }
}

fn append(file: &mut File, name: &str, line: &impl Serialize) -> Result<(), CoordinatorError> {
    let mut text = serde_json::to_vec(line).expect("a line has only numbers and lists");
    text.push(b'\n');
    // One write a line: a crash leaves at most one broken line, at the end, and resuming cuts it off.
    file.write_all(&text).map_err(CoordinatorError::file(name))
}

/// Adds up where the nodes' time went.
fn work<'a>(nodes: impl Iterator<Item = &'a Vec<f64>>) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::new();
    for seconds in nodes {
        for (work, seconds) in node::Work::ALL.iter().zip(seconds) {
            *sums.entry(work.name()).or_insert(0.0) += seconds;
        }
    }
    // Clocks count nanoseconds: digits beyond those are of the summing, and would only lengthen the log.
    sums.values_mut().for_each(|seconds| *seconds = (*seconds * 1e9).round() / 1e9);
    sums
}
