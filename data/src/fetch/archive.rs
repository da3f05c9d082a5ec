//! FSDD's archive.

use crate::content::ClipName;
use flate2::read::GzDecoder;
use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Component, Path},
};
use tar::{Archive, Entry};

/// A recording of this size would last half a minute: the published ones last two seconds at most.
const MOST: u64 = 500_000;

/// Unpacks the recordings of a `.tar.gz` to `folder` and returns their names; nothing else of it touches the disk.
///
/// An archive with a path that leads out of it is refused whole. The error says what is wrong in one line.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<Vec<ClipName>, String> {
    let file = File::open(archive).map_err(|error| error.to_string())?;
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut names = Vec::new();
    for entry in archive.entries().map_err(|error| unsound(&error))? {
        names.extend(unpack_entry(entry.map_err(|error| unsound(&error))?, folder)?);
    }
    Ok(names)
}

/// Unpacks an entry if it is a recording.
fn unpack_entry(entry: Entry<impl Read>, folder: &Path) -> Result<Option<ClipName>, String> {
    let path = entry.path().map_err(|error| unsound(&error))?.into_owned();
    if !path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("the archive holds {path:?}, a path that leads out of it"));
    }
    let in_recordings = path.parent().is_some_and(|parent| parent.ends_with("recordings"));
    if !entry.header().entry_type().is_file() || !in_recordings {
        return Ok(None);
    }
    // The name on disk is made here, from what was understood: the archive's spelling is not used.
    let Some(name) = path.file_name().and_then(|name| ClipName::parse(name.to_str()?)) else {
        return Ok(None);
    };
    if entry.size() > MOST {
        return Err(format!("the archive's {} is too long for a recording", name.file_name()));
    }
    let mut file = File::create(folder.join(name.file_name())).map_err(|error| error.to_string())?;
    std::io::copy(&mut entry.take(MOST), &mut file).map_err(|error| unsound(&error))?;
    Ok(Some(name))
}

fn unsound(error: &std::io::Error) -> String {
    format!("the archive cannot be unpacked ({})", error.to_string().replace('\n', " "))
}
