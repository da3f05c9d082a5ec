use std::{error::Error as _, sync::Arc, time::Duration};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
    transport::{Endpoint, Error, Uri},
};
use tower::{BoxError, ServiceExt};

use crate::{
    Channel, FRAME, KEEPALIVE, LinkError, Name, Security, Simulated, Socket, Transport, WINDOW,
    distrust::{self, Distrust},
    local, printable, tls,
};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time limit for opening a connection, including its handshake.
const CONNECT: Duration = Duration::from_secs(5);

/// Time limit for the answer to the first call.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a process that finds its token by itself tries again after a refusal: a coordinator that has just begun to
/// listen may not have stored the token yet.
const TOKEN_COMES: Duration = Duration::from_secs(2);

/// A call to an unknown service: every gRPC server answers it, and a server that demands a token checks the token
/// first.
const GREETING: &str = "/pom2dib.v1.Nobody/Greet";

/// Connects to `peer` at `host:port` and retries until `patience` is over, since nodes may start in any order. With
/// certificates, the server must show that of `peer`.
///
/// # Errors
///
/// If the address is invalid, the server does not answer in time, or one side does not trust the other.
pub async fn dial(
    peer: Name,
    address: &str,
    security: &Security,
    patience: Duration,
) -> Result<Channel, LinkError> {
    let endpoint = endpoint(address)?;
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut refused = None;
    loop {
        let error = match attempt(&endpoint, peer, address, security).await {
            Ok(channel) => return Ok(channel),
            Err(Failure::Refused(problem))
                if security.finds_token()
                    && refused.get_or_insert_with(Instant::now).elapsed() < TOKEN_COMES.min(patience) =>
            {
                problem
            }
            Err(Failure::Final(problem) | Failure::Refused(problem)) => {
                return Err(LinkError::Untrusted { peer, address: address.into(), problem });
            }
            Err(Failure::Passing(error)) => error,
        };
        if start.elapsed() + pause > patience {
            let seconds = patience.as_secs();
            return Err(LinkError::Unreachable { address: address.into(), seconds, error });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects to a node that may be on this machine: over its Unix-domain socket if the path leads there (empty: it has
/// none), otherwise to `host:port` as [`dial`] does. With certificates or a simulated network always the latter.
///
/// # Errors
///
/// As [`dial`].
pub async fn dial_nearest(
    peer: Name,
    socket: &str,
    address: &str,
    security: &Security,
    patience: Duration,
) -> Result<Channel, LinkError> {
    if !socket.is_empty() && security.is_plain_tcp() {
        match dial_local(socket, security).await {
            Ok(channel) => {
                tracing::debug!(address, socket, "connected over a Unix-domain socket");
                return Ok(channel);
            }
            // Expected for a node on another machine or in another container.
            Err(reason) => tracing::debug!(address, socket, reason, "the Unix-domain socket is out of reach"),
        }
    }
    let channel = dial(peer, address, security, patience).await?;
    tracing::debug!(address, "connected over TCP");
    Ok(channel)
}

/// Tries once: a node that gives out the path is already listening on it.
async fn dial_local(socket: &str, security: &Security) -> Result<Channel, String> {
    local::check(socket).await.map_err(|error| error.to_string())?;
    let endpoint = Endpoint::from_shared(format!("unix:{socket}")).map_err(|error| innermost(&error))?;
    let channel = security.present(tuned(endpoint).connect().await.map_err(|error| innermost(&error))?);
    match greet(channel.clone()).await {
        Ok(()) => Ok(channel),
        Err(Failure::Passing(reason) | Failure::Final(reason) | Failure::Refused(reason)) => Err(reason),
    }
}

/// Why an attempt failed.
enum Failure {
    /// The cause may be temporary: no server listens there yet.
    Passing(String),
    /// The cause is permanent: one side does not trust the other.
    Final(String),
    /// The token was missing or wrong.
    Refused(String),
}

/// Connects and checks that the server will accept calls: a refusal is better noticed now than in the middle of a run.
async fn attempt(
    endpoint: &Endpoint,
    peer: Name,
    address: &str,
    security: &Security,
) -> Result<Channel, Failure> {
    let connected = match (security.network(), security.tls()) {
        (Transport::Simulated(network), _) => {
            let network = network.clone();
            let connect = move |uri| connect_simulated(uri, network.clone());
            endpoint.connect_with_connector(tower::service_fn(connect)).await
        }
        (Transport::System, None) => endpoint.connect().await,
        (Transport::System, Some(tls)) => {
            let tls = tls.clone();
            let connect = move |uri| connect_over_tls(uri, tls.clone(), peer);
            endpoint.connect_with_connector(tower::service_fn(connect)).await
        }
    };
    let channel = security.present(connected.map_err(|error| failure(&error))?);
    match greet(channel.clone()).await {
        Ok(()) => Ok(channel),
        Err(Failure::Passing(_)) if security.is_plain_tcp() && speaks_tls(address).await => {
            let problem = "speaks TLS and asks for a certificate: give --tls DIR (or POM2DIB_TLS)";
            Err(Failure::Final(problem.into()))
        }
        Err(failure) => Err(failure),
    }
}

/// Makes the first call.
async fn greet(mut channel: Channel) -> Result<(), Failure> {
    let mut call = http::Request::post(GREETING).body(Body::empty()).expect("the request is well formed");
    call.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
    call.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    let answer = async { channel.ready().await?.call(call).await };
    let answer = match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error| failure(&error))?,
        Err(_) => return Err(Failure::Passing("it takes the connection, but does not answer".into())),
    };
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() == Code::Unauthenticated => {
            Err(Failure::Refused(format!("refuses this node: {}", printable(status.message()))))
        }
        _ => Ok(()),
    }
}

fn failure(error: &Error) -> Failure {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    match causes.filter_map(|cause| cause.downcast_ref()).next() {
        // The text of a certificate comes from outside.
        Some(Distrust(problem)) => Failure::Final(printable(problem)),
        None => Failure::Passing(printable(&innermost(error))),
    }
}

/// Opens a connection of a simulated network.
async fn connect_simulated(
    uri: Uri,
    network: Arc<dyn Simulated>,
) -> Result<TokioIo<Box<dyn Socket>>, BoxError> {
    let address = uri.authority().map(ToString::to_string).unwrap_or_default();
    Ok(TokioIo::new(network.connect(address).await?))
}

/// Opens a connection on which `peer` has shown its certificate and has accepted this node's.
async fn connect_over_tls(
    uri: Uri,
    tls: Arc<tls::Tls>,
    peer: Name,
) -> Result<TokioIo<TlsStream<TcpStream>>, BoxError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let stream = tcp.oneshot(uri).await?.into_inner();
    let distrust = |error| match distrust::of_dialling(&error) {
        Some(distrust) => BoxError::from(distrust),
        None => error.into(),
    };
    let connector = TlsConnector::from(tls.current().client.clone());
    let mut stream = connector.connect(peer.server_name(), stream).await.map_err(distrust)?;
    // In TLS 1.3 the client finishes the handshake before the server has checked the client's certificate. An HTTP/2
    // server speaks first: its first bytes show that it accepted the certificate.
    match stream.fill_buf().await.map_err(distrust)? {
        [] => Err("it closed the connection after the handshake".into()),
        _ => Ok(TokioIo::new(stream)),
    }
}

/// Whether the server at an address answers a first TLS message.
async fn speaks_tls(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&tls::hello()?).await?;
        stream.read_u8().await
    };
    // The record types with which a TLS server begins: alert or handshake.
    matches!(tokio::time::timeout(CONNECT, ask).await, Ok(Ok(0x15 | 0x16)))
}

/// Checks the syntax of an address.
///
/// # Errors
///
/// [`LinkError::BadAddress`] if it is not of the form host:port.
pub fn check_address(address: &str) -> Result<(), LinkError> {
    endpoint(address).map(drop)
}

fn endpoint(address: &str) -> Result<Endpoint, LinkError> {
    let bad = || LinkError::BadAddress(address.into());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| bad())?;
    Ok(tuned(endpoint))
}

/// Applies this project's connection settings.
fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
}

/// The system's own error: tonic's outermost error says only "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
