use std::sync::{Mutex, MutexGuard};

use proto::v1::{NodeStatus, RunStatus};

/// What the conductor writes down about the run as a whole, for whoever asks how it stands.
#[derive(Debug)]
pub(crate) struct SharedStatus(Mutex<RunStatus>);

impl SharedStatus {
    pub(crate) fn new(scenario: &scenario::Scenario) -> Self {
        let (name, rounds) = (scenario.name.clone(), scenario.train.rounds);
        SharedStatus(Mutex::new(RunStatus { scenario: name, rounds, ..RunStatus::default() }))
    }

    /// What the run is at: joining, training, ...
    pub(crate) fn phase(&self, phase: &str) {
        self.run().phase = phase.into();
    }

    /// Whether it is held.
    pub(crate) fn paused(&self, paused: bool) {
        self.run().paused = paused;
    }

    /// So many rounds have been reported by every node.
    pub(crate) fn rounds_done(&self, rounds: u64) {
        self.run().round = rounds;
    }

    /// A checkpoint of this version is there.
    pub(crate) fn checkpoint(&self, version: u64) {
        self.run().checkpoint = Some(version);
    }

    /// An incarnation begins at a version: the first, or another because of `trouble`.
    pub(crate) fn incarnation(&self, incarnation: u64, version: u64, trouble: Option<&str>) {
        let mut run = self.run();
        (run.incarnation, run.round) = (incarnation, version);
        if let Some(trouble) = trouble {
            run.rollbacks += 1;
            run.trouble = trouble.into();
        }
    }

    /// The whole status, with that of the nodes.
    pub(crate) fn status(&self, nodes: Vec<NodeStatus>) -> RunStatus {
        RunStatus { nodes, ..self.run().clone() }
    }

    fn run(&self) -> MutexGuard<'_, RunStatus> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}
