//! A run's log of its rounds, read back.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use coordinator::{Grid, Missing, OnAir, Rates};
use scenario::Scenario;
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
    pub(crate) link_snr_db: Option<Grid<Option<f64>>>,
    /// Channel uses of every entry for a sample, by receiver and (k, m), where any channel is not ideal.
    #[serde(default)]
    pub(crate) entry_uses: Option<Grid<f64>>,
    /// Bytes of features and gradients of every link, by receiver and transmitter.
    #[serde(default)]
    pub(crate) link_bytes: Option<Grid<u64>>,
    /// Bits of coded features of every link, likewise.
    #[serde(default)]
    pub(crate) link_coded_bits: Option<Grid<u64>>,
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
    pub(crate) granted: Grid<f64>,
    /// The share at which each (k, m) was granted to any receiver.
    pub(crate) encoded: Vec<f64>,
    /// Requests to each transmitter, summed over the receivers.
    pub(crate) asked: Vec<f64>,
}

impl Round {
    /// Whether its tables by link and entry are of the scenario's network.
    fn fits(&self, scenario: &Scenario) -> bool {
        let receivers = scenario.receivers();
        let (links, entries) = (scenario.transmitters(), scenario.entries_per_receiver());
        self.link_snr_db.as_ref().is_none_or(|snr| snr.fits(receivers, links))
            && self.entry_uses.as_ref().is_none_or(|uses| uses.fits(receivers, entries))
            && [&self.link_bytes, &self.link_coded_bits]
                .into_iter()
                .flatten()
                .all(|counts| counts.fits(receivers, links))
    }
}

/// The rounds of the run in a folder, in order.
///
/// # Errors
/// The malformed line.
pub(crate) fn rounds(folder: &Path) -> anyhow::Result<Vec<Round>> {
    lines(&folder.join("metrics.jsonl"))
}

/// The same where tables by link and entry are wanted: they have the sizes of the scenario's network.
///
/// # Errors
/// The malformed line, or the one of another network.
pub(crate) fn rounds_of(folder: &Path, scenario: &Scenario) -> anyhow::Result<Vec<Round>> {
    let rounds = rounds(folder)?;
    fitting(&folder.join("metrics.jsonl"), rounds, |round| round.fits(scenario))
}

/// The lines of metrics.jsonl with all that they have.
///
/// # Errors
/// The malformed line.
pub(crate) fn values(folder: &Path) -> anyhow::Result<Vec<serde_json::Value>> {
    lines(&folder.join("metrics.jsonl"))
}

/// The selection in these rounds, by the scenario's receivers and entries.
///
/// # Errors
/// The malformed line, or the one of another network.
pub(crate) fn selection(folder: &Path, scenario: &Scenario) -> anyhow::Result<Vec<Selection>> {
    let path = folder.join("selection.jsonl");
    let (receivers, entries) = (scenario.receivers(), scenario.entries_per_receiver());
    fitting(&path, lines(&path)?, |line: &Selection| line.granted.fits(receivers, entries))
}

/// The lines of a log if all of them fit.
fn fitting<L>(path: &Path, lines: Vec<L>, fits: impl Fn(&L) -> bool) -> anyhow::Result<Vec<L>> {
    match lines.iter().position(|line| !fits(line)) {
        Some(at) => bail!("{}: line {} does not fit the scenario beside it", path.display(), at + 1),
        None => Ok(lines),
    }
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

    /// A transmitter of two modalities, and a receiver.
    fn scenario() -> Scenario {
        let set = [
            "network.receiver_limit=1",
            "transmitter=[{modalities=[\"fft\",\"mel\"]}]",
            "receiver=[{task=\"digit\"}]",
        ];
        let set = set.into_iter().map(Into::into).collect();
        coordinator::ScenarioArguments { set, ..Default::default() }.resolve().unwrap()
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_out_and_one_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let selection = |folder: &Path| selection(folder, &scenario());
        assert!(selection(folder.path()).unwrap().is_empty() && rounds(folder.path()).unwrap().is_empty());
        let file = folder.path().join("selection.jsonl");
        std::fs::write(&file, format!("{LINE}\n{LINE}\n{}", &LINE[..20])).unwrap();
        assert_eq!(selection(folder.path()).unwrap().len(), 2);
        std::fs::write(&file, format!("{LINE}\n{}\n{LINE}\n", &LINE[..20])).unwrap();
        let error = selection(folder.path()).err().unwrap().to_string();
        assert!(error.ends_with("selection.jsonl: line 2"), "{error}");
    }

    #[test]
    fn a_line_of_what_is_not_zero_says_the_same_and_a_damaged_one_or_one_of_another_network_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let second = |grid: &str| {
            let line = format!("{{\"granted\":{grid},\"encoded\":[1.0,0.5],\"asked\":[1.0]}}");
            std::fs::write(folder.path().join("selection.jsonl"), format!("{LINE}\n{line}\n")).unwrap();
            selection(folder.path(), &scenario())
        };
        let lines = second(r#"{"shape":[1,2],"rest":0.0,"at":[1],"is":[0.25]}"#).unwrap();
        assert_eq!(lines[0].granted.to_rows(1, 2), [[1.0, 0.5]]);
        assert_eq!(lines[1].granted.to_rows(1, 2), [[0.0, 0.25]]);
        for (grid, reason) in [
            (r#"{"shape":[1,2],"rest":0.0,"at":[2],"is":[0.25]}"#, "outside of `shape`"),
            (r#"{"shape":[9999999999,2],"rest":0.0,"at":[1],"is":[0.25]}"#, "does not fit the scenario"),
            ("[[0.25]]", "does not fit the scenario"),
        ] {
            let error = format!("{:#}", second(grid).err().unwrap());
            assert!(error.contains("selection.jsonl: line 2") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn tables_of_links_have_the_sizes_of_the_network_where_they_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let line = |of_links: &str| {
            let line = format!(
                "{{\"round\":0,\"sum_rate\":1.0,\"n_ce\":-1.0,\"loss\":1.0,\"logl\":0.0,\"seconds\":0.5,\
                 \"bytes\":{{\"feature\":1,\"gradient\":1,\"total\":3}},{of_links},\"work\":{{}}}}\n"
            );
            std::fs::write(folder.path().join("metrics.jsonl"), line).unwrap();
            rounds_of(folder.path(), &scenario())
        };
        for fitting in [
            r#""link_bytes":[[7]],"link_snr_db":[[null]]"#,
            r#""link_bytes":{"shape":[1,1],"rest":0,"at":[0],"is":[7]},"link_snr_db":null"#,
        ] {
            let rounds = line(fitting).unwrap();
            assert_eq!(rounds[0].link_bytes.as_ref().unwrap().to_rows(1, 1), [[7]]);
        }
        for other in [r#""entry_uses":[[1.0]]"#, r#""link_bytes":[[7,8]]"#, r#""link_snr_db":[]"#] {
            let error = line(other).err().unwrap().to_string();
            assert!(error.ends_with("metrics.jsonl: line 1 does not fit the scenario beside it"), "{error}");
        }
    }
}
