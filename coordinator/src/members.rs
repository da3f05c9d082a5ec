use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use node::Role;
use proto::{
    Secret,
    v1::{Batch, Heartbeat, Join, NodeStatus, Order, Rollback, Start, order},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tonic::Status;

/// How long the places of nodes that were told to join again are closed to nodes that ask for no particular index.
const RESERVED: Duration = Duration::from_secs(10);

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

/// Whose an event is: of which incarnation, and of which holder of a member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) incarnation: u64,
    /// Which admission gave it the place; none: whoever holds it.
    pub(crate) admission: Option<u64>,
}

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
    pub(crate) fn new(transmitters: usize, receivers: usize, incarnation: u64) -> Self {
        let expected_since = Instant::now();
        let (seats, expected) = (BTreeMap::new(), BTreeSet::new());
        let apart = BTreeSet::new();
        let table = Table { incarnation, open: true, seats, admissions: 0, expected, expected_since, apart };
        Members { transmitters, receivers, table: Mutex::new(table) }
    }

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

    // ------------------------------------------------------------------------------------------------- secrets

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

    // ------------------------------------------------------------------------------------------------- orders

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

    // ------------------------------------------------------------------------------------------------- heartbeats

    /// Records a report from a member of an incarnation.
    pub(crate) fn heard(&self, member: Member, incarnation: u64, heartbeat: Option<Heartbeat>) {
        let mut table = self.table();
        if table.incarnation != incarnation {
            return;
        }
        if let Some(seat) = table.seats.get_mut(&member) {
            seat.heard = Instant::now();
            seat.heartbeat = heartbeat.or(seat.heartbeat.take());
        }
    }

    /// Whether a member holds its place and has reported since `moment`.
    pub(crate) fn spoke_since(&self, member: Member, moment: Instant) -> bool {
        self.table().seats.get(&member).is_some_and(|seat| seat.heard > moment)
    }

    /// The admission of the node that holds a member's place, if it has not reported since `moment`.
    pub(crate) fn mute_since(&self, member: Member, moment: Instant) -> Option<u64> {
        let table = self.table();
        table.seats.get(&member).filter(|seat| seat.heard <= moment).map(|seat| seat.admission)
    }

    /// The member that has been silent longest, if longer than `limit`.
    pub(crate) fn silent(&self, limit: Duration) -> Option<(Member, Duration)> {
        let table = self.table();
        let present = table.seats.iter().filter(|(member, _)| !table.apart.contains(member));
        let silences = present.map(|(member, seat)| (*member, seat.heard.elapsed()));
        silences.filter(|(_, silence)| *silence > limit).max_by_key(|(_, silence)| *silence)
    }

    /// The status of all places.
    pub(crate) fn status(&self) -> Vec<NodeStatus> {
        let table = self.table();
        let status = |member: Member| {
            let seat = table.seats.get(&member);
            NodeStatus {
                role: proto::v1::Role::from(member.role).into(),
                index: member.index as u32,
                joined: seat.is_some(),
                silent: seat.map_or(0.0, |seat| seat.heard.elapsed().as_secs_f64()),
                heartbeat: seat.and_then(|seat| seat.heartbeat.clone()),
            }
        };
        self.all().map(status).collect()
    }

    fn count(&self, role: Role) -> usize {
        match role {
            Role::Transmitter => self.transmitters,
            Role::Receiver => self.receivers,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while it holds this lock")
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSMITTER: proto::v1::Role = proto::v1::Role::Transmitter;

    fn join(role: proto::v1::Role, index: Option<u32>) -> Join {
        let protocol = proto::protocol_digest().to_vec().into();
        Join { role: role.into(), index, version: proto::VERSION.into(), protocol }
    }

    fn message(refusal: Refusal) -> String {
        match refusal {
            Refusal::Never(status) | Refusal::Taken(_, status) => status.message().to_owned(),
            Refusal::NotYet => "not yet".into(),
        }
    }

    #[test]
    fn nodes_get_the_index_they_ask_for_or_the_first_free_one() {
        let members = Members::new(2, 1, 1);
        let (orders, _kept) = mpsc::channel(1);
        let admit = |role, index| members.admit(&join(role, index), orders.clone());
        let (first, second) = (admit(TRANSMITTER, Some(1)).unwrap(), admit(TRANSMITTER, None).unwrap());
        assert_eq!((first.member.index, second.member.index), (1, 0));
        let refused = |role, index| message(admit(role, index).unwrap_err());
        assert!(refused(TRANSMITTER, None).contains("all 2 transmitters have joined"));
        assert!(refused(TRANSMITTER, Some(1)).contains("transmitter 1 has joined already"));
        assert!(refused(TRANSMITTER, Some(2)).contains("there is no transmitter 2"));
        assert_eq!(admit(proto::v1::Role::Receiver, None).unwrap().member.to_string(), "receiver 0");
        assert!(admit(proto::v1::Role::Unspecified, None).is_err());
    }

    #[test]
    fn another_version_or_protocol_is_refused_by_name() {
        let members = Members::new(1, 1, 1);
        let (orders, _kept) = mpsc::channel(1);
        let old = Join { version: "0.0.1".into(), ..join(proto::v1::Role::Receiver, None) };
        let error = message(members.admit(&old, orders.clone()).unwrap_err());
        assert!(error.contains("the node is of version 0.0.1, the coordinator of version"));
        let strange = Join { protocol: vec![1, 2].into(), ..join(proto::v1::Role::Receiver, None) };
        assert!(message(members.admit(&strange, orders).unwrap_err()).contains("another protocol"));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rollback_the_survivors_places_are_kept_for_them_for_a_while() {
        let members = Members::new(3, 1, 1);
        let (orders, mut stream) = mpsc::channel(9);
        let admit = |index| members.admit(&join(TRANSMITTER, index), orders.clone());
        let mut survivor = admit(Some(0)).unwrap();
        admit(Some(1)).unwrap();
        members.release(Member { role: Role::Transmitter, index: 1 });

        members.roll_back(2, "transmitter 1 left");

        let told = stream.recv().await.unwrap().unwrap().order.unwrap();
        assert_eq!(told, order::Order::Rollback(Rollback { reason: "transmitter 1 left".into() }));
        assert!(survivor.dismissed.try_recv().is_err(), "nobody listens to the old incarnation");
        let newcomer = admit(None).unwrap();
        assert_eq!((newcomer.member.index, newcomer.origin.incarnation), (1, 2), "place 0 is kept");
        let another = admit(None).unwrap();
        assert_eq!(another.member.index, 2);
        assert!(admit(None).is_err());
        tokio::time::advance(RESERVED).await;
        assert_eq!(admit(None).unwrap().member.index, 0);
    }

    #[tokio::test]
    async fn a_member_that_is_refused_hears_why_and_its_place_is_free() {
        let members = Members::new(1, 1, 1);
        let (orders, mut stream) = mpsc::channel(9);
        let mut broken = members.admit(&join(TRANSMITTER, None), orders).unwrap();
        members.refuse(broken.member, "it sent ReceiverPass out of turn");
        let refusal = stream.recv().await.unwrap().unwrap_err();
        assert_eq!(refusal.message(), "it sent ReceiverPass out of turn");
        assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
        assert!(stream.recv().await.is_none(), "the stream is closed");
        assert!(broken.dismissed.try_recv().is_err_and(|end| end == oneshot::error::TryRecvError::Closed));
        let (orders, _kept) = mpsc::channel(1);
        assert!(
            !members.is_of_holder(broken.origin, broken.member),
            "what it had sent before comes too late"
        );
        let next = members.admit(&join(TRANSMITTER, None), orders).unwrap();
        assert_eq!(next.member, broken.member);
        assert!(members.is_of_holder(next.origin, next.member));
        assert!(!members.is_of_holder(broken.origin, next.member), "it is not the new holder's");
        let whoever = Origin { incarnation: 1, admission: None };
        assert!(members.is_of_holder(whoever, next.member));
    }

    #[test]
    fn no_node_is_admitted_between_two_incarnations() {
        let members = Members::new(1, 1, 1);
        let (orders, _kept) = mpsc::channel(1);
        let admit = || members.admit(&join(TRANSMITTER, None), orders.clone());
        members.close_door();
        assert!(matches!(admit(), Err(Refusal::NotYet)));
        members.roll_back(2, "transmitter 0 left");
        assert_eq!(admit().unwrap().origin.incarnation, 2);
    }

    #[test]
    fn a_member_is_known_by_its_secret_until_it_joins_again() {
        let members = Members::new(2, 1, 1);
        let (orders, _kept) = mpsc::channel(9);
        let admit = |index| members.admit(&join(TRANSMITTER, Some(index)), orders.clone()).unwrap();
        let (first, second) = (admit(0), admit(1));
        let old = first.secret.to_bytes();
        assert!(members.knows(first.member, &old));
        assert!(!members.knows(first.member, &second.secret.to_bytes()), "of another member");
        assert!(!members.knows(first.member, &[]) && !members.knows(first.member, &[0; 32]));
        let nobody = Member { role: Role::Receiver, index: 0 };
        assert!(!members.knows(nobody, &old) && !members.knows(nobody, &[]));

        members.release(first.member);
        assert!(!members.knows(first.member, &old));
        let again = admit(0);
        assert!(!members.knows(first.member, &old) && members.knows(first.member, &again.secret.to_bytes()));
        members.roll_back(2, "transmitter 1 left");
        assert!(!members.knows(first.member, &again.secret.to_bytes()));
        assert!(members.knows(first.member, &admit(0).secret.to_bytes()));
    }

    #[tokio::test]
    async fn at_the_start_each_receiver_hears_the_secrets_of_its_own_pairs_and_a_transmitter_none() {
        let members = Members::new(2, 2, 1);
        let mut streams = Vec::new();
        let mut secrets = Vec::new();
        for role in [TRANSMITTER, proto::v1::Role::Receiver] {
            for index in 0..2 {
                let (orders, stream) = mpsc::channel(9);
                secrets.push(members.admit(&join(role, Some(index)), orders).unwrap().secret);
                streams.push(stream);
            }
        }
        assert!(members.start(&Start::default()).is_empty());
        let mut heard = Vec::new();
        for stream in &mut streams {
            match stream.recv().await.unwrap().unwrap().order.unwrap() {
                order::Order::Start(start) => heard.push(start.secrets),
                other => panic!("{other:?}"),
            }
        }
        assert!(heard[0].is_empty() && heard[1].is_empty());
        for t in 0..2 {
            let pair = |k: usize| secrets[k].of_pair(t as u32).to_bytes();
            assert_eq!(heard[2 + t], [pair(0), pair(1)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_measured_from_the_last_sign_of_life() {
        let members = Members::new(2, 0, 1);
        let (orders, _kept) = mpsc::channel(1);
        let _first = members.admit(&join(TRANSMITTER, None), orders.clone()).unwrap();
        let second = members.admit(&join(TRANSMITTER, None), orders).unwrap().member;
        let limit = Duration::from_secs(10);
        tokio::time::advance(Duration::from_secs(6)).await;
        members.heard(second, 1, None);
        members.heard(second, 0, None);
        assert_eq!(members.silent(limit), None);
        tokio::time::advance(Duration::from_secs(6)).await;
        let first = Member { role: Role::Transmitter, index: 0 };
        assert_eq!(members.silent(limit), Some((first, Duration::from_secs(12))));
        assert!(!members.spoke_since(second, Instant::now()));
        members.release(first);
        assert_eq!(members.silent(limit), None);
    }
}
