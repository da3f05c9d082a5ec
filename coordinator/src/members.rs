use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use node::Role;
use proto::v1::{Join, Order, order};
use tokio::sync::mpsc;
use tonic::Status;

/// A node by role and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) index: usize,
}

impl std::fmt::Display for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.role.name(), self.index)
    }
}

/// The way to a member: its order stream.
pub(crate) type Orders = mpsc::Sender<Result<Order, Status>>;

/// Who has joined.
#[derive(Debug)]
pub(crate) struct Members {
    transmitters: usize,
    receivers: usize,
    joined: Mutex<BTreeMap<Member, Orders>>,
}

impl Members {
    pub(crate) fn new(transmitters: usize, receivers: usize) -> Self {
        Members { transmitters, receivers, joined: Mutex::new(BTreeMap::new()) }
    }

    /// Lets a node in under the index it asks for, or the first free one of its role.
    pub(crate) fn admit(&self, join: &Join, orders: Orders) -> Result<Member, Status> {
        let role = match join.role() {
            proto::v1::Role::Transmitter => Role::Transmitter,
            proto::v1::Role::Receiver => Role::Receiver,
            proto::v1::Role::Unspecified => {
                return Err(Status::invalid_argument("a node must be a transmitter or a receiver"));
            }
        };
        check_build(join)?;
        let count = self.count(role);
        let mut joined = self.joined();
        let free = |index: &usize| !joined.contains_key(&Member { role, index: *index });
        let index = match join.index {
            Some(index) if index as usize >= count => {
                let message = format!("there is no {} {index}: this run has {count}", role.name());
                return Err(Status::invalid_argument(message));
            }
            Some(index) if free(&(index as usize)) => index as usize,
            Some(index) => {
                return Err(Status::already_exists(format!("{} {index} has joined already", role.name())));
            }
            None => (0..count).find(free).ok_or_else(|| {
                Status::already_exists(format!("all {count} {}s have joined already", role.name()))
            })?,
        };
        let member = Member { role, index };
        joined.insert(member, orders);
        Ok(member)
    }

    /// Frees a place again, while the run has not begun.
    pub(crate) fn release(&self, member: Member) {
        self.joined().remove(&member);
    }

    /// All places, transmitters first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Member> {
        let transmitters = (0..self.transmitters).map(|index| Member { role: Role::Transmitter, index });
        let receivers = (0..self.receivers).map(|index| Member { role: Role::Receiver, index });
        transmitters.chain(receivers)
    }

    pub(crate) fn total(&self) -> usize {
        self.transmitters + self.receivers
    }

    /// Sends an order to everybody who has joined. Who has left says so by other ways.
    pub(crate) async fn order(&self, order: order::Order) {
        let everybody: Vec<Orders> = self.joined().values().cloned().collect();
        for orders in everybody {
            let _ = orders.send(Ok(Order { order: Some(order.clone()) })).await;
        }
    }

    /// Sends an order to one member.
    pub(crate) async fn order_one(&self, member: Member, order: order::Order) {
        let orders = self.joined().get(&member).cloned();
        if let Some(orders) = orders {
            let _ = orders.send(Ok(Order { order: Some(order) })).await;
        }
    }

    /// Closes all order streams.
    pub(crate) fn close(&self) {
        self.joined().clear();
    }

    fn count(&self, role: Role) -> usize {
        match role {
            Role::Transmitter => self.transmitters,
            Role::Receiver => self.receivers,
        }
    }

    fn joined(&self) -> MutexGuard<'_, BTreeMap<Member, Orders>> {
        self.joined.lock().expect("no code panics while it holds this lock")
    }
}

/// Only nodes of the same version and protocol understand each other.
fn check_build(join: &Join) -> Result<(), Status> {
    if join.version != proto::VERSION {
        return Err(Status::failed_precondition(format!(
            "the node is of version {}, the coordinator of version {}: install the same on all machines",
            join.version.chars().take(40).collect::<String>(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn join(role: proto::v1::Role, index: Option<u32>) -> Join {
        let protocol = proto::protocol_digest().to_vec().into();
        Join { role: role.into(), index, version: proto::VERSION.into(), protocol }
    }

    #[test]
    fn nodes_get_the_index_they_ask_for_or_the_first_free_one() {
        let members = Members::new(2, 1);
        let (orders, _kept) = mpsc::channel(1);
        let admit = |role, index| members.admit(&join(role, index), orders.clone());
        let transmitter = proto::v1::Role::Transmitter;
        assert_eq!(admit(transmitter, Some(1)).unwrap().index, 1);
        assert_eq!(admit(transmitter, None).unwrap().index, 0);
        assert!(admit(transmitter, None).unwrap_err().message().contains("all 2 transmitters have joined"));
        assert!(
            admit(transmitter, Some(1)).unwrap_err().message().contains("transmitter 1 has joined already")
        );
        assert!(admit(transmitter, Some(2)).unwrap_err().message().contains("there is no transmitter 2"));
        assert_eq!(admit(proto::v1::Role::Receiver, None).unwrap().to_string(), "receiver 0");
        assert!(admit(proto::v1::Role::Unspecified, None).is_err());
    }

    #[test]
    fn another_version_or_protocol_is_refused_by_name() {
        let members = Members::new(1, 1);
        let (orders, _kept) = mpsc::channel(1);
        let old = Join { version: "0.0.1".into(), ..join(proto::v1::Role::Receiver, None) };
        let error = members.admit(&old, orders.clone()).unwrap_err();
        assert!(error.message().contains("the node is of version 0.0.1, the coordinator of version"));
        let strange = Join { protocol: vec![1, 2].into(), ..join(proto::v1::Role::Receiver, None) };
        assert!(members.admit(&strange, orders).unwrap_err().message().contains("another protocol"));
    }
}
