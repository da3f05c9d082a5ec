//! Admission of nodes: which place a node gets, or why it gets none.

use std::time::Duration;

use node::Role;
use proto::{Secret, v1::Join};
use tokio::{sync::oneshot, time::Instant};
use tonic::Status;

use super::{Member, Members, Orders, Origin, Seat, Table};

/// How long the places of nodes that were told to join again are closed to nodes that ask for no particular index.
pub(super) const RESERVED: Duration = Duration::from_secs(10);

/// Result of admission for a node.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) member: Member,
    pub(crate) origin: Origin,
    pub(crate) secret: Secret,
    /// Resolves when the member has lost its place.
    pub(crate) dismissed: oneshot::Receiver<()>,
}

/// Why a node was not admitted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It cannot be admitted at all.
    Never(Status),
    /// The place is taken: one of these members may turn out to be gone.
    Taken(Vec<Member>, Status),
    /// The next incarnation has not begun.
    NotYet,
}

impl Members {
    /// Admits a node under the index that it asks for, or the first free one of its role.
    pub(crate) fn admit(&self, join: &Join, orders: Orders) -> Result<Admitted, Refusal> {
        let role = role(join.role).map_err(Refusal::Never)?;
        check_build(join).map_err(Refusal::Never)?;
        let secret = draw_secret().map_err(Refusal::Never)?;
        let mut table = self.table();
        if !table.open {
            return Err(Refusal::NotYet);
        }
        let member = Member { role, index: self.place(&table, role, join.index)? };
        let (hold, dismissed) = oneshot::channel();
        let (heard, own) = (Instant::now(), secret.clone());
        table.admissions += 1;
        let admission = table.admissions;
        let seat = Seat { orders, admission, secret: own, _hold: hold, heard, heartbeat: None };
        table.seats.insert(member, seat);
        table.expected.remove(&member);
        let origin = Origin { incarnation: table.incarnation, admission: Some(admission) };
        Ok(Admitted { member, origin, secret, dismissed })
    }

    fn place(&self, table: &Table, role: Role, index: Option<u32>) -> Result<usize, Refusal> {
        let count = self.count(role);
        let of = |index: usize| Member { role, index };
        let free = |index: &usize| !table.seats.contains_key(&of(*index));
        let Some(index) = index else {
            let reserved = table.expected_since.elapsed() < RESERVED;
            let open = |index: &usize| free(index) && !(reserved && table.expected.contains(&of(*index)));
            return (0..count).find(open).ok_or_else(|| {
                let message = format!("all {count} {}s have joined already", role.name());
                Refusal::Taken((0..count).map(of).collect(), Status::already_exists(message))
            });
        };
        let index = index as usize;
        if index >= count {
            let message = format!("there is no {} {index}: this run has {count}", role.name());
            return Err(Refusal::Never(Status::invalid_argument(message)));
        }
        if free(&index) {
            return Ok(index);
        }
        let message = format!("{} {index} has joined already", role.name());
        Err(Refusal::Taken(vec![of(index)], Status::already_exists(message)))
    }

    fn count(&self, role: Role) -> usize {
        match role {
            Role::Transmitter => self.transmitters,
            Role::Receiver => self.receivers,
        }
    }
}

/// A role as it stands in a message.
pub(crate) fn role(role: i32) -> Result<Role, Status> {
    match proto::v1::Role::try_from(role) {
        Ok(proto::v1::Role::Transmitter) => Ok(Role::Transmitter),
        Ok(proto::v1::Role::Receiver) => Ok(Role::Receiver),
        _ => Err(Status::invalid_argument("a node must be a transmitter or a receiver")),
    }
}

fn draw_secret() -> Result<Secret, Status> {
    let mut bytes = [0; 32];
    let drawn = getrandom::fill(&mut bytes);
    drawn.map_err(|error| Status::unavailable(format!("the system gives no random bytes: {error}")))?;
    Ok(Secret::new(bytes))
}

/// Refuses nodes of another version or protocol.
fn check_build(join: &Join) -> Result<(), Status> {
    if join.version != proto::VERSION {
        return Err(Status::failed_precondition(format!(
            "the node is of version {}, the coordinator of version {}: install the same on all machines",
            link::printable(&join.version.chars().take(40).collect::<String>()),
            proto::VERSION
        )));
    }
    if join.protocol.as_ref() != proto::protocol_digest() {
        return Err(Status::failed_precondition(
            "the node speaks another protocol than the coordinator: install the same build on all machines",
        ));
    }
    Ok(())
}
