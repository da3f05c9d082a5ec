//! The authority of a network, valid and invalid certificates of it, and a service that returns its caller's identity.

use std::{
    convert::Infallible,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pom2dib_link::{Channel, Identity, LinkError, Listener, Name, Security, TlsFiles, Token, dial};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use tonic::{
    Request, Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

/// Longer than any answer but that of a listener that lets callers wait; shorter than the deadline of a handshake.
pub(crate) const SOON: Duration = Duration::from_secs(8);

/// An authority with a folder for the certificates that it signs.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// First and last year of a certificate's validity.
pub(crate) type Years = (i32, i32);

pub(crate) const NOW: Years = (2000, 4000);
pub(crate) const PAST: Years = (2000, 2010);
pub(crate) const FUTURE: Years = (3000, 4000);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params.not_before, params.not_after) = period(NOW);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        Authority { folder, issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes a certificate and its key to a folder.
    pub(crate) fn issue(&self, folder: &Path, stem: &str, dns: &[String], years: Years) {
        let mut params = CertificateParams::new(dns).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = period(years);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let secret = folder.join(format!("{stem}.key"));
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(folder.join(format!("{stem}.pem")), certificate.pem()).unwrap();
    }

    /// The files of a valid certificate of `name`.
    pub(crate) fn files(&self, name: Name) -> TlsFiles {
        self.files_of(name, NOW)
    }

    /// The files of a certificate of `name` for these years.
    pub(crate) fn files_of(&self, name: Name, years: Years) -> TlsFiles {
        self.issue(self.folder(), &name.stem(), &[name.dns()], years);
        TlsFiles::in_folder(self.folder(), name)
    }

    /// Credentials with a valid certificate of `name`.
    pub(crate) fn security(&self, name: Name) -> Security {
        Security::default().with_tls(self.files(name)).unwrap()
    }
}

fn period((from, to): Years) -> (time::OffsetDateTime, time::OffsetDateTime) {
    (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1))
}

pub(crate) fn with_token(word: &str) -> Security {
    Security::default().with_token(Token::new(word, &PathBuf::from("word")).unwrap())
}

/// Listens and tells every caller its identity.
pub(crate) async fn listen(security: &Security) -> SocketAddr {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), security, false).await.unwrap();
    let address = listener.address();
    let router = listener.server().add_service(WhoAmI);
    tokio::spawn(listener.serve(router, std::future::pending()));
    address
}

/// Dials the coordinator there, once.
pub(crate) async fn dial_once(address: SocketAddr, security: &Security) -> Result<Channel, LinkError> {
    dial(Name::Coordinator, &address.to_string(), security, Duration::ZERO).await
}

/// Dials the coordinator there, where one side refuses the other: the line with the reason.
pub(crate) async fn refused(address: SocketAddr, security: &Security) -> String {
    let error = dial_once(address, security).await.expect_err("a refusal");
    assert!(matches!(error, LinkError::Untrusted { .. }), "{error:?}");
    error.to_string()
}

/// The caller's identity as the other side sees it.
pub(crate) async fn who_am_i(mut channel: Channel) -> String {
    let call = http::Request::post("/test.WhoAmI/Ask").header("content-type", "application/grpc");
    let call = call.body(Body::empty()).unwrap();
    std::future::poll_fn(|context| Service::<http::Request<Body>>::poll_ready(&mut channel, context))
        .await
        .unwrap();
    let answer = channel.call(call).await.unwrap();
    Status::from_header_map(answer.headers()).unwrap().message().to_owned()
}

#[derive(Clone)]
pub(crate) struct WhoAmI;

impl NamedService for WhoAmI {
    const NAME: &'static str = "test.WhoAmI";
}

impl Service<http::Request<Body>> for WhoAmI {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let identity = Identity::of(&Request::from_http(request));
        Box::pin(async move { Ok(Status::aborted(format!("{identity:?}")).into_http()) })
    }
}
