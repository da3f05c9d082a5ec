use std::net::SocketAddr;

use tonic::Request;

use crate::{Name, places::Standing};

/// The caller's identity, as far as a listener can tell. Every request from a [`Listener`](crate::Listener) carries
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Unknown: the listener demands neither certificates nor a token.
    #[default]
    Nobody,
    /// A caller that knows the join token.
    Token,
    /// The holder of a certificate.
    Peer(Name),
}

impl Identity {
    /// The identity of a request's caller.
    pub fn of<T>(request: &Request<T>) -> Identity {
        request.extensions().get().copied().unwrap_or_default()
    }

    /// Checks that the caller may act as `name`: the holder of a certificate only as itself.
    ///
    /// # Errors
    ///
    /// The reason, if it may not.
    pub fn check(self, name: Name) -> Result<(), String> {
        match self {
            Identity::Peer(own) if own != name => {
                Err(format!("the caller's certificate is made out to {own}: it cannot speak as {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the caller may manage the run. With certificates, only the administrator may.
    ///
    /// # Errors
    ///
    /// The reason, if it may not.
    pub fn check_admin(self) -> Result<(), String> {
        match self {
            Identity::Peer(own) if own != Name::Admin => Err(format!(
                "the caller's certificate is made out to {own}: only the administrator's (admin.pem) may manage a run"
            )),
            _ => Ok(()),
        }
    }
}

/// What a connection reveals about its peer.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Its address; none for a Unix-domain socket.
    pub(crate) address: Option<SocketAddr>,
    /// The name in the certificate that it showed.
    pub(crate) name: Option<Name>,
    /// The place of the connection.
    pub(crate) standing: Standing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_acts_for_its_own_node_and_only_the_administrator_manages() {
        let receiver = Identity::Peer(Name::Receiver(1));
        assert_eq!(receiver.check(Name::Receiver(1)), Ok(()));
        for other in [Name::Receiver(0), Name::Transmitter(1), Name::Coordinator, Name::Admin] {
            assert!(receiver.check(other).unwrap_err().contains("made out to receiver 1"));
        }
        assert!(receiver.check_admin().unwrap_err().contains("admin.pem"));
        assert_eq!(Identity::Peer(Name::Admin).check_admin(), Ok(()));
        for open in [Identity::Nobody, Identity::Token] {
            assert_eq!((open.check(Name::Receiver(0)), open.check_admin()), (Ok(()), Ok(())));
        }
    }
}
