use std::path::{Path, PathBuf};

use anyhow::Context;
use coordinator::{Grid, RunFolder, SNR_FILE, Started, Summary};
use scenario::Scenario;

use crate::records::{
    over_snr::OverSnr,
    run_log::{self, Round},
};

/// Number of last rounds over which grants are averaged.
pub(crate) const LATE: usize = 100;

/// The content of a run's folder, whether the run has ended or not.
pub(crate) struct Recorded {
    /// The folder, as it was named.
    pub(crate) folder: String,
    pub(crate) path: PathBuf,
    pub(crate) scenario: Scenario,
    pub(crate) rounds: Vec<Round>,
    /// By round: the share of ticks at which each entry was granted, by receiver and (k, m).
    pub(crate) granted: Vec<Grid<f64>>,
    /// Times, machines and commands of its starts; empty for a run of earlier versions.
    pub(crate) starts: Vec<Started>,
    /// None if the run has not ended.
    pub(crate) summary: Option<Summary>,
    /// None if it has not been evaluated at several SNRs.
    pub(crate) over_snr: Option<OverSnr>,
}

impl Recorded {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let folder = RunFolder::at(path);
        let scenario = folder.scenario()?;
        let granted = run_log::selection(path, &scenario)?.into_iter().map(|line| line.granted).collect();
        Ok(Recorded {
            folder: path.display().to_string(),
            path: path.into(),
            rounds: run_log::rounds_of(path, &scenario)?,
            granted,
            starts: Started::all(&folder),
            summary: optional(&folder.file("summary.json"))?,
            over_snr: optional(&folder.file(SNR_FILE))?,
            scenario,
        })
    }

    /// Samples that a receiver has decoded in all rounds so far.
    pub(crate) fn samples(&self) -> f64 {
        let train = &self.scenario.train;
        (self.rounds.len() * train.ticks_per_round * train.samples_per_tick) as f64
    }

    /// The share of ticks at which each entry was granted in the last rounds, by receiver and (k, m); none before the
    /// first.
    pub(crate) fn late_selection(&self) -> Option<Vec<Vec<f64>>> {
        let late = &self.granted[self.granted.len().saturating_sub(LATE)..];
        if late.is_empty() {
            return None;
        }
        let mut sums = vec![vec![0.0; self.scenario.entries_per_receiver()]; self.scenario.receivers()];
        for (t, entry, share) in late.iter().flat_map(|round| round.cells()) {
            sums[t][entry] += share;
        }
        sums.iter_mut().flatten().for_each(|sum| *sum /= late.len() as f64);
        Some(sums)
    }

    /// The number of those rounds.
    pub(crate) fn late_rounds(&self) -> usize {
        self.granted.len().min(LATE)
    }

    /// Names of all (k, m), in order.
    pub(crate) fn entry_names(&self) -> Vec<String> {
        let of = |(k, transmitter): (usize, &scenario::Transmitter)| {
            let named = move |modality: &String| format!("transmitter {k} · {modality}");
            transmitter.modalities.iter().map(named).collect::<Vec<_>>()
        };
        self.scenario.transmitter.iter().enumerate().flat_map(of).collect()
    }
}

/// What a file of the folder holds, if there is one.
fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        text => {
            let text = text.with_context(|| path.display().to_string())?;
            Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?))
        }
    }
}
