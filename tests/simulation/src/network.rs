//! The simulated network as the program sees it.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use link::{Callers, Connecting, Simulated, Socket};
use randomness::{Purpose, Seed};
use tokio_stream::Stream;
use turmoil::net::{TcpListener, TcpStream};

use crate::{
    connection::{Connection, Cut},
    ledger::Host,
};

/// All connections of a simulated network. Clones share them.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

struct Table {
    seed: Seed,
    /// All ends of connections so far, by their host and the host at the other end.
    ends: BTreeMap<[String; 2], Vec<Cut>>,
    /// The longest latency between two hosts in milliseconds: the default, and exceptions.
    latency: u64,
    latencies: BTreeMap<[String; 2], u64>,
    /// The corruption of the next bytes from one host, the first of the two, to another.
    tricks: BTreeMap<[String; 2], Trick>,
}

/// Corruption of the next bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trick {
    /// They arrive twice.
    Double,
    /// They arrive corrupted.
    Garble,
}

/// The network as one host sees it.
pub(crate) struct View {
    host: String,
    connections: Connections,
}

impl Connections {
    /// A network with latencies up to `latency` milliseconds.
    pub(crate) fn new(seed: u64, latency: u64) -> Self {
        let seed = Seed::from_number(seed);
        Connections(Arc::new(Mutex::new(Table {
            seed,
            ends: BTreeMap::new(),
            latency,
            latencies: BTreeMap::new(),
            tricks: BTreeMap::new(),
        })))
    }

    pub(crate) fn seen_by(&self, host: &str) -> link::Transport {
        link::Transport::Simulated(Arc::new(View { host: host.into(), connections: self.clone() }))
    }

    /// Resets all connections between two hosts, at both ends.
    pub(crate) fn cut(&self, one: &str, other: &str) {
        let both = [[one.to_owned(), other.to_owned()], [other.to_owned(), one.to_owned()]];
        let cuts: Vec<Cut> =
            both.iter().flat_map(|pair| self.table().ends.get(pair).cloned()).flatten().collect();
        cuts.iter().for_each(Cut::cut);
    }

    /// Sets the longest latency between two hosts in milliseconds; none: the default.
    pub(crate) fn slow(&self, one: &str, other: &str, latency: Option<u64>) {
        let mut table = self.table();
        let latency = latency.unwrap_or(table.latency);
        table.latencies.insert([one.to_owned(), other.to_owned()], latency);
        table.latencies.insert([other.to_owned(), one.to_owned()], latency);
    }

    /// Corrupts the next bytes from one host to another.
    pub(crate) fn play(&self, from: Host, to: Host, trick: Trick) {
        self.table().tricks.insert([from.to_string(), to.to_string()], trick);
    }

    /// The corruption of bytes that arrive now, if any; `hosts` in the order of a connection's end.
    pub(crate) fn trick(&self, hosts: &[String; 2]) -> Option<Trick> {
        let [own, from] = hosts;
        let mut table = self.table();
        if table.tricks.is_empty() {
            return None;
        }
        table.tricks.remove(&[from.clone(), own.clone()])
    }

    /// A connection of a host outside the run.
    pub(crate) async fn connect(&self, host: &str, peer: Host, port: u16) -> io::Result<Box<dyn Socket>> {
        let stream = TcpStream::connect(format!("{peer}:{port}")).await?;
        Ok(self.wrap(stream, [host.to_owned(), peer.to_string()]))
    }

    /// The longest latency between two hosts now, in milliseconds.
    pub(crate) fn latency(&self, hosts: &[String; 2]) -> u64 {
        let table = self.table();
        table.latencies.get(hosts).copied().unwrap_or(table.latency)
    }

    /// An end of a connection. Its delays are drawn from its own address, so that they do not depend on the order of
    /// draws.
    fn wrap(&self, stream: TcpStream, hosts: [String; 2]) -> Box<dyn Socket> {
        let cut = Cut::default();
        let draws = {
            let mut table = self.table();
            let seed = table.seed;
            let ends = table.ends.entry(hosts.clone()).or_default();
            ends.push(cut.clone());
            seed.named_stream(Purpose::Test, &hosts.join(" "), &[4], ends.len() as u64)
        };
        Box::new(Connection::new(stream, self.clone(), hosts, cut, draws))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the simulated network at {}", self.host)
    }
}

impl Simulated for View {
    fn listen(&self, address: SocketAddr) -> io::Result<Callers> {
        // In simulation it completes at the first poll.
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

/// Incoming connections, one after the other.
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
