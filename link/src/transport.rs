use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;

/// The network on which listeners and dialers meet.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// The system's.
    #[default]
    System,
    /// A network simulated by a test, with its own clock and faults. It has no certificates and no Unix-domain sockets.
    Simulated(Arc<dyn Simulated>),
}

/// A simulated network.
pub trait Simulated: fmt::Debug + Send + Sync {
    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// If the address is taken, or is none of this network.
    fn listen(&self, address: SocketAddr) -> io::Result<Callers>;

    /// Connects to `host:port`.
    fn connect(&self, address: String) -> Connecting;
}

/// Incoming connections of a simulated network's listener, with addresses. Dropping it frees the address.
pub type Callers = Pin<Box<dyn Stream<Item = io::Result<(Box<dyn Socket>, SocketAddr)>> + Send>>;

/// A connection of a simulated network, once established.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

/// A byte stream of any kind of socket.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}
