use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio_rustls::rustls::{
    ClientConfig, Error, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};

use crate::{LinkError, Name, TlsFiles, distrust, files};

/// The name of HTTP/2 in a handshake.
const ALPN: &[u8] = b"h2";

/// A node's certificate and the authority that it trusts. The files are checked before every new connection: renewing a
/// certificate needs no restart, and existing connections stay.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    name: Name,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    /// Versions of the files at the last read, valid or not.
    versions: files::Versions,
}

/// Settings of both sides of a handshake, from one version of the files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files, which must be valid now.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, LinkError> {
        let versions = files.versions();
        let (name, loaded) = load(&files)?;
        Ok(Tls { files, name, state: Mutex::new(State { loaded: loaded.into(), versions }) })
    }

    /// The subject of the certificate.
    pub(crate) fn name(&self) -> Name {
        self.name
    }

    /// The current content of the files or, if they are invalid, the last valid content, with the reason in the log.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        let versions = self.files.versions();
        let mut state = self.state.lock().expect("no code panics while it holds this lock");
        if versions != state.versions {
            state.versions = versions;
            match self.reload() {
                Ok(loaded) => {
                    tracing::info!(file = %self.files.cert.display(), "read the renewed certificate");
                    state.loaded = loaded.into();
                }
                Err(error) => tracing::warn!(%error, "the new certificate is of no use: keeping the old one"),
            }
        }
        state.loaded.clone()
    }

    fn reload(&self) -> Result<Loaded, LinkError> {
        match load(&self.files)? {
            (name, loaded) if name == self.name => Ok(loaded),
            (name, _) => Err(unfit(
                &self.files.cert,
                format!("is made out to {name}, where {} had its own", self.name),
            )),
        }
    }
}

/// Reads the files and checks them against each other and the clock, so that problems are reported here and not by a
/// peer.
fn load(files: &TlsFiles) -> Result<(Name, Loaded), LinkError> {
    let roots = Arc::new(authorities(&files.ca)?);
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files::read_secret(&files.key, files::MAKES_CERTIFICATES)?)
        .map_err(|_| unfit(&files.key, "holds no private key in PEM".into()))?;
    let name =
        Name::of(&chain[0]).map_err(|problem| unfit(&files.cert, format!("the certificate {problem}")))?;
    let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(|error| unfit(&files.ca, error.to_string()))?;
    check(name, &chain, &roots, callers.as_ref()).map_err(|error| match error {
        Error::InvalidCertificate(error) => {
            unfit(&files.cert, format!("the certificate {}", distrust::of_certificate(&error)))
        }
        other => unfit(&files.cert, other.to_string()),
    })?;
    let keyless = |_| unfit(&files.key, format!("is not the key of {}", files.cert.display()));
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider knows TLS 1.3")
        .with_client_cert_verifier(callers)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(keyless)?;
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider knows TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(keyless)?;
    server.alpn_protocols = vec![ALPN.into()];
    client.alpn_protocols = vec![ALPN.into()];
    // Every connection shows its certificates again: an expired certificate cannot resume a session.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    client.resumption = Resumption::disabled();
    Ok((name, Loaded { server: server.into(), client: client.into() }))
}

/// Whether peers with the same authority would accept this certificate now, in every role that its subject has.
fn check(
    name: Name,
    chain: &[CertificateDer<'_>],
    roots: &Arc<RootCertStore>,
    callers: &dyn ClientCertVerifier,
) -> Result<(), Error> {
    let (own, between) = (&chain[0], &chain[1..]);
    let now = UnixTime::now();
    if name.dials() {
        callers.verify_client_cert(own, between, now)?;
    }
    if name.listens() {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(own, between, &name.server_name(), &[], now)?;
    }
    Ok(())
}

fn authorities(path: &Path) -> Result<RootCertStore, LinkError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unfit(path, error.to_string()))?;
    }
    Ok(roots)
}

/// The certificates in a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let bytes = files::read(path, files::MAKES_CERTIFICATES)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unfit(path, "holds no certificate in PEM".into())),
    }
}

/// A client's first message, to test whether a server speaks TLS.
pub(crate) fn hello() -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider knows TLS 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let connection =
        tokio_rustls::rustls::ClientConnection::new(config.into(), Name::Coordinator.server_name());
    let mut bytes = Vec::new();
    connection.map_err(io::Error::other)?.write_tls(&mut bytes)?;
    Ok(bytes)
}

/// ring needs only a C compiler to build.
fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

fn unfit(path: &Path, problem: String) -> LinkError {
    LinkError::Credentials { path: path.into(), problem }
}
