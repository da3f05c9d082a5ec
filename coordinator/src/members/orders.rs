//! Orders to the members, and the secrets that go with the first.

use node::Role;
use proto::{
    Secret,
    v1::{Batch, Order, Start, order},
};
use tokio::sync::mpsc;

use super::{Member, Members, Seat};

impl Members {
    /// Whether `shown` is the secret of the member that holds its place now. Secrets differ between places,
    /// incarnations and successive nodes at a place.
    pub(crate) fn knows(&self, member: Member, shown: &[u8]) -> bool {
        self.table().seats.get(&member).is_some_and(|seat| seat.secret.is(shown))
    }

    /// Starts all members: tells each receiver, and no other node, the secrets of its pairs. Returns the members that
    /// do not read their orders.
    pub(crate) fn start(&self, start: &Start) -> Vec<Member> {
        let secrets = self.transmitter_secrets();
        self.order_each(|member| {
            let secrets = match member.role {
                Role::Transmitter => Vec::new(),
                Role::Receiver => {
                    secrets.iter().map(|secret| secret.of_pair(member.index as u32).to_bytes()).collect()
                }
            };
            order::Order::Start(Start { secrets, ..start.clone() })
        })
    }

    /// The transmitters' secrets, by index. All transmitters have joined when a run starts. A service may start
    /// without some; their secrets are unused.
    fn transmitter_secrets(&self) -> Vec<Secret> {
        let table = self.table();
        let seat = |index| table.seats.get(&Member { role: Role::Transmitter, index });
        let secret = |index| seat(index).map_or_else(|| Secret::new([0; 32]), |seat| seat.secret.clone());
        (0..self.transmitters).map(secret).collect()
    }

    /// Sends an order to all members that have joined, without waiting; returns those that do not read their orders. A
    /// member that has left is noticed elsewhere.
    pub(crate) fn order(&self, order: order::Order) -> Vec<Member> {
        self.order_each(|_| order.clone())
    }

    /// Sends a batch of a stream: its own to each transmitter, and to receivers what they all share.
    pub(crate) fn order_batches(&self, batches: &[Batch]) -> Vec<Member> {
        self.order_each(|member| {
            order::Order::Batch(match member.role {
                Role::Transmitter => batches[member.index].clone(),
                Role::Receiver => Batch { observed: Vec::new(), ..batches[0].clone() },
            })
        })
    }

    /// The same with an individual order for each member.
    fn order_each(&self, order: impl Fn(Member) -> order::Order) -> Vec<Member> {
        let is_deaf = |member: Member, seat: &Seat| {
            let sent = seat.orders.try_send(Ok(Order { order: Some(order(member)) }));
            matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
        };
        let table = self.table();
        let present = table.seats.iter().filter(|(member, _)| !table.apart.contains(member));
        let deaf = present.filter(|(member, seat)| is_deaf(**member, seat));
        deaf.map(|(member, _)| *member).collect()
    }

    /// Closes all order streams.
    pub(crate) fn close(&self) {
        self.table().seats.clear();
    }
}
