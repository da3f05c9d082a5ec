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
    members::{Admitted, Member, Members, Orders, Refusal, role},
    ordered::Ordered,
    shared_status::SharedStatus,
    summary::hex,
};

/// State travels in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// In which whoever opens a control stream must have said who it is.
const FIRST_REPORT: Duration = Duration::from_secs(10);

/// The largest state of a node, in bytes: no network of this program comes near it.
const LARGEST_STATE: u64 = 4 << 30;

/// How many orders may wait for a node to read them: it is told of no more than a handful of rounds ahead.
const ORDERS: usize = 64;

/// Who claims a place that somebody has gets it if its holder gives no heartbeats for this long. Heartbeats come every
/// second: so a refusal takes about one, and a node that was started again need not wait until its death is noticed.
const PROOF_OF_LIFE: Duration = Duration::from_secs(3);

/// Between two looks at whether a place has become free.
const PAUSE: Duration = Duration::from_millis(50);

/// What happens at the coordinator's door. What a node says belongs to the incarnation in which it joined.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "almost every event is a report, and the queue is short")]
pub(crate) enum Event {
    /// A node said something.
    Report(u64, Member, report::Report),
    /// A node's control stream has ended.
    Gone(u64, Member, String),
    /// A node's state at the version whose saving was ordered lies in the store, with this SHA-256.
    Saved { incarnation: u64, member: Member, version: u64, sha256: [u8; 32] },
    /// Somebody wants something of the run.
    Told(Action),
    /// The store of checkpoints has failed.
    Fault(String),
    /// The checkpoint from which the run is to go on has been damaged.
    Damaged(u64, String),
    /// Nothing has happened for a moment.
    Tick,
}

impl Event {
    /// The incarnation that it belongs to, if to one.
    pub(crate) fn incarnation(&self) -> Option<u64> {
        match self {
            Event::Report(incarnation, ..)
            | Event::Gone(incarnation, ..)
            | Event::Damaged(incarnation, _)
            | Event::Saved { incarnation, .. } => Some(*incarnation),
            Event::Told(_) | Event::Fault(_) | Event::Tick => None,
        }
    }
}

/// What changes with an incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) incarnation: u64,
    /// The version of the checkpoint from which nodes restore their state, if they do.
    pub(crate) restore: Option<u64>,
}

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) run: Bytes,
    pub(crate) current: Arc<Mutex<Current>>,
    pub(crate) scenario: Arc<str>,
    pub(crate) seed: [u8; 32],
    /// Whether nodes are to say what they see of the draws.
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
        // Whoever speaks out of turn is refused; nobody else has to hear of it.
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
        let version =
            current.restore.ok_or_else(|| Status::failed_precondition("this run starts from nothing"))?;
        let (state, expected) = match self.checkpoints.state(version, member).await {
            Ok(found) => found,
            // The manifest has been damaged since the checkpoint was found whole.
            Err(CoordinatorError::Input(line)) => {
                self.tell(Event::Damaged(current.incarnation, line.clone())).await?;
                // To the node it is a coordinator that was lost, which it joins again.
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
        // A number that is no action of this build's would pass for the harmless first one.
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
            // Nobody we know: nothing that concerns the run.
            _ => Err(Status::invalid_argument("the first report must be Join")),
        };
        let Admitted { member, incarnation, dismissed, .. } = match admitted {
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
            end = self.hear(member, incarnation, &mut reports) => {
                let _ = self.events.send(Event::Gone(incarnation, member, end)).await;
            }
            // Whoever took its place away knows why.
            _ = dismissed => {}
        }
    }

    /// Passes on what a node says; gives why it stopped.
    async fn hear(&self, member: Member, incarnation: u64, reports: &mut Streaming<Report>) -> String {
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
                self.members.heard(member, incarnation, Some(heartbeat));
                continue;
            }
            self.members.heard(member, incarnation, None);
            let report = check::spelt_out(report);
            if self.events.send(Event::Report(incarnation, member, report)).await.is_err() {
                return "the run is over".into();
            }
        }
    }

    async fn welcome(&self, join: Join, orders: &Orders, caller: Identity) -> Result<Admitted, Status> {
        let join = invited::join(join, caller)?;
        let admitted = self.admit(&join, orders).await?;
        let welcome = Welcome {
            run: self.run.clone(),
            incarnation: admitted.incarnation,
            index: admitted.member.index as u32,
            scenario: self.scenario.to_string(),
            seed: Bytes::copy_from_slice(&self.seed),
            restore: self.current().restore.is_some(),
            verify: self.verify,
            secret: admitted.secret.to_bytes(),
        };
        // A node that has left already says so by other ways.
        let _ = orders.send(Ok(Order { order: Some(order::Order::Welcome(welcome)) })).await;
        Ok(admitted)
    }

    /// Lets a node in. If its place is taken, waits for a heartbeats of its holder: a node that was started again may
    /// be here before anybody has noticed that it was gone.
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
                for mute in holders.into_iter().filter(|holder| !self.members.spoke_since(*holder, came)) {
                    self.tell(Event::Gone(self.current().incarnation, mute, end.into())).await?;
                }
            } else if came.elapsed() > 2 * PROOF_OF_LIFE {
                return Err(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Who speaks, if it shows the secret that this member got when it was let in. A stranger learns nothing of the run, and
    /// who was let in before somebody else took its place is one.
    fn member(
        &self,
        shown: &Bytes,
        of: i32,
        index: u32,
        caller: Identity,
    ) -> Result<(Member, Current), Status> {
        let member = Member { role: role(of)?, index: index as usize };
        invited::state(member, caller)?;
        // Looked at before the secret: if both go on meanwhile, what was allowed counts for nothing.
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

    /// Writes a state to the store piece by piece; it is there only when it is whole and its hash is right.
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

    /// The store has failed: the conductor must hear of it, for the node is not to blame.
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
    /// The node did not send it as it should.
    Node(Status),
    /// It could not be stored.
    Store(StoreError),
}

/// Writes what comes until the piece that carries the hash of the whole; gives that hash.
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

/// How a state went out.
#[derive(PartialEq, Eq)]
enum Sent {
    /// Whole, or not to its end: then who asked for it knows.
    Done,
    /// It was read whole, and is not what it should be; its end has not gone out.
    Damaged,
}

/// Sends a state in pieces; the last, which is empty, carries the hash of the whole, if that is what is expected.
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
        // A store may give larger pieces than a message may hold.
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
