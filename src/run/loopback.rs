//! This machine's loopback address: 127.0.0.1, or ::1 without IPv4.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::OnceLock,
    time::Duration,
};

/// Time limit for a machine to reach itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A free port of the first loopback address that works on this machine.
///
/// # Errors
/// One line with the fault of each address, and advice.
pub(crate) fn free_port() -> Result<SocketAddr, String> {
    static FOUND: OnceLock<Result<IpAddr, String>> = OnceLock::new();
    let found =
        FOUND.get_or_init(|| first([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], reaches_itself));
    found.clone().map(|address| SocketAddr::new(address, 0))
}

fn first(addresses: [IpAddr; 2], reaches: impl Fn(IpAddr) -> io::Result<()>) -> Result<IpAddr, String> {
    let mut problems = Vec::new();
    for address in addresses {
        match reaches(address) {
            Ok(()) => return Ok(address),
            Err(error) => problems.push(format!("{address}: {error}")),
        }
    }
    Err(format!(
        "this machine cannot reach itself ({}): bring its loopback up, for example with `ip link set lo up`",
        problems.join("; ")
    ))
}

fn reaches_itself(address: IpAddr) -> io::Result<()> {
    let listener = TcpListener::bind((address, 0))?;
    TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_stands_in_where_there_is_no_ipv4_and_neither_is_said() {
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let down = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let only = |one: IpAddr| move |address: IpAddr| if address == one { Ok(()) } else { Err(down()) };
        assert_eq!(first(both, only(both[0])), Ok(both[0]));
        assert_eq!(first(both, only(both[1])), Ok(both[1]));
        let line = first(both, |_| Err(down())).unwrap_err();
        assert!(
            line.contains("127.0.0.1: ") && line.contains("::1: ") && line.contains("ip link set lo up"),
            "{line}"
        );
    }
}
