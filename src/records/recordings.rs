//! Losses and scores by test recording, as a run keeps them beside its summary.

use std::path::Path;

use anyhow::Context;
use coordinator::Recordings;

use crate::statistics::Cluster;

/// The losses of the run in a folder; none if it kept none, as runs of older programs.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn recordings(folder: &Path) -> anyhow::Result<Option<Recordings>> {
    let path = folder.join("recordings.json");
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        text => {
            let what = || path.display().to_string();
            Ok(Some(serde_json::from_slice(&text.with_context(what)?).with_context(what)?))
        }
    }
}

/// N-CE by recording: minus the cross entropies of all receivers.
pub(crate) fn n_ce_by_recording(Recordings { rows, losses, .. }: &Recordings) -> Vec<Cluster> {
    let cluster = |(at, rows): (usize, &u64)| {
        let loss: f64 = losses.iter().filter_map(|own| own.get(at)).sum();
        Cluster { rows: *rows as f64, sum: -loss * *rows as f64 }
    };
    rows.iter().enumerate().map(cluster).collect()
}

/// A score by recording: that of a row of the summary's tasks. None if it is not on record, as in those of older
/// programs.
pub(crate) fn score_by_recording(
    Recordings { rows, scores, .. }: &Recordings,
    task: usize,
) -> Option<Vec<Cluster>> {
    let cluster = |(rows, score): (&u64, &f64)| Cluster { rows: *rows as f64, sum: score * *rows as f64 };
    Some(rows.iter().zip(scores.get(task)?).map(cluster).collect())
}
