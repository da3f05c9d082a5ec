use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use proto::v1::{NodeStatus, RunStatus};
use serde_json::Value;

/// The conductor's record of the run as a whole, for status requests.
#[derive(Debug)]
pub(crate) struct SharedStatus {
    run: Mutex<RunStatus>,
    /// Where each node computes, by its name.
    devices: Mutex<BTreeMap<String, String>>,
}

impl SharedStatus {
    pub(crate) fn new(scenario: &scenario::Scenario) -> Self {
        let (name, rounds) = (scenario.name.clone(), scenario.train.rounds);
        let run = RunStatus { scenario: name, rounds, ..RunStatus::default() };
        SharedStatus { run: Mutex::new(run), devices: Mutex::default() }
    }

    /// Sets the current phase: joining, training, ...
    pub(crate) fn phase(&self, phase: &str) {
        self.run().phase = phase.into();
    }

    /// Sets whether the run is paused.
    pub(crate) fn paused(&self, paused: bool) {
        self.run().paused = paused;
    }

    /// Sets the number of rounds that every node has reported.
    pub(crate) fn rounds_done(&self, rounds: u64) {
        self.run().round = rounds;
    }

    /// Sets the version of the last checkpoint.
    pub(crate) fn checkpoint(&self, version: u64) {
        self.run().checkpoint = Some(version);
    }

    /// Records the start of an incarnation at a version: the first, or another because of `trouble`.
    pub(crate) fn incarnation(&self, incarnation: u64, version: u64, trouble: Option<&str>) {
        let mut run = self.run();
        (run.incarnation, run.round) = (incarnation, version);
        if let Some(trouble) = trouble {
            run.rollbacks += 1;
            run.trouble = trouble.into();
        }
    }

    /// Sets where each node computes, by its name.
    pub(crate) fn devices(&self, devices: BTreeMap<String, String>) {
        *self.devices.lock().expect("no code panics while it holds this lock") = devices;
    }

    /// Adds to a status as an object where each of its nodes computes.
    pub(crate) fn add_devices(&self, status: &mut Value) {
        let devices = self.devices.lock().expect("no code panics while it holds this lock");
        for node in status["nodes"].as_array_mut().into_iter().flatten() {
            let device = node["node"].as_str().and_then(|name| devices.get(name));
            node["device"] = device.cloned().into();
        }
    }

    /// Rounds that every node has reported.
    pub(crate) fn round(&self) -> u64 {
        self.run().round
    }

    /// The whole status, including the nodes.
    pub(crate) fn status(&self, nodes: Vec<NodeStatus>) -> RunStatus {
        RunStatus { nodes, ..self.run().clone() }
    }

    fn run(&self) -> MutexGuard<'_, RunStatus> {
        self.run.lock().expect("no code panics while it holds this lock")
    }
}
