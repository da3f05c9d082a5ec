//! Channels: listening, dialling, limits, who is let in, and a count of what really goes through the sockets.

mod accepted;
mod arrivals;
mod counting;
mod descriptors;
mod dial;
mod distrust;
mod files;
mod handshake;
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

/// How long HTTP/2 waits for any sign of life before it asks for one, and then for the answer.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(10);

/// HTTP/2 flow-control windows in bytes, of a stream and of a connection (which carries one stream). A message must fit
/// into one, or its sender stops in the middle until the receiver's credit comes, a round trip later; a round's features
/// are some hundred kilobytes a link, and megabytes in large scenarios. A window is a limit and not a reservation, and one
/// turn and one answer are under way at most: so there is no reason to be sparing, nor for windows that adapt themselves.
pub(crate) const WINDOW: u32 = 16 << 20;

/// The longest HTTP/2 frame in bytes. Every frame costs its own calls to the system, and the 16 KiB of the standard cut
/// a message into dozens: with these, 300 kB there and back take half the time, 3 MB a third to a half.
pub(crate) const FRAME: u32 = 1 << 20;

/// What can go wrong with a channel before anything is said. One line each.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen (port 0 takes a free one)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Somebody else could reach an address that nothing protects.
    #[error(
        "{0} can be reached from other machines and nothing protects it: give --tls DIR or --token-file FILE, listen on \
         127.0.0.1, or say --insecure"
    )]
    Exposed(SocketAddr),
    /// What was given is no address.
    #[error("\"{0}\" is no address; write host:port, for example {example}", example = example(.0))]
    BadAddress(String),
    /// Nobody answered in time.
    #[error(
        "nobody answers at {address} after {seconds} s: {error}; is it started, and is the address right? \
         `pom2dib doctor {address}` looks hop by hop"
    )]
    Unreachable {
        /// The address.
        address: String,
        /// How long it was tried.
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
    /// A peer was reached, and one does not trust the other.
    #[error("{peer} at {address} {problem}")]
    Untrusted {
        /// Who should be there.
        peer: Name,
        /// The address.
        address: String,
        /// Why, as the end of a sentence.
        problem: String,
    },
}

/// The address that was probably meant: of a URL its host and port.
fn example(given: &str) -> String {
    let meant = given.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    match meant {
        Some(host) if dial::check_address(host).is_ok() => format!("{host}, without a scheme or path"),
        Some(host) if !host.is_empty() => format!("{host}:7310, without a scheme or path"),
        _ => "127.0.0.1:7310".into(),
    }
}
