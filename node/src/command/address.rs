use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{UdpSocket, lookup_host};

use crate::NodeError;

/// The address at which others reach a node that listens on all addresses of its machine: that of the interface through
/// which it reaches the coordinator. It may change between incarnations, as a container's does at a restart.
///
/// # Errors
/// An input error if that address is known to be of no use to others; loss of the coordinator if its name does not
/// resolve now.
pub async fn own_address(coordinator: &str, listening: SocketAddr) -> Result<SocketAddr, NodeError> {
    let lost = |reason: String| NodeError::CoordinatorLost(format!("{coordinator}: {reason}"));
    let found = lookup_host(coordinator).await.map_err(|error| lost(error.to_string()))?;
    let mut reason = String::from("its name has no address");
    for peer in found.filter(|peer| listening.is_ipv6() || peer.is_ipv4()) {
        match own_side(peer).await {
            Ok(own) if own.is_loopback() => {
                return Err(unknown(listening, "reaches the coordinator by loopback"));
            }
            Ok(IpAddr::V6(own)) if own.is_unicast_link_local() => {
                return Err(unknown(listening, "reaches the coordinator by a link-local address"));
            }
            Ok(own) => return Ok(SocketAddr::new(own, listening.port())),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(lost(reason))
}

/// The local address from which a packet to `peer` would be sent. Nothing is sent: the system only looks up the route.
async fn own_side(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(peer).await?;
    Ok(socket.local_addr()?.ip())
}

fn unknown(listening: SocketAddr, why: &str) -> NodeError {
    NodeError::Input(format!(
        "listening on {listening}, this node {why}, which tells no address that others could use: say with --advertise \
         HOST:PORT where receivers find it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loopback_address_is_no_use_to_other_machines() {
        let listening = "0.0.0.0:7311".parse().unwrap();
        let error = own_address("127.0.0.1:7310", listening).await.unwrap_err();
        assert!(error.is_input() && error.to_string().contains("--advertise HOST:PORT"), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_yet_is_no_fault_of_the_user() {
        let listening = "0.0.0.0:7311".parse().unwrap();
        let error = own_address("no-such-host.invalid:7310", listening).await.unwrap_err();
        assert!(error.is_loss() && error.to_string().contains("no-such-host.invalid"), "{error}");
    }
}
