pub(crate) mod activity;
pub(crate) mod figures;
pub(crate) mod health;
pub(crate) mod join;
pub(crate) mod parent;
pub(crate) mod probe;
pub(crate) mod reloading;
pub(crate) mod schedule;
pub(crate) mod shutdown;
pub(crate) mod vitals;

pub use activity::{Activity, Awaited};
use figures::Figures;
pub use health::{Health, HealthArguments, health};
pub use join::live;
pub use parent::{end_with_parent, main};
pub use probe::Probe;
pub use reloading::Reloading;
pub use schedule::{Next, Schedule};
pub use shutdown::Shutdown;
pub use vitals::Vitals;

use bytes::Bytes;
use link::{Channel, Name, Security};
use proto::{
    Secret,
    v1::{
        Failed, Join, Leaving, LoadRequest, Order, Report, Start, StatePiece, Welcome,
        coordinator_client::CoordinatorClient, order::Order as Kind, report,
    },
};
use randomness::Seed;
use scenario::Scenario;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{Context, HEARTBEAT, NodeError, Options, Role, WeightFiles, resolve_device};

/// State travels in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// The largest message that the coordinator sends, in bytes: a scenario of some thousand nodes, or a piece of a state.
const LARGEST_MESSAGE: usize = 4 << 20;

/// The largest state in bytes, as at the coordinator.
const LARGEST_STATE: usize = 4 << 30;

/// A node's side of the coordinator's control stream.
#[derive(Debug)]
pub struct Control {
    client: CoordinatorClient<Channel>,
    reports: mpsc::Sender<Report>,
    orders: Streaming<Order>,
    role: Role,
    run: Bytes,
    incarnation: u64,
    index: u32,
    /// Shown with every state that is written or read; it comes from `Welcome`.
    secret: Bytes,
    activity: Activity,
    vitals: Vitals,
    heart: JoinHandle<()>,
    /// What scrapers of the health port are told of the reports.
    figures: Figures,
}

/// A node's data after the coordinator has admitted it.
#[derive(Debug)]
pub struct Joined {
    /// The control stream.
    pub control: Control,
    /// The run that it takes part in.
    pub context: Context,
    /// Its state at the checkpoint from which the run continues, as a safetensors file.
    pub state: Option<Vec<u8>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

impl Control {
    /// Dials the coordinator, presents version and protocol, and receives the scenario and an index.
    ///
    /// # Errors
    ///
    /// If the coordinator cannot be reached, refuses the node, or sends a scenario or state that cannot be used.
    pub async fn join(role: Role, options: &Options, security: &Security) -> Result<Joined, NodeError> {
        let channel =
            link::dial(Name::Coordinator, &options.coordinator, security, options.patience()).await?;
        match tokio::time::timeout(options.patience(), Control::greet(role, options, channel)).await {
            Ok(joined) => joined,
            Err(_) => Err(lost(&format!("it did not answer within {} s", options.patience))),
        }
    }

    async fn greet(role: Role, options: &Options, channel: Channel) -> Result<Joined, NodeError> {
        let mut client = CoordinatorClient::new(channel.clone()).max_decoding_message_size(LARGEST_MESSAGE);
        let (reports, outgoing) = mpsc::channel(64);
        let join = Join {
            role: proto::v1::Role::from(role).into(),
            index: options.index,
            version: proto::VERSION.into(),
            protocol: Bytes::copy_from_slice(&proto::protocol_digest()),
        };
        send(&reports, report::Report::Join(join)).await?;
        let orders = client.control(ReceiverStream::new(outgoing)).await.map_err(refusal)?.into_inner();
        let (activity, vitals) = (Activity::preparing(), Vitals::default());
        let told = (activity.clone(), vitals.clone());
        let beating = beat(reports.clone(), told, options.shutdown.clone());
        let probing = vitals.clone().probe_coordinator(channel);
        let heart = tokio::spawn(async {
            tokio::select! {
                () = beating => {}
                () = probing => {}
            }
        });
        let (run, incarnation, index, secret) = (Bytes::new(), 0, 0, Bytes::new());
        let figures = options.state_of_health.figures();
        let mut control = Control {
            client,
            reports,
            orders,
            role,
            run,
            incarnation,
            index,
            secret,
            activity,
            vitals,
            heart,
            figures,
        };
        let welcome = match control.order().await? {
            Kind::Welcome(welcome) => welcome,
            other => return Err(NodeError::unexpected(&other, "where Welcome was due")),
        };
        (control.run, control.incarnation) = (welcome.run.clone(), welcome.incarnation);
        (control.index, control.secret) = (welcome.index, welcome.secret.clone());
        control.figures.of(role, welcome.index);
        let outcome = async {
            let context = context(role, &welcome, options)?;
            if !welcome.restore {
                return Ok((context, None));
            }
            match control.load().await {
                Ok(state) => Ok((context, Some(state))),
                // A coordinator between two incarnations sends no states: the control stream tells why.
                Err(error) => Err(control.explain(error).await),
            }
        }
        .await;
        match outcome {
            Ok((context, state)) => {
                tracing::info!(role = role.name(), index = context.index, "joined");
                Ok(Joined { control, context, state })
            }
            Err(error) => Err(control.fail(error).await),
        }
    }

    /// The activity that the compute half records, for the heartbeats.
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Measurements of links that the heartbeats report.
    pub fn vitals(&self) -> Vitals {
        self.vitals.clone()
    }

    /// The next order.
    ///
    /// # Errors
    ///
    /// The end of the incarnation or of the run, or the loss of the coordinator.
    pub async fn order(&mut self) -> Result<Kind, NodeError> {
        match self.orders.message().await {
            Ok(Some(Order { order: Some(Kind::Abort(abort)) })) => {
                Err(NodeError::Aborted(link::printable(&abort.reason)))
            }
            Ok(Some(Order { order: Some(Kind::Rollback(rollback)) })) => {
                Err(NodeError::RolledBack(link::printable(&rollback.reason)))
            }
            Ok(Some(Order { order: Some(order) })) => Ok(order),
            Ok(Some(Order { order: None })) => {
                Err(NodeError::protocol("the coordinator", "sent an empty order"))
            }
            Ok(None) => Err(lost("it closed the control stream")),
            Err(status) => Err(refusal(status)),
        }
    }

    /// Sends a report.
    ///
    /// # Errors
    ///
    /// If the coordinator is lost.
    pub async fn report(&self, report: report::Report) -> Result<(), NodeError> {
        self.figures.note(&report);
        send(&self.reports, report).await
    }

    /// Explains the loss of a peer. It may be the first sign of an end whose cause the coordinator knows, or of the
    /// coordinator's own loss: returns that if it arrives within the grace time, otherwise the peer's loss.
    pub async fn explain(&mut self, loss: NodeError) -> NodeError {
        self.last_word().await.unwrap_or(loss)
    }

    /// How the control stream ends, if it ends within the grace time.
    async fn last_word(&mut self) -> Option<NodeError> {
        let end = async {
            loop {
                if let Err(error) = self.order().await {
                    return error;
                }
            }
        };
        tokio::time::timeout(crate::GRACE, end).await.ok()
    }

    /// After this node's last report: waits until the coordinator has read it and closes the stream.
    pub async fn finish(&mut self) {
        self.last_word().await;
    }

    /// The next order, which must be the start of the run.
    ///
    /// # Errors
    ///
    /// As [`order`](Self::order); also if another order comes first.
    pub async fn start(&mut self) -> Result<Start, NodeError> {
        match self.order().await? {
            Kind::Start(start) => Ok(start),
            other => Err(NodeError::unexpected(&other, "where Start was due")),
        }
    }

    /// Tells the coordinator why this node cannot continue, and returns the error to end with: its own, unless the
    /// coordinator's answer takes precedence.
    pub async fn fail(&mut self, error: NodeError) -> NodeError {
        match error {
            NodeError::Aborted(_) | NodeError::Refused(_) | NodeError::RolledBack(_) => return error,
            // A last order from before the loss may still be unread.
            NodeError::CoordinatorLost(_) => return self.last_word().await.unwrap_or(error),
            _ => {}
        }
        let failed = Failed { message: error.to_string(), input: error.is_input(), lost: error.is_loss() };
        // A coordinator that no longer reads reports may have sent its last order, which waits to be read.
        let _ = self.report(report::Report::Failed(failed)).await;
        // The coordinator answers a failure with an abort, a rollback, or by closing the stream: then it has read the
        // report.
        match self.last_word().await {
            Some(back @ NodeError::RolledBack(_)) => back,
            // The cause of a peer's loss may be known only to the coordinator.
            Some(end @ NodeError::Aborted(_)) if error.is_loss() => end,
            // A loss ends no node while the coordinator may come back, for the coordinator sees the loss too.
            None | Some(NodeError::CoordinatorLost(_)) if error.is_loss() => {
                lost(&format!("it did not hear that this node has {error}"))
            }
            _ => error,
        }
    }

    /// Streams this node's state at a version to the coordinator.
    ///
    /// # Errors
    ///
    /// If the coordinator is lost or refuses the state.
    pub async fn save(&mut self, version: u64, state: Vec<u8>) -> Result<(), NodeError> {
        let pieces = self.pieces(version, Bytes::from(state));
        match self.client.save(tokio_stream::iter(pieces)).await {
            Ok(_) => Ok(()),
            // A coordinator between two incarnations accepts no states: the control stream tells why.
            Err(status) => Err(self.explain(left_behind(status)).await),
        }
    }

    /// Cuts a state into pieces; the last carries the hash of the whole.
    fn pieces(&self, version: u64, state: Bytes) -> Vec<StatePiece> {
        let hash = Bytes::copy_from_slice(&Sha256::digest(&state));
        let count = state.len().div_ceil(PIECE).max(1);
        let piece = |number: usize| StatePiece {
            run: self.run.clone(),
            incarnation: self.incarnation,
            role: proto::v1::Role::from(self.role).into(),
            index: self.index,
            version,
            data: state.slice(number * PIECE..((number + 1) * PIECE).min(state.len())),
            sha256: if number + 1 == count { hash.clone() } else { Bytes::new() },
            secret: if number == 0 { self.secret.clone() } else { Bytes::new() },
        };
        (0..count).map(piece).collect()
    }

    /// Fetches this node's state at the checkpoint from which the run continues.
    async fn load(&self) -> Result<Vec<u8>, NodeError> {
        fetch(self.client.clone(), self.request(None)).await
    }

    /// Fetches this node's state at a version that the coordinator has ordered to be loaded, beside whatever else it
    /// does.
    ///
    /// # Errors
    ///
    /// Of the task: if the coordinator is lost, refuses, or sends a damaged state.
    pub fn reload(&self, version: u64) -> JoinHandle<Result<Vec<u8>, NodeError>> {
        tokio::spawn(fetch(self.client.clone(), self.request(Some(version))))
    }

    fn request(&self, version: Option<u64>) -> LoadRequest {
        LoadRequest {
            run: self.run.clone(),
            incarnation: self.incarnation,
            role: proto::v1::Role::from(self.role).into(),
            index: self.index,
            secret: self.secret.clone(),
            version,
        }
    }
}

/// Fetches a state.
async fn fetch(mut client: CoordinatorClient<Channel>, request: LoadRequest) -> Result<Vec<u8>, NodeError> {
    let mut stream = client.load(request).await.map_err(left_behind)?.into_inner();
    let mut state = Vec::new();
    while let Some(piece) = stream.message().await.map_err(left_behind)? {
        if state.len() + piece.data.len() > LARGEST_STATE {
            return Err(NodeError::protocol("the coordinator", "sent a state beyond all bounds"));
        }
        state.extend_from_slice(&piece.data);
        if !piece.sha256.is_empty() {
            return match Sha256::digest(&state).as_slice() == piece.sha256 {
                true => Ok(state),
                false => {
                    Err(NodeError::protocol("the coordinator", "sent a state that does not match its hash"))
                }
            };
        }
    }
    Err(NodeError::protocol("the coordinator", "sent a state without an end"))
}

fn context(role: Role, welcome: &Welcome, options: &Options) -> Result<Context, NodeError> {
    let scenario = Scenario::parse(&welcome.scenario, "the coordinator's scenario", &[])?;
    crate::check_kinds(&scenario)?;
    crate::check_channels(&scenario)?;
    let seed: [u8; 32] = welcome
        .seed
        .as_ref()
        .try_into()
        .map_err(|_| NodeError::protocol("the coordinator", "sent a seed that is not 32 bytes"))?;
    let secret = Secret::read("the member's secret", &welcome.secret)
        .map_err(NodeError::message("the coordinator"))?;
    let index = welcome.index as usize;
    let (count, device) = match role {
        Role::Transmitter => {
            (scenario.transmitters(), scenario.transmitter.get(index).map(|node| node.device))
        }
        Role::Receiver => (scenario.receivers(), scenario.receiver.get(index).map(|node| node.device)),
    };
    let Some(device) = device else {
        let what = format!("gave index {index} of {count} {}s", role.name());
        return Err(NodeError::protocol("the coordinator", what));
    };
    Ok(Context {
        weights: WeightFiles::of_node(&scenario, role, index)?,
        scenario: scenario.into(),
        seed: Seed::from_bytes(seed),
        run: welcome.run.clone(),
        incarnation: welcome.incarnation,
        index,
        secret,
        device: resolve_device(options.device.unwrap_or(device))?,
        verify: welcome.verify,
    })
}

/// Sends a heartbeat with what the node does, its memory and round-trip times every second, and once a report that it
/// leaves.
async fn beat(reports: mpsc::Sender<Report>, (activity, vitals): (Activity, Vitals), shutdown: Shutdown) {
    let mut leaves = false;
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = shutdown.announced(), if !leaves => {
                leaves = true;
                if send(&reports, report::Report::Leaving(Leaving {})).await.is_err() {
                    return;
                }
            }
        }
        let heartbeat = vitals.complete(activity.heartbeat());
        if send(&reports, report::Report::Heartbeat(heartbeat)).await.is_err() {
            return;
        }
    }
}

async fn send(reports: &mpsc::Sender<Report>, report: report::Report) -> Result<(), NodeError> {
    let sent = reports.send(Report { report: Some(report) }).await;
    sent.map_err(|_| lost("the control stream is closed"))
}

/// The error for a failed call: a refusal if the coordinator sent a status, otherwise a lost connection.
fn refusal(status: Status) -> NodeError {
    let message = link::printable(status.message());
    match status.code() {
        tonic::Code::FailedPrecondition
        | tonic::Code::InvalidArgument
        | tonic::Code::PermissionDenied
        | tonic::Code::Unauthenticated
        | tonic::Code::AlreadyExists => NodeError::Refused(message),
        tonic::Code::Aborted => NodeError::Aborted(message),
        _ => lost(&message),
    }
}

/// What it means that a member's call is refused or fails. The coordinator has gone on without this node, which may hear
/// so late or never: it joins again.
fn left_behind(status: Status) -> NodeError {
    match refusal(status) {
        NodeError::Refused(reason) => lost(&format!("it refused a state: {reason}")),
        other => other,
    }
}

fn lost(reason: &str) -> NodeError {
    NodeError::CoordinatorLost(reason.into())
}
