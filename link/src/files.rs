//! Files with credentials: small, and replaced while in use.

use std::{
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::LinkError;

/// Upper limit on the size of a certificate, key or token, in bytes.
const LARGEST: u64 = 1 << 20;

/// Paths of a node's certificate and key and of the certificate of the authority that it trusts. All are PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The node's own certificate, followed by intermediate certificates, if any.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files of `name` in a folder made by `pom2dib certs new`.
    pub fn in_folder(folder: &Path, name: crate::Name) -> Self {
        let own = |extension| folder.join(format!("{}.{extension}", name.stem()));
        TlsFiles { ca: folder.join("ca.pem"), cert: own("pem"), key: own("key") }
    }

    /// Versions of the files, to notice replaced or changed files.
    pub(crate) fn versions(&self) -> Versions {
        [&self.ca, &self.cert, &self.key].map(|path| {
            let metadata = path.metadata().ok()?;
            Some([metadata.mtime(), metadata.mtime_nsec(), metadata.size() as i64, metadata.ino() as i64])
        })
    }
}

/// Of each file: modification time, size and inode.
pub(crate) type Versions = [Option<[i64; 4]>; 3];

/// Advice on how to make certificates.
pub(crate) const MAKES_CERTIFICATES: &str = "`pom2dib certs new DIR` makes certificates";

/// Advice on how to make a join token.
pub(crate) const MAKES_TOKEN: &str = "`pom2dib certs token FILE` makes a token";

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Reads a small file. `remedy` is added to the error if it cannot be read.
pub(crate) fn read(path: &Path, remedy: &str) -> Result<Vec<u8>, LinkError> {
    read_if(path, remedy, |_| Ok(()))
}

/// Reads a small file with credentials. Like ssh, it refuses a file of the calling user that others can access: the
/// user can fix that. Permissions of other users' files, such as a key mounted into a container, are left to their
/// owners.
pub(crate) fn read_secret(path: &Path, remedy: &str) -> Result<Vec<u8>, LinkError> {
    read_if(path, remedy, |metadata| {
        let own = metadata.uid() == rustix::process::geteuid().as_raw();
        match own && metadata.mode() & OTHERS != 0 {
            false => Ok(()),
            true => Err(format!(
                "others may read or change it (its mode is {:04o}): close it with `chmod 600 {}`",
                metadata.mode() & 0o7777,
                path.display()
            )),
        }
    })
}

fn read_if(
    path: &Path,
    remedy: &str,
    check: impl FnOnce(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, LinkError> {
    let unfit = |problem: String| LinkError::Credentials { path: path.into(), problem };
    let unreadable = |error: std::io::Error| unfit(format!("{error}; {remedy}"));
    let file = File::open(path).map_err(unreadable)?;
    // Checks the open file: the path may lead to another file by now.
    check(&file.metadata().map_err(unreadable)?).map_err(unfit)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(unfit(format!("is larger than {LARGEST} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_users_own_secret_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("word");
        fs::write(&path, "sixteen-letters-").unwrap();
        let with_mode = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_secret(&path, MAKES_TOKEN).map_err(|error| error.to_string())
        };
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601, 0o620] {
            let line = with_mode(mode).unwrap_err();
            assert!(line.contains(&format!("its mode is {mode:04o}")), "{line}");
            assert!(line.ends_with(&format!("`chmod 600 {}`", path.display())), "{line}");
            read(&path, MAKES_CERTIFICATES).unwrap();
        }
        for mode in [0o600, 0o400, 0o700] {
            assert_eq!(with_mode(mode).unwrap(), b"sixteen-letters-");
        }
    }

    /// Only root can test this: Kubernetes mounts files of root that a group can read, and files from `pom2dib compose`
    /// belong to the user who ran it and are readable for the container's user.
    #[test]
    fn permissions_of_other_users_secrets_are_not_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transmitter-0.key");
        fs::write(&path, "key").unwrap();
        if std::os::unix::fs::chown(&path, Some(10_001), Some(10_001)).is_err() {
            return println!("skipped: only root can give a file away");
        }
        for mode in [0o644, 0o440] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&path, MAKES_CERTIFICATES).unwrap(), b"key");
        }
    }
}
