//! What must hold of a stream, whatever happened to its network.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::SampleSource;
use serde_json::Value;

use super::{StreamRecord, observed};
use crate::plan::Plan;

/// What has become of a sample at a receiver.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    Skipped,
}

/// What is wrong with the answers: every sample that was taken is answered once by each receiver or named as skipped,
/// none twice, each receiver's answers come in order, and each is that of its own sample.
pub(crate) fn judge(plan: &Plan, stream: &StreamRecord, summary: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let receivers = plan.shape.receivers;
    let mut fates: BTreeMap<(u64, usize), Fate> = BTreeMap::new();
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for line in &stream.lines {
        let seq = line["seq"].as_u64().unwrap_or(u64::MAX);
        let receiver = line["receiver"].as_u64().map(|t| t as usize);
        let fate = if line.get("skipped").is_some() { Fate::Skipped } else { Fate::Answered };
        for t in receiver.map_or(0..receivers, |t| t..t + 1) {
            if fates.insert((seq, t), fate).is_some() {
                wrong.push(format!("sample {seq} has two fates at receiver {t}"));
            }
        }
        if fate == Fate::Answered {
            let t = receiver.unwrap_or(usize::MAX);
            if last.insert(t, seq).is_some_and(|before| before >= seq) {
                wrong.push(format!("receiver {t} answers sample {seq} out of order"));
            }
            wrong.extend(wrong_answer(plan, stream, seq, line));
        }
    }
    wrong.extend(wrong_samples(plan, stream, &fates, summary));
    wrong
}

fn is_test(plan: &Plan) -> bool {
    plan.service.as_ref().is_some_and(|service| service.stream.source == SampleSource::Test)
}

/// An answer sums what its entries observed of the sample: of that one, and of what was sent of it.
fn wrong_answer(plan: &Plan, stream: &StreamRecord, seq: u64, line: &Value) -> Option<String> {
    let entries: BTreeSet<usize> = line["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str()?.split_once(':')?.0.parse().ok())
        .collect();
    let expected = entries.len() as f64 * f64::from(observed(seq));
    let sum = line["label"][0].as_f64();
    if sum != Some(expected) {
        return Some(format!("sample {seq}: {line}, and {expected} is right"));
    }
    let sent = stream.sent.get(&seq);
    let is_sent = is_test(plan) || sent.is_some_and(|sent| entries.is_subset(sent));
    (!is_sent).then(|| format!("sample {seq} is answered with what nobody sent: {line}"))
}

/// Samples without a fate, or that nobody sent; and what the summary counts.
fn wrong_samples(
    plan: &Plan,
    stream: &StreamRecord,
    fates: &BTreeMap<(u64, usize), Fate>,
    summary: &Value,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let known: BTreeSet<u64> = fates.keys().map(|(seq, _)| *seq).collect();
    let of = |seq: u64| (0..plan.shape.receivers).map(move |t| fates.get(&(seq, t)));
    let taken: BTreeSet<u64> = match is_test(plan) {
        // The test set's rows are counted one by one.
        true => (0..known.last().map_or(0, |last| last + 1)).collect(),
        false => stream.taken.iter().map(|(seq, _)| *seq).collect(),
    };
    for &seq in taken.union(&known) {
        if of(seq).any(|fate| fate.is_none()) {
            wrong.push(format!("sample {seq} was taken, and is neither answered by all nor skipped"));
        }
        if !is_test(plan) && !stream.sent.contains_key(&seq) {
            wrong.push(format!("sample {seq} was never sent"));
        }
    }
    let answered = known.iter().filter(|seq| of(**seq).all(|fate| fate == Some(&Fate::Answered))).count();
    for (key, count) in [("answered", answered), ("skipped", known.len() - answered)] {
        if summary[key].as_u64() != Some(count as u64) {
            wrong.push(format!("the summary says {} {key}, and {count} were", summary[key]));
        }
    }
    // A part that was taken is in no second sample's answer, nor in two messages.
    let mut parts = BTreeSet::new();
    for (seq, transmitters) in &stream.taken {
        for k in transmitters {
            if !parts.insert((*seq, *k)) {
                wrong.push(format!("what transmitter {k} observed of sample {seq} was taken twice"));
            }
        }
    }
    wrong
}
