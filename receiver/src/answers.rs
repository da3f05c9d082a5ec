use std::ops::Range;

use candle_core::Tensor;
use node::NodeError;

use crate::granted::Granted;

/// What a receiver makes of a piece of an evaluation pass, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The pass.
    pub pass: u64,
    /// The rows of the test split, one after the other.
    pub rows: Range<usize>,
    /// What the joint decoder puts out, row by row: logits, or values in training units.
    pub outputs: Vec<f32>,
    /// The features that it decoded, in (k, m) order.
    pub features: Vec<UsedFeature>,
}

/// A feature that was decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct UsedFeature {
    /// Its place among all (k, m).
    pub entry: usize,
    /// Of which of the piece's rows it came, counted from the piece's first: runs of them, in order.
    pub rows: Vec<Range<usize>>,
    /// As it was decoded, `feature_dim` values for each of those rows.
    pub z: Vec<f32>,
}

impl Answers {
    /// Of a piece that has just been decoded, of so many samples a tick.
    pub(crate) fn of(
        pass: u64,
        rows: Range<usize>,
        (samples, feature_dim): (usize, usize),
        granted: &Granted<'_>,
        output: &Tensor,
    ) -> Result<Self, NodeError> {
        let feature = |entry| {
            let z = granted.features(entry, feature_dim).to_vec();
            let first = entry.tick * samples;
            let run = |run: &Range<usize>| first + run.start..first + run.end;
            UsedFeature {
                entry: entry.entry,
                rows: granted.received(entry).samples.iter().map(run).collect(),
                z,
            }
        };
        let features = granted.entries.iter().map(feature).collect();
        let outputs = output.flatten_all()?.to_vec1()?;
        Ok(Answers { pass, rows, outputs, features })
    }
}
