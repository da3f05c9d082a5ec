use std::collections::BTreeMap;

use prost::Message;
use scenario::Scenario;

use super::messages::{
    Content, Histogram, HyperParameters, Kind, Metadata, Parameter, Plugin, SessionEnd, SessionStart, Value,
};
use crate::{
    Summary as RunSummary,
    rounds::{Metrics, Probabilities},
};

/// Buckets of a histogram.
const BUCKETS: usize = 30;

/// The plug-in that tables hyper-parameters.
const HPARAMS: &str = "hparams";

/// The scalars of a round.
pub(crate) fn of_round(metrics: &Metrics, tasks: &[String]) -> Vec<Value> {
    let mut values = vec![
        scalar("training/n_ce", metrics.n_ce),
        scalar("training/sum_rate", metrics.sum_rate),
        scalar("training/loss", metrics.loss),
        scalar("training/log_likelihood", metrics.logl),
        scalar("cost/seconds", metrics.seconds),
        scalar("cost/bytes", metrics.bytes.total as f64),
    ];
    let by_task = |group: &str, of: &[f64]| -> Vec<Value> {
        let one = |(t, value): (usize, &f64)| scalar(&format!("{group}/{t} {}", tasks[t]), *value);
        of.iter().enumerate().map(one).collect()
    };
    values.extend(by_task("cross entropy", &metrics.ce));
    values.extend(by_task("rate", &metrics.rate));
    if let Some(validation) = &metrics.validation {
        values.push(scalar("validation/n_ce", validation.n_ce));
        values.push(scalar("validation/sum_rate", validation.sum_rate));
        values.extend(by_task("validation score", &validation.scores));
    }
    values.extend(metrics.work.iter().map(|(kind, seconds)| scalar(&format!("work/{kind}"), *seconds)));
    values
}

/// The receivers' rates, the shares at which entries were granted, and the probabilities of what each node that has a
/// selector draws first.
pub(crate) fn histograms(metrics: &Metrics, granted: &[Vec<f64>], tasks: &[String]) -> Vec<Value> {
    let shares: Vec<f64> = granted.iter().flatten().copied().collect();
    let mut values =
        vec![histogram("rate/of a receiver", &metrics.rate), histogram("selection/shares", &shares)];
    let Probabilities { receivers, transmitters } = &metrics.probabilities;
    let receivers = receivers.iter().enumerate().map(|(t, own)| (format!("receiver {t} {}", tasks[t]), own));
    let transmitters = transmitters.iter().enumerate().map(|(k, own)| (format!("transmitter {k}"), own));
    for (node, own) in receivers.chain(transmitters).filter(|(_, own)| !own.is_empty()) {
        values.push(histogram(&format!("selector probabilities/{node}"), own));
    }
    values
}

/// The scores on the test set, and that the run has ended.
pub(crate) fn of_test(summary: &RunSummary, now: f64) -> impl Iterator<Item = Value> {
    let mut values =
        vec![scalar("test/n_ce", summary.test.n_ce), scalar("test/sum_rate", summary.test.sum_rate)];
    let tasks = summary.test.tasks.iter();
    values.extend(tasks.map(|task| scalar(&format!("test/{} {}", task.name, task.metric), task.value)));
    let end = SessionEnd { status: 1, end_seconds: now };
    let data = HyperParameters { version: 0, end: Some(end), start: None };
    values.push(plugin("_hparams_/session_end_info", &data));
    values.into_iter()
}

/// The keys of a scenario as hyper-parameters.
pub(crate) fn hyper_parameters(scenario: &Scenario, now: f64) -> Vec<Value> {
    let mut parameters = BTreeMap::new();
    if let Ok(table) = scenario.to_toml().parse::<toml::Table>() {
        flatten("", &table, &mut parameters);
    }
    let start = SessionStart { parameters, group: String::new(), start_seconds: now };
    let data = HyperParameters { version: 0, start: Some(start), end: None };
    vec![plugin("_hparams_/session_start_info", &data)]
}

/// Numbers, texts and truths of a table and those below it; lists of nodes and links are no hyper-parameters.
fn flatten(above: &str, table: &toml::Table, parameters: &mut BTreeMap<String, Parameter>) {
    for (key, value) in table {
        let name = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        let kind = match value {
            toml::Value::Table(below) => {
                flatten(&name, below, parameters);
                continue;
            }
            toml::Value::Integer(number) => Kind::Number(*number as f64),
            toml::Value::Float(number) => Kind::Number(*number),
            toml::Value::Boolean(truth) => Kind::Truth(*truth),
            toml::Value::String(text) => Kind::Text(text.clone()),
            _ => continue,
        };
        parameters.insert(name, Parameter { kind: Some(kind) });
    }
}

fn plugin(tag: &str, data: &HyperParameters) -> Value {
    let plugin = Plugin { name: HPARAMS.into(), content: data.encode_to_vec() };
    Value { tag: tag.into(), metadata: Some(Metadata { plugin: Some(plugin) }), content: None }
}

fn scalar(tag: &str, value: f64) -> Value {
    Value { tag: tag.into(), metadata: None, content: Some(Content::Scalar(value as f32)) }
}

fn histogram(tag: &str, values: &[f64]) -> Value {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let min = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let max = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (min, max) = if finite.is_empty() { (0.0, 0.0) } else { (min, max) };
    let wide = ((max - min) / BUCKETS as f64).max(f64::MIN_POSITIVE);
    let mut bucket = vec![0.0; BUCKETS];
    for value in &finite {
        bucket[(((value - min) / wide) as usize).min(BUCKETS - 1)] += 1.0;
    }
    let mut bucket_limit: Vec<f64> = (1..=BUCKETS).map(|end| min + wide * end as f64).collect();
    bucket_limit[BUCKETS - 1] = max.max(bucket_limit[BUCKETS - 1]);
    let histogram = Histogram {
        min,
        max,
        num: finite.len() as f64,
        sum: finite.iter().sum(),
        sum_squares: finite.iter().map(|value| value * value).sum(),
        bucket_limit,
        bucket,
    };
    Value { tag: tag.into(), metadata: None, content: Some(Content::Histogram(histogram)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_value_once() {
        for values in [&[0.0, 0.5, 1.0, 1.0][..], &[3.0, 3.0], &[]] {
            let Some(Content::Histogram(histogram)) = histogram("x", values).content else { panic!("one") };
            assert_eq!(histogram.bucket.iter().sum::<f64>(), values.len() as f64);
            assert_eq!(histogram.num, values.len() as f64);
            assert!(histogram.bucket_limit.windows(2).all(|two| two[0] <= two[1]));
        }
    }
}
