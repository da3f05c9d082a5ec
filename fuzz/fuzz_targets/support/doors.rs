//! A coordinator and a transmitter, real ones, on a network of pipes; their receiver has not come yet.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use coordinator::{Deadlines, Mode};
use link::{Callers, Connecting, Name, Security, Simulated, Socket};
use node::{Awaited, Compute, Shutdown, Machine, NodeError, SecurityOptions};
use proto::v1::{Action, ManageRequest, coordinator_client::CoordinatorClient};
use scenario::Scenario;
use store::Store;
use tempfile::TempDir;
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use transmitter::{Input, Output};

/// Where the two listen.
pub(crate) const COORDINATOR: u16 = 7310;
pub(crate) const TRANSMITTER: u16 = 7311;

/// Every deadline at a door is shorter.
pub(crate) const LONG_ENOUGH: Duration = Duration::from_secs(30);

const SCENARIO: &str = "[network]\nfeature_dim = 2\nreceiver_limit = 1\n[train]\nticks_per_round = 3\nsamples_per_tick = 2\n\
                        [checkpoint]\nstore = \"memory\"\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";

/// Bytes that may be on their way between two ends of a pipe.
const PIPE: usize = 1 << 20;

/// A network of pipes. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network(Arc<Mutex<BTreeMap<u16, mpsc::UnboundedSender<DuplexStream>>>>);

pub(crate) struct Doors {
    pub(crate) network: Network,
    coordinator: JoinHandle<()>,
    transmitter: JoinHandle<()>,
    _folder: TempDir,
}

impl Network {
    /// A pipe to whoever listens at a port, if somebody does.
    pub(crate) fn dial(&self, port: u16) -> Option<DuplexStream> {
        let (own, other) = tokio::io::duplex(PIPE);
        self.0.lock().expect("nobody panics with it").get(&port)?.send(other).ok()?;
        Some(own)
    }
}

impl Simulated for Network {
    fn listen(&self, address: SocketAddr) -> io::Result<Callers> {
        let (callers, arrive) = mpsc::unbounded_channel();
        self.0.lock().expect("nobody panics with it").insert(address.port(), callers);
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Ok(Box::pin(
            UnboundedReceiverStream::new(arrive)
                .map(move |pipe| Ok((Box::new(pipe) as Box<dyn Socket>, from))),
        ))
    }

    fn connect(&self, address: String) -> Connecting {
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let pipe = port.and_then(|port| self.dial(port));
        let pipe = pipe.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused));
        Box::pin(async { pipe.map(|pipe| Box::new(pipe) as Box<dyn Socket>) })
    }
}

impl Doors {
    /// Starts both, and waits until both listen.
    pub(crate) async fn open() -> Self {
        let (network, folder) =
            (Network::default(), tempfile::tempdir().expect("there is room for a folder"));
        let options = coordinator_options(&network, &folder);
        let coordinator = tokio::spawn(async { drop(coordinator::run(options).await) });
        let options = node_options(&network);
        let transmitter = tokio::spawn(async {
            let employ = |_, _: &node::Options, _, activity| {
                Compute::inline(activity, |emit| {
                    emit(Output::Ready {
                        data: [0; 32],
                        files: Vec::new(),
                        same_build: false,
                        libraries: Vec::new(),
                        widths: vec![1],
                    });
                    Ok(Idle)
                })
            };
            drop(transmitter::run_with(options, &employ).await);
        });
        let doors = Doors { network, coordinator, transmitter, _folder: folder };
        tokio::time::sleep(LONG_ENOUGH).await;
        assert!(doors.answers().await, "it has just begun");
        doors
    }

    /// Whether the run goes on; if it does, the coordinator must say so.
    pub(crate) async fn answers(&self) -> bool {
        if self.coordinator.is_finished() || self.transmitter.is_finished() {
            return false;
        }
        let security = over(&self.network);
        let ask = async {
            let channel =
                link::dial(Name::Coordinator, &format!("127.0.0.1:{COORDINATOR}"), &security, Duration::ZERO)
                    .await;
            let mut client = CoordinatorClient::new(channel.ok()?);
            client.manage(ManageRequest { action: Action::Status.into() }).await.ok()
        };
        let answer = tokio::time::timeout(LONG_ENOUGH, ask).await.ok().flatten();
        assert!(
            answer.is_some() || self.coordinator.is_finished(),
            "the coordinator does not answer any more"
        );
        answer.is_some()
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.coordinator.abort();
        self.transmitter.abort();
    }
}

/// A transmitter that has nothing to do.
struct Idle;

impl Machine for Idle {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, _: Input, _: &mut dyn FnMut(Output)) -> Result<(), NodeError> {
        Ok(())
    }

    fn awaited(&self) -> Awaited {
        Awaited { version: 0, peers: Vec::new() }
    }
}

fn over(network: &Network) -> Security {
    Security::default().over(link::Transport::Simulated(Arc::new(network.clone())))
}

fn coordinator_options(network: &Network, folder: &TempDir) -> coordinator::Options {
    // Nobody grows impatient for want of a receiver.
    let ages = Duration::from_secs(1 << 30);
    coordinator::Options {
        scenario: Scenario::parse(SCENARIO, "fuzz", &[]).expect("it is valid"),
        mode: Mode::ResumeOrStart,
        best: false,
        command: "fuzzing".into(),
        folder: folder.path().join("run"),
        store: Some(Store::in_memory()),
        listen: (Ipv4Addr::LOCALHOST, COORDINATOR).into(),
        security: over(network),
        insecure: true,
        json: true,
        verify: false,
        stop_after: None,
        print_only: false,
        tensorboard: None,
        tui: false,
        otlp: None,
        page: coordinator::PageAddress::Off,
        health: node::Health::default(),
        deadlines: Deadlines {
            join: ages,
            rejoin: ages,
            silence: Duration::from_secs(10),
            stall: LONG_ENOUGH,
        },
        terminate: Shutdown::default(),
        serve: None,
    }
}

fn node_options(network: &Network) -> node::Options {
    node::Options {
        coordinator: format!("127.0.0.1:{COORDINATOR}"),
        index: Some(0),
        listen: (Ipv4Addr::LOCALHOST, TRANSMITTER).into(),
        advertise: None,
        tcp_only: true,
        data: None,
        device: Some(scenario::Device::Cpu),
        threads: 1,
        security: SecurityOptions::default(),
        insecure: true,
        patience: 60,
        end_with_parent: false,
        shares_data: false,
        network: link::Transport::Simulated(Arc::new(network.clone())),
        shutdown: Shutdown::default(),
        health: None,
        otlp: None,
        traces: node::Traces::default(),
        state_of_health: node::Health::default(),
    }
}
