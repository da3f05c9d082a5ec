use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Names,
    latencies::Histogram,
    under_way::{Answered, Sent},
};

/// Different reasons that are counted by themselves.
const REASONS: usize = 32;

/// What a service has done.
pub(crate) struct Account {
    answered: u64,
    skipped: u64,
    /// Why samples were skipped, and how many.
    reasons: BTreeMap<String, u64>,
    pub(crate) dropped: u64,
    pub(crate) losses: u64,
    batches: u64,
    feature_bytes: u64,
    total: Histogram,
    wait: Histogram,
    encode: Histogram,
    wire: Histogram,
    decode: Histogram,
    /// When the first batch was sent, and when the last was answered.
    since: Option<(Instant, Instant)>,
    /// By receiver: the sum of its scores, and of how many rows.
    scores: Vec<(f64, u64)>,
    /// By receiver: the last draw of u, and version, under which it has answered.
    under: Vec<Option<(u64, u64)>>,
    /// By receiver: what it decoded then.
    selection: Vec<Vec<String>>,
}

impl Account {
    pub(crate) fn new(receivers: usize) -> Self {
        Account {
            answered: 0,
            skipped: 0,
            reasons: BTreeMap::new(),
            dropped: 0,
            losses: 0,
            batches: 0,
            feature_bytes: 0,
            total: Histogram::default(),
            wait: Histogram::default(),
            encode: Histogram::default(),
            wire: Histogram::default(),
            decode: Histogram::default(),
            since: None,
            scores: vec![(0.0, 0); receivers],
            under: vec![None; receivers],
            selection: vec![Vec::new(); receivers],
        }
    }

    /// A receiver has answered a batch.
    pub(crate) fn answered(&mut self, answered: &Answered, now: Instant) {
        let Answered { receiver, batch, answers } = answered;
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
        let (encode, decode) = (seconds(answers.encode), seconds(answers.decode));
        let on_its_way = now.saturating_duration_since(batch.when).saturating_sub(encode + decode);
        for sample in &batch.samples {
            self.total.record(now.saturating_duration_since(sample.came));
            self.wait.record(batch.when.saturating_duration_since(sample.came));
            self.encode.record(encode);
            self.wire.record(on_its_way);
            self.decode.record(decode);
        }
        self.feature_bytes += answers.feature_bytes;
        let score = &mut self.scores[*receiver];
        *score = (score.0 + answers.score, score.1 + answers.judged);
    }

    /// Batches that all receivers have answered.
    pub(crate) fn whole(&mut self, batches: &[Arc<Sent>], now: Instant) {
        for batch in batches {
            self.batches += 1;
            self.answered += batch.samples.len() as u64;
            let (since, _) = self.since.unwrap_or((batch.when, now));
            self.since = Some((since, now));
        }
    }

    /// A sample is not answered, or not by all.
    pub(crate) fn skipped(&mut self, why: &str) {
        self.skipped += 1;
        let is_known = self.reasons.contains_key(why) || self.reasons.len() < REASONS;
        *self.reasons.entry(if is_known { why } else { "other reasons" }.into()).or_default() += 1;
    }

    /// Whether a receiver's answers are its first under a draw and a version.
    pub(crate) fn first_under(&mut self, under: (u64, u64), receiver: usize) -> bool {
        self.under[receiver].replace(under) != Some(under)
    }

    /// What a receiver decodes now.
    pub(crate) fn decodes(&mut self, receiver: usize, entries: Vec<String>) {
        self.selection[receiver] = entries;
    }

    fn samples_per_second(&self) -> f64 {
        let seconds = self.since.map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
        if seconds > 0.0 { self.answered as f64 / seconds } else { 0.0 }
    }

    /// How it stands, in a line.
    pub(crate) fn live_line(&self, waiting: usize) -> String {
        format!(
            "{} answered, {} skipped, {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {waiting} waiting",
            self.answered,
            self.skipped,
            self.samples_per_second(),
            self.total.quantile(0.5),
            self.total.quantile(0.99),
        )
    }

    /// The summary of the service.
    pub(crate) fn summary(&self, names: &Names, version: u64, refused: u64) -> Value {
        let per_sample = |count: u64| count as f64 / self.answered.max(1) as f64;
        let task = |(receiver, name): (usize, &String)| {
            let (score, judged) = self.scores[receiver];
            let metric = if names.classes.contains_key(&receiver) { "top1" } else { "mse" };
            let value = (judged > 0).then(|| score / judged as f64);
            json!({ "receiver": receiver, "name": name, "metric": metric, "value": value, "judged": judged })
        };
        json!({
            "answered": self.answered,
            "skipped": self.skipped,
            "skipped_for": self.reasons,
            "dropped": self.dropped,
            "refused": refused,
            "round": version,
            "draws": self.under.iter().flatten().max().map_or(0, |(last, _)| last + 1),
            "selection": self.selection,
            "losses": self.losses,
            "batches": self.batches,
            "samples_per_batch": self.answered as f64 / self.batches.max(1) as f64,
            "seconds": self.since.map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64()),
            "samples_per_second": self.samples_per_second(),
            "latency_ms": self.total.summary(),
            "stages_ms": {
                "wait": self.wait.summary(),
                "encode": self.encode.summary(),
                "wire": self.wire.summary(),
                "decode": self.decode.summary(),
            },
            "bytes_per_sample": per_sample(self.feature_bytes),
            "bits_per_sample": 8.0 * per_sample(self.feature_bytes),
            "tasks": names.tasks.iter().enumerate().map(task).collect::<Vec<Value>>(),
        })
    }
}

/// The summary as a table.
pub(crate) fn table(summary: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut text = format!(
        "{} samples answered in {:.1} s ({:.0} a second), {} skipped; networks of round {}\n\n",
        summary["answered"],
        number(&summary["seconds"]),
        number(&summary["samples_per_second"]),
        summary["skipped"],
        summary["round"],
    );
    text += "ms        p50      p90      p99    p99.9      max\n";
    let stages = ["wait", "encode", "wire", "decode"].map(|stage| (stage, &summary["stages_ms"][stage]));
    for (name, row) in stages.into_iter().chain([("all", &summary["latency_ms"])]) {
        text += &format!("{name:<6}");
        for column in ["p50", "p90", "p99", "p999", "max"] {
            text += &format!(" {:>8.2}", number(&row[column]));
        }
        text.push('\n');
    }
    text += &format!(
        "\n{:.1} samples a batch, {:.0} bytes of features a sample\n",
        number(&summary["samples_per_batch"]),
        number(&summary["bytes_per_sample"]),
    );
    for task in summary["tasks"].as_array().into_iter().flatten().filter(|task| !task["value"].is_null()) {
        text += &format!(
            "receiver {} {}: {} {:.4} over {} samples\n",
            task["receiver"],
            task["name"].as_str().unwrap_or_default(),
            task["metric"].as_str().unwrap_or_default(),
            number(&task["value"]),
            task["judged"],
        );
    }
    for (why, count) in summary["skipped_for"].as_object().into_iter().flatten() {
        text += &format!("skipped {count}: {why}\n");
    }
    text
}
