use coordinator::{RoundDraws, TickDraws};
use dib::{BatchOrder, SampleAt};
use randomness::{Seed, hex};
use scenario::Scenario;
use serde::Serialize;

/// The samples of a tick.
#[derive(Serialize)]
pub(crate) struct Samples {
    /// Rows of the training set, in order.
    pub(crate) rows: Vec<usize>,
    /// The epoch of each.
    pub(crate) epochs: Vec<u64>,
    /// SHA-256 over both, as nodes compute it.
    pub(crate) sha256: String,
}

impl Samples {
    /// The samples of a tick, from the seed and the size of the training set; none if the data set is not at hand, or
    /// is not the one that the run was trained on.
    pub(crate) fn of(scenario: &Scenario, draws: &RoundDraws, tick: &TickDraws) -> Option<Self> {
        let rows = coordinator::training_rows(scenario).filter(|rows| *rows > 0)?;
        let each = scenario.train.samples_per_tick;
        let mut order = BatchOrder::new(Seed::from_number(scenario.seed), rows);
        let round: Vec<SampleAt> =
            draws.ticks.iter().flat_map(|draws| order.positions(draws.tick, each)).collect();
        let is_known = hex(&node::batch_digest(round.into_iter())) == draws.samples;
        is_known.then(|| {
            let positions = order.positions(tick.tick, each);
            Samples {
                rows: positions.iter().map(|at| at.sample).collect(),
                epochs: positions.iter().map(|at| at.epoch).collect(),
                sha256: hex(&node::batch_digest(positions.into_iter())),
            }
        })
    }
}
