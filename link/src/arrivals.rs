//! Incoming connections over any kind of socket, and what happens when the system refuses to accept more.

use std::{io, net::SocketAddr, pin::Pin, time::Duration};

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{TcpListenerStream, UnixListenerStream},
};

use crate::{
    Callers, Socket, descriptors,
    places::{Place, Places},
    strangers,
};

/// Pause before the next attempt when the system refuses to accept a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection and the peer's address; none over a Unix-domain socket.
pub(crate) type Arrival = (Box<dyn Socket>, Option<SocketAddr>);

pub(crate) type Arrivals<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// Incoming connections over TCP.
pub(crate) fn over_tcp(listener: TcpListener) -> Arrivals<io::Result<Arrival>> {
    Box::pin(TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        // A bare listener leaves Nagle's algorithm on, which delays a round's last packet.
        stream.set_nodelay(true)?;
        let from = stream.peer_addr().ok();
        Ok((Box::new(stream) as Box<dyn Socket>, from))
    }))
}

/// Incoming connections over a Unix-domain socket.
pub(crate) fn over_socket(listener: UnixListener) -> Arrivals<io::Result<Arrival>> {
    Box::pin(UnixListenerStream::new(listener).map(|stream| Ok((Box::new(stream?) as Box<dyn Socket>, None))))
}

/// Incoming connections on a simulated network.
pub(crate) fn over_simulated(callers: Callers) -> Arrivals<io::Result<Arrival>> {
    Box::pin(callers.map(|caller| caller.map(|(stream, from)| (stream, Some(from)))))
}

/// Gives every incoming connection a place. If the system refuses to accept one because this process has too many open
/// files, the connection that has waited longest is closed, and the next attempt follows after a pause: without it the
/// loop would use a whole core.
pub(crate) fn seated(arrivals: Arrivals<io::Result<Arrival>>, places: Places) -> Arrivals<(Arrival, Place)> {
    let seat = move |arrival: io::Result<Arrival>| {
        let places = places.clone();
        async move {
            match arrival {
                Ok(arrival) => seat(arrival, &places),
                // The caller hung up before it was accepted: nothing to do.
                Err(error) if is_passing(error.kind()) => None,
                Err(error) => {
                    strangers::log_refusal("a caller", "the system", &error.to_string());
                    places.make_room();
                    tokio::time::sleep(PAUSE).await;
                    None
                }
            }
        }
    };
    Box::pin(arrivals.then(seat).filter_map(|seated| seated))
}

fn seat(arrival: Arrival, places: &Places) -> Option<(Arrival, Place)> {
    let Some(place) = places.enter(arrival.1.map(|from| from.ip())) else {
        let reason = format!(
            "there are {} connections already, all of them in use (this process may open {} files: ulimit -n)",
            places.most(),
            descriptors::allowed()
        );
        strangers::log_refusal("a caller", from(arrival.1), &reason);
        return None;
    };
    Some((arrival, place))
}

/// The peer's address, for a log.
pub(crate) fn from(address: Option<SocketAddr>) -> String {
    address.map_or("this machine".into(), |address| address.to_string())
}

fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    // Setting a socket option fails on a connection that is gone: some systems report that as invalid input.
    matches!(kind, ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::places::Limits;

    fn arrival() -> io::Result<Arrival> {
        Ok((Box::new(tokio::io::duplex(1).0), None))
    }

    #[tokio::test(start_paused = true)]
    async fn out_of_descriptors_a_door_waits_a_moment_and_sends_the_oldest_away() {
        let places = Places::new(Limits::usual());
        let mut oldest = places.enter(None).unwrap();
        let exhausted = (0..50).map(|_| Err(io::Error::from_raw_os_error(24)));
        let arrivals = Box::pin(tokio_stream::iter(exhausted.chain([arrival()])));
        let begun = Instant::now();

        assert!(seated(arrivals, places).next().await.is_some(), "it still listens");

        assert_eq!(begun.elapsed(), 50 * PAUSE, "to try at once takes a whole core");
        assert!(oldest.lost().await.contains("made way"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_hangs_up_early_delays_no_other() {
        let gone = (0..50).map(|_| Err(io::ErrorKind::ConnectionAborted.into()));
        let arrivals = Box::pin(tokio_stream::iter(gone.chain([arrival()])));
        let begun = Instant::now();
        assert!(seated(arrivals, Places::new(Limits::usual())).next().await.is_some());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
