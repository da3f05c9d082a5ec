use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};

use crate::{FRAME, KEEPALIVE, LinkError, WINDOW, local};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connects to `host:port`, trying again until `patience` is over: nodes may be started in any order.
pub async fn dial(address: &str, patience: Duration) -> Result<Channel, LinkError> {
    let endpoint = endpoint(address)?;
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match endpoint.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => error,
        };
        if start.elapsed() + pause > patience {
            let seconds = patience.as_secs();
            return Err(LinkError::Unreachable {
                address: address.into(),
                seconds,
                error: innermost(&error),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects to a node that may be on this machine: over its Unix-domain socket if the path leads there (empty: it has
/// none), and to `host:port` as [`dial`] does if not.
pub async fn dial_nearest(socket: &str, address: &str, patience: Duration) -> Result<Channel, LinkError> {
    if !socket.is_empty() {
        match dial_local(socket).await {
            Ok(channel) => {
                tracing::debug!(address, socket, "connected over a Unix-domain socket");
                return Ok(channel);
            }
            // On another machine or in another container, it is as it should be.
            Err(reason) => tracing::debug!(address, socket, reason, "the Unix-domain socket is out of reach"),
        }
    }
    let channel = dial(address, patience).await?;
    tracing::debug!(address, "connected over TCP");
    Ok(channel)
}

/// Tries once: whoever gives out the path listens on it already.
async fn dial_local(socket: &str) -> Result<Channel, String> {
    local::check(socket).await.map_err(|error| error.to_string())?;
    let endpoint = Endpoint::from_shared(format!("unix:{socket}")).map_err(|error| innermost(&error))?;
    tuned(endpoint).connect().await.map_err(|error| innermost(&error))
}

/// Checks that an address can be dialled, as far as its spelling tells.
pub fn check_address(address: &str) -> Result<(), LinkError> {
    endpoint(address).map(drop)
}

fn endpoint(address: &str) -> Result<Endpoint, LinkError> {
    let bad = || LinkError::BadAddress(address.into());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| bad())?;
    Ok(tuned(endpoint))
}

/// This project's settings of a connection.
fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
}

/// The system's own words: tonic's outermost error says only "transport error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
