//! Certificates: the authority of a network, and a certificate for each of its processes.

#[cfg(feature = "certificates")]
mod issue;
#[cfg(any(test, not(feature = "certificates")))]
#[cfg_attr(feature = "certificates", allow(dead_code, unreachable_pub, reason = "here for its test only"))]
mod left_out;

#[cfg(feature = "certificates")]
pub use issue::{Authority, found_in};
#[cfg(not(feature = "certificates"))]
pub use left_out::{Authority, found_in};

use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use link::Name;
use time::OffsetDateTime;

/// File name, without suffix, of the authority's certificate and key.
const AUTHORITY: &str = "ca";

/// The owner of a certificate in a file, and the end of its validity.
#[derive(Debug)]
pub struct Found {
    /// None for the authority's own.
    pub name: Option<Name>,
    /// The last moment of its validity.
    pub until: OffsetDateTime,
}

/// Checks that this program can make and read certificates.
///
/// # Errors
/// When it was built without them; the error says how to build one with them.
pub fn check() -> anyhow::Result<()> {
    #[cfg(not(feature = "certificates"))]
    left_out::check()?;
    Ok(())
}

/// Removes all certificates and keys of a folder.
///
/// # Errors
/// When it holds none, or one that cannot be read.
pub fn clear(folder: &Path) -> anyhow::Result<()> {
    for found in found_in(folder)? {
        let stem = found.name.map_or(AUTHORITY.into(), Name::stem);
        for extension in ["pem", "key"] {
            // The key may have been moved to another machine.
            let _ = std::fs::remove_file(folder.join(format!("{stem}.{extension}")));
        }
    }
    Ok(())
}

/// Writes a file with these permissions, atomically.
///
/// # Errors
/// When its folder cannot be written; the error names the file.
pub fn replace(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| path.display().to_string())
}
