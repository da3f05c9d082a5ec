use crate::{CoordinatorError, members::Member};

/// Why an incarnation, or the run, ended before its end.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// A node is gone, cut off, silent, or stands still: the network goes back to its last checkpoint. One line.
    Lost(String),
    /// The run was told to stop; a checkpoint of this version is there.
    Stopped(u64),
    /// There is nothing to be done about it.
    Fatal(CoordinatorError),
}

impl Interruption {
    /// A node's control stream has ended.
    pub(crate) fn left(member: Member, reason: &str) -> Self {
        Interruption::Lost(format!("{member} left the run: {reason}"))
    }
}

impl From<CoordinatorError> for Interruption {
    fn from(error: CoordinatorError) -> Self {
        Interruption::Fatal(error)
    }
}
