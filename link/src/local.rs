//! Unix-domain sockets: the faster connection between two nodes of one machine.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;
use tokio::net::UnixListener;

/// Prefix of these sockets' folders, before the random letters.
const FOLDER: &str = "pom2dib-";

/// Enough that the path cannot be guessed and differs on every machine and container: a node that finds the path is on
/// the right machine.
const RANDOM_LETTERS: usize = 20;

/// The socket's name in its folder.
const SOCKET: &str = "socket";

/// Access to a Unix-domain socket, in a temporary folder that only its owner may enter. Dropping it removes the path;
/// existing connections stay.
#[derive(Debug)]
pub struct LocalDoor {
    path: String,
    _folder: TempDir,
}

impl LocalDoor {
    /// The socket's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Makes the folder and listens in it. Fails if the system's temporary folder cannot be written to, or its name is
    /// too long for a socket's path (about 100 bytes).
    pub(crate) fn open() -> io::Result<(UnixListener, LocalDoor)> {
        let folder = tempfile::Builder::new()
            .prefix(FOLDER)
            .rand_bytes(RANDOM_LETTERS)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let path = std::path::absolute(folder.path().join(SOCKET))?;
        let path = path.into_os_string().into_string().map_err(|_| unfit("its path is not UTF-8"))?;
        let listener = UnixListener::bind(&path)?;
        Ok((listener, LocalDoor { path, _folder: folder }))
    }
}

/// Checks a path from the wire before it is dialled, so that no node is directed to another program's socket. It must
/// be a path that [`LocalDoor::open`] makes, in a folder closed to others, so that its owner is the same user.
pub(crate) async fn check(path: &str) -> io::Result<()> {
    let path = Path::new(path);
    let folder = path.parent().filter(|_| path.is_absolute() && path.ends_with(SOCKET));
    let folder = folder.ok_or_else(|| unfit("it is no path of a node's socket"))?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with(FOLDER) {
        return Err(unfit("it does not lie in a node's folder"));
    }
    let metadata = tokio::fs::symlink_metadata(folder).await?;
    match metadata.is_dir() && metadata.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(unfit("its folder is open to others")),
    }
}

fn unfit(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_lies_in_a_private_folder_and_is_gone_when_it_is_dropped() {
        let (_listener, door) = LocalDoor::open().unwrap();
        let path = door.path().to_owned();
        let folder = Path::new(&path).parent().unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        check(&path).await.unwrap();
        let before = tokio::net::UnixStream::connect(&path).await.unwrap();

        drop(door);

        assert!(!folder.exists());
        assert!(check(&path).await.is_err());
        assert!(tokio::net::UnixStream::connect(&path).await.is_err());
        before.writable().await.unwrap();
    }

    #[tokio::test]
    async fn a_path_that_is_no_nodes_socket_is_not_dialled() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str, mode| {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let (private, open) = (folder("pom2dib-a", 0o700), folder("pom2dib-b", 0o755));
        let foreign = folder("other", 0o700);
        std::os::unix::fs::symlink(&private, place.path().join("pom2dib-c")).unwrap();
        check(private.join("socket").to_str().unwrap()).await.unwrap();
        for path in [
            private.join("other"),
            open.join("socket"),
            foreign.join("socket"),
            place.path().join("pom2dib-c/socket"),
            place.path().join("pom2dib-d/socket"),
            "pom2dib-a/socket".into(),
            "/socket".into(),
            "".into(),
        ] {
            assert!(check(path.to_str().unwrap()).await.is_err(), "{}", path.display());
        }
    }
}
