//! An array in a .npz file, which is a zip archive of .npy files.

use super::{
    layout::Layout,
    names::{member, no_member},
    npy,
};
use std::{
    fs::File,
    io::{self, Read, Seek},
};
use zip::{CompressionMethod, ZipArchive, result::ZipError};

/// Finds the array of that name, or the only one, by its head alone: what it is, and which member. The error says what
/// is wrong.
pub(crate) fn read_layout<R: Read + Seek>(archive: R, name: &str) -> Result<(Layout, usize), String> {
    let mut archive = ZipArchive::new(archive).map_err(problem)?;
    let index = index_of(&archive, name)?;
    let mut member = archive.by_index(index).map_err(problem)?;
    let layout = npy::read_layout(&mut member).map_err(|problem| format!("its array {problem}"))?;
    layout.check_length(member.size()).map_err(|problem| format!("its array {problem}"))?;
    Ok((layout, index))
}

/// Reads a member of this layout to its end and compares the archive's checksum. Gives where its values begin and,
/// where they are compressed, a temporary file without a name in which they lie unpacked.
pub(crate) fn unpack<R: Read + Seek>(
    archive: R,
    index: usize,
    layout: &Layout,
) -> Result<(Option<File>, u64), String> {
    let mut archive = ZipArchive::new(archive).map_err(problem)?;
    let mut member = archive.by_index(index).map_err(problem)?;
    io::copy(&mut member.by_ref().take(layout.start), &mut io::sink()).map_err(damaged)?;
    // The length is known to be right: no archive makes more of itself than it says.
    let mut unpacked = match member.compression() {
        CompressionMethod::Stored => None,
        _ => Some(tempfile::tempfile().map_err(|error| {
            format!("cannot be unpacked to a temporary file ({error}): see that TMPDIR has room")
        })?),
    };
    let mut values = member.by_ref().take(layout.bytes());
    let copied = match &mut unpacked {
        Some(file) => io::copy(&mut values, file),
        None => io::copy(&mut values, &mut io::sink()),
    };
    // The checksum is compared where the member ends.
    let rest = io::copy(&mut member, &mut io::sink()).map_err(damaged)?;
    if copied.map_err(damaged)? != layout.bytes() || rest != 0 {
        return Err("is a damaged archive: its array has another length than it says; save it again".into());
    }
    let start = match unpacked {
        Some(_) => 0,
        None => member.data_start().ok_or("is a damaged archive: save it again")? + layout.start,
    };
    Ok((unpacked, start))
}

/// The member that is the array of that name, or the only one.
pub(crate) fn index_of<R>(archive: &ZipArchive<R>, name: &str) -> Result<usize, String>
where
    R: Read + Seek,
{
    let mut names = Vec::with_capacity(archive.len());
    for (index, member) in archive.file_names().enumerate() {
        let member = member.map_err(problem)?;
        // What a desktop packs beside the arrays: __MACOSX/._x.npy.
        if !member.split('/').any(|part| part.starts_with('.') || part == "__MACOSX") {
            names.push((member.strip_suffix(".npy").unwrap_or(&member).to_owned(), index));
        }
    }
    let (names, places): (Vec<String>, Vec<usize>) = names.into_iter().unzip();
    let key = match names.as_slice() {
        [only] => only,
        _ => member(name, &names).ok_or_else(|| no_member("array", name, &names))?,
    };
    let place = names.iter().position(|known| known == key).map(|place| places[place]);
    place.ok_or_else(|| no_member("array", name, &names))
}

pub(crate) fn problem(error: ZipError) -> String {
    let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("is no readable .npz file ({reason}): write it with numpy.savez or numpy.savez_compressed")
}

pub(crate) fn damaged(error: io::Error) -> String {
    format!("is a damaged archive ({error}): save it again")
}
