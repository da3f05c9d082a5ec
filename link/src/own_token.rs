//! The token that a coordinator generates if it was given none: it is stored in the run's folder and, while the
//! coordinator lives, in a folder that only its user can enter, under its port, where that user's processes find it.

use std::{
    fs::{DirBuilder, Permissions},
    io::Write,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{LinkError, Token};

/// Random bytes of a token.
const BYTES: usize = 32;

impl Token {
    /// The token in a file. If `fresh` is set or the file does not exist, a new token is written there, readable only
    /// by this user.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or holds no token.
    pub fn keep(path: &Path, fresh: bool) -> Result<Token, LinkError> {
        if !fresh && path.exists() {
            return Token::read(path);
        }
        let unfit = |problem: String| LinkError::Credentials { path: path.into(), problem };
        let text = random_text().map_err(unfit)?;
        write(path, &text).map_err(|error| unfit(error.to_string()))?;
        Token::new(&text, path)
    }

    /// A new token that is in no file. `whence` says in errors what it is for.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
    pub fn random(whence: &Path) -> Result<Token, LinkError> {
        let text =
            random_text().map_err(|problem| LinkError::Credentials { path: whence.into(), problem })?;
        Token::new(&text, whence)
    }
}

fn random_text() -> Result<String, String> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A token that this user's other processes can find while this value is held.
#[derive(Debug)]
pub struct Published {
    files: Vec<PathBuf>,
    token: Token,
}

impl Published {
    /// Stores a token where processes that dial this port look for it. Logs if there is no such place.
    pub(crate) fn new(port: u16, token: Token) -> Self {
        let is_written = |file: &PathBuf| match write(file, token.text()) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(file = %file.display(), %error, "no token can be left there");
                false
            }
        };
        let files: Vec<PathBuf> =
            folders(true).into_iter().map(|folder| file_of(&folder, port)).filter(is_written).collect();
        if files.is_empty() {
            tracing::warn!(
                "there is no folder that only this user can enter: who is started manually needs --token-file with the \
                 file \"token\" of the run's folder"
            );
        }
        Published { files, token }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for file in &self.files {
            // Another listener at that port may have stored its own token by now.
            if std::fs::read_to_string(file).is_ok_and(|text| text.trim() == self.token.text()) {
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

/// Removes the token that a killed process left under a port on which another process listens now.
pub(crate) fn clear(port: u16) {
    for folder in folders(false) {
        // The file rarely exists.
        let _ = std::fs::remove_file(file_of(&folder, port));
    }
}

/// Looks up the token of the listener at an address of this machine whenever it is needed, since the listener may not
/// have started yet. The last token found is kept.
#[derive(Clone, Debug)]
pub(crate) struct Finder {
    port: u16,
    last: Arc<Mutex<Option<Token>>>,
}

impl Finder {
    /// None for an address of another machine.
    pub(crate) fn of(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        Some(Finder { port: port.parse().ok().filter(|_| is_here)?, last: Arc::default() })
    }

    pub(crate) fn token(&self) -> Option<Token> {
        let mut last = self.last.lock().expect("no code panics while it holds this lock");
        if let Some(token) = find(self.port) {
            *last = Some(token);
        }
        last.clone()
    }
}

/// The token last stored under a port.
fn find(port: u16) -> Option<Token> {
    let files = folders(false).into_iter().map(|folder| file_of(&folder, port));
    let written = |file: &PathBuf| file.symlink_metadata().ok()?.modified().ok();
    let newest = files.filter_map(|file| Some((written(&file)?, file))).max()?.1;
    Token::read(&newest).ok()
}

fn file_of(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!("token-{port}"))
}

/// The existing (or, if `make`, creatable) folders for this user's tokens: that of the session, and one that is visible
/// to other sessions. Both must belong to this user and be closed to others.
fn folders(make: bool) -> Vec<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let session = session.filter(|folder| folder.is_absolute() && is_private(folder));
    let shared = Path::new("/tmp").join(format!("pom2dib-{}", own_uid()));
    let mut folders: Vec<PathBuf> =
        session.into_iter().map(|folder| folder.join("pom2dib")).chain([shared]).collect();
    folders.retain(|folder| {
        if make {
            // It may exist already; its owner is checked next.
            let _ = DirBuilder::new().mode(0o700).create(folder);
        }
        is_private(folder)
    });
    folders
}

fn is_private(folder: &Path) -> bool {
    folder
        .symlink_metadata()
        .is_ok_and(|found| found.is_dir() && found.uid() == own_uid() && found.mode() & 0o077 == 0)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Writes a file that only this user can read, atomically.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_user_alone_and_made_anew_for_a_fresh_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = Token::keep(&path, false).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(first.text().len(), 2 * BYTES);
        assert_eq!(Token::keep(&path, false).unwrap().text(), first.text());
        assert_ne!(Token::keep(&path, true).unwrap().text(), first.text());
        std::fs::write(&path, "short").unwrap();
        assert!(Token::keep(&path, false).unwrap_err().to_string().contains("16 to 1024"));
    }

    #[test]
    fn a_token_is_found_under_its_port_as_long_as_it_is_published() {
        // No listener can have port 0.
        let port = 0;
        let folder = tempfile::tempdir().unwrap();
        let token = Token::keep(&folder.path().join("token"), true).unwrap();
        let finder = Finder::of("127.0.0.1:0").unwrap();
        assert!(finder.token().is_none());
        let published = Published::new(port, token.clone());
        for file in &published.files {
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
            assert_eq!(file.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
        }
        assert_eq!(finder.token().unwrap().text(), token.text());
        drop(published);
        assert_eq!(finder.token().unwrap().text(), token.text(), "what was found stays known");
        assert!(Finder::of("[::1]:0").unwrap().token().is_none());
        assert!(Finder::of("alice:7310").is_none() && Finder::of("localhost").is_none());
        assert!(Finder::of("localhost:7310").is_some() && Finder::of("10.0.0.1:7310").is_none());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_no_place_for_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let close = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        close(folder.path());
        assert!(is_private(folder.path()));
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        assert!(!is_private(folder.path()));
        let link = tempfile::tempdir().unwrap();
        close(link.path());
        std::os::unix::fs::symlink(link.path(), folder.path().join("link")).unwrap();
        assert!(is_private(link.path()) && !is_private(&folder.path().join("link")));
    }
}
