use std::{net::SocketAddr, sync::Arc};

use link::{Channel, Name, Security};
use proto::v1::{
    Acknowledged, AnswerLine, AnswersRequest, Features, Join, LoadRequest, ManageRequest, Observed, Order,
    Report, Role, RunStatus, StatePiece, Turn, Welcome, coordinator_client::CoordinatorClient,
    coordinator_server::CoordinatorServer, order, report, serving_client::ServingClient,
    transmitter_client::TransmitterClient, transmitter_server::TransmitterServer,
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::mpsc,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Status, Streaming,
    transport::{Server, server::Router},
};

use crate::{PATIENCE, fake_coordinator::FakeCoordinator, fake_transmitter::FakeTransmitter};

/// The protocol, for tests that send their own messages, valid or invalid.
pub struct Wire {
    runtime: Runtime,
    security: Security,
}

/// A node that a coordinator has admitted, controlled by a test.
pub struct FakeNode {
    /// The coordinator's answer on admission.
    pub welcome: Welcome,
    reports: mpsc::Sender<Report>,
    orders: Streaming<Order>,
    handle: Handle,
}

/// A control stream on which nothing is sent.
pub struct SilentCall {
    _reports: mpsc::Sender<Report>,
    _orders: Streaming<Order>,
}

/// A stream of samples to a service.
pub struct Sensor {
    messages: mpsc::Sender<Observed>,
    replies: Streaming<Acknowledged>,
    handle: Handle,
}

/// One who follows the answers of a service.
pub struct Follower {
    lines: Streaming<AnswerLine>,
    handle: Handle,
}

/// A stream to a transmitter.
pub struct FakeLink {
    turns: mpsc::Sender<Turn>,
    features: Streaming<Features>,
    handle: Handle,
}

/// The join report of a node of this build.
pub fn join(role: Role, index: Option<u32>) -> Join {
    let protocol = proto::protocol_digest().to_vec().into();
    Join { role: role.into(), index, version: proto::VERSION.into(), protocol }
}

impl Wire {
    /// The wire, with its own threads.
    pub fn open() -> Self {
        Wire::secured(Security::default())
    }

    /// The wire with a certificate or a token.
    pub fn secured(security: Security) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Wire { runtime: runtime.expect("an async runtime can be started"), security }
    }

    /// Dials a coordinator with this first report; a refusal is its status.
    pub fn join(&self, coordinator: SocketAddr, join: Join) -> Result<FakeNode, Status> {
        self.greet(coordinator, report::Report::Join(join))
    }

    /// The same with any report.
    pub fn greet(&self, coordinator: SocketAddr, first: report::Report) -> Result<FakeNode, Status> {
        let handle = self.runtime.handle().clone();
        let (reports, outgoing) = mpsc::channel(16);
        send(&handle, &reports, Report { report: Some(first) });
        let orders = in_time(&handle, async {
            let mut client = CoordinatorClient::new(self.dial(Name::Coordinator, coordinator).await);
            client.control(ReceiverStream::new(outgoing)).await
        })?;
        let mut orders = orders.into_inner();
        match in_time(&handle, orders.message())? {
            Some(Order { order: Some(order::Order::Welcome(welcome)) }) => {
                Ok(FakeNode { welcome, reports, orders, handle })
            }
            other => panic!("a welcome or a refusal was due, not {other:?}"),
        }
    }

    /// Opens a control stream and sends nothing while the call is held.
    pub fn control_in_silence(&self, coordinator: SocketAddr) -> SilentCall {
        let (reports, outgoing) = mpsc::channel(1);
        let orders = in_time(self.runtime.handle(), async {
            let mut client = CoordinatorClient::new(self.dial(Name::Coordinator, coordinator).await);
            client.control(ReceiverStream::new(outgoing)).await
        });
        SilentCall { _reports: reports, _orders: orders.expect("the call itself is taken").into_inner() }
    }

    /// Sends a coordinator a state in these pieces.
    pub fn save(&self, coordinator: SocketAddr, pieces: Vec<StatePiece>) -> Result<(), Status> {
        in_time(self.runtime.handle(), async {
            let mut client = CoordinatorClient::new(self.dial(Name::Coordinator, coordinator).await);
            client.save(tokio_stream::iter(pieces)).await.map(drop)
        })
    }

    /// Asks a coordinator for a state.
    pub fn load(&self, coordinator: SocketAddr, request: LoadRequest) -> Result<(), Status> {
        in_time(self.runtime.handle(), async {
            let mut client = CoordinatorClient::new(self.dial(Name::Coordinator, coordinator).await);
            client.load(request).await.map(drop)
        })
    }

    /// Sends a coordinator the number of an action, which need not exist.
    pub fn manage(&self, coordinator: SocketAddr, action: i32) -> Result<RunStatus, Status> {
        in_time(self.runtime.handle(), async {
            let mut client = CoordinatorClient::new(self.dial(Name::Coordinator, coordinator).await);
            client.manage(ManageRequest { action }).await.map(tonic::Response::into_inner)
        })
    }

    /// Calls a service to send it samples.
    pub fn observe(&self, service: SocketAddr) -> Result<Sensor, Status> {
        let handle = self.runtime.handle().clone();
        let (messages, outgoing) = mpsc::channel(16);
        let replies = in_time(&handle, async {
            let mut client = ServingClient::new(self.dial(Name::Coordinator, service).await);
            client.observe(ReceiverStream::new(outgoing)).await
        })?;
        Ok(Sensor { messages, replies: replies.into_inner(), handle })
    }

    /// Calls a service to follow its answers.
    pub fn follow(&self, service: SocketAddr) -> Result<Follower, Status> {
        let handle = self.runtime.handle().clone();
        let lines = in_time(&handle, async {
            let mut client = ServingClient::new(self.dial(Name::Coordinator, service).await);
            client.answers(AnswersRequest {}).await
        })?;
        Ok(Follower { lines: lines.into_inner(), handle })
    }

    /// Listens as a coordinator that ends every node's run with these words; returns its address.
    pub fn coordinate(&self, words: &str) -> SocketAddr {
        let words = words.to_owned();
        self.listen(|builder| builder.add_service(CoordinatorServer::new(FakeCoordinator { words })))
    }

    /// Listens as a transmitter that answers every turn like this; returns its address.
    pub fn serve(&self, answer: impl Fn(Turn) -> Features + Send + Sync + 'static) -> SocketAddr {
        let service = TransmitterServer::new(FakeTransmitter { answer: Arc::new(answer) });
        self.listen(|builder| builder.add_service(service))
    }

    fn listen(&self, serve: impl FnOnce(&mut Server) -> Router) -> SocketAddr {
        let bind = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = in_time(self.runtime.handle(), bind).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let router = serve(&mut Server::builder());
        self.runtime.spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    /// Dials a transmitter with this first turn.
    pub fn exchange(&self, transmitter: SocketAddr, first: Turn) -> Result<FakeLink, Status> {
        let k = first.stamp.as_ref().map_or(0, |stamp| stamp.transmitter);
        self.call(transmitter, k, Some(first))
    }

    /// Dials transmitter k and sends nothing.
    pub fn exchange_in_silence(&self, transmitter: SocketAddr, k: u32) -> Result<FakeLink, Status> {
        self.call(transmitter, k, None)
    }

    fn call(&self, transmitter: SocketAddr, k: u32, first: Option<Turn>) -> Result<FakeLink, Status> {
        let handle = self.runtime.handle().clone();
        let (turns, outgoing) = mpsc::channel(16);
        first.into_iter().for_each(|first| send(&handle, &turns, first));
        let features = in_time(&handle, async {
            let mut client = TransmitterClient::new(self.dial(Name::Transmitter(k), transmitter).await);
            client.exchange(ReceiverStream::new(outgoing)).await
        })?;
        Ok(FakeLink { turns, features: features.into_inner(), handle })
    }

    async fn dial(&self, peer: Name, address: SocketAddr) -> Channel {
        let address = address.to_string();
        // As this user's own programs do.
        let security = self.security.clone().finding_token_of(&address);
        let dialled = link::dial(peer, &address, &security, PATIENCE).await;
        dialled.unwrap_or_else(|error| panic!("somebody listens there: {error}"))
    }
}

impl Sensor {
    /// Sends a sample, or a part of one.
    pub fn send(&self, message: Observed) {
        send(&self.handle, &self.messages, message);
    }

    /// The next acknowledgement; none if the service has ended.
    pub fn acknowledged(&mut self) -> Result<Option<Acknowledged>, Status> {
        in_time(&self.handle, self.replies.message())
    }
}

impl Follower {
    /// The next line; none if the service has ended.
    pub fn line(&mut self) -> Result<Option<AnswerLine>, Status> {
        in_time(&self.handle, self.lines.message())
    }
}

impl FakeNode {
    /// Reports to the coordinator.
    pub fn report(&self, report: report::Report) {
        send(&self.handle, &self.reports, Report { report: Some(report) });
    }

    /// The next order; none if the coordinator has closed the stream.
    pub fn order(&mut self) -> Result<Option<order::Order>, Status> {
        Ok(in_time(&self.handle, self.orders.message())?.and_then(|order| order.order))
    }
}

impl FakeLink {
    /// Sends another turn.
    pub fn send(&self, turn: Turn) {
        send(&self.handle, &self.turns, turn);
    }

    /// The next answer; none if the transmitter has closed the stream.
    pub fn answer(&mut self) -> Result<Option<Features>, Status> {
        in_time(&self.handle, self.features.message())
    }
}

fn send<T: std::fmt::Debug>(handle: &Handle, to: &mpsc::Sender<T>, message: T) {
    // A lost peer is noticed where its answer is awaited.
    let _ = in_time(handle, to.send(message));
}

fn in_time<T>(handle: &Handle, work: impl Future<Output = T>) -> T {
    let outcome = handle.block_on(async { tokio::time::timeout(PATIENCE, work).await });
    outcome.expect("a peer answers or closes in time")
}
