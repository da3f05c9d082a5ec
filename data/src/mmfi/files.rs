//! Files as a whole.

use crate::error::DataError;
use std::{fs::File, io::Read, path::Path};

/// The largest file that is read: MM-Fi's have at most some hundred kB.
const LARGEST_FILE: u64 = 1 << 26;

/// The content of a file. One that is not there is an error that says so with the remedy.
pub(crate) fn read(path: &Path, remedy: &str) -> Result<Vec<u8>, DataError> {
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::missing(path, remedy),
        _ => DataError::io(path, source),
    };
    let mut content = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(io)?;
    match content.len() as u64 > LARGEST_FILE {
        true => Err(DataError::malformed(
            path,
            format!("has more than {LARGEST_FILE} bytes: no file of MM-Fi has"),
        )),
        false => Ok(content),
    }
}
