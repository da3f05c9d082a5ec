//! The simulated network as the program sees it, and connections that can be cut.

use std::{
    fmt,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Waker},
};

use link::{Callers, Connecting, Simulated, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::Stream;
use turmoil::net::{TcpListener, TcpStream};

/// All connections of a simulated network, so that they can be cut.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Vec<Ends>>>);

/// One end of a connection, and between whom it is.
struct Ends {
    hosts: [String; 2],
    cut: Weak<Cut>,
}

/// The network as one host sees it.
pub(crate) struct View {
    host: String,
    connections: Connections,
}

/// Whether an end of a connection is cut, and who is to be told.
#[derive(Default)]
struct Cut(Mutex<(bool, Vec<Waker>)>);

impl Connections {
    pub(crate) fn seen_by(&self, host: &str) -> link::Network {
        link::Network::Simulated(Arc::new(View { host: host.into(), connections: self.clone() }))
    }

    /// Resets all connections between two hosts, at both ends. Gives how many ends that were.
    pub(crate) fn cut(&self, one: &str, other: &str) -> usize {
        let mut ends = self.0.lock().expect("nobody panics with it");
        ends.retain(|ends| ends.cut.strong_count() > 0);
        let between = |ends: &&Ends| ends.hosts == [one, other] || ends.hosts == [other, one];
        let cuts: Vec<_> = ends.iter().filter(between).filter_map(|ends| ends.cut.upgrade()).collect();
        drop(ends);
        for cut in &cuts {
            let wakers = {
                let mut cut = cut.0.lock().expect("nobody panics with it");
                cut.0 = true;
                std::mem::take(&mut cut.1)
            };
            wakers.into_iter().for_each(Waker::wake);
        }
        cuts.len()
    }

    fn wrap(&self, stream: TcpStream, hosts: [String; 2]) -> Box<dyn Socket> {
        let cut = Arc::new(Cut::default());
        self.0.lock().expect("nobody panics with it").push(Ends { hosts, cut: Arc::downgrade(&cut) });
        Box::new(Connection { stream, cut })
    }
}

impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the simulated network at {}", self.host)
    }
}

impl Simulated for View {
    fn listen(&self, address: SocketAddr) -> io::Result<Callers> {
        // Simulated, it takes no time: one look at it is enough.
        let mut bind = std::pin::pin!(TcpListener::bind(address));
        let Poll::Ready(listener) = bind.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(io::Error::other("the simulated listener takes its time"));
        };
        let accept = accept(listener?.into(), self.connections.clone(), self.host.clone());
        Ok(Box::pin(accept))
    }

    fn connect(&self, address: String) -> Connecting {
        let (connections, host) = (self.connections.clone(), self.host.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(address.as_str()).await?;
            let peer = address.split(':').next().unwrap_or_default().to_owned();
            Ok(connections.wrap(stream, [host, peer]))
        })
    }
}

/// Whoever calls, one after the other.
fn accept(
    listener: Arc<TcpListener>,
    connections: Connections,
    host: String,
) -> impl Stream<Item = io::Result<(Box<dyn Socket>, SocketAddr)>> + Send {
    Accept { next: next(listener.clone()), listener, connections, host }
}

type Next = Pin<Box<dyn Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send>>;

struct Accept {
    listener: Arc<TcpListener>,
    next: Next,
    connections: Connections,
    host: String,
}

fn next(listener: Arc<TcpListener>) -> Next {
    Box::pin(async move { listener.accept().await })
}

impl Stream for Accept {
    type Item = io::Result<(Box<dyn Socket>, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = std::task::ready!(self.next.as_mut().poll(context));
        self.next = next(self.listener.clone());
        Poll::Ready(Some(accepted.map(|(stream, from)| {
            let peer = turmoil::reverse_lookup(from.ip()).unwrap_or_default();
            (self.connections.wrap(stream, [self.host.clone(), peer]), from)
        })))
    }
}

/// An end of a connection.
struct Connection {
    stream: TcpStream,
    cut: Arc<Cut>,
}

impl Connection {
    /// An error once it is cut, of which whoever asks is told.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        let mut cut = self.cut.0.lock().expect("nobody panics with it");
        if cut.0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection cut"));
        }
        if !cut.1.iter().any(|waker| waker.will_wake(context.waker())) {
            cut.1.push(context.waker().clone());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
