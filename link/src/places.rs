//! Limits on a listener's connections. A connection keeps its place after an accepted request; all others share a few
//! places, for a short time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::oneshot, time::Sleep};

use crate::{descriptors, strangers};

/// Time limit for a connection's first accepted request, including its handshake. Sending bytes is not enough, since
/// they cost a sender nothing.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// Upper limit on a listener's connections: more than the largest network makes.
const MOST: usize = 8192;

/// Upper limit on connections without an accepted request.
const MOST_WAITING: usize = 512;

/// Upper limit on those from one address. All nodes of a machine share an address, so only connections without an
/// accepted request count.
const MOST_OF_A_PEER: usize = 256;

/// Upper limit on a page's connections.
const MOST_READERS: usize = 1024;

/// How many connections a listener holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    all: usize,
    waiting: usize,
    of_a_peer: usize,
    /// None: no connection is closed for being silent, and none keeps its place permanently.
    patience: Option<Duration>,
}

impl Limits {
    /// The limits that the protocol needs, within the process's limit of open files.
    pub(crate) fn usual() -> Self {
        // A quarter of the descriptors remains for other uses: files, and outgoing connections.
        let all = MOST.min(descriptors::allowed() / 4 * 3);
        let (waiting, of_a_peer) = (MOST_WAITING.min(all / 4), MOST_OF_A_PEER.min(all / 8));
        Limits { all, waiting, of_a_peer, patience: Some(FIRST_REQUEST) }
    }

    /// Limits for a page: readers are people and scrapers, and many may be on one machine.
    pub(crate) fn of_page() -> Self {
        let usual = Limits::usual();
        Limits { all: MOST_READERS.min(usual.all / 2), ..usual }
    }

    /// Limits for an address of health probes, which may all come from one address: no deadline, and only the oldest
    /// connection is closed for a new one.
    pub(crate) fn of_health() -> Self {
        let waiting = Limits::usual().waiting;
        Limits { all: waiting, waiting, of_a_peer: waiting, patience: None }
    }
}

/// The connections of a listener. Clones share them.
#[derive(Clone)]
pub(crate) struct Places {
    table: Arc<Mutex<Table>>,
    limits: Limits,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// Connections without a request that was accepted, oldest first.
    waiting: BTreeMap<u64, Waiting>,
    /// Those with one.
    settled: BTreeSet<u64>,
}

struct Waiting {
    peer: Option<IpAddr>,
    /// Closes the connection; if dropped unused, the connection may stay.
    send_away: oneshot::Sender<()>,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        Places { table: Arc::default(), limits }
    }

    /// A place for a new connection from an address, or from none over a Unix-domain socket. If needed, the connection
    /// that has waited longest is closed: one from the same address if that has too many, else any. None if all places
    /// are permanently taken.
    pub(crate) fn enter(&self, from: Option<IpAddr>) -> Option<Place> {
        let peer = from.map(network);
        let is_neighbour = |waiting: &Waiting| waiting.peer == peer;
        let mut table = self.table();
        if table.waiting.values().filter(|waiting| is_neighbour(waiting)).count() >= self.limits.of_a_peer {
            table.send_oldest_away(is_neighbour);
        }
        if table.waiting.len() >= self.limits.waiting || table.held() >= self.limits.all {
            table.send_oldest_away(|_| true);
        }
        if table.held() >= self.limits.all {
            return None;
        }
        let (send_away, sent_away) = oneshot::channel();
        let id = table.next;
        table.next += 1;
        table.waiting.insert(id, Waiting { peer, send_away });
        let deadline = self.limits.patience.map(|patience| Box::pin(tokio::time::sleep(patience)));
        let standing = Standing { id, places: self.clone() };
        Some(Place { standing, trial: Some(Trial { sent_away, deadline }), lost: None })
    }

    /// Closes the connection that has waited longest, when the system has no more descriptors.
    pub(crate) fn make_room(&self) {
        self.table().send_oldest_away(|_| true);
    }

    /// The largest number of connections.
    pub(crate) fn most(&self) -> usize {
        self.limits.all
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no code panics while it holds this lock")
    }
}

impl Table {
    fn held(&self) -> usize {
        self.waiting.len() + self.settled.len()
    }

    fn send_oldest_away(&mut self, among: impl Fn(&Waiting) -> bool) {
        let oldest = self.waiting.iter().find(|(_, waiting)| among(waiting)).map(|(id, _)| *id);
        if let Some(waiting) = oldest.and_then(|id| self.waiting.remove(&id)) {
            // It may be leaving just now.
            let _ = waiting.send_away.send(());
        }
    }
}

impl Drop for Table {
    /// The listener and all its connections have ended.
    fn drop(&mut self) {
        strangers::log_rest();
    }
}

/// The network of an address: the owner of an IPv6 address usually has the 2^64 addresses of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// A connection's place, freed when dropped.
pub(crate) struct Place {
    standing: Standing,
    /// Present until a request has been accepted.
    trial: Option<Trial>,
    /// Why the place was lost, once it is: later polls return it again.
    lost: Option<&'static str>,
}

struct Trial {
    sent_away: oneshot::Receiver<()>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Place {
    /// A handle by which an accepted request makes the place permanent.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Ready with the reason once the place is lost, and on every later poll.
    pub(crate) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<&'static str> {
        if let Some(reason) = self.lost {
            return Poll::Ready(reason);
        }
        let Some(trial) = &mut self.trial else { return Poll::Pending };
        let reason = match Pin::new(&mut trial.sent_away).poll(context) {
            Poll::Ready(Ok(())) => "it made way for another that has made no request either",
            Poll::Ready(Err(_)) => {
                self.trial = None;
                return Poll::Pending;
            }
            Poll::Pending => {
                let Some(deadline) = &mut trial.deadline else { return Poll::Pending };
                std::task::ready!(deadline.as_mut().poll(context));
                "it has made no request in time"
            }
        };
        self.lost = Some(reason);
        Poll::Ready(reason)
    }

    /// Waits until the place is lost.
    pub(crate) async fn lost(&mut self) -> &'static str {
        std::future::poll_fn(|context| self.poll_lost(context)).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.standing.places.table();
        table.waiting.remove(&self.standing.id);
        table.settled.remove(&self.standing.id);
    }
}

/// A handle to the connection of a request.
#[derive(Clone)]
pub(crate) struct Standing {
    id: u64,
    places: Places,
}

impl Standing {
    /// Records that a request was accepted: the connection may stay.
    pub(crate) fn accept(&self) {
        if self.places.limits.patience.is_none() {
            return;
        }
        let mut table = self.places.table();
        // A connection that has just been told to close stays closed.
        if table.waiting.remove(&self.id).is_some() {
            table.settled.insert(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn places(all: usize, waiting: usize, of_a_peer: usize) -> Places {
        Places::new(Limits { all, waiting, of_a_peer, patience: Some(FIRST_REQUEST) })
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// Why a place was lost, if it was.
    async fn lost(place: &mut Place) -> Option<&'static str> {
        tokio::select! { biased; reason = place.lost() => Some(reason), () = std::future::ready(()) => None }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_request_a_place_is_lost_in_time_and_with_one_it_is_kept() {
        let places = places(8, 4, 4);
        let (mut silent, mut good) = (places.enter(HERE).unwrap(), places.enter(HERE).unwrap());
        good.standing().accept();
        assert_eq!((lost(&mut silent).await, lost(&mut good).await), (None, None));
        tokio::time::advance(FIRST_REQUEST).await;
        assert!(lost(&mut silent).await.unwrap().contains("no request in time"));
        assert_eq!(lost(&mut good).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_connection_without_a_request_is_closed_for_a_new_one() {
        let places = places(100, 3, 3);
        let mut settled = places.enter(HERE).unwrap();
        settled.standing().accept();
        let mut waiting: Vec<Place> = (0..5).map(|_| places.enter(HERE).unwrap()).collect();
        for (at, place) in waiting.iter_mut().enumerate() {
            assert_eq!(lost(place).await.is_some(), at < 2, "{at}");
        }
        assert_eq!(lost(&mut settled).await, None);
        // An accepted request that comes too late does not restore the place.
        waiting[0].standing().accept();
        assert!(lost(&mut waiting[0]).await.is_some());
        assert_eq!(places.table().settled.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_floods_the_door_takes_only_its_own_places() {
        let places = places(100, 6, 2);
        let mut other = places.enter(address("10.0.0.1")).unwrap();
        let _flood: Vec<Place> = (0..50).map(|_| places.enter(address("10.0.0.2")).unwrap()).collect();
        assert_eq!(lost(&mut other).await, None);
        // An IPv6 network counts as one address.
        let one_of = |host: u64| places.enter(address(&format!("2001:db8::{host:x}"))).unwrap();
        let _flood: Vec<Place> = (1..50).map(one_of).collect();
        assert_eq!(lost(&mut other).await, None);
        assert_eq!(places.table().waiting.len(), 5);
        // Nodes of one machine share an address: those with an accepted request do not count.
        let nodes: Vec<Place> = (0..40).map(|_| places.enter(address("10.0.0.3")).unwrap()).collect();
        drop(nodes);
        let settle = |_| {
            let place = places.enter(address("10.0.0.3")).unwrap();
            place.standing().accept();
            place
        };
        let mut nodes: Vec<Place> = (0..40).map(settle).collect();
        for node in &mut nodes {
            assert_eq!(lost(node).await, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_place_is_free_only_when_its_holder_leaves() {
        let places = places(3, 3, 3);
        let enter = || places.enter(HERE);
        let settled: Vec<Place> = (0..3)
            .map(|_| {
                let place = enter().unwrap();
                place.standing().accept();
                place
            })
            .collect();
        assert!(enter().is_none());
        drop(settled);
        assert!(enter().is_some());
        assert_eq!(places.table().held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_health_port_sets_no_deadline_and_gives_no_permanent_place() {
        let places = Places::new(Limits { all: 2, waiting: 2, of_a_peer: 2, patience: None });
        let mut probes: Vec<Place> = (0..2).map(|_| places.enter(HERE).unwrap()).collect();
        probes.iter().for_each(|probe| probe.standing().accept());
        tokio::time::advance(100 * FIRST_REQUEST).await;
        assert_eq!(lost(&mut probes[0]).await, None);
        let mut newcomer = places.enter(HERE).unwrap();
        assert!(lost(&mut probes[0]).await.is_some());
        assert_eq!((lost(&mut probes[1]).await, lost(&mut newcomer).await), (None, None));
    }
}
