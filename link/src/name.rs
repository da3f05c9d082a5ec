use std::fmt;

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Suffix of the names in this project's certificates.
const DOMAIN: &str = ".pom2dib";

/// The subject of a certificate: a process of a network, or its administrator. It is in the certificate as a DNS name,
/// `transmitter-0.pom2dib`, and is unrelated to the machine's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// The coordinator.
    Coordinator,
    /// Transmitter k.
    Transmitter(u32),
    /// Receiver t.
    Receiver(u32),
    /// The administrator, who may manage the run but is no node.
    Admin,
}

impl Name {
    /// File name of its certificate and key, without `.pem` and `.key`.
    pub fn stem(self) -> String {
        match self {
            Name::Coordinator => "coordinator".into(),
            Name::Transmitter(k) => format!("transmitter-{k}"),
            Name::Receiver(t) => format!("receiver-{t}"),
            Name::Admin => "admin".into(),
        }
    }

    /// The name in its certificate.
    pub fn dns(self) -> String {
        self.stem() + DOMAIN
    }

    /// Reads a stem back.
    pub fn parse(stem: &str) -> Option<Name> {
        let name = match stem.rsplit_once('-') {
            Some(("transmitter", index)) => Name::Transmitter(index.parse().ok()?),
            Some(("receiver", index)) => Name::Receiver(index.parse().ok()?),
            _ if stem == "coordinator" => Name::Coordinator,
            _ if stem == "admin" => Name::Admin,
            _ => return None,
        };
        // A number may be written in several ways, a name in only one.
        (name.stem() == stem).then_some(name)
    }

    /// Whether other processes dial it.
    pub fn listens(self) -> bool {
        matches!(self, Name::Coordinator | Name::Transmitter(_))
    }

    /// Whether it dials other processes.
    pub fn dials(self) -> bool {
        self != Name::Coordinator
    }

    /// The subject of a certificate, or why it has none. The signature must be checked separately.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Name, String> {
        let certificate =
            EndEntityCert::try_from(certificate).map_err(|error| format!("is damaged ({error})"))?;
        let stems = certificate.valid_dns_names().filter_map(|name| name.strip_suffix(DOMAIN));
        match stems.collect::<Vec<_>>()[..] {
            [stem] => Name::parse(stem)
                .ok_or_else(|| format!("is made out to {stem}{DOMAIN}, whom no network knows")),
            [] => {
                Err(format!("is made out to nobody of a network: it holds no name like receiver-0{DOMAIN}"))
            }
            _ => Err("is made out to several of a network: each needs one of its own".into()),
        }
    }

    /// The name against which its certificate is checked.
    pub(crate) fn server_name(self) -> ServerName<'static> {
        ServerName::try_from(self.dns()).expect("letters, a number and a dot make a DNS name")
    }
}

/// The name in messages.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Coordinator => formatter.write_str("the coordinator"),
            Name::Transmitter(k) => write!(formatter, "transmitter {k}"),
            Name::Receiver(t) => write!(formatter, "receiver {t}"),
            Name::Admin => formatter.write_str("the administrator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_has_one_spelling() {
        for name in [Name::Coordinator, Name::Transmitter(0), Name::Receiver(u32::MAX), Name::Admin] {
            assert_eq!(Name::parse(&name.stem()), Some(name));
            let _ = name.server_name();
        }
        for other in [
            "",
            "transmitter",
            "transmitter-",
            "transmitter-01",
            "receiver-+1",
            "receiver--1",
            "admin-0",
            "Admin",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
        assert_eq!(Name::parse("receiver-4294967296"), None);
    }
}
