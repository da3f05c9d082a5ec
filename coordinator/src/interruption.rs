use crate::{CoordinatorError, members::Member};

/// Why an incarnation or a run ended early.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// A node left, lost its connection, fell silent or stalled: the network goes back to its last checkpoint. One
    /// line.
    Lost(String),
    /// The run was stopped; a checkpoint of this version exists.
    Stopped(u64),
    /// The run cannot continue.
    Fatal(CoordinatorError),
}

impl Interruption {
    /// The interruption caused by the end of a node's control stream.
    pub(crate) fn left(member: Member, reason: &str) -> Self {
        Interruption::Lost(format!("{member} left the run: {reason}"))
    }
}

impl From<CoordinatorError> for Interruption {
    fn from(error: CoordinatorError) -> Self {
        Interruption::Fatal(error)
    }
}
