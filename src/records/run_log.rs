//! A run's log of its rounds, read back.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use coordinator::{Missing, OnAir, Rates};
use serde::{Deserialize, de::DeserializeOwned};

/// A line of metrics.jsonl. Rates, cross entropies and the loss are in nats.
#[derive(Default, Deserialize)]
pub(crate) struct Round {
    pub(crate) round: u64,
    pub(crate) sum_rate: f64,
    pub(crate) n_ce: f64,
    /// By receiver; empty in old logs.
    #[serde(default)]
    pub(crate) ce: Vec<f64>,
    /// By receiver; empty in old logs.
    #[serde(default)]
    pub(crate) rate: Vec<f64>,
    pub(crate) loss: f64,
    /// Scores on validation rows of the version after the round, if evaluated.
    #[serde(default)]
    pub(crate) validation: Option<Validated>,
    /// The log-likelihood (21).
    pub(crate) logl: f64,
    /// The longest of the receivers' times between rounds.
    pub(crate) seconds: f64,
    pub(crate) bytes: Bytes,
    /// The largest number of transmitters that a receiver requested at a tick.
    #[serde(default)]
    pub(crate) most_asks: Option<u32>,
    /// The largest number of entries that a transmitter granted at a tick.
    #[serde(default)]
    pub(crate) most_entries: Option<u32>,
    /// Entries that receivers went without, where links or digital channels may lose them.
    #[serde(default)]
    pub(crate) missing: Option<Missing>,
    /// Channel use for a sample, where any channel is not ideal.
    #[serde(default)]
    pub(crate) channel: Option<OnAir>,
    /// SNR of every link by receiver and transmitter, in dB, where any channel is not ideal.
    #[serde(default)]
    pub(crate) link_snr_db: Option<Vec<Vec<Option<f64>>>>,
    /// Channel uses of every entry for a sample, by receiver and (k, m), where any channel is not ideal.
    #[serde(default)]
    pub(crate) entry_uses: Option<Vec<Vec<f64>>>,
    /// Bytes of features and gradients of every link, by receiver and transmitter.
    #[serde(default)]
    pub(crate) link_bytes: Option<Vec<Vec<u64>>>,
    /// Bits of coded features of every link, likewise.
    #[serde(default)]
    pub(crate) link_coded_bits: Option<Vec<Vec<u64>>>,
    /// Rates of a sample's features, where they are counted against learned priors.
    #[serde(default)]
    pub(crate) rates: Option<Rates>,
    /// Seconds of all nodes together, by profiler phase.
    pub(crate) work: BTreeMap<String, f64>,
}

/// Scores on validation rows, in nats.
#[derive(Clone, Deserialize)]
pub(crate) struct Validated {
    pub(crate) n_ce: f64,
    /// By how much it is below training's.
    pub(crate) gap: f64,
    #[serde(default)]
    pub(crate) sum_rate: Option<f64>,
    /// By receiver.
    #[serde(default)]
    pub(crate) ce: Vec<f64>,
    /// The first metric of each receiver's task.
    #[serde(default)]
    pub(crate) scores: Vec<f64>,
}

/// Bytes of a round on the wire.
#[derive(Default, Deserialize)]
pub(crate) struct Bytes {
    pub(crate) feature: u64,
    pub(crate) gradient: u64,
    /// Tables of dithered features.
    #[serde(default)]
    pub(crate) table: u64,
    pub(crate) total: u64,
}

/// A line of selection.jsonl: shares of a round's ticks.
#[derive(Deserialize)]
pub(crate) struct Selection {
    /// The share of ticks at which each entry was granted, by receiver and (k, m).
    pub(crate) granted: Vec<Vec<f64>>,
    /// The share at which each (k, m) was granted to any receiver.
    pub(crate) encoded: Vec<f64>,
    /// Requests to each transmitter, summed over the receivers.
    pub(crate) asked: Vec<f64>,
}

/// The rounds of the run in a folder, in order.
///
/// # Errors
/// The malformed line.
pub(crate) fn rounds(folder: &Path) -> anyhow::Result<Vec<Round>> {
    lines(&folder.join("metrics.jsonl"))
}

/// The lines of metrics.jsonl with all that they have.
///
/// # Errors
/// The malformed line.
pub(crate) fn values(folder: &Path) -> anyhow::Result<Vec<serde_json::Value>> {
    lines(&folder.join("metrics.jsonl"))
}

/// The selection in these rounds.
///
/// # Errors
/// The malformed line.
pub(crate) fn selection(folder: &Path) -> anyhow::Result<Vec<Selection>> {
    lines(&folder.join("selection.jsonl"))
}

/// The lines of a log. During a run the last line may be incomplete; a run that has just begun has none.
fn lines<L: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<L>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| path.display().to_string())?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let read = |(number, line): (usize, &str)| {
        let what = || format!("{}: line {}", path.display(), number + 1);
        serde_json::from_str(line).with_context(what)
    };
    whole.lines().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"granted":[[1.0,0.5]],"encoded":[1.0,0.5],"asked":[1.0]}"#;

    #[test]
    fn a_line_that_is_still_being_written_is_left_out_and_one_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(selection(folder.path()).unwrap().is_empty() && rounds(folder.path()).unwrap().is_empty());
        let file = folder.path().join("selection.jsonl");
        std::fs::write(&file, format!("{LINE}\n{LINE}\n{}", &LINE[..20])).unwrap();
        assert_eq!(selection(folder.path()).unwrap().len(), 2);
        std::fs::write(&file, format!("{LINE}\n{}\n{LINE}\n", &LINE[..20])).unwrap();
        let error = selection(folder.path()).err().unwrap().to_string();
        assert!(error.ends_with("selection.jsonl: line 2"), "{error}");
    }
}
