//! Only callers with a certificate of the same authority are admitted, each under the name in its certificate; a node
//! connects only to the peer that it expects; and renewing certificates needs no restart.

#[allow(dead_code, reason = "every test uses a part of it")]
mod support;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use pom2dib_link::{Identity, Listener, Name, Security, TlsFiles, dial};
use support::{Authority, FUTURE, PAST, SOON, dial_once, listen, refused, who_am_i};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        AlertDescription, ClientConfig, Error, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

#[tokio::test]
async fn a_caller_is_known_by_the_name_in_its_certificate() {
    let authority = Authority::new("a");
    let address = listen(&authority.security(Name::Coordinator)).await;
    for name in [Name::Receiver(3), Name::Transmitter(0), Name::Admin] {
        let channel = dial_once(address, &authority.security(name)).await.unwrap();
        assert_eq!(who_am_i(channel).await, format!("{:?}", Identity::Peer(name)));
    }
}

#[tokio::test]
async fn the_listener_must_be_the_dialled_peer() {
    let authority = Authority::new("a");
    let address = listen(&authority.security(Name::Transmitter(0))).await.to_string();
    let receiver = authority.security(Name::Receiver(0));

    dial(Name::Transmitter(0), &address, &receiver, Duration::ZERO).await.unwrap();

    let error = dial(Name::Transmitter(1), &address, &receiver, Duration::ZERO).await.unwrap_err();
    let line = "shows a certificate that is made out to transmitter-0.pom2dib";
    assert_eq!(error.to_string(), format!("transmitter 1 at {address} {line}"));
}

#[tokio::test]
async fn an_authority_that_is_not_the_same_is_named_at_either_end() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let address = listen(&ours.security(Name::Coordinator)).await;

    let line = refused(address, &theirs.security(Name::Receiver(0))).await;
    assert!(line.contains("shows a certificate that is of another authority than ca.pem"), "{line}");

    // A node that trusts both authorities is still not trusted itself.
    let files = theirs.files(Name::Receiver(0));
    fs::write(&files.ca, format!("{}{}", ours.pem(), theirs.pem())).unwrap();
    let line = refused(address, &Security::default().with_tls(files).unwrap()).await;
    assert!(line.contains("refuses this node's certificate: it is of another authority"), "{line}");

    dial_once(address, &ours.security(Name::Receiver(0))).await.unwrap();
}

#[tokio::test]
async fn one_with_tls_and_one_without_say_so() {
    let authority = Authority::new("a");
    let (plain, tls) = (Security::default(), authority.security(Name::Coordinator));
    let (plain_door, tls_door) = (listen(&plain).await, listen(&tls).await);

    let line = refused(tls_door, &plain).await;
    let expected =
        format!("the coordinator at {tls_door} speaks TLS and asks for a certificate: give --tls DIR");
    assert!(line.starts_with(&expected), "{line}");
    let line = refused(plain_door, &authority.security(Name::Receiver(0))).await;
    assert!(line.starts_with(&format!("the coordinator at {plain_door} does not speak TLS")), "{line}");

    dial_once(tls_door, &authority.security(Name::Receiver(0))).await.unwrap();
    dial_once(plain_door, &plain).await.unwrap();
}

#[tokio::test]
async fn a_caller_whose_certificate_is_of_no_use_is_not_let_in() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let address = listen(&ours.security(Name::Coordinator)).await;
    let good = ours.files(Name::Receiver(0));
    assert_eq!(shake_hands(address, &ours, Some(&good)).await, Ok(()));

    for (files, alert) in [
        (None, AlertDescription::CertificateRequired),
        (Some(theirs.files(Name::Receiver(0))), AlertDescription::UnknownCA),
        (Some(ours.files_of(Name::Receiver(1), PAST)), AlertDescription::CertificateExpired),
        (Some(ours.files_of(Name::Receiver(2), FUTURE)), AlertDescription::CertificateExpired),
    ] {
        assert_eq!(shake_hands(address, &ours, files.as_ref()).await, Err(Some(alert)));
    }
    // From the right authority, but for no role in a network.
    for (stem, names) in [
        ("nobody", vec!["example.org".to_owned()]),
        ("several", vec![Name::Receiver(0).dns(), Name::Receiver(1).dns()]),
        ("strange", vec!["receiver-01.pom2dib".to_owned()]),
    ] {
        ours.issue(ours.folder(), stem, &names, support::NOW);
        let own = |extension| ours.folder().join(format!("{stem}.{extension}"));
        let files = TlsFiles { ca: good.ca.clone(), cert: own("pem"), key: own("key") };
        assert_eq!(shake_hands(address, &ours, Some(&files)).await, Err(None), "{stem}");
    }

    dial_once(address, &ours.security(Name::Receiver(0))).await.unwrap();
}

#[tokio::test]
async fn an_unusable_certificate_is_named_before_any_connection() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let problem = |files: TlsFiles| Security::default().with_tls(files).unwrap_err().to_string();
    let receiver = Name::Receiver(0);

    let line = problem(ours.files_of(receiver, PAST));
    assert!(line.contains("receiver-0.pem: the certificate expired on 2010-01-01"), "{line}");
    assert!(line.contains("pom2dib certs renew"), "{line}");
    let line = problem(ours.files_of(receiver, FUTURE));
    assert!(line.contains("is not valid before 3000-01-01") && line.contains("check the clock"), "{line}");
    let line = problem(TlsFiles { ca: ours.files(receiver).ca, ..theirs.files(receiver) });
    assert!(line.contains("receiver-0.pem: the certificate is of another authority than ca.pem"), "{line}");
    let line = problem(TlsFiles { key: ours.files(Name::Admin).key, ..ours.files(receiver) });
    assert!(line.contains("admin.key: is not the key of"), "{line}");
    let line = problem(TlsFiles { cert: ours.files(receiver).key, ..ours.files(receiver) });
    assert!(line.contains("receiver-0.key: holds no certificate in PEM"), "{line}");
    let mistaken = ours.files(receiver);
    fs::set_permissions(&mistaken.cert, fs::Permissions::from_mode(0o600)).unwrap();
    let line = problem(TlsFiles { key: mistaken.cert.clone(), ..mistaken });
    assert!(line.contains("receiver-0.pem: holds no private key in PEM"), "{line}");
    let line = problem(TlsFiles { ca: ours.folder().join("nowhere.pem"), ..ours.files(receiver) });
    assert!(line.contains("nowhere.pem: No such file"), "{line}");
}

#[tokio::test]
async fn renewed_files_are_used_by_the_next_connection() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (coordinator, receiver) = (old.security(Name::Coordinator), old.security(Name::Receiver(0)));
    let address = listen(&coordinator).await;
    let before = dial_once(address, &receiver).await.unwrap();
    let newcomer = new.security(Name::Receiver(1));
    refused(address, &newcomer).await;

    // The old folder gets a new authority, file by file, as an administrator would copy them.
    fs::write(old.folder().join("ca.pem"), new.pem()).unwrap();
    assert!(refused(address, &newcomer).await.contains("another authority"));
    new.issue(old.folder(), "coordinator", &[Name::Coordinator.dns()], support::NOW);
    new.issue(old.folder(), "receiver-0", &[Name::Receiver(0).dns()], support::NOW);

    dial_once(address, &newcomer).await.unwrap();
    dial_once(address, &receiver).await.unwrap();
    assert_eq!(who_am_i(before).await, format!("{:?}", Identity::Peer(Name::Receiver(0))));
}

#[tokio::test]
async fn unusable_new_files_leave_the_old_ones_in_use() {
    let authority = Authority::new("a");
    let address = listen(&authority.security(Name::Coordinator)).await;
    let receiver = authority.security(Name::Receiver(0));
    let own = authority.folder().join("coordinator.pem");
    let in_use = || async { dial_once(address, &receiver).await.unwrap() };

    authority.files_of(Name::Coordinator, PAST);
    in_use().await;
    authority.issue(authority.folder(), "coordinator", &[Name::Transmitter(0).dns()], support::NOW);
    in_use().await;
    fs::write(&own, "half a cert").unwrap();
    in_use().await;
    fs::remove_file(&own).unwrap();
    in_use().await;
}

#[tokio::test]
async fn silent_callers_do_not_delay_others() {
    let authority = Authority::new("a");
    let address = listen(&authority.security(Name::Coordinator)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let receiver = authority.security(Name::Receiver(0));

    let channel = tokio::time::timeout(SOON, dial_once(address, &receiver)).await;

    channel.expect("nobody is waited for").unwrap();
    // The connection that was silent longest has been closed.
    let end = tokio::time::timeout(SOON, silent[0].read(&mut [0])).await;
    assert!(matches!(end.expect("it is closed"), Ok(0) | Err(_)));
}

#[tokio::test]
async fn with_certificates_there_is_no_unix_socket_and_no_bind_is_exposed() {
    let authority = Authority::new("a");
    let everywhere: SocketAddr = ([0, 0, 0, 0], 0).into();
    let mut listener =
        Listener::bind(everywhere, &authority.security(Name::Transmitter(0)), false).await.unwrap();
    assert!(listener.open_local().is_none());
    Listener::bind(everywhere, &support::with_token("sixteen-letters-"), false).await.unwrap();
    Listener::bind(everywhere, &Security::default(), true).await.unwrap();
    let error = Listener::bind(everywhere, &Security::default(), false).await.unwrap_err().to_string();
    assert!(error.contains("--tls DIR or --token-file FILE") && error.contains("--insecure"), "{error}");
}

/// Connects as a caller that, unlike this project's, does not check its own certificate. Returns nothing, or the alert
/// with which it is refused (none: the connection is closed after the handshake).
async fn shake_hands(
    address: SocketAddr,
    trusted: &Authority,
    own: Option<&TlsFiles>,
) -> Result<(), Option<AlertDescription>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(files) => {
            let chain = CertificateDer::from_pem_file(&files.cert).unwrap();
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            config.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".into()];
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("coordinator.pom2dib").unwrap();
    let mut stream = connector.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
    // The first bytes from the other side show whether the caller was admitted.
    let said = tokio::time::timeout(SOON, stream.read(&mut [0])).await.expect("an answer in time");
    let _ = stream.shutdown().await;
    match said {
        Ok(1) => Ok(()),
        Ok(_) => Err(None),
        Err(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(Error::AlertReceived(alert)) => Err(Some(*alert)),
            _ => Err(None),
        },
    }
}
