//! Why a TLS connection failed, in words that say what to do.

use std::{fmt, io};

use time::OffsetDateTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

/// Why one side does not trust the other: retrying will not help.
#[derive(Debug)]
pub(crate) struct Distrust(pub(crate) String);

impl fmt::Display for Distrust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Distrust {}

/// The problem with a certificate, as the end of "a certificate that ...".
pub(crate) fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "expired on {}: renew it with `pom2dib certs renew`, or check this machine's clock",
                date(*not_after)
            )
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "is not valid before {}: check the clock of this machine and of who made it",
                date(*not_before)
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is of another authority than ca.pem: use certificates of one `pom2dib certs new`".into()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let bare =
                |name: &String| name.trim_start_matches("DnsName(\"").trim_end_matches("\")").to_owned();
            format!("is made out to {}", presented.iter().map(bare).collect::<Vec<_>>().join(" and "))
        }
        CertificateError::InvalidPurposeContext { .. } => {
            "is not meant for this role: make it with `pom2dib certs add`".into()
        }
        other => format!("cannot be used ({other})"),
    }
}

/// The error of an outgoing connection, as the end of "PEER at ADDRESS ...". None if the connection itself may have
/// failed, so that retrying may help.
pub(crate) fn of_dialling(error: &io::Error) -> Option<Distrust> {
    let line = match rustls_error(error)? {
        Error::InvalidMessage(_) => {
            "does not speak TLS: give it --tls too, or leave --tls out here as well".into()
        }
        Error::InvalidCertificate(error) => format!("shows a certificate that {}", of_certificate(error)),
        Error::AlertReceived(alert) => format!("refuses this node's certificate: {}", of_alert(*alert)),
        other => format!("cannot be spoken to over TLS: {other}"),
    };
    Some(Distrust(line))
}

/// The error of an incoming handshake.
pub(crate) fn of_caller(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".into(),
        Some(Error::NoCertificatesPresented) => "it shows no certificate".into(),
        Some(Error::InvalidCertificate(error)) => format!("its certificate {}", of_certificate(error)),
        Some(Error::AlertReceived(alert)) => {
            format!("it refuses this node's certificate: {}", of_alert(*alert))
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it is of another authority than the peer's ca.pem: use certificates of one `pom2dib certs new`"
                .into()
        }
        AlertDescription::CertificateExpired => {
            "it has expired or is not valid yet by the peer's clock: renew it, or check both clocks".into()
        }
        AlertDescription::CertificateRequired => "none was shown".into(),
        AlertDescription::UnsupportedCertificate => "it is not meant for this role".into(),
        other => format!("{other:?}"),
    }
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn date(moment: UnixTime) -> String {
    let seconds = i64::try_from(moment.as_secs()).unwrap_or(i64::MAX);
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(moment) => format!("{} {:02}:{:02} UTC", moment.date(), moment.hour(), moment.minute()),
        Err(_) => "a day beyond all calendars".into(),
    }
}
