use std::{collections::BTreeMap, ops::ControlFlow};

use node::Role;
use proto::v1::{Cluster, EntryRate, ReceiverPass, TransmitterPass, report::Report};
use randomness::Seed;
use scenario::{Rate, RateEstimator, Scenario, Train};
use serde::Serialize;

use crate::{
    CoordinatorError, Missing, OnAir, Rates, Recordings, Strengths, check,
    interval::{Cell, bootstrap_interval},
    members::Member,
    score::ClassScores,
    service::Event,
    summary::{ClassCounts, Confusion, TaskResult, Test},
    validation::Validated,
};

/// Above this number of classes the summary omits the confusion matrix, which grows with its square.
const MOST_CLASSES_SHOWN: usize = 100;

/// Gathers the nodes' reports of evaluation passes.
pub(crate) struct Evaluation {
    /// The number of the first pass.
    first: u64,
    passes: u64,
    receivers: BTreeMap<(u64, usize), ReceiverPass>,
    transmitters: BTreeMap<(u64, usize), TransmitterPass>,
    /// m(k) of every transmitter.
    modalities: Vec<usize>,
    receiver_count: usize,
    /// Class counts of the receivers that classify.
    classes: Vec<ClassCounts>,
    /// Whether the rate of what is sent is one of features before a channel changed them.
    rate_sent_is_estimate: bool,
    /// By receiver.
    tasks: Vec<String>,
}

/// The scores of the passes over the test set that all receivers have finished, for who follows a run.
#[derive(Debug, Serialize)]
pub(crate) struct SoFar {
    /// How many of them there are.
    pass: u64,
    passes: u64,
    n_ce: f64,
    tasks: Vec<TaskSoFar>,
}

/// A row for each metric of a task, named as in the summary.
#[derive(Debug, Serialize)]
struct TaskSoFar {
    name: String,
    metric: String,
    value: f64,
    ce: f64,
}

impl Evaluation {
    pub(crate) fn new(scenario: &Scenario, classes: Vec<ClassCounts>) -> Self {
        Evaluation {
            first: node::first_pass(false),
            passes: scenario.evaluation.passes,
            receivers: BTreeMap::new(),
            transmitters: BTreeMap::new(),
            modalities: (0..scenario.transmitters()).map(|k| scenario.modalities(k)).collect(),
            receiver_count: scenario.receivers(),
            classes,
            rate_sent_is_estimate: scenario.rate_sent_is_estimate(),
            tasks: scenario.tasks(),
        }
    }

    /// The same for passes over validation rows.
    pub(crate) fn of_validation(scenario: &Scenario) -> Self {
        let (first, passes) = (node::first_pass(true), scenario.evaluation.validation_passes);
        Evaluation { first, passes, ..Evaluation::new(scenario, Vec::new()) }
    }

    /// Takes the report of a pass that is due; breaks with any other event.
    pub(crate) fn take(&mut self, event: Event) -> Result<ControlFlow<Event>, CoordinatorError> {
        match event {
            Event::Report(_, Member { role: Role::Receiver, index }, Report::ReceiverPass(report))
                if self.expects(Role::Receiver, index, report.pass) =>
            {
                self.receiver(index, report)?
            }
            Event::Report(_, Member { role: Role::Transmitter, index }, Report::TransmitterPass(report))
                if self.expects(Role::Transmitter, index, report.pass) =>
            {
                self.transmitter(index, report)?
            }
            event => return Ok(ControlFlow::Break(event)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn expects(&self, role: Role, index: usize, pass: u64) -> bool {
        let due = self.due(role, index);
        due < self.passes && pass == self.first + due
    }

    /// The next pass that a node will report, counted from the first: nodes report passes in order.
    fn due(&self, role: Role, index: usize) -> u64 {
        let is_own = |(_, own): &&(u64, usize)| *own == index;
        match role {
            Role::Receiver => self.receivers.keys().filter(is_own).count() as u64,
            Role::Transmitter => self.transmitters.keys().filter(is_own).count() as u64,
        }
    }

    fn receiver(&mut self, t: usize, report: ReceiverPass) -> Result<(), CoordinatorError> {
        let due = self.due(Role::Receiver, t);
        check::receiver_pass(&report, self.first + due, t, &self.modalities)
            .map_err(CoordinatorError::blame(format!("receiver {t}")))?;
        let is_other =
            |first: &ReceiverPass| first.metrics != report.metrics || first.classes != report.classes;
        if self.receivers.get(&(0, t)).is_some_and(is_other) {
            return Err(CoordinatorError::Run(format!("receiver {t} changed its metrics between passes")));
        }
        self.receivers.insert((due, t), report);
        Ok(())
    }

    fn transmitter(&mut self, k: usize, report: TransmitterPass) -> Result<(), CoordinatorError> {
        let due = self.due(Role::Transmitter, k);
        check::transmitter_pass(&report, self.first + due, k, self.receiver_count, &self.modalities)
            .map_err(CoordinatorError::blame(format!("transmitter {k}")))?;
        self.transmitters.insert((due, k), report);
        Ok(())
    }

    /// The number of the first pass.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Whether the passes are over the test set.
    pub(crate) fn is_of_test(&self) -> bool {
        self.first == node::first_pass(false)
    }

    /// The scores of the passes that all receivers have finished, of which there is one at least.
    pub(crate) fn so_far(&self) -> SoFar {
        let pass = self.finished();
        let mean = |t: usize, value: &dyn Fn(&Cluster) -> f64| {
            let rows = self.clusters(t, pass).map(|cluster| f64::from(cluster.samples)).sum::<f64>();
            self.clusters(t, pass).map(value).sum::<f64>() / rows
        };
        let losses: Vec<f64> =
            (0..self.receiver_count).map(|t| mean(t, &|cluster| cluster.cross_entropy)).collect();
        let row = |t: usize, position: usize, metric: &String| TaskSoFar {
            name: self.tasks[t].clone(),
            metric: metric.clone(),
            value: mean(t, &|cluster| cluster.scores.get(position).copied().unwrap_or(f64::NAN)),
            ce: losses[t],
        };
        let mut tasks = Vec::new();
        for t in 0..self.receiver_count {
            let metrics =
                self.receivers.get(&(0, t)).map(|report| report.metrics.as_slice()).unwrap_or_default();
            tasks.extend(metrics.iter().enumerate().map(|(position, metric)| row(t, position, metric)));
        }
        SoFar { pass, passes: self.passes, n_ce: -losses.iter().sum::<f64>(), tasks }
    }

    /// Receiver t's results in the first passes, recording by recording.
    fn clusters(&self, t: usize, passes: u64) -> impl Iterator<Item = &Cluster> {
        let reports = (0..passes).filter_map(move |pass| self.receivers.get(&(pass, t)));
        reports.flat_map(|report| &report.clusters)
    }

    /// Passes that all receivers have finished.
    pub(crate) fn finished(&self) -> u64 {
        let whole =
            |pass: &u64| self.receivers.range((*pass, 0)..(*pass + 1, 0)).count() == self.receiver_count;
        (0..self.passes).take_while(whole).count() as u64
    }

    /// Whether all reports of all passes are in.
    pub(crate) fn is_complete(&self) -> bool {
        self.finished() == self.passes
            && self.transmitters.len() as u64 == self.passes * self.modalities.len() as u64
    }

    /// Every receiver's loss on each test recording.
    pub(crate) fn recordings(&self) -> Option<Recordings> {
        let of = |t: usize| {
            let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
            reports.map(|report| report.clusters.as_slice()).collect()
        };
        Recordings::of(&(0..self.receiver_count).map(of).collect::<Vec<Vec<&[Cluster]>>>())
    }

    /// The scores on validation rows, without those parts that need the training history.
    pub(crate) fn validated(&self) -> Validated {
        let ce: Vec<f64> = (0..self.receiver_count).map(|t| self.loss(t)).collect();
        let first_score = |t| mean(&self.cells(t, |cluster| cluster.scores.first().copied().unwrap_or(0.0)));
        let rates = self.receivers.values().flat_map(|report| &report.entries).map(|entry| entry.rate);
        Validated {
            n_ce: -ce.iter().sum::<f64>(),
            gap: 0.0,
            sum_rate: rates.sum::<f64>() / self.passes as f64,
            scores: (0..self.receiver_count).map(first_score).collect(),
            ce,
            best: false,
        }
    }

    /// Bytes through the transmitters' sockets when all passes were done.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.transmitters.range((self.passes - 1, 0)..).map(|(_, report)| report.wire_bytes).sum()
    }

    /// The scores.
    pub(crate) fn test(&self, scenario: &Scenario, seed: Seed) -> Test {
        let losses = (0..self.receiver_count).map(|t| self.loss(t)).sum::<f64>();
        let tasks = (0..self.receiver_count).flat_map(|t| self.task(scenario, seed, t)).collect();
        let passes = self.passes as f64;
        let rates = self.receivers.values().flat_map(|report| &report.entries).map(|entry| entry.rate);
        let granted = self.receivers.values().flat_map(shares).map(|(_, share)| share);
        // Who leaves out samples without a label judges fewer than others.
        let first = self.receivers.range((0, 0)..(1, 0)).map(|(_, report)| samples(&report.clusters)).max();
        let joint = self.transmitters.range((0, 0)..(1, 0)).map(|(_, report)| report);
        Test {
            n_ce: -losses,
            n_ce_ci95: self.n_ce_interval(seed),
            sum_rate: rates.sum::<f64>() / passes,
            rate_estimator: rate_estimator(&scenario.train).into(),
            rate_samples: scenario.rate_samples(),
            joint_rate: joint.clone().flat_map(|report| &report.joint).map(|entry| entry.rate).sum(),
            joint_ceiling: joint.clone().flat_map(|report| &report.joint).map(|entry| entry.ceiling).sum(),
            joint_rate_rows: scenario.evaluation.joint_rate_rows,
            joint_rate_samples: joint.map(|report| report.samples).max().unwrap_or(0),
            samples: first.unwrap_or(0),
            passes: self.passes,
            ci95_over: format!("bootstrap over test {} and passes", clusters(scenario)),
            tasks,
            classes: self.classes.iter().filter(|of| of.train.len() <= MOST_CLASSES_SHOWN).cloned().collect(),
            confusion: (0..self.receiver_count).filter_map(|t| self.confusion(scenario, t)).collect(),
            selected_entries: granted.sum::<f64>() / passes,
            selection: self.selection(scenario),
            entry_rates: self.entry_rates(),
            entry_uses: self.entry_uses(),
            missing: Missing::sum(self.receivers.values().filter_map(|report| report.missing.as_ref())),
        }
    }

    /// Channel use for a test sample; none if all channels are ideal.
    pub(crate) fn channel(&self) -> Option<OnAir> {
        let reports = self.receivers.values().filter_map(|report| report.air.as_ref());
        OnAir::of(reports, self.passes, self.rate_sent_is_estimate)
    }

    /// How strong links were, where any changes from tick to tick.
    pub(crate) fn strengths(&self) -> Option<Strengths> {
        Strengths::of(self.receivers.values().filter_map(|report| report.strengths.as_ref()))
    }

    /// The rates of a test sample's features. `before` is the number of bytes that had gone through the transmitters'
    /// sockets when the evaluation began.
    pub(crate) fn rates(&self, before: u64) -> Option<Rates> {
        Rates::of_passes(self.transmitters.values(), before)
    }

    /// A row for each metric of receiver t's task.
    fn task(&self, scenario: &Scenario, seed: Seed, t: usize) -> Vec<TaskResult> {
        let name = &scenario.receiver[t].task;
        let metrics = self.receivers.get(&(0, t)).map(|report| report.metrics.as_slice()).unwrap_or_default();
        let by_class = self.class_scores(t);
        let majority = self.classes.iter().find(|of| of.receiver == t).map(|of| of.majority);
        let row = |(position, metric): (usize, &String)| {
            let by_class = by_class.as_ref().filter(|_| metric == check::TOP1);
            let scores = self.cells(t, |cluster| cluster.scores[position]);
            TaskResult {
                name: name.clone(),
                metric: metric.clone(),
                value: mean(&scores),
                ci95: bootstrap_interval(seed, name, &scores),
                ce: self.loss(t),
                balanced_accuracy: by_class.map(ClassScores::balanced_accuracy),
                macro_f1: by_class.map(ClassScores::macro_f1),
                majority: by_class.and(majority),
            }
        };
        metrics.iter().enumerate().map(row).collect()
    }

    /// Receiver t's counts of each class in all passes; none if it does not classify.
    fn class_scores(&self, t: usize) -> Option<ClassScores> {
        let classes = self.receivers.get(&(0, t))?.classes as usize;
        let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
        let cells = reports.flat_map(|report| &report.confusion);
        let cells = cells.map(|cell| (cell.label as usize, cell.answer as usize, cell.samples));
        (classes > 0).then(|| ClassScores::of(classes, cells))
    }

    /// Receiver t's confusion matrix over all passes, if it classifies into few enough classes to show.
    fn confusion(&self, scenario: &Scenario, t: usize) -> Option<Confusion> {
        let classes = self.receivers.get(&(0, t))?.classes as usize;
        if !(1..=MOST_CLASSES_SHOWN).contains(&classes) {
            return None;
        }
        let mut counts = vec![vec![0; classes]; classes];
        let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
        for cell in reports.flat_map(|report| &report.confusion) {
            counts[cell.label as usize][cell.answer as usize] += cell.samples;
        }
        Some(Confusion { receiver: t, task: scenario.receiver[t].task.clone(), counts })
    }

    /// Cross entropy in nats of receiver t's joint decoder (or the mean squared error in training units).
    fn loss(&self, t: usize) -> f64 {
        mean(&self.cells(t, |cluster| cluster.cross_entropy))
    }

    /// The interval of N-CE: recordings and passes are resampled for all receivers at once, since they share them.
    fn n_ce_interval(&self, seed: Seed) -> Option<[f64; 2]> {
        let mut together = self.cells(0, |cluster| cluster.cross_entropy);
        for t in 1..self.receiver_count {
            let own = self.cells(t, |cluster| cluster.cross_entropy);
            for (sums, cells) in together.iter_mut().zip(own) {
                let same =
                    |(id, cell): (&u32, &Cell)| sums.get(id).is_some_and(|sum| sum.samples == cell.samples);
                if sums.len() != cells.len() || !cells.iter().all(same) {
                    return None;
                }
                cells.iter().for_each(|(id, cell)| sums.entry(*id).or_default().sum += cell.sum);
            }
        }
        let [low, high] = bootstrap_interval(seed, "N-CE", &together);
        Some([-high, -low])
    }

    /// Receiver t's results, by pass and cluster.
    fn cells(&self, t: usize, value: impl Fn(&Cluster) -> f64) -> Vec<BTreeMap<u32, Cell>> {
        let cell = |cluster: &Cluster| Cell { samples: cluster.samples.into(), sum: value(cluster) };
        let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
        reports
            .map(|report| report.clusters.iter().map(|cluster| (cluster.id, cell(cluster))).collect())
            .collect()
    }

    fn entry_rates(&self) -> Vec<Vec<Vec<Option<f64>>>> {
        let of = |t: usize, k: usize, m: usize| {
            let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
            let is_it = |entry: &&EntryRate| (entry.transmitter as usize, entry.modality as usize) == (k, m);
            let found: Vec<(f64, f64)> = reports
                .filter_map(|report| shares(report).find(|(entry, _)| is_it(entry)))
                .map(|(entry, share)| (entry.rate, share))
                .collect();
            // Of the samples for which it was granted.
            let granted = found.iter().map(|(_, share)| share).sum::<f64>();
            (granted > 0.0).then(|| found.iter().map(|(rate, _)| rate).sum::<f64>() / granted)
        };
        let of_transmitter = |t: usize, k: usize| (0..self.modalities[k]).map(|m| of(t, k, m)).collect();
        let of_receiver = |t: usize| (0..self.modalities.len()).map(|k| of_transmitter(t, k)).collect();
        (0..self.receiver_count).map(of_receiver).collect()
    }

    fn entry_uses(&self) -> Vec<Vec<Vec<f64>>> {
        if self.receivers.values().all(|report| report.entry_uses.is_empty()) {
            return Vec::new();
        }
        let of = |t: usize, entry: usize| {
            let reports = (0..self.passes).filter_map(|pass| self.receivers.get(&(pass, t)));
            let uses: f64 = reports.filter_map(|report| report.entry_uses.get(entry)).sum();
            uses / self.passes as f64
        };
        let of_receiver = |t: usize| {
            let mut end = 0;
            let of_transmitter = |&count: &usize| -> Vec<f64> {
                end += count;
                (end - count..end).map(|entry| of(t, entry)).collect()
            };
            self.modalities.iter().map(of_transmitter).collect()
        };
        (0..self.receiver_count).map(of_receiver).collect()
    }

    fn selection(&self, scenario: &Scenario) -> Vec<Vec<Vec<f64>>> {
        let empty: Vec<Vec<f64>> =
            scenario.transmitter.iter().map(|transmitter| vec![0.0; transmitter.modalities.len()]).collect();
        let mut selection = vec![empty; self.receiver_count];
        for ((_, t), report) in &self.receivers {
            for (entry, share) in shares(report) {
                selection[*t][entry.transmitter as usize][entry.modality as usize] +=
                    share / self.passes as f64;
            }
        }
        selection
    }
}

/// The plural name of what test rows in one cluster of the bootstrap share.
fn clusters(scenario: &Scenario) -> &'static str {
    // A data set that this program does not know is evaluated by a program that does.
    node::data_source(scenario, None).map_or("rows", |data| data.clusters_are())
}

/// Name of the rate estimator.
fn rate_estimator(train: &Train) -> &'static str {
    match (train.rate(), train.rate_estimator) {
        (Rate::Bits, _) => "bits",
        (Rate::Entropy, _) => "entropy, no mutual information",
        (Rate::Information, RateEstimator::PerDimension) => "per-dimension",
        (Rate::Information, RateEstimator::Joint) => "joint",
        (Rate::Information, RateEstimator::Prior) => "prior",
    }
}

/// The entries of a pass, and for what part of the test samples each was granted.
fn shares(report: &ReceiverPass) -> impl Iterator<Item = (&EntryRate, f64)> {
    let share = |position: usize| report.shares.get(position).copied().unwrap_or(1.0);
    report.entries.iter().enumerate().map(move |(position, entry)| (entry, share(position)))
}

fn samples(clusters: &[Cluster]) -> u64 {
    clusters.iter().map(|cluster| u64::from(cluster.samples)).sum()
}

fn mean(passes: &[BTreeMap<u32, Cell>]) -> f64 {
    let cells = || passes.iter().flat_map(BTreeMap::values);
    cells().map(|cell| cell.sum).sum::<f64>() / cells().map(|cell| cell.samples).sum::<f64>()
}
