use std::sync::{Mutex, MutexGuard};

use proto::v1::{NodeStatus, RunStatus};

/// The conductor's record of the run as a whole, for status requests.
#[derive(Debug)]
pub(crate) struct SharedStatus(Mutex<RunStatus>);

impl SharedStatus {
    pub(crate) fn new(scenario: &scenario::Scenario) -> Self {
        let (name, rounds) = (scenario.name.clone(), scenario.train.rounds);
        SharedStatus(Mutex::new(RunStatus { scenario: name, rounds, ..RunStatus::default() }))
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

    /// The whole status, including the nodes.
    pub(crate) fn status(&self, nodes: Vec<NodeStatus>) -> RunStatus {
        RunStatus { nodes, ..self.run().clone() }
    }

    fn run(&self) -> MutexGuard<'_, RunStatus> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}
