//! Answers as lines of JSON.

use std::fmt::Write;

use proto::decode_bits;
use serde_json::json;
use tokio::time::Instant;

use super::{Names, under_way::Answered};

/// A line for each sample of a batch that a receiver has answered.
pub(crate) fn lines(answered: &Answered, came: Instant, names: &Names, text: &mut String) {
    let Answered { receiver, batch, answers } = answered;
    let rows = batch.samples.len();
    let width = answers.width as usize;
    let outputs: Vec<f32> = answers
        .outputs
        .chunks_exact(4)
        .map(|value| f32::from_le_bytes(value.try_into().expect("four bytes")))
        .collect();
    // Of every entry, its name as a JSON text, and which samples had it.
    let used: Vec<(String, Option<Vec<bool>>, Option<f64>)> = answers
        .used
        .iter()
        .filter_map(|used| {
            let entry = names.entry(used.transmitter as usize, used.modality as usize)?;
            let has = (!used.samples.is_empty()).then(|| decode_bits("samples", &used.samples, rows).ok());
            Some((json!(names.entries[entry]).to_string(), has.flatten(), used.nats))
        })
        .collect();
    let classes = names.classes.get(receiver);
    let bits = (answers.feature_bytes * 8) as f64 / rows as f64;
    for (row, sample) in batch.samples.iter().enumerate() {
        let values = &outputs[row * width..(row + 1) * width];
        let _ = write!(text, "{{\"seq\":{},\"receiver\":{receiver},\"label\":", sample.seq);
        match (classes, answers.labels.get(row)) {
            (Some((_, names)), Some(&label)) => {
                match names.get(label as usize) {
                    Some(name) => text.push_str(&json!(name).to_string()),
                    None => drop(write!(text, "{label}")),
                }
                text.push_str(",\"probabilities\":");
                list(values, text);
            }
            _ => list(values, text),
        }
        let has = |rows: &Option<Vec<bool>>| rows.as_ref().is_none_or(|rows| rows[row]);
        let own: Vec<&str> =
            used.iter().filter(|(_, rows, _)| has(rows)).map(|(name, ..)| name.as_str()).collect();
        let _ = write!(text, ",\"entries\":[{}]", own.join(","));
        if used.iter().any(|(_, _, nats)| nats.is_some()) {
            let nats: f64 = used.iter().filter(|(_, rows, _)| has(rows)).filter_map(|(.., nats)| *nats).sum();
            let _ = write!(text, ",\"nats\":{nats:.4}");
        }
        let _ = write!(text, ",\"bits\":{bits}");
        if !answers.without.is_empty() {
            let without: Vec<String> =
                answers.without.iter().map(|k| format!("\"transmitter {k}\"")).collect();
            let _ = write!(text, ",\"without\":[{}]", without.join(","));
        }
        let absent: Vec<String> = (0..sample.observed.len())
            .filter(|&entry| sample.observed[entry].is_none())
            .map(|entry| json!(names.entries[entry]).to_string())
            .collect();
        if !absent.is_empty() {
            let _ = write!(text, ",\"not_observed\":[{}]", absent.join(","));
        }
        let latency = came.saturating_duration_since(sample.came).as_secs_f64() * 1000.0;
        let _ = writeln!(text, ",\"latency_ms\":{latency:.3}}}");
    }
}

/// The line of a sample that is not answered.
pub(crate) fn skipped(seq: u64, receiver: Option<usize>, why: &str, text: &mut String) {
    let _ = writeln!(
        text,
        "{}",
        match receiver {
            Some(receiver) => json!({ "seq": seq, "receiver": receiver, "skipped": why }),
            None => json!({ "seq": seq, "skipped": why }),
        }
    );
}

/// The shortest numbers that read back to the same f32.
fn list(values: &[f32], text: &mut String) {
    text.push('[');
    for (at, value) in values.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = match value.is_finite() {
            true => write!(text, "{comma}{value}"),
            false => write!(text, "{comma}null"),
        };
    }
    text.push(']');
}
