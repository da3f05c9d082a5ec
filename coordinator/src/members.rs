//! The members of a run: who has joined the current incarnation, in which place.

mod admission;
mod heartbeats;
mod member;
mod orders;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use proto::{
    Secret,
    v1::{Heartbeat, Order, Rollback, order},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tonic::Status;

pub(crate) use self::{
    admission::{Admitted, Refusal, role},
    member::{Member, Origin},
};

/// A member's order stream.
pub(crate) type Orders = mpsc::Sender<Result<Order, Status>>;

/// The members that have joined the current incarnation.
#[derive(Debug)]
pub(crate) struct Members {
    transmitters: usize,
    receivers: usize,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    incarnation: u64,
    /// Whether nodes are admitted. Between two incarnations they are not: the checkpoint for the next is not yet known.
    open: bool,
    seats: BTreeMap<Member, Seat>,
    /// How many nodes have been admitted.
    admissions: u64,
    /// Members that were told to join again and have not yet done so.
    expected: BTreeSet<Member>,
    expected_since: Instant,
    /// Members without which a service goes on: one that joins again gets no orders until the next incarnation.
    apart: BTreeSet<Member>,
}

/// A member's place.
#[derive(Debug)]
struct Seat {
    orders: Orders,
    /// Which admission gave it.
    admission: u64,
    /// Proves the member's identity; no other node has it.
    secret: Secret,
    /// Dropped with the seat, which tells the control stream's reader to stop.
    _hold: oneshot::Sender<()>,
    heard: Instant,
    heartbeat: Option<Heartbeat>,
}

impl Members {
    pub(crate) fn new(transmitters: usize, receivers: usize, incarnation: u64) -> Self {
        let expected_since = Instant::now();
        let (seats, expected) = (BTreeMap::new(), BTreeSet::new());
        let apart = BTreeSet::new();
        let table = Table { incarnation, open: true, seats, admissions: 0, expected, expected_since, apart };
        Members { transmitters, receivers, table: Mutex::new(table) }
    }

    /// Whether an event is of the node that holds the member's place now, and not of one before it.
    pub(crate) fn is_of_holder(&self, origin: Origin, member: Member) -> bool {
        let table = self.table();
        let holder = table.seats.get(&member).map(|seat| seat.admission);
        origin.admission.is_none_or(|own| holder == Some(own))
    }

    /// Frees a place: reports of its previous holder are ignored from now on.
    pub(crate) fn release(&self, member: Member) {
        self.table().seats.remove(&member);
    }

    /// Takes its place from a member that broke the protocol, and ends its order stream with the reason.
    pub(crate) fn refuse(&self, member: Member, reason: &str) {
        if let Some(seat) = self.table().seats.remove(&member) {
            // A node with sixty unread orders would not read this either.
            let _ = seat.orders.try_send(Err(Status::failed_precondition(reason)));
        }
    }

    /// The incarnation goes on without these members.
    pub(crate) fn set_apart(&self, members: &BTreeSet<Member>) {
        self.table().apart.clone_from(members);
    }

    /// Ends the incarnation: no node is admitted until the next begins.
    pub(crate) fn close_door(&self) {
        self.table().open = false;
    }

    /// Tells all members to join the next incarnation and frees all their places at once.
    pub(crate) fn roll_back(&self, incarnation: u64, reason: &str) {
        let mut table = self.table();
        (table.incarnation, table.open) = (incarnation, true);
        table.expected = table.seats.keys().copied().collect();
        table.expected_since = Instant::now();
        table.apart.clear();
        for seat in std::mem::take(&mut table.seats).into_values() {
            let rollback = order::Order::Rollback(Rollback { reason: reason.into() });
            // A node with sixty unread orders would not read this one either.
            let _ = seat.orders.try_send(Ok(Order { order: Some(rollback) }));
        }
    }

    /// All places, transmitters first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Member> + use<> {
        Member::all(self.transmitters, self.receivers)
    }

    pub(crate) fn total(&self) -> usize {
        self.transmitters + self.receivers
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while it holds this lock")
    }
}
