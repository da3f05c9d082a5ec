use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use link::Identity;
use proto::v1::{
    Action, Join, LoadRequest, ManageRequest, Order, Report, RunStatus, Saved, StatePiece, Welcome,
    coordinator_server::Coordinator, order, report,
};
use sha2::{Digest, Sha256};
use store::{Pieces, StoreError, Writer};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    CoordinatorError, check,
    checkpoints::Checkpoints,
    invited,
    members::{Admitted, Member, Members, Orders, Origin, Refusal, role},
    ordered::Ordered,
    shared_status::SharedStatus,
    summary::hex,
};

/// State travels in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// Time limit for the first report on a new control stream, which names the node.
const FIRST_REPORT: Duration = Duration::from_secs(10);

/// The largest state of a node, in bytes; all networks of this program are far smaller.
const LARGEST_STATE: u64 = 4 << 30;

/// How many unread orders may wait for a node: rounds are granted only a few ahead.
const ORDERS: usize = 64;

/// A node that claims a taken place gets it if the holder sends no heartbeat for this long. Heartbeats come every
/// second: a refusal takes about a second, and a restarted node need not wait until its loss is noticed.
const PROOF_OF_LIFE: Duration = Duration::from_secs(3);

/// Pause between two checks whether a place has become free.
const PAUSE: Duration = Duration::from_millis(50);

/// An event at the coordinator's service. A node's report belongs to the incarnation in which it joined.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "almost every event is a report, and the queue is short")]
pub(crate) enum Event {
    /// A node's report.
    Report(Origin, Member, report::Report),
    /// A node's control stream has ended.
    Gone(Origin, Member, String),
    /// A node's state at the version that was ordered is in the store, with this SHA-256.
    Saved { incarnation: u64, member: Member, version: u64, sha256: [u8; 32] },
    /// A request to manage the run.
    Told(Action),
    /// The store of checkpoints has failed.
    Fault(String),
    /// The checkpoint from which the run should continue has been damaged.
    Damaged(u64, String),
    /// No event for a while.
    Tick,
}

impl Event {
    /// The incarnation to which the event belongs, if any.
    pub(crate) fn incarnation(&self) -> Option<u64> {
        match self {
            Event::Report(origin, ..) | Event::Gone(origin, ..) => Some(origin.incarnation),
            Event::Damaged(incarnation, _) | Event::Saved { incarnation, .. } => Some(*incarnation),
            Event::Told(_) | Event::Fault(_) | Event::Tick => None,
        }
    }
}

/// State of the service that changes with an incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) incarnation: u64,
    /// The version of the checkpoint from which nodes restore their state, if any.
    pub(crate) restore: Option<u64>,
    /// In service, the version of a newer checkpoint that they may load.
    pub(crate) reload: Option<u64>,
}

/// State that all handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) run: Bytes,
    pub(crate) current: Arc<Mutex<Current>>,
    pub(crate) scenario: Arc<str>,
    pub(crate) seed: [u8; 32],
    /// Whether nodes report the draws they see.
    pub(crate) verify: bool,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) members: Arc<Members>,
    pub(crate) ordered: Arc<Ordered>,
    pub(crate) shared_status: Arc<SharedStatus>,
    pub(crate) events: mpsc::Sender<Event>,
}

#[tonic::async_trait]
impl Coordinator for Service {
    type ControlStream = ReceiverStream<Result<Order, Status>>;
    type LoadStream = ReceiverStream<Result<StatePiece, Status>>;

    async fn control(
        &self,
        request: Request<Streaming<Report>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let (orders, stream) = mpsc::channel(ORDERS);
        let caller = Identity::of(&request);
        tokio::spawn(self.clone().attend(request.into_inner(), orders, caller));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn save(&self, request: Request<Streaming<StatePiece>>) -> Result<Response<Saved>, Status> {
        let caller = Identity::of(&request);
        let mut pieces = request.into_inner();
        let first =
            pieces.message().await?.ok_or_else(|| Status::invalid_argument("a state without pieces"))?;
        let version = first.version;
        let (member, current) = self.member(&first.secret, first.role, first.index, caller)?;
        let incarnation = current.incarnation;
        // A report out of turn is refused without telling other nodes.
        if first.run != self.run
            || first.incarnation != incarnation
            || !self.ordered.take(member, incarnation, version)
        {
            let reason = format!("nobody has ordered a state of {member} at version {version}");
            link::log_refusal("a state", "a caller", &reason);
            return Err(Status::failed_precondition(reason));
        }
        match self.store(incarnation, member, first, &mut pieces).await {
            Ok(sha256) => {
                self.tell(Event::Saved { incarnation, member, version, sha256 }).await?;
                Ok(Response::new(Saved {}))
            }
            Err(status) => {
                self.ordered.give_back(member, incarnation, version);
                Err(status)
            }
        }
    }

    async fn load(&self, request: Request<LoadRequest>) -> Result<Response<Self::LoadStream>, Status> {
        let caller = Identity::of(&request);
        let request = request.into_inner();
        let (member, current) = self.member(&request.secret, request.role, request.index, caller)?;
        if request.run != self.run || request.incarnation != current.incarnation {
            return Err(Status::failed_precondition(
                "the message is of another run, or of an older incarnation",
            ));
        }
        let version = match request.version {
            None => {
                current.restore.ok_or_else(|| Status::failed_precondition("this run starts from nothing"))?
            }
            Some(version) if current.reload == Some(version) => version,
            Some(version) => {
                let reason = format!("the coordinator has not ordered version {version} to be loaded");
                return Err(Status::failed_precondition(reason));
            }
        };
        let (state, expected) = match self.checkpoints.state(version, member).await {
            Ok(found) => found,
            // The manifest has been damaged since the checkpoint was checked.
            Err(CoordinatorError::Input(line)) => {
                self.tell(Event::Damaged(current.incarnation, line.clone())).await?;
                // The node treats it like a lost coordinator and joins again.
                return Err(Status::data_loss(line));
            }
            Err(error) => return Err(self.fault(error).await),
        };
        let (pieces, stream) = mpsc::channel(4);
        let (events, incarnation) = (self.events.clone(), current.incarnation);
        tokio::spawn(async move {
            if send_state(state, &expected, &pieces).await == Sent::Damaged {
                let line =
                    format!("the state of {member} in the checkpoint of round {version} has been damaged");
                let _ = pieces.send(Err(Status::data_loss(line.clone()))).await;
                let _ = events.send(Event::Damaged(incarnation, line)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn manage(&self, request: Request<ManageRequest>) -> Result<Response<RunStatus>, Status> {
        let caller = Identity::of(&request);
        let ManageRequest { action } = request.into_inner();
        // An unknown action of another build must not be taken for the first, harmless one.
        let action = Action::try_from(action).map_err(|_| {
            Status::invalid_argument(format!("there is no action {action}: install the same build"))
        })?;
        invited::manage(action, caller)?;
        if action != Action::Status {
            self.tell(Event::Told(action)).await?;
        }
        Ok(Response::new(self.shared_status.status(self.members.status())))
    }
}

impl Service {
    /// One node's control stream, from its join to its end.
    async fn attend(self, mut reports: Streaming<Report>, orders: Orders, caller: Identity) {
        let first = tokio::time::timeout(FIRST_REPORT, reports.message());
        let admitted = match first.await.unwrap_or(Ok(None)) {
            Ok(Some(Report { report: Some(report::Report::Join(join)) })) => {
                self.welcome(join, &orders, caller).await
            }
            // An unknown caller: it does not concern the run.
            _ => Err(Status::invalid_argument("the first report must be Join")),
        };
        let Admitted { member, origin, dismissed, .. } = match admitted {
            Ok(admitted) => admitted,
            Err(status) => {
                link::log_refusal("a node", "a control stream", status.message());
                let _ = orders.send(Err(status)).await;
                return;
            }
        };
        drop(orders);
        tokio::select! {
            biased;
            end = self.hear(member, origin, &mut reports) => {
                let _ = self.events.send(Event::Gone(origin, member, end)).await;
            }
            // The cause of the dismissal is already known.
            _ = dismissed => {}
        }
    }

    /// Passes on a node's reports; returns why the stream ended.
    async fn hear(&self, member: Member, origin: Origin, reports: &mut Streaming<Report>) -> String {
        loop {
            let report = match reports.message().await {
                Ok(Some(Report { report: Some(report) })) => report,
                Ok(Some(Report { report: None })) => return "it sent an empty report".into(),
                Ok(None) => return "it closed the control stream".into(),
                Err(status) => {
                    return format!("connection lost ({})", link::printable(status.message()));
                }
            };
            if let report::Report::Heartbeat(heartbeat) = report {
                self.members.heard(member, origin.incarnation, Some(heartbeat));
                continue;
            }
            self.members.heard(member, origin.incarnation, None);
            let report = check::spelt_out(report);
            if self.events.send(Event::Report(origin, member, report)).await.is_err() {
                return "the run is over".into();
            }
        }
    }

    async fn welcome(&self, join: Join, orders: &Orders, caller: Identity) -> Result<Admitted, Status> {
        let join = invited::join(join, caller)?;
        let admitted = self.admit(&join, orders).await?;
        let welcome = Welcome {
            run: self.run.clone(),
            incarnation: admitted.origin.incarnation,
            index: admitted.member.index as u32,
            scenario: self.scenario.to_string(),
            seed: Bytes::copy_from_slice(&self.seed),
            restore: self.current().restore.is_some(),
            verify: self.verify,
            secret: admitted.secret.to_bytes(),
        };
        // A node that has left already is noticed elsewhere.
        let _ = orders.send(Ok(Order { order: Some(order::Order::Welcome(welcome)) })).await;
        Ok(admitted)
    }

    /// Admits a node. If its place is taken, waits for a heartbeat of the holder: a restarted node may arrive before
    /// its loss is noticed.
    async fn admit(&self, join: &Join, orders: &Orders) -> Result<Admitted, Status> {
        let came = Instant::now();
        let mut evicted = false;
        loop {
            let (holders, status) = match self.members.admit(join, orders.clone()) {
                Ok(admitted) => return Ok(admitted),
                Err(Refusal::Never(status)) => return Err(status),
                Err(Refusal::Taken(holders, status)) => (holders, status),
                Err(Refusal::NotYet) if self.events.is_closed() => {
                    return Err(Status::aborted("the run is over"));
                }
                Err(Refusal::NotYet) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if holders.iter().all(|holder| self.members.spoke_since(*holder, came)) {
                return Err(status);
            }
            if came.elapsed() > PROOF_OF_LIFE && !evicted {
                evicted = true;
                let end = "it gave no heartbeats when its place was claimed";
                let mute = |holder: Member| Some((holder, self.members.mute_since(holder, came)?));
                for (mute, admission) in holders.into_iter().filter_map(mute) {
                    let incarnation = self.current().incarnation;
                    let origin = Origin { incarnation, admission: Some(admission) };
                    self.tell(Event::Gone(origin, mute, end.into())).await?;
                }
            } else if came.elapsed() > 2 * PROOF_OF_LIFE {
                return Err(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The member that sends a request, if it shows the secret it got on admission. Others learn nothing of the run,
    /// including a node whose place was given to another.
    fn member(
        &self,
        shown: &Bytes,
        of: i32,
        index: u32,
        caller: Identity,
    ) -> Result<(Member, Current), Status> {
        let member = Member { role: role(of)?, index: index as usize };
        invited::state(member, caller)?;
        // Read before the secret is checked: if the incarnation changes meanwhile, the permission is void.
        let current = self.current();
        if !self.members.knows(member, shown) {
            let reason = format!("the caller does not show the secret that {member} got when it joined");
            link::log_refusal("a caller", "a state's stream", &reason);
            return Err(Status::permission_denied(reason));
        }
        Ok((member, current))
    }

    fn current(&self) -> Current {
        self.current.lock().expect("no code panics while it holds this lock").clone()
    }

    /// Writes a state to the store piece by piece; it becomes visible only when complete and its hash is right.
    async fn store(
        &self,
        incarnation: u64,
        member: Member,
        first: StatePiece,
        pieces: &mut Streaming<StatePiece>,
    ) -> Result<[u8; 32], Status> {
        let mut writer = self.checkpoints.state_writer(first.version, member, incarnation);
        match write_state(&mut writer, member, first, pieces).await {
            Ok(digest) => match writer.finish().await {
                Ok(()) => Ok(digest),
                Err(error) => Err(self.fault(error.into()).await),
            },
            Err(Unwritten::Store(error)) => Err(self.fault(error.into()).await),
            Err(Unwritten::Node(status)) => {
                writer.abandon().await;
                Err(status)
            }
        }
    }

    /// Reports a failure of the store to the conductor: the node is not at fault.
    async fn fault(&self, error: CoordinatorError) -> Status {
        let line = error.to_string();
        let _ = self.events.send(Event::Fault(line.clone())).await;
        Status::aborted(line)
    }

    async fn tell(&self, event: Event) -> Result<(), Status> {
        self.events.send(event).await.map_err(|_| Status::aborted("the run is over"))
    }
}

/// Why a state was not written.
enum Unwritten {
    /// The node sent it wrongly.
    Node(Status),
    /// It could not be stored.
    Store(StoreError),
}

/// Writes the pieces up to the one with the hash of the whole; returns that hash.
async fn write_state(
    writer: &mut Writer,
    member: Member,
    first: StatePiece,
    pieces: &mut Streaming<StatePiece>,
) -> Result<[u8; 32], Unwritten> {
    let refuse = |line: String| Unwritten::Node(Status::invalid_argument(line));
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut piece = first;
    loop {
        size += piece.data.len() as u64;
        if size > LARGEST_STATE {
            return Err(refuse(format!("the state of {member} is larger than {LARGEST_STATE} bytes")));
        }
        hash.update(&piece.data);
        writer.write(piece.data).await.map_err(Unwritten::Store)?;
        if !piece.sha256.is_empty() {
            break;
        }
        let next = pieces.message().await.map_err(Unwritten::Node)?;
        piece = next.ok_or_else(|| refuse("a state without an end".into()))?;
    }
    let digest: [u8; 32] = hash.finalize().into();
    match piece.sha256.as_ref() == digest {
        true => Ok(digest),
        false => Err(refuse(format!("the state of {member} does not match its hash"))),
    }
}

/// How the sending of a state ended.
#[derive(PartialEq, Eq)]
enum Sent {
    /// Complete, or cut off by the node that asked for it, which knows.
    Done,
    /// The stored state is damaged; its last piece was not sent.
    Damaged,
}

/// Sends a state in pieces; the last, which is empty, carries the hash of the whole if that matches the expected one.
async fn send_state(
    mut state: Pieces,
    expected: &str,
    pieces: &mpsc::Sender<Result<StatePiece, Status>>,
) -> Sent {
    let mut hash = Sha256::new();
    while let Some(read) = state.next().await {
        let data = match read {
            Ok(data) => data,
            Err(error) => {
                let _ = pieces.send(Err(Status::internal(error.to_string()))).await;
                return Sent::Done;
            }
        };
        hash.update(&data);
        // A store may return pieces larger than a message.
        for start in (0..data.len()).step_by(PIECE) {
            let data = data.slice(start..(start + PIECE).min(data.len()));
            if pieces.send(Ok(StatePiece { data, ..StatePiece::default() })).await.is_err() {
                return Sent::Done;
            }
        }
    }
    let sha256 = hash.finalize();
    if hex(&sha256) != expected {
        return Sent::Damaged;
    }
    let sha256 = sha256.to_vec().into();
    let _ = pieces.send(Ok(StatePiece { sha256, ..StatePiece::default() })).await;
    Sent::Done
}
