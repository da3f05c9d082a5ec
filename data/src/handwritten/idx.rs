//! MNIST's idx files, plain or compressed.

use crate::{
    content::{PIXELS, SIDE},
    error::DataError,
};
use flate2::read::GzDecoder;
use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

const LABELS_MAGIC: u32 = 0x0801;
const IMAGES_MAGIC: u32 = 0x0803;

/// More samples than any set of digits has: what claims more is not a set of digits.
const MOST: u32 = 10_000_000;

/// Labels 0 to 9, at least one.
pub(crate) fn read_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    parse_labels(open(path, is_compressed(path))?).map_err(|problem| DataError::malformed(path, problem))
}

/// The number of images, and their pixels.
pub(crate) fn read_images(path: &Path) -> Result<(usize, Vec<u8>), DataError> {
    parse_images(open(path, is_compressed(path))?).map_err(|problem| DataError::malformed(path, problem))
}

/// Whether a file's name says that it is compressed.
pub(crate) fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The uncompressed content of a file.
pub(crate) fn open(path: &Path, compressed: bool) -> Result<Box<dyn Read>, DataError> {
    let file = BufReader::new(File::open(path).map_err(|source| DataError::io(path, source))?);
    Ok(if compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
}

/// Labels from the content of an idx file, compressed or not.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_idx_labels(content: &[u8], compressed: bool) -> Result<Vec<u8>, String> {
    if compressed { parse_labels(GzDecoder::new(content)) } else { parse_labels(content) }
}

/// The number of images and their pixels from the content of an idx file, compressed or not.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_idx_images(content: &[u8], compressed: bool) -> Result<(usize, Vec<u8>), String> {
    if compressed { parse_images(GzDecoder::new(content)) } else { parse_images(content) }
}

fn parse_labels(mut reader: impl Read) -> Result<Vec<u8>, String> {
    let [count] = header(&mut reader, LABELS_MAGIC)?;
    let labels = body(reader, count, 1)?;
    match labels.iter().position(|&label| label > 9) {
        Some(at) => Err(format!("label {at} is {}, but labels are 0 to 9", labels[at])),
        None => Ok(labels),
    }
}

fn parse_images(mut reader: impl Read) -> Result<(usize, Vec<u8>), String> {
    let [count, rows, columns] = header(&mut reader, IMAGES_MAGIC)?;
    if [rows, columns] != [SIDE as u32; 2] {
        return Err(format!("its images have {rows} rows and {columns} columns, but 28 and 28 are needed"));
    }
    Ok((count as usize, body(reader, count, PIXELS as u64)?))
}

/// The sizes in the header, the first being the number of samples.
fn header<const SIZES: usize>(reader: &mut impl Read, magic: u32) -> Result<[u32; SIZES], String> {
    let found = word(reader)?;
    if found != magic {
        return Err(format!(
            "begins with {found:#010x}, but an idx file of this kind begins with {magic:#010x}"
        ));
    }
    let mut sizes = [0; SIZES];
    for size in &mut sizes {
        *size = word(reader)?;
    }
    match sizes[0] {
        0 => Err("holds no samples".into()),
        count if count > MOST => {
            Err(format!("claims to hold {count} samples, but at most {MOST} are believed"))
        }
        _ => Ok(sizes),
    }
}

fn word(reader: &mut impl Read) -> Result<u32, String> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => "ends within its header".into(),
        _ => unreadable(&source),
    })?;
    Ok(u32::from_be_bytes(bytes))
}

/// Exactly what the header promised, not a byte less or more.
fn body(reader: impl Read, count: u32, size: u64) -> Result<Vec<u8>, String> {
    let expected = u64::from(count) * size;
    let mut bytes = Vec::new();
    // One byte more than promised is enough to tell that there is too much.
    reader.take(expected + 1).read_to_end(&mut bytes).map_err(|source| unreadable(&source))?;
    match bytes.len() as u64 {
        found if found == expected => Ok(bytes),
        found if found > expected => {
            Err(format!("goes on after the {expected} bytes that its header promises"))
        }
        found => Err(format!("ends after {found} of the {expected} bytes that its header promises")),
    }
}

fn unreadable(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::UnexpectedEof => "is truncated".into(),
        _ => format!("cannot be read ({source})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(magic: u32, sizes: &[u32], body: usize) -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
        words.chain(std::iter::repeat_n(7, body)).collect()
    }

    #[test]
    fn sound_files_are_read() {
        assert_eq!(parse_labels(&file(0x801, &[3], 3)[..]).unwrap(), [7, 7, 7]);
        let (count, pixels) = parse_images(&file(0x803, &[2, 28, 28], 2 * PIXELS)[..]).unwrap();
        assert_eq!((count, pixels.len()), (2, 2 * PIXELS));
    }

    #[test]
    fn unsound_files_are_named_by_what_is_wrong() {
        for (bytes, problem) in [
            (file(0x803, &[3], 3), "begins with 0x00000803"),
            (file(0x801, &[3], 2), "ends after 2 of the 3 bytes"),
            (file(0x801, &[3], 4), "goes on after the 3 bytes"),
            (file(0x801, &[0], 0), "holds no samples"),
            (file(0x801, &[u32::MAX], 0), "claims to hold"),
            (vec![0, 0, 8], "ends within its header"),
        ] {
            let error = parse_labels(&bytes[..]).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let wide = parse_images(&file(0x803, &[1, 28, 29], 28 * 29)[..]).unwrap_err();
        assert!(wide.contains("28 rows and 29 columns"), "{wide}");
        let mut labels = file(0x801, &[3], 3);
        labels[9] = 10;
        assert!(parse_labels(&labels[..]).unwrap_err().contains("label 1 is 10"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), magic in 0x801u32..0x804) {
            let _ = parse_labels(&bytes[..]);
            let claimed: Vec<u8> = magic.to_be_bytes().into_iter().chain(bytes).collect();
            let _ = parse_labels(&claimed[..]);
            let _ = parse_images(&claimed[..]);
            let _ = parse_labels(GzDecoder::new(&claimed[..]));
        }
    }
}
