//! A node of a run, and the sender of an event.

use node::Role;

/// A node by role and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) index: usize,
}

impl Member {
    /// The members of a run, transmitters first.
    pub(crate) fn all(transmitters: usize, receivers: usize) -> impl Iterator<Item = Member> {
        let transmitters = (0..transmitters).map(|index| Member { role: Role::Transmitter, index });
        let receivers = (0..receivers).map(|index| Member { role: Role::Receiver, index });
        transmitters.chain(receivers)
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.role.name(), self.index)
    }
}

/// The sender of an event: its incarnation, and its admission to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) incarnation: u64,
    /// The admission of the node that sent it. Without it, the event is of the present holder.
    pub(crate) admission: Option<u64>,
}
