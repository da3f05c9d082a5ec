use std::sync::{Arc, Mutex, MutexGuard};

use proto::v1::{Activity as Kind, Heartbeat};
use tokio::time::Instant;

/// A node's activity, as its heartbeats report it: the compute half writes it, the async half reads it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    version: u64,
    kind: Kind,
    peers: Vec<u32>,
    since: Instant,
}

/// The messages or orders that a machine waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Steps that all its parameters have taken.
    pub version: u64,
    /// The peers whose messages are due; none if it waits for an order.
    pub peers: Vec<usize>,
}

impl Activity {
    /// The activity of a node that is getting ready.
    pub(crate) fn preparing() -> Self {
        Activity(Arc::new(Mutex::new(State {
            version: 0,
            kind: Kind::Preparing,
            peers: Vec::new(),
            since: Instant::now(),
        })))
    }

    /// Records that the machine has begun to compute.
    pub(crate) fn computes(&self) {
        let mut state = self.state();
        (state.kind, state.since) = (Kind::Computing, Instant::now());
        state.peers.clear();
    }

    /// Records what the machine waits for.
    pub(crate) fn awaits(&self, awaited: Awaited) {
        let mut state = self.state();
        (state.kind, state.since, state.version) = (Kind::Waiting, Instant::now(), awaited.version);
        state.peers = awaited.peers.into_iter().map(|peer| peer as u32).collect();
    }

    /// What a heartbeat says of the node's activity.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        let state = self.state();
        Heartbeat {
            version: state.version,
            activity: state.kind.into(),
            peers: state.peers.clone(),
            seconds: state.since.elapsed().as_secs_f64(),
            ..Heartbeat::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}
