//! TLS handshakes of a listener: many at once, each with a time limit.

use std::{io, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::StreamExt;

use crate::{
    ByteCount, Name, Socket,
    accepted::Accepted,
    arrivals::{Arrival, Arrivals, from},
    counting::Counted,
    distrust,
    places::Place,
    strangers,
    tls::Tls,
};

/// The reason logged for a caller that leaves during the handshake.
const LEFT: &str = "it left in mid-handshake";

/// Admits callers with a valid certificate until the listener closes. A handshake counts as waiting for a first
/// request: it has the same time limit, and the oldest is closed when there are too many.
pub(crate) async fn shake_hands(
    mut arrivals: Arrivals<(Arrival, Place)>,
    tls: Arc<Tls>,
    count: ByteCount,
    shaken: mpsc::Sender<io::Result<Accepted>>,
) {
    let mut under_way = JoinSet::new();
    loop {
        let (arrival, place) = tokio::select! {
            arrival = arrivals.next() => match arrival {
                Some(arrival) => arrival,
                None => return,
            },
            () = shaken.closed() => return,
        };
        while under_way.try_join_next().is_some() {}
        under_way.spawn(attend(arrival, place, tls.clone(), count.clone(), shaken.clone()));
    }
}

async fn attend(
    (stream, address): Arrival,
    mut place: Place,
    tls: Arc<Tls>,
    count: ByteCount,
    shaken: mpsc::Sender<io::Result<Accepted>>,
) {
    let outcome = tokio::select! {
        outcome = shake(stream, &tls, count) => outcome,
        reason = place.lost() => Err(reason.into()),
    };
    match outcome {
        // If there is no reader, the listener is closing.
        Ok((stream, name)) => {
            drop(shaken.send(Ok(Accepted::tls(stream, address, name, place))).await);
        }
        // `pom2dib doctor` tests in this way whether the port is open; nothing was refused.
        Err(reason) if reason == LEFT => tracing::debug!(from = from(address), reason, "a caller has left"),
        Err(reason) => strangers::log_refusal("a caller", from(address), &reason),
    }
}

async fn shake(
    stream: Box<dyn Socket>,
    tls: &Tls,
    count: ByteCount,
) -> Result<(TlsStream<Counted>, Name), String> {
    let acceptor = TlsAcceptor::from(tls.current().server.clone());
    let stream = acceptor.accept(Counted::boxed(stream, count)).await;
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => LEFT.into(),
        _ => distrust::of_caller(&error),
    })?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let name = Name::of(shown.ok_or("it shows no certificate")?)
        .map_err(|problem| format!("its certificate {problem}"))?;
    Ok((stream, name))
}
