//! What was drawn at a tick, as far as it follows from the seed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use data::{Needs, Split};
use dib::BatchOrder;
use randomness::Seed;
use scenario::Scenario;
use serde_json::{Value, json};

use crate::{RunFolder, draws::u_at, further::Lineage, summary::hex};

/// What was drawn at ticks of runs: u, and the rows of the training set. Requests and choices depend on networks, and
/// are not here.
#[derive(Debug, Default)]
pub struct Drawn {
    /// How many rows the runs in these folders train on, with their scenarios: another run may take a folder.
    rows: Mutex<BTreeMap<PathBuf, (Scenario, usize)>>,
}

impl Drawn {
    /// A tick of the run in a folder, as an object of JSON: `tick`, `round`, `u` (where every node draws its own: empty,
    /// beside `own_u`), and `samples` with `rows`, `epochs` and `sha256`, or null where the data set is not at hand.
    ///
    /// # Errors
    ///
    /// One line if the folder holds no run, or its run has no such tick.
    pub fn tick(&self, folder: &Path, tick: u64) -> Result<Value, String> {
        let scenario = RunFolder::at(folder).scenario().map_err(|error| error.to_string())?;
        let (ticks, seed) = (scenario.train.ticks_per_round as u64, Seed::from_number(scenario.seed));
        let round = tick / ticks;
        if round >= scenario.train.rounds {
            return Err(format!("the run has {} rounds of {ticks} ticks", scenario.train.rounds));
        }
        let lineage = Lineage::of(&RunFolder::at(folder)).map_err(|error| error.to_string())?;
        if let Some(fork) = lineage.forked.filter(|fork| round < fork.round) {
            return Err(format!(
                "round {round} was another run's: this one began from {} at round {}",
                fork.from, fork.round
            ));
        }
        let samples = self.rows(folder, &scenario).map(|rows| {
            let drawn = BatchOrder::new(seed, rows).positions(tick, scenario.train.samples_per_tick);
            let (rows, epochs): (Vec<usize>, Vec<u64>) = drawn.iter().map(|at| (at.sample, at.epoch)).unzip();
            json!({ "rows": rows, "epochs": epochs, "sha256": hex(&node::batch_digest(drawn.into_iter())) })
        });
        let (u, own_u) = u_at(&scenario, tick);
        let mut drawn = json!({ "tick": tick, "round": round, "u": u, "samples": samples });
        if let Some(own_u) = own_u {
            drawn["own_u"] = json!(own_u);
        }
        Ok(drawn)
    }

    fn rows(&self, folder: &Path, scenario: &Scenario) -> Option<usize> {
        let known = || self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, rows)) = known().get(folder)
            && own == scenario
        {
            return Some(*rows);
        }
        // Reading the data set may take seconds, so the lock is not held meanwhile.
        let rows = training_rows(scenario).filter(|rows| *rows > 0)?;
        known().insert(folder.into(), (scenario.clone(), rows));
        Some(rows)
    }
}

/// How many rows a scenario's data set has to train on, without those that are held out; none if it is not at hand.
pub fn training_rows(scenario: &Scenario) -> Option<usize> {
    let data = node::data_source(scenario, None).ok()?;
    let tasks = data.settings().task_names();
    let needs = Needs { modalities: &[], tasks: &tasks };
    let seed = Seed::from_number(scenario.seed);
    let opened = data.open(seed, &needs).ok()?;
    let divided = data.divide(opened, seed, &needs, scenario.data.hold_out).ok()?;
    Some(divided.train.samples(Split::Train))
}
