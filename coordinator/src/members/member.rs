//! A node of a run, and whose an event is.

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

/// Whose an event is: of which incarnation, and of which holder of a member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) incarnation: u64,
    /// Which admission gave it the place; none: whoever holds it.
    pub(crate) admission: Option<u64>,
}
