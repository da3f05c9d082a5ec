//! The handshakes of a listener: many at once, none for long.

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{ByteCount, Name, accepted::Accepted, counting::Counted, distrust, identity::Caller, tls::Tls};

/// In which a caller must have shaken hands.
const DEADLINE: Duration = Duration::from_secs(10);

/// So many handshakes are under way at most. When another caller comes, the one that has taken longest goes: callers who
/// say nothing keep nobody out.
const MOST: usize = 256;

/// Before the next try when the system lets nobody in.
const PAUSE: Duration = Duration::from_millis(100);

/// Lets callers in who show a certificate, until nobody takes them any more.
pub(crate) async fn shake_hands(
    listener: TcpListener,
    tls: Arc<Tls>,
    count: ByteCount,
    shaken: mpsc::Sender<io::Result<Accepted>>,
) {
    let mut under_way = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shaken.closed() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a caller could not be let in");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while under_way.try_join_next().is_some() {}
        oldest_first.retain(|handshake| !handshake.is_finished());
        if oldest_first.len() == MOST
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let handshake = attend(stream, from, tls.clone(), count.clone(), shaken.clone());
        oldest_first.push_back(under_way.spawn(handshake));
    }
}

async fn attend(
    stream: TcpStream,
    from: SocketAddr,
    tls: Arc<Tls>,
    count: ByteCount,
    shaken: mpsc::Sender<io::Result<Accepted>>,
) {
    let outcome = tokio::time::timeout(DEADLINE, shake(stream, from, &tls, count)).await;
    match outcome.unwrap_or_else(|_| Err(format!("it has not shaken hands after {} s", DEADLINE.as_secs()))) {
        // If nobody takes it, the listener is closing.
        Ok(accepted) => drop(shaken.send(Ok(accepted)).await),
        Err(reason) => tracing::warn!(%from, reason, "a caller was refused"),
    }
}

async fn shake(stream: TcpStream, from: SocketAddr, tls: &Tls, count: ByteCount) -> Result<Accepted, String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let acceptor = TlsAcceptor::from(tls.current().server.clone());
    let stream = acceptor.accept(Counted::new(stream, count)).await;
    let stream = stream.map_err(|error| distrust::of_caller(&error))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let name = Name::of(shown.ok_or("it shows no certificate")?)
        .map_err(|problem| format!("its certificate {problem}"))?;
    Ok(Accepted::tls(stream, Caller { address: Some(from), name: Some(name) }))
}
