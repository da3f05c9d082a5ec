use std::path::{Path, PathBuf};

use link::{LinkError, Name, Security, TlsFiles, Token};

use crate::{NodeError, Role};

/// Environment variable of the join token. There is no flag for it: any user of the machine could read it from the
/// command line.
const TOKEN: &str = "POM2DIB_TOKEN";

/// A process's own credentials, and those that it demands from others.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Who is let in")]
pub struct SecurityOptions {
    /// Encrypt all connections and admit only peers with a certificate: a folder with ca.pem and this process's own
    /// certificate and key (see `pom2dib certs`)
    #[arg(long, env = "POM2DIB_TLS", value_name = "DIR", conflicts_with_all = ["tls_ca", "tls_cert", "tls_key"])]
    pub tls: Option<PathBuf>,

    /// The authority's certificate, if it is not in the same folder
    #[arg(long, env = "POM2DIB_TLS_CA", value_name = "FILE", requires_all = ["tls_cert", "tls_key"])]
    pub tls_ca: Option<PathBuf>,

    /// This process's certificate
    #[arg(long, env = "POM2DIB_TLS_CERT", value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    pub tls_cert: Option<PathBuf>,

    /// The key of this process's certificate
    #[arg(long, env = "POM2DIB_TLS_KEY", value_name = "FILE", requires_all = ["tls_ca", "tls_cert"])]
    pub tls_key: Option<PathBuf>,

    /// File with the join token that peers must present; POM2DIB_TOKEN can hold the token itself
    #[arg(long, env = "POM2DIB_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl SecurityOptions {
    /// Credentials of a transmitter or receiver. Without an index it takes the only certificate of its role in the
    /// folder.
    ///
    /// # Errors
    ///
    /// An input or link error if a certificate, key or token is missing or cannot be used.
    pub fn of_node(&self, role: Role, index: Option<u32>) -> Result<Security, NodeError> {
        let name = |index| match role {
            Role::Transmitter => Name::Transmitter(index),
            Role::Receiver => Name::Receiver(index),
        };
        let wanted = index.map(name);
        let security = self.load(|folder| match wanted {
            Some(name) => Ok(name),
            None => only_one(folder, role),
        })?;
        match (security.name(), wanted) {
            (Some(own), Some(wanted)) if own != wanted => Err(self.misfit(own, wanted)),
            (Some(Name::Transmitter(_)), _) if role == Role::Transmitter => Ok(security),
            (Some(Name::Receiver(_)), _) if role == Role::Receiver => Ok(security),
            (None, _) => Ok(security),
            (Some(own), _) => Err(self.misfit(own, format!("a {}", role.name()))),
        }
    }

    /// Credentials of the coordinator.
    ///
    /// # Errors
    ///
    /// As [`of_node`](Self::of_node).
    pub fn of_coordinator(&self) -> Result<Security, NodeError> {
        self.of(Name::Coordinator)
    }

    /// Credentials of a command that manages a run.
    ///
    /// # Errors
    ///
    /// As [`of_node`](Self::of_node).
    pub fn of_admin(&self) -> Result<Security, NodeError> {
        self.of(Name::Admin)
    }

    /// Credentials of a command that only reads the status: the administrator's certificate, or that of any node in the
    /// folder.
    ///
    /// # Errors
    ///
    /// As [`of_node`](Self::of_node).
    pub fn of_visitor(&self) -> Result<Security, NodeError> {
        self.load(|folder| {
            let held = held(folder, |name| name.dials())?;
            let admin = held.iter().find(|name| **name == Name::Admin).or(held.iter().min());
            let none = "holds no certificate of a node or an administrator: make one with `pom2dib certs`";
            Ok(*admin.ok_or_else(|| LinkError::Credentials { path: folder.into(), problem: none.into() })?)
        })
    }

    fn of(&self, name: Name) -> Result<Security, NodeError> {
        let security = self.load(|_| Ok(name))?;
        match security.name() {
            Some(own) if own != name => Err(self.misfit(own, name)),
            _ => Ok(security),
        }
    }

    /// Reads the token and the certificates, those from a folder under the given name.
    fn load(&self, name: impl FnOnce(&Path) -> Result<Name, NodeError>) -> Result<Security, NodeError> {
        let mut security = Security::default();
        if let Some(files) = self.files(name)? {
            security = security.with_tls(files)?;
        }
        if let Some(token) = self.token()? {
            security = security.with_token(token);
        }
        Ok(security)
    }

    fn files(
        &self,
        name: impl FnOnce(&Path) -> Result<Name, NodeError>,
    ) -> Result<Option<TlsFiles>, NodeError> {
        if let (Some(ca), Some(cert), Some(key)) = (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            return Ok(Some(TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() }));
        }
        match &self.tls {
            Some(folder) => Ok(Some(TlsFiles::in_folder(folder, name(folder)?))),
            None => Ok(None),
        }
    }

    /// The token of the file or, without a file, of the environment.
    fn token(&self) -> Result<Option<Token>, LinkError> {
        match (&self.token_file, std::env::var_os(TOKEN)) {
            (Some(path), _) => Token::read(path).map(Some),
            (None, Some(text)) => Token::new(&text.to_string_lossy(), Path::new(TOKEN)).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn misfit(&self, own: Name, wanted: impl std::fmt::Display) -> NodeError {
        let file = self.tls_cert.as_ref().or(self.tls.as_ref()).map(|path| path.display().to_string());
        let file = file.unwrap_or_default();
        NodeError::Input(format!("{file}: the certificate is made out to {own}: give that of {wanted}"))
    }
}

/// The name of the only certificate of a role in a folder.
fn only_one(folder: &Path, role: Role) -> Result<Name, NodeError> {
    let unfit = |problem: String| LinkError::Credentials { path: folder.into(), problem };
    match held(folder, |name| name.stem().starts_with(role.name()))?[..] {
        [name] => Ok(name),
        [] => {
            Err(unfit(format!("holds no certificate of a {}: make one with `pom2dib certs`", role.name())))?
        }
        ref several => Err(unfit(format!(
            "holds certificates of {} {}s: say whose to take with --index",
            several.len(),
            role.name()
        )))?,
    }
}

/// The names of the wanted certificates in a folder.
fn held(folder: &Path, wanted: impl Fn(Name) -> bool) -> Result<Vec<Name>, LinkError> {
    let entries = folder
        .read_dir()
        .map_err(|error| LinkError::Credentials { path: folder.into(), problem: error.to_string() })?;
    let name = |entry: std::fs::DirEntry| {
        let stem = entry.file_name().to_str()?.strip_suffix(".pem")?.to_owned();
        Name::parse(&stem).filter(|name| wanted(*name))
    };
    Ok(entries.flatten().filter_map(name).collect())
}
