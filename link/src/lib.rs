//! Connections: listening, dialling, limits, access control, and a count of the bytes through the sockets.

mod accepted;
mod arrivals;
mod counting;
mod descriptors;
mod dial;
mod distrust;
mod files;
mod handshake;
mod http;
mod identity;
mod listen;
mod local;
mod name;
mod own_token;
mod places;
mod printable;
mod security;
mod strangers;
mod tls;
mod token;
mod transport;

pub use counting::ByteCount;
pub use descriptors::raise_descriptor_limit;
pub use dial::{check_address, dial, dial_nearest};
pub use files::TlsFiles;
pub use http::CallerAddress;
pub use identity::Identity;
pub use listen::{GuardedRouter, GuardedServer, Listener};
pub use local::LocalDoor;
pub use name::Name;
pub use own_token::Published;
pub use printable::printable;
pub use security::{Channel, Security};
pub use strangers::log_refusal;
pub use token::{Guard, Present, Token};
pub use transport::{Callers, Connecting, Simulated, Socket, Transport};

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How long an idle HTTP/2 connection waits before it sends a ping, and then for the answer.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(10);

/// HTTP/2 flow-control windows in bytes, of a stream and of a connection (which carries one stream). A message must fit
/// into one, or its sender stops in the middle until the receiver's credit arrives, a round trip later; a round's
/// features are some hundred kilobytes a link, and megabytes in large scenarios. A window is a limit and not a
/// reservation, and at most one turn and one answer are under way, so neither small nor adaptive windows are needed.
pub(crate) const WINDOW: u32 = 16 << 20;

/// The longest HTTP/2 frame in bytes. Every frame costs its own system calls, and the standard's 16 KiB cut a message
/// into dozens: with these, 300 kB there and back take half the time, 3 MB a third to a half.
pub(crate) const FRAME: u32 = 1 << 20;

/// Errors of connections before any message. One line each.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen (port 0 takes a free one)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: std::io::Error,
    },
    /// Other machines could reach an address without TLS or a token.
    #[error(
        "{0} can be reached from other machines and nothing protects it: give --tls DIR or --token-file FILE, listen on \
         127.0.0.1, or say --insecure"
    )]
    Exposed(SocketAddr),
    /// The text is not an address.
    #[error("\"{0}\" is no address; write host:port, for example {example}", example = example(.0))]
    BadAddress(String),
    /// No answer in time.
    #[error(
        "nobody answers at {address} after {seconds} s: {error}; is it started, and is the address right? \
         `pom2dib doctor {address}` looks hop by hop"
    )]
    Unreachable {
        /// The address.
        address: String,
        /// How long the connection was tried.
        seconds: u64,
        /// The last failure.
        error: String,
    },
    /// A certificate, key or token cannot be used.
    #[error("{path}: {problem}", path = .path.display())]
    Credentials {
        /// The file, or the environment variable.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A peer was reached, but one side does not trust the other.
    #[error("{peer} at {address} {problem}")]
    Untrusted {
        /// The expected peer.
        peer: Name,
        /// The address.
        address: String,
        /// Why, as the end of a sentence.
        problem: String,
    },
}

/// The address that was probably meant: for a URL its host and port.
fn example(given: &str) -> String {
    let meant = given.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    match meant {
        Some(host) if dial::check_address(host).is_ok() => format!("{host}, without a scheme or path"),
        Some(host) if !host.is_empty() => format!("{host}:7310, without a scheme or path"),
        _ => "127.0.0.1:7310".into(),
    }
}
