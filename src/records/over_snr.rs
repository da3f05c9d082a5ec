//! Scores of one checkpoint over the SNR of its channels: snr.json in the folder of a run, which `evaluate --snr-db`
//! writes.

use coordinator::{OnAir, Test};
use serde::{Deserialize, Serialize};

/// The scores of a checkpoint.
#[derive(Deserialize, Serialize)]
pub(crate) struct OverSnr {
    /// The rounds of its training; 0 in files of older programs.
    #[serde(default)]
    pub(crate) rounds: u64,
    /// By rising SNR.
    pub(crate) rows: Vec<AtSnr>,
}

/// The scores at an SNR.
#[derive(Deserialize, Serialize)]
pub(crate) struct AtSnr {
    /// Es/N0 of every channel with noise, in dB.
    pub(crate) snr_db: f64,
    pub(crate) test: Test,
    /// What was spent in the air, and what it could carry.
    pub(crate) channel: Option<OnAir>,
}
