use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{TcpListenerStream, UnixListenerStream},
};
use tonic::transport::{Server, server::Router};

use crate::{ByteCount, FRAME, KEEPALIVE, LinkError, LocalDoor, WINDOW, counting::Counted};

/// A bound listener, before it serves.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    local: Option<UnixListener>,
    address: SocketAddr,
    count: ByteCount,
}

impl Listener {
    /// Binds. An address that other machines can reach asks for `insecure`, since nothing protects it yet.
    pub async fn bind(address: SocketAddr, insecure: bool) -> Result<Self, LinkError> {
        if !address.ip().is_loopback() && !insecure {
            return Err(LinkError::Exposed(address));
        }
        let fail = |error| LinkError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Listener { listener, local: None, address, count: ByteCount::default() })
    }

    /// Listens on a Unix-domain socket as well; nothing if the system does not let it, since TCP leads everywhere. The way
    /// to the socket is there for as long as the door is held.
    pub fn open_local(&mut self) -> Option<LocalDoor> {
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
    pub fn server() -> Server {
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
    }

    /// Serves until `stop` resolves; open streams are then cut by the caller's ending.
    pub async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        router.serve_with_incoming_shutdown(self.incoming(), stop).await
    }

    /// Whoever connects, by either way.
    fn incoming(self) -> Box<dyn Stream<Item = io::Result<Counted>> + Send + Unpin> {
        let (here, elsewhere) = (self.count.clone(), self.count);
        let tcp = TcpListenerStream::new(self.listener).map(move |stream| {
            let stream = stream?;
            // A bare listener leaves Nagle's algorithm on, which holds a round's last packet back.
            stream.set_nodelay(true)?;
            Ok(Counted::new(stream, elsewhere.clone()))
        });
        match self.local {
            None => Box::new(tcp),
            Some(local) => Box::new(tcp.merge(
                UnixListenerStream::new(local).map(move |stream| Ok(Counted::new(stream?, here.clone()))),
            )),
        }
    }
}
