#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use node::Role;
use proto::v1::{ReceiverRound, Spent, TransmitterRound, report::Report};
use scenario::Scenario;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Binding, CoordinatorError, Grid, Missing, OnAir, Rates, RunFolder, Written, check,
    draws::DRAWS,
    grid::is_large,
    log::{Log, lines},
    members::Member,
    on_air::{entry_uses, link_snr_db},
    page::{Feed, RoundLines},
    service::Event,
    totals::{Tally, Totals, WireBytes},
    validation::{Recent, Validated},
    verify::Verifier,
};

const METRICS: &str = "metrics.jsonl";
const SELECTION: &str = "selection.jsonl";

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
    pub(crate) bytes: WireBytes,
    pub(crate) most_asks: u32,
    pub(crate) most_entries: u32,
    /// Scores on validation rows of the version after the round, where it was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<Validated>,
    /// Missing entries of receivers, under `straggler.policy = "skip"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Missing>,
    /// Channel use for a sample, where any channel is not ideal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<OnAir>,
    /// SNR of every link by receiver and transmitter, where any channel is not ideal: see [`link_snr_db`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link_snr_db: Option<Grid<Option<f64>>>,
    /// Channel uses of every entry for a sample, by receiver, then (k, m) in order, where any channel is not ideal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry_uses: Option<Grid<f64>>,
    /// Bytes of features and gradients of every link, by receiver and transmitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link_bytes: Option<Grid<u64>>,
    /// Bits of coded features of every link, likewise, where features are coded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link_coded_bits: Option<Grid<u64>>,
    /// Rates of a sample's features, where they are counted against learned priors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rates: Option<Rates>,
    /// How much each receiver counted, where the worst counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<Vec<f64>>,
    /// Seconds that all nodes together spent in each profiler phase.
    pub(crate) work: BTreeMap<&'static str, f64>,
    /// What selectors are likely to draw: for followers alone, not logged.
    #[serde(skip)]
    pub(crate) probabilities: Probabilities,
}

/// By node, the probability of each item to be the first that its selector draws, mean over the round; nothing of a
/// node that draws none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probabilities {
    /// Of transmitters.
    pub(crate) receivers: Vec<Vec<f64>>,
    /// Of modalities.
    pub(crate) transmitters: Vec<Vec<f64>>,
}

/// A line of selection.jsonl: selection as shares of the round's ticks.
#[derive(Serialize)]
struct SelectionLine {
    round: u64,
    /// By receiver, then (k, m) in order: the share of ticks at which the entry was granted.
    granted: Grid<f64>,
    /// By (k, m): the share of ticks at which it was granted to any receiver, and so encoded.
    encoded: Vec<f64>,
    /// By transmitter: how many receivers requested it at a tick, mean over ticks.
    #[serde(rename = "asked")]
    requested: Vec<f64>,
}

/// Gathers the nodes' reports of rounds and logs each round once all have reported it.
pub(crate) struct Rounds {
    scenario: Scenario,
    transmitters: usize,
    receivers: usize,
    ticks: usize,
    /// Samples of a round, where rates are counted against learned priors.
    samples: Option<usize>,
    /// m(k), by transmitter.
    modalities: Vec<usize>,
    pending: BTreeMap<u64, Pending>,
    /// Of each (k, m): whether it is noise.
    noise: Vec<bool>,
    /// Whether lines leave out what is zero.
    is_large: bool,
    verifier: Option<Verifier>,
    metrics: Log,
    selection: Log,
    /// The draws of every round, where they are recorded.
    draws: Option<Log>,
    next: u64,
    /// The line of the last round, while its version is evaluated on validation rows.
    held: Option<Held>,
    feed: Arc<Feed>,
    recent: Recent,
    wire_before: u64,
    /// Totals over all rounds.
    pub(crate) totals: Totals,
    /// The duration of each round, as far as the log says.
    pub(crate) seconds: Vec<f64>,
}

/// A round whose line waits for scores on validation rows.
struct Held {
    metrics: Metrics,
    told: Told,
}

/// What followers of a run are told of a round beside its metrics.
struct Told {
    /// The line of selection.jsonl.
    selection: String,
    /// Its shares, by receiver.
    granted: Vec<Vec<f64>>,
    /// Seconds of each node.
    work: Option<String>,
}

#[derive(Default)]
struct Pending {
    receivers: BTreeMap<usize, ReceiverRound>,
    transmitters: BTreeMap<usize, TransmitterRound>,
}

impl Rounds {
    /// Starts at round `first`, with the totals of a checkpoint if it has any; with `verify`, all reported draws are
    /// verified.
    pub(crate) fn new(
        scenario: &Scenario,
        folder: &RunFolder,
        first: u64,
        committed: Option<&Binding>,
        verify: bool,
        feed: Arc<Feed>,
    ) -> Result<Self, CoordinatorError> {
        let open = |name| Log::open(folder, name, first, committed.and_then(|run| run.logs.get(name)));
        let names = scenario.transmitter.iter().flat_map(|transmitter| &transmitter.modalities);
        let mut rounds = Rounds {
            scenario: scenario.clone(),
            transmitters: scenario.transmitters(),
            receivers: scenario.receivers(),
            ticks: scenario.train.ticks_per_round,
            samples: scenario
                .train
                .has_priors()
                .then_some(scenario.train.ticks_per_round * scenario.train.samples_per_tick),
            modalities: (0..scenario.transmitters()).map(|k| scenario.modalities(k)).collect(),
            noise: names.map(|name| name.starts_with("noise")).collect(),
            is_large: is_large(scenario),
            pending: BTreeMap::new(),
            verifier: (verify || scenario.record.draws).then(|| Verifier::new(scenario)),
            metrics: open(METRICS)?,
            selection: open(SELECTION)?,
            draws: scenario.record.draws.then(|| open(DRAWS)).transpose()?,
            next: first,
            held: None,
            feed,
            recent: Recent::default(),
            wire_before: 0,
            totals: Totals::default(),
            seconds: Vec::new(),
        };
        for (metrics, selection) in lines(folder, METRICS)?.iter().zip(&lines(folder, SELECTION)?) {
            rounds.recall(metrics, selection);
        }
        // The checkpoint's totals hold even if the logs are damaged.
        if let Some(run) = committed {
            rounds.totals = run.totals.clone();
        }
        Ok(rounds)
    }

    /// Makes the logs durable; returns the state of each log, and the totals.
    pub(crate) fn commit(&self) -> Result<(BTreeMap<String, Written>, Totals), CoordinatorError> {
        let (metrics, selection) = (self.metrics.sync()?, self.selection.sync()?);
        let mut logs = BTreeMap::from([(METRICS.to_owned(), metrics), (SELECTION.to_owned(), selection)]);
        if let Some(draws) = &self.draws {
            logs.insert(DRAWS.to_owned(), draws.sync()?);
        }
        Ok((logs, self.totals.clone()))
    }

    /// Counts a round that was logged before this process or incarnation began.
    fn recall(&mut self, metrics: &Value, selection: &Value) {
        let count = |name: &str| metrics["bytes"][name].as_u64().unwrap_or(0);
        let most = |name: &str| metrics[name].as_u64().unwrap_or(0) as u32;
        let ticks = |share: f64| (share * self.ticks as f64).round() as u32;
        let granted = Grid::<f64>::deserialize(&selection["granted"]).ok();
        let counts = granted.iter().flat_map(|granted| granted.cells());
        self.seconds.push(metrics["seconds"].as_f64().unwrap_or(0.0));
        self.recent.push(metrics["n_ce"].as_f64().unwrap_or(0.0));
        self.totals.add(Tally {
            bytes: WireBytes {
                feature: count("feature"),
                gradient: count("gradient"),
                table: count("table"),
                total: count("total"),
            },
            most_asks: most("most_asks"),
            most_entries: most("most_entries"),
            missing: serde_json::from_value(metrics["missing"].clone()).ok(),
            granted: self.noise_and_all(counts.map(|(_, entry, share)| (entry, ticks(share)))),
        });
    }

    /// Bytes through the sockets of the transmitters now running, at the end of the last round.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire_before
    }

    /// Completes the line of the last round with the scores of its version on validation rows, and returns it. `wire`
    /// is the number of bytes through the transmitters' sockets by then: they do not count for the next round.
    pub(crate) fn validated(&mut self, validated: Validated, wire: u64) -> Result<Metrics, CoordinatorError> {
        let out_of_turn =
            || CoordinatorError::Run("a version was evaluated whose round was not reported".into());
        let Held { metrics, told } = self.held.take().ok_or_else(out_of_turn)?;
        let gap = self.recent.gap_to(validated.n_ce);
        let metrics = Metrics { validation: Some(Validated { gap, ..validated }), ..metrics };
        self.wire_before = wire;
        self.publish(&metrics, &told)?;
        Ok(metrics)
    }

    /// Rounds that every node has reported.
    pub(crate) fn whole(&self) -> u64 {
        self.next
    }

    /// Rounds that all receivers have finished: sync ticks may be granted from here.
    pub(crate) fn finished_by_receivers(&self) -> u64 {
        let whole = |pending: &Pending| pending.receivers.len() == self.receivers;
        self.next + self.pending.values().take_while(|pending| whole(pending)).count() as u64
    }

    /// Takes the report of a round that is due, and continues with the metrics of the last round that is whole with it,
    /// if any is; breaks with any other event.
    pub(crate) fn take(
        &mut self,
        event: Event,
    ) -> Result<ControlFlow<Event, Option<Metrics>>, CoordinatorError> {
        match event {
            Event::Report(_, Member { role: Role::Receiver, index }, Report::ReceiverRound(report))
                if report.round == self.due(Role::Receiver, index) =>
            {
                self.receiver(index, report).map(ControlFlow::Continue)
            }
            Event::Report(_, Member { role: Role::Transmitter, index }, Report::TransmitterRound(report))
                if report.round == self.due(Role::Transmitter, index) =>
            {
                self.transmitter(index, report).map(ControlFlow::Continue)
            }
            event => Ok(ControlFlow::Break(event)),
        }
    }

    /// The next round that a node will report: nodes report rounds in order.
    fn due(&self, role: Role, index: usize) -> u64 {
        let has_reported = |pending: &&Pending| match role {
            Role::Receiver => pending.receivers.contains_key(&index),
            Role::Transmitter => pending.transmitters.contains_key(&index),
        };
        self.next + self.pending.values().filter(has_reported).count() as u64
    }

    fn receiver(&mut self, t: usize, report: ReceiverRound) -> Result<Option<Metrics>, CoordinatorError> {
        let due = self.due(Role::Receiver, t);
        let sizes = (self.modalities.iter().sum(), self.transmitters);
        check::receiver_round(&report, due, sizes, self.ticks)
            .map_err(CoordinatorError::blame(format!("receiver {t}")))?;
        self.pending.entry(report.round).or_default().receivers.insert(t, report);
        self.log_whole()
    }

    fn transmitter(
        &mut self,
        k: usize,
        report: TransmitterRound,
    ) -> Result<Option<Metrics>, CoordinatorError> {
        let due = self.due(Role::Transmitter, k);
        check::transmitter_round(&report, due, self.modalities[k], self.ticks, self.receivers)
            .map_err(CoordinatorError::blame(format!("transmitter {k}")))?;
        self.pending.entry(report.round).or_default().transmitters.insert(k, report);
        self.log_whole()
    }

    /// Logs all complete rounds in order; returns the last.
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
            let draws = verifier.verify(&receivers, &transmitters).map_err(CoordinatorError::Run)?;
            if let Some(log) = &mut self.draws {
                log.append(&draws)?;
            }
        }
        let spent: Vec<&Spent> = transmitters.iter().filter_map(|report| report.spent.as_ref()).collect();
        // The sockets' counts are cumulative.
        let wire: u64 = transmitters.iter().map(|report| report.wire_bytes).sum();
        let bytes = WireBytes {
            feature: receivers.iter().map(|report| report.feature_bytes).sum(),
            gradient: receivers.iter().map(|report| report.gradient_bytes).sum(),
            table: spent.iter().map(|spent| spent.table_bytes).sum(),
            total: wire.saturating_sub(self.wire_before),
        };
        self.wire_before = wire;
        let metrics = Metrics {
            round: self.next,
            sum_rate: sum_of_rates(&receivers),
            n_ce: -receivers.iter().map(|report| report.cross_entropy).sum::<f64>(),
            loss: receivers.iter().map(|report| report.objective).sum(),
            logl: receivers.iter().map(|report| report.log_likelihood).sum::<f64>()
                + transmitters.iter().map(|report| report.log_likelihood).sum::<f64>(),
            ce: receivers.iter().map(|report| report.cross_entropy).collect(),
            rate: receivers.iter().map(|report| report.rate).collect(),
            seconds: receivers.iter().map(|report| report.seconds).fold(0.0, f64::max),
            bytes,
            validation: None,
            most_asks: receivers.iter().map(|report| report.most_asks).max().unwrap_or(0),
            most_entries: transmitters.iter().map(|report| report.most_entries).max().unwrap_or(0),
            missing: Missing::sum(receivers.iter().filter_map(|report| report.missing.as_ref())),
            channel: OnAir::of(
                receivers.iter().filter_map(|report| report.air.as_ref()),
                1,
                self.scenario.rate_sent_is_estimate(),
            ),
            link_snr_db: self.grid(link_snr_db(&receivers, self.transmitters)),
            entry_uses: self.grid(entry_uses(&receivers, self.noise.len())),
            link_bytes: self.grid(by_link(&receivers, |report| &report.link_bytes)),
            link_coded_bits: self.grid(by_link(&receivers, |report| &report.link_coded_bits)),
            rates: self
                .samples
                .map(|samples| Rates::of_round(&spent, samples, sum_of_rates(&receivers), bytes.total)),
            weights: receivers.iter().map(|report| report.weight).collect(),
            work: work(
                receivers
                    .iter()
                    .map(|report| &report.work)
                    .chain(transmitters.iter().map(|report| &report.work)),
            ),
            probabilities: Probabilities {
                receivers: receivers.iter().map(|report| report.probabilities.clone()).collect(),
                transmitters: transmitters.iter().map(|report| report.probabilities.clone()).collect(),
            },
        };
        let share = |count: &u32| f64::from(*count) / self.ticks as f64;
        let granted: Vec<Vec<f64>> =
            receivers.iter().map(|report| report.granted.iter().map(share).collect()).collect();
        let selection = SelectionLine {
            round: self.next,
            granted: Grid::new(granted.clone(), self.is_large),
            encoded: transmitters.iter().flat_map(|report| report.encoded.iter().map(share)).collect(),
            requested: transmitters.iter().map(|report| share(&report.requested)).collect(),
        };
        self.seconds.push(metrics.seconds);
        self.totals.add(Tally {
            bytes: metrics.bytes,
            most_asks: metrics.most_asks,
            most_entries: metrics.most_entries,
            missing: metrics.missing,
            granted: self.noise_and_all(
                receivers.iter().flat_map(|report| report.granted.iter().copied().enumerate()),
            ),
        });
        self.recent.push(metrics.n_ce);
        let told = Told {
            work: self.feed.work(&transmitters, &receivers),
            granted,
            selection: self.selection.append(&selection)?,
        };
        // The line is held back until its version has been evaluated on validation rows.
        match self.scenario.validates_at(self.next + 1) {
            true => self.held = Some(Held { metrics: metrics.clone(), told }),
            false => self.publish(&metrics, &told)?,
        }
        Ok(metrics)
    }

    /// Logs the metrics of a round whose selection has been logged, and tells all followers of both.
    fn publish(&mut self, metrics: &Metrics, told: &Told) -> Result<(), CoordinatorError> {
        let line = self.metrics.append(metrics)?;
        let Told { selection, granted, work } = told;
        let lines = RoundLines { metrics: &line, selection, work: work.as_deref() };
        self.feed.round(metrics, &self.totals, granted, lines);
        Ok(())
    }

    /// Numbers by receiver in the form of this network's lines.
    fn grid<T: Copy + Default + PartialEq>(&self, rows: Option<Vec<Vec<T>>>) -> Option<Grid<T>> {
        rows.map(|rows| Grid::new(rows, self.is_large))
    }

    /// Grants of noise entries, and of all entries, from the receivers' counts: of each, the index of its (k, m) and the
    /// number of ticks.
    fn noise_and_all(&self, counts: impl Iterator<Item = (usize, u32)>) -> (u64, u64) {
        let (mut on_noise, mut all) = (0, 0);
        for (entry, count) in counts {
            // A damaged line may name more entries.
            let Some(noise) = self.noise.get(entry) else { continue };
            all += u64::from(count);
            on_noise += if *noise { u64::from(count) } else { 0 };
        }
        (on_noise, all)
    }
}

/// The rate of a tick's granted entries in nats, mean over the round.
fn sum_of_rates(receivers: &[&ReceiverRound]) -> f64 {
    receivers.iter().map(|report| report.rate).sum()
}

/// By receiver and transmitter, what receivers report of their links; none unless all of them report it.
fn by_link(receivers: &[&ReceiverRound], of: impl Fn(&ReceiverRound) -> &[u64]) -> Option<Vec<Vec<u64>>> {
    let all = receivers.iter().all(|report| !of(report).is_empty());
    all.then(|| receivers.iter().map(|report| of(report).to_vec()).collect())
}

/// Sums the nodes' times by profiler phase.
fn work<'a>(nodes: impl Iterator<Item = &'a Vec<f64>>) -> BTreeMap<&'static str, f64> {
    let mut sums = BTreeMap::new();
    for seconds in nodes {
        for (work, seconds) in node::ProfilerPhase::ALL.iter().zip(seconds) {
            *sums.entry(work.name()).or_insert(0.0) += seconds;
        }
    }
    // Clocks count nanoseconds: further digits come from the summation and would only lengthen the log.
    sums.values_mut().for_each(|seconds| *seconds = (*seconds * 1e9).round() / 1e9);
    sums
}
