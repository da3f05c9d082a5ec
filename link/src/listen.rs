use std::{fmt, io, net::SocketAddr};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    service::InterceptorLayer,
    transport::{Server, server::Router},
};
use tower::layer::util::{Identity, Stack};

use crate::{
    ByteCount, Callers, FRAME, Guard, KEEPALIVE, LinkError, LocalDoor, Security, Transport, WINDOW,
    accepted::Accepted,
    arrivals::{self, Arrivals},
    counting::Counted,
    handshake,
    places::{Limits, Places},
};

/// A server whose services only see calls that a [`Guard`] has accepted, each with its [`Identity`](crate::Identity).
pub type GuardedServer = Server<Stack<InterceptorLayer<Guard>, Identity>>;

/// The same with services.
pub type GuardedRouter = Router<Stack<InterceptorLayer<Guard>, Identity>>;

/// Streams on one connection at a time: a peer needs one for its control stream or link, and one for a state.
const MOST_STREAMS: u32 = 16;

/// Upper limit on a call's headers in bytes: this project's have a few hundred.
const LARGEST_HEADERS: u32 = 16 << 10;

/// A bound listener, before it serves.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    local: Option<UnixListener>,
    address: SocketAddr,
    count: ByteCount,
    security: Security,
    pub(crate) limits: Limits,
}

/// The source of incoming connections.
enum Door {
    System(TcpListener),
    Simulated(Callers),
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Door::System(listener) => listener.fmt(formatter),
            Door::Simulated(_) => formatter.write_str("simulated"),
        }
    }
}

impl Listener {
    /// Binds to an address. One that other machines can reach requires certificates, a token, or `insecure`.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or lacks the required protection.
    pub async fn bind(address: SocketAddr, security: &Security, insecure: bool) -> Result<Self, LinkError> {
        if !address.ip().is_loopback() && !security.protects() && !insecure {
            return Err(LinkError::Exposed(address));
        }
        let fail = |error| LinkError::Listen { address, error };
        let (door, address) = match security.network() {
            Transport::System => {
                let listener = TcpListener::bind(address).await.map_err(fail)?;
                let address = listener.local_addr().map_err(fail)?;
                (Door::System(listener), address)
            }
            Transport::Simulated(network) => {
                (Door::Simulated(network.listen(address).map_err(fail)?), address)
            }
        };
        let (count, security, limits) = (ByteCount::default(), security.clone(), Limits::usual());
        Ok(Listener { door, local: None, address, count, security, limits })
    }

    /// Binds to an address for health probes. Probes show no credentials, and many may come from one machine: so their
    /// connections have no deadline for a request, and no limit for each address.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn bind_for_health(address: SocketAddr) -> Result<Self, LinkError> {
        let listener = Listener::bind(address, &Security::default(), true).await?;
        Ok(Listener { limits: Limits::of_health(), ..listener })
    }

    /// Listens on a Unix-domain socket as well. Returns none if the system refuses it (TCP still works), with
    /// certificates (a peer on the socket would show none), or on a simulated network. The socket exists while the
    /// returned value is held.
    pub fn open_local(&mut self) -> Option<LocalDoor> {
        if !self.security.is_plain_tcp() {
            return None;
        }
        match LocalDoor::open() {
            Ok((listener, door)) => {
                self.local = Some(listener);
                Some(door)
            }
            Err(error) => {
                tracing::debug!(%error, "no Unix-domain socket: listening on TCP only");
                None
            }
        }
    }

    /// The address on which it listens, with the port that the system chose if 0 was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The count of bytes through its sockets.
    pub fn count(&self) -> ByteCount {
        self.count.clone()
    }

    /// A server with this project's HTTP/2 settings; add services before [`Listener::serve`].
    pub fn server(&self) -> GuardedServer {
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
            .max_concurrent_streams(MOST_STREAMS)
            .http2_max_header_list_size(LARGEST_HEADERS)
            .layer(InterceptorLayer::new(self.security.guard()))
    }

    /// Serves until `stop` resolves; streams that are still open end when the caller exits.
    ///
    /// # Errors
    ///
    /// If the server fails.
    pub async fn serve(
        self,
        router: GuardedRouter,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        router.serve_with_incoming_shutdown(self.incoming(), stop).await
    }

    /// Accepted connections from both sources.
    pub(crate) fn incoming(self) -> Arrivals<io::Result<Accepted>> {
        let (count, places) = (self.count, Places::new(self.limits));
        let arrivals = match self.door {
            Door::System(listener) => arrivals::over_tcp(listener),
            Door::Simulated(callers) => arrivals::over_simulated(callers),
        };
        let arrivals: Arrivals<_> = match self.local {
            Some(local) => Box::pin(arrivals.merge(arrivals::over_socket(local))),
            None => arrivals,
        };
        let seated = arrivals::seated(arrivals, places);
        if let Some(tls) = self.security.tls() {
            let (shaken, accepted) = mpsc::channel(1);
            tokio::spawn(handshake::shake_hands(seated, tls.clone(), count, shaken));
            return Box::pin(ReceiverStream::new(accepted));
        }
        Box::pin(seated.map(move |((stream, address), place)| {
            Ok(Accepted::plain(Counted::boxed(stream, count.clone()), address, place))
        }))
    }
}
