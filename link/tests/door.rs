//! A connection with an accepted request keeps its place. Other connections are cheap and are closed after a short
//! time.

#[allow(dead_code, reason = "every test uses a part of it")]
mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use pom2dib_link::{Identity, Listener, Security, raise_descriptor_limit};
use support::{SOON, dial_once, listen, who_am_i, with_token};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic::{body::Body, codegen::http, transport::Endpoint};
use tower::ServiceExt;

/// Time limit for a connection's first accepted request.
const DEADLINE: Duration = Duration::from_secs(10);

/// Time by which a connection without one must be closed, on a busy machine.
const OVER: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_byte_now_and_then_does_not_hold_a_place_and_a_request_does() {
    let begun = Instant::now();
    let open = listen(&Security::default()).await;
    let channel = dial_once(open, &Security::default()).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = b"\0\0\x08\x06\0\0\0\0\0whoknows";
    let health = health_port().await;

    let (silent, byte, pings, web, refused, probe) = tokio::join!(
        ended(open, b"", b""),
        ended(open, b"P", b""),
        ended(open, preface, ping),
        ended(open, b"GET / HTTP/1.1\r\nHost: here\r\n", b"X-More: 1\r\n"),
        a_caller_with_the_wrong_token_is_cut(),
        timeout(DEADLINE + Duration::from_secs(2), ended(health, b"P", b"")),
    );

    for (what, after) in [("silent", silent), ("a byte", byte), ("pings", pings), ("a browser", web)] {
        assert!(after < OVER, "{what}: still there after {after:?}");
    }
    assert!(silent >= DEADLINE && pings >= DEADLINE, "{silent:?} {pings:?}: too early");
    assert!(refused, "it may call for as long as it likes");
    assert!(probe.is_err(), "a probe of the health port was sent away after {probe:?}");
    // The node that has called once is still connected, on the same connection.
    assert!(begun.elapsed() > DEADLINE);
    assert_eq!(who_am_i(channel).await, format!("{:?}", Identity::Nobody));
}

#[tokio::test]
async fn a_flood_of_connections_keeps_no_node_out_and_sends_none_away() {
    raise_descriptor_limit().unwrap();
    let address = listen(&Security::default()).await;
    let before = dial_once(address, &Security::default()).await.unwrap();
    let mut flood = Vec::new();
    for _ in 0..1200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(b"P").await;
        flood.push(stream);
    }

    let channel = timeout(SOON, dial_once(address, &Security::default())).await;

    let channel = channel.expect("nobody is waited for").unwrap();
    for node in [before, channel] {
        assert_eq!(who_am_i(node).await, format!("{:?}", Identity::Nobody));
    }
    // The connection that has waited longest has been closed.
    assert!(matches!(
        timeout(SOON, flood[0].read(&mut [0; 99])).await.expect("it is closed"),
        Ok(_) | Err(_)
    ));
}

/// A port for health probes.
async fn health_port() -> SocketAddr {
    let listener = Listener::bind_for_health(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.address();
    let router = listener.server().add_service(support::WhoAmI);
    tokio::spawn(listener.serve(router, std::future::pending()));
    address
}

/// Sends `first`, then `more` every half second; returns the time until the connection is closed.
async fn ended(address: SocketAddr, first: &[u8], more: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    let mut heard = [0; 4096];
    while begun.elapsed() < OVER {
        match timeout(Duration::from_millis(500), stream.read(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => {}
            Err(_) if stream.write_all(more).await.is_err() => break,
            Err(_) => {}
        }
    }
    begun.elapsed()
}

/// Whether a caller that repeats calls with a wrong token loses its connection.
async fn a_caller_with_the_wrong_token_is_cut() -> bool {
    let address = listen(&with_token("a-word-that-is-long-enough")).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { TcpStream::connect(address).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < OVER && connections.load(Ordering::Relaxed) < 2 {
        let call = http::Request::post("/test.WhoAmI/Ask")
            .header("content-type", "application/grpc")
            .header("authorization", "Bearer a-word-that-is-wrong-enough")
            .body(Body::empty())
            .unwrap();
        // Refused, or cut off during the call.
        let _ = channel.clone().oneshot(call).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    connections.load(Ordering::Relaxed) > 1
}
