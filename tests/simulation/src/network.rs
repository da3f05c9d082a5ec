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

/// All connections of a simulated network. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

struct Table {
    seed: Seed,
    /// All ends of connections so far, by whose they are and who is at the other end.
    ends: BTreeMap<[String; 2], Vec<Cut>>,
    /// The longest time that what passes between two hosts takes, in milliseconds: usually, and where it is another.
    latency: u64,
    latencies: BTreeMap<[String; 2], u64>,
    /// What happens to what passes next from one host to another, which is the first of the two.
    tricks: BTreeMap<[String; 2], Trick>,
}

/// What happens to the next bytes on a way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trick {
    /// They come twice.
    Double,
    /// They come spoilt.
    Garble,
}

/// The network as one host sees it.
pub(crate) struct View {
    host: String,
    connections: Connections,
}

impl Connections {
    /// A network on which what passes takes up to so many milliseconds.
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

    /// From now on, what passes between two hosts takes up to so many milliseconds, or as many as usual.
    pub(crate) fn slow(&self, one: &str, other: &str, latency: Option<u64>) {
        let mut table = self.table();
        let latency = latency.unwrap_or(table.latency);
        table.latencies.insert([one.to_owned(), other.to_owned()], latency);
        table.latencies.insert([other.to_owned(), one.to_owned()], latency);
    }

    /// Lets something happen to what passes next from one host to another.
    pub(crate) fn play(&self, from: Host, to: Host, trick: Trick) {
        self.table().tricks.insert([from.to_string(), to.to_string()], trick);
    }

    /// What happens to bytes that come now, if anything; `hosts` as an end of a connection has them.
    pub(crate) fn trick(&self, hosts: &[String; 2]) -> Option<Trick> {
        let [own, from] = hosts;
        let mut table = self.table();
        if table.tricks.is_empty() {
            return None;
        }
        table.tricks.remove(&[from.clone(), own.clone()])
    }

    /// A connection of a host that is none of the run's.
    pub(crate) async fn connect(&self, host: &str, peer: Host, port: u16) -> io::Result<Box<dyn Socket>> {
        let stream = TcpStream::connect(format!("{peer}:{port}")).await?;
        Ok(self.wrap(stream, [host.to_owned(), peer.to_string()]))
    }

    /// The longest time that what passes between two hosts takes now, in milliseconds.
    pub(crate) fn latency(&self, hosts: &[String; 2]) -> u64 {
        let table = self.table();
        table.latencies.get(hosts).copied().unwrap_or(table.latency)
    }

    /// An end of a connection. How long what comes over it takes is drawn from its own address, so that nothing depends on
    /// who draws first.
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
