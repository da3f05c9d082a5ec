use std::{fmt, io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream},
};
use tonic::{
    service::InterceptorLayer,
    transport::{Server, server::Router},
};
use tower::layer::util::{Identity, Stack};

use crate::{
    ByteCount, Callers, FRAME, Guard, KEEPALIVE, LinkError, LocalDoor, Network, Security, Socket, WINDOW,
    accepted::Accepted, counting::Counted, handshake, identity::Caller,
};

/// A server whose services see only calls that a [`Guard`] has let through, each with its
/// [`Identity`](crate::Identity).
pub type GuardedServer = Server<Stack<InterceptorLayer<Guard>, Identity>>;

/// The same with services.
pub type GuardedRouter = Router<Stack<InterceptorLayer<Guard>, Identity>>;

/// Connections that a listener holds at most: more than the largest network makes, and little memory.
const MOST_CONNECTIONS: usize = 8192;

/// Streams on one connection at a time: a peer needs one for its own, and one for a state.
const MOST_STREAMS: u32 = 16;

/// Bytes of a call's headers: ours are a few hundred.
const LARGEST_HEADERS: u32 = 16 << 10;

/// A bound listener, before it serves.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    local: Option<UnixListener>,
    address: SocketAddr,
    count: ByteCount,
    security: Security,
}

/// Where callers come in.
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
    /// Binds. An address that other machines can reach asks for certificates or a token, or for `insecure`.
    pub async fn bind(address: SocketAddr, security: &Security, insecure: bool) -> Result<Self, LinkError> {
        if !address.ip().is_loopback() && !security.protects() && !insecure {
            return Err(LinkError::Exposed(address));
        }
        let fail = |error| LinkError::Listen { address, error };
        let (door, address) = match security.network() {
            Network::System => {
                let listener = TcpListener::bind(address).await.map_err(fail)?;
                let address = listener.local_addr().map_err(fail)?;
                (Door::System(listener), address)
            }
            Network::Simulated(network) => (Door::Simulated(network.listen(address).map_err(fail)?), address),
        };
        Ok(Listener { door, local: None, address, count: ByteCount::default(), security: security.clone() })
    }

    /// Listens on a Unix-domain socket as well; nothing if the system does not let it, since TCP leads everywhere, and
    /// nothing where certificates are asked for: over the socket nobody would show one. Nor on a simulated network. The way to the socket is there for
    /// as long as the door is held.
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

    /// Where it listens, with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The count of what goes through its sockets.
    pub fn count(&self) -> ByteCount {
        self.count.clone()
    }

    /// A server with this project's HTTP/2 settings, to which a service is added before [`Listener::serve`].
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

    /// Serves until `stop` resolves; open streams are then cut by the caller's ending.
    pub async fn serve(
        self,
        router: GuardedRouter,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        router.serve_with_incoming_shutdown(self.incoming(), stop).await
    }

    /// Whoever connects and may, by either way.
    fn incoming(self) -> Box<dyn Stream<Item = io::Result<Accepted>> + Send + Unpin> {
        let (here, elsewhere) = (self.count.clone(), self.count);
        let listener = match self.door {
            Door::System(listener) => listener,
            Door::Simulated(callers) => {
                return Box::new(callers.map(move |caller| Ok(over_simulated(caller?, &here))));
            }
        };
        if let Some(tls) = self.security.tls() {
            let (shaken, accepted) = mpsc::channel(1);
            tokio::spawn(handshake::shake_hands(listener, tls.clone(), elsewhere, shaken));
            return Box::new(ReceiverStream::new(accepted));
        }
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let tcp = TcpListenerStream::new(listener).filter_map(move |stream| {
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!("a caller was refused: there are {MOST_CONNECTIONS} connections already");
                return None;
            };
            Some(stream.and_then(|stream| over_tcp(stream, &elsewhere, place)))
        });
        match self.local {
            None => Box::new(tcp),
            Some(local) => Box::new(
                tcp.merge(UnixListenerStream::new(local).map(move |stream| Ok(over_socket(stream?, &here)))),
            ),
        }
    }
}

fn over_tcp(stream: TcpStream, count: &ByteCount, place: OwnedSemaphorePermit) -> io::Result<Accepted> {
    // A bare listener leaves Nagle's algorithm on, which holds a round's last packet back.
    stream.set_nodelay(true)?;
    let caller = Caller { address: stream.peer_addr().ok(), name: None };
    Ok(Accepted::plain(Counted::new(stream, count.clone()), caller, Some(place)))
}

fn over_simulated((stream, from): (Box<dyn Socket>, SocketAddr), count: &ByteCount) -> Accepted {
    let caller = Caller { address: Some(from), name: None };
    Accepted::plain(Counted::boxed(stream, count.clone()), caller, None)
}

fn over_socket(stream: UnixStream, count: &ByteCount) -> Accepted {
    Accepted::plain(Counted::new(stream, count.clone()), Caller { address: None, name: None }, None)
}
