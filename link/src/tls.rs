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

/// What HTTP/2 is called in a handshake.
const ALPN: &[u8] = b"h2";

/// A node's certificate, and whom it trusts. The files are looked at before every new connection: who renews a
/// certificate need not restart a node, and what is connected stays so.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    name: Name,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    /// The files as they were when they were last read, whether they could be used or not.
    versions: files::Versions,
}

/// Both sides of a handshake, with one state of the files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files, which must be of use now.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, LinkError> {
        let versions = files.versions();
        let (name, loaded) = load(&files)?;
        Ok(Tls { files, name, state: Mutex::new(State { loaded: loaded.into(), versions }) })
    }

    /// Whom the certificate is made out to.
    pub(crate) fn name(&self) -> Name {
        self.name
    }

    /// What the files hold now. Where that is of no use, what they held before, and the log says why.
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

/// Reads the files and checks them against each other and the clock: what a peer would find is better said here.
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
    // Every connection shows its certificates anew: nobody comes in on what was valid yesterday.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    client.resumption = Resumption::disabled();
    Ok((name, Loaded { server: server.into(), client: client.into() }))
}

/// Whether peers with the same authority would take this certificate now, for all that its holder does.
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

/// A client's first message, for finding out whether somebody speaks TLS.
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

/// ring builds with a C compiler alone.
fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

fn unfit(path: &Path, problem: String) -> LinkError {
    LinkError::Credentials { path: path.into(), problem }
}
