use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use crate::members::Member;

/// The states that members were ordered to save, if any: each member may save its own once.
#[derive(Debug, Default)]
pub(crate) struct Ordered(Mutex<Option<Due>>);

/// A version of an incarnation, and the members that have not begun to save it.
#[derive(Debug)]
struct Due {
    incarnation: u64,
    version: u64,
    members: BTreeSet<Member>,
}

impl Due {
    fn is(&self, incarnation: u64, version: u64) -> bool {
        (self.incarnation, self.version) == (incarnation, version)
    }
}

impl Ordered {
    /// Allows each of these members to save its state at a version.
    pub(crate) fn begin(&self, incarnation: u64, version: u64, members: impl Iterator<Item = Member>) {
        *self.due() = Some(Due { incarnation, version, members: members.collect() });
    }

    /// Ends saving: all states are saved, or the incarnation is over.
    pub(crate) fn end(&self) {
        *self.due() = None;
    }

    /// Whether a member may save its state at a version now; a second call returns false.
    pub(crate) fn take(&self, member: Member, incarnation: u64, version: u64) -> bool {
        self.due().as_mut().is_some_and(|due| due.is(incarnation, version) && due.members.remove(&member))
    }

    /// Allows a member to try again after the save that [`take`](Self::take) allowed has failed.
    pub(crate) fn give_back(&self, member: Member, incarnation: u64, version: u64) {
        if let Some(due) = self.due().as_mut().filter(|due| due.is(incarnation, version)) {
            due.members.insert(member);
        }
    }

    fn due(&self) -> MutexGuard<'_, Option<Due>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use node::Role;

    use super::*;

    #[test]
    fn a_state_is_saved_once_and_only_where_it_was_ordered() {
        let (ordered, member) = (Ordered::default(), Member { role: Role::Transmitter, index: 0 });
        assert!(!ordered.take(member, 3, 10), "nobody has ordered it");
        ordered.begin(3, 10, [member].into_iter());
        for (incarnation, version) in [(3, 9), (3, u64::MAX), (3, 0), (2, 10), (4, 10), (u64::MAX, 10)] {
            assert!(!ordered.take(member, incarnation, version), "{incarnation} {version}");
        }
        assert!(!ordered.take(Member { index: 1, ..member }, 3, 10), "there is no such member");
        assert!(ordered.take(member, 3, 10));
        assert!(!ordered.take(member, 3, 10), "twice");
        ordered.give_back(member, 2, 10);
        ordered.give_back(member, 3, 9);
        assert!(!ordered.take(member, 3, 10));
        ordered.give_back(member, 3, 10);
        assert!(ordered.take(member, 3, 10));
        ordered.end();
        ordered.give_back(member, 3, 10);
        assert!(!ordered.take(member, 3, 10), "it is committed");
    }
}
