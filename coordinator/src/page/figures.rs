use std::collections::BTreeMap;

use node::{Exposition, Samples};
use scenario::Scenario;
use serde_json::Value;

use crate::{
    rounds::Metrics,
    totals::{Totals, WireBytes},
};

/// The figures of a run for a scraper.
#[derive(Default)]
pub(crate) struct Figures {
    labels: [(&'static str, String); 4],
    tasks: Vec<String>,
    last: Option<Metrics>,
    bytes: WireBytes,
    /// Seconds that all nodes spent since this coordinator began, by profiler phase.
    work: BTreeMap<&'static str, f64>,
    /// Seconds of all rounds since then.
    seconds: f64,
}

impl Figures {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let labels = [
            ("scenario", scenario.name.clone()),
            ("method", scenario.train.method.name().into()),
            ("seed", scenario.seed.to_string()),
            ("version", proto::VERSION.into()),
        ];
        Figures { labels, tasks: scenario.tasks(), ..Figures::default() }
    }

    pub(crate) fn round(&mut self, metrics: &Metrics, totals: &Totals) {
        for (kind, seconds) in &metrics.work {
            *self.work.entry(kind).or_insert(0.0) += seconds;
        }
        self.seconds += metrics.seconds;
        self.bytes = totals.bytes;
        self.last = Some(metrics.clone());
    }

    /// The text of all metrics; `status` is what the run does now.
    pub(crate) fn text(&self, status: &Value) -> String {
        let labels: Vec<(&str, &str)> =
            self.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let of = |name: &str| status[name].as_f64();
        let one =
            |value: Option<f64>| value.map(|value| (Vec::new(), value)).into_iter().collect::<Samples<'_>>();
        let yes = |holds: bool| Some(f64::from(u8::from(holds)));
        let last = self.last.as_ref();
        let indices: Vec<String> = (0..self.tasks.len()).map(|t| t.to_string()).collect();
        let by_receiver = |of: fn(&Metrics) -> &[f64]| -> Samples<'_> {
            let values = last.map(of).unwrap_or_default();
            let sample = |((index, task), value)| (vec![("receiver", index), ("task", task)], value);
            let names = indices.iter().map(String::as_str).zip(self.tasks.iter().map(String::as_str));
            names.zip(values.iter().copied()).map(sample).collect()
        };
        let nodes = status["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let by_node = |of: fn(&Value) -> Option<f64>| -> Samples<'_> {
            let mut samples = Samples::new();
            for node in nodes {
                if let (Some(name), Some(value)) = (node["node"].as_str(), of(node)) {
                    samples.push((vec![("node", name)], value));
                }
            }
            samples
        };
        let bytes = [
            ("feature", self.bytes.feature),
            ("gradient", self.bytes.gradient),
            ("table", self.bytes.table),
            ("all", self.bytes.total),
        ];
        let bytes: Samples<'_> =
            bytes.iter().map(|(kind, count)| (vec![("kind", *kind)], *count as f64)).collect();
        let work: Samples<'_> =
            self.work.iter().map(|(kind, seconds)| (vec![("kind", *kind)], *seconds)).collect();
        Exposition::default()
            .gauge("pom2dib_info", "What is run; always 1.", &vec![(labels, 1.0)])
            .gauge("pom2dib_round", "Rounds that every node has reported.", &one(of("round")))
            .gauge("pom2dib_rounds", "Rounds of the run.", &one(of("rounds")))
            .gauge("pom2dib_checkpoint_round", "Version of the last checkpoint.", &one(of("checkpoint")))
            .gauge(
                "pom2dib_incarnation",
                "Times that the network has begun or gone back.",
                &one(of("incarnation")),
            )
            .gauge("pom2dib_paused", "Whether no rounds are granted.", &one(yes(status["paused"] == true)))
            .counter("pom2dib_rollbacks_total", "Times that the network went back.", &one(of("rollbacks")))
            .gauge(
                "pom2dib_n_ce_nats",
                "Minus the sum of the cross entropies of the last round.",
                &one(last.map(|last| last.n_ce)),
            )
            .gauge(
                "pom2dib_sum_rate_nats",
                "Rate of the last round's granted entries.",
                &one(last.map(|last| last.sum_rate)),
            )
            .gauge(
                "pom2dib_loss",
                "Sum of the objectives of the last round.",
                &one(last.map(|last| last.loss)),
            )
            .gauge(
                "pom2dib_cross_entropy_nats",
                "Cross entropy of the last round.",
                &by_receiver(|last| &last.ce),
            )
            .gauge("pom2dib_rate_nats", "Rate of the last round.", &by_receiver(|last| &last.rate))
            .gauge("pom2dib_round_seconds", "Time of the last round.", &one(last.map(|last| last.seconds)))
            .counter(
                "pom2dib_rounds_seconds_total",
                "Time of all rounds since the coordinator began.",
                &one(Some(self.seconds)),
            )
            .counter("pom2dib_bytes_total", "Bytes between transmitters and receivers in training.", &bytes)
            .counter(
                "pom2dib_work_seconds_total",
                "Time of all compute threads since the coordinator began.",
                &work,
            )
            .gauge(
                "pom2dib_node_up",
                "Whether a node has its place.",
                &by_node(|node| Some(f64::from(u8::from(node["joined"] == true)))),
            )
            .gauge(
                "pom2dib_node_version",
                "Steps that a node's parameters have taken.",
                &by_node(|node| node["version"].as_f64()),
            )
            .gauge(
                "pom2dib_node_silent_seconds",
                "Time since a node was heard.",
                &by_node(|node| node["silent_seconds"].as_f64()),
            )
            .gauge(
                "pom2dib_node_memory_bytes",
                "Memory of a node's process.",
                &by_node(|node| node["memory_bytes"].as_f64()),
            )
            .gauge(
                "pom2dib_node_round_trip_seconds",
                "Time to the coordinator and back.",
                &by_node(|node| node["round_trip_seconds"].as_f64()),
            )
            .text()
    }
}
