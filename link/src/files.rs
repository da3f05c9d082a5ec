//! Files that prove who somebody is: small, and replaced while they are in use.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::LinkError;

/// No certificate, key or token is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// Where a node's certificate and key are, and the certificate of the authority that it trusts. All are PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The node's own certificate; those between it and the authority's after it, if there are any.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files of that name in a folder as `pom2dib certs new` makes it.
    pub fn in_folder(folder: &Path, name: crate::Name) -> Self {
        let own = |extension| folder.join(format!("{}.{extension}", name.stem()));
        TlsFiles { ca: folder.join("ca.pem"), cert: own("pem"), key: own("key") }
    }

    /// What tells whether a file has been replaced or written to since.
    pub(crate) fn versions(&self) -> Versions {
        [&self.ca, &self.cert, &self.key].map(|path| {
            let metadata = path.metadata().ok()?;
            Some([metadata.mtime(), metadata.mtime_nsec(), metadata.size() as i64, metadata.ino() as i64])
        })
    }
}

/// When, how long and which: of each file.
pub(crate) type Versions = [Option<[i64; 4]>; 3];

/// What makes certificates, for whom has none.
pub(crate) const MAKES_CERTIFICATES: &str = "`pom2dib certs new DIR` makes certificates";

/// What makes a join token.
pub(crate) const MAKES_TOKEN: &str = "`pom2dib certs token FILE` makes a token";

/// Reads a small file. `remedy` is for one that cannot be read.
pub(crate) fn read(path: &Path, remedy: &str) -> Result<Vec<u8>, LinkError> {
    let unfit = |problem: String| LinkError::Credentials { path: path.into(), problem };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(unfit(format!("{error}; {remedy}"))),
        Ok(_) if bytes.len() as u64 > LARGEST => Err(unfit(format!("is larger than {LARGEST} bytes"))),
        Ok(_) => Ok(bytes),
    }
}
