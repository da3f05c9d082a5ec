//! MAT-files of version 5, as far as MM-Fi has them: one array of doubles by its name.
//!
//! Own code: what is needed is one name of a small file, and it must be strict. Nothing is allocated on the word of a
//! header but what a compressed element may hold at most, and every length is checked against the bytes that are there.

use flate2::read::ZlibDecoder;
use std::io::Read;

/// Text, subsystem offset, version and byte order.
const HEADER: usize = 128;

/// The largest compressed element that is read, uncompressed: MM-Fi's have 27 kB.
const LARGEST_ELEMENT: u64 = 1 << 22;

/// More dimensions than MM-Fi's arrays have.
const MOST_DIMENSIONS: usize = 8;

const MI_INT8: u32 = 1;
const MI_INT32: u32 = 5;
const MI_UINT32: u32 = 6;
const MI_DOUBLE: u32 = 9;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;

const MX_DOUBLE: u8 = 6;
const MX_SINGLE: u8 = 7;
const COMPLEX: u8 = 0x08;

/// An array of a MAT-file: its shape, and its values in MATLAB's order, the first index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct MatArray {
    /// Sizes of the dimensions.
    pub shape: Vec<usize>,
    /// As many values as the shape says, whatever they are.
    pub values: Vec<f64>,
}

/// Reads the real array of that name from a whole file.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_mat(content: &[u8], name: &str) -> Result<MatArray, String> {
    if content.starts_with(b"\x89HDF") || content.starts_with(b"MATLAB 7.3") {
        return Err("is a MAT-file of version 7.3 (HDF5); save it with version 5 (-v7 or older)".into());
    }
    let (header, mut rest) = content.split_at_checked(HEADER).ok_or("is truncated in its first 128 bytes")?;
    match header[124..] {
        [0, 1, b'I', b'M'] => {}
        [1, 0, b'M', b'I'] => {
            return Err("is a big-endian MAT-file; save it on a little-endian machine".into());
        }
        _ => return Err("is no MAT-file of version 5".into()),
    }
    let mut others = Vec::new();
    while !rest.is_empty() {
        let (kind, data) = top_element(&mut rest)?;
        let found = match kind {
            MI_MATRIX => read_matrix(data, name)?,
            MI_COMPRESSED => match element(&mut inflated(data)?.as_slice())? {
                (MI_MATRIX, data) => read_matrix(data, name)?,
                _ => continue,
            },
            // Other elements are none of our business.
            _ => continue,
        };
        match found {
            Found::Array(array) => return Ok(array),
            Found::Other(other) => others.push(other),
        }
    }
    Err(format!(
        "holds no array {name}; it holds {}",
        if others.is_empty() { "none".into() } else { others.join(", ") }
    ))
}

/// What a matrix element turned out to be.
enum Found {
    Array(MatArray),
    /// One of another name.
    Other(String),
}

fn read_matrix(mut data: &[u8], wanted: &str) -> Result<Found, String> {
    let (MI_UINT32, &[class, flags, _, _, _, _, _, _]) = element(&mut data)? else {
        return Err("holds an array without flags".into());
    };
    let shape = match element(&mut data)? {
        (MI_INT32, sizes) => shape(sizes)?,
        _ => return Err("holds an array without dimensions".into()),
    };
    let name = match element(&mut data)? {
        (MI_INT8, name) => String::from_utf8_lossy(name).replace(char::is_control, "?"),
        _ => return Err("holds an array without a name".into()),
    };
    if name != wanted {
        return Ok(Found::Other(name.chars().take(64).collect()));
    }
    if !matches!(class, MX_DOUBLE | MX_SINGLE) || flags & COMPLEX != 0 {
        return Err(format!("holds {name} as class {class}; it must be real and double or single"));
    }
    let (kind, bytes) = element(&mut data)?;
    let values = numbers(kind, bytes).ok_or_else(|| format!("holds {name} as numbers of type {kind}"))?;
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    if count != Some(values.len()) {
        return Err(format!("holds {} values of {name}, but its shape is {shape:?}", values.len()));
    }
    Ok(Found::Array(MatArray { shape, values }))
}

fn shape(sizes: &[u8]) -> Result<Vec<usize>, String> {
    if sizes.len() > 4 * MOST_DIMENSIONS || !sizes.len().is_multiple_of(4) {
        return Err(format!("holds an array with {} bytes of dimensions", sizes.len()));
    }
    let size = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("4 bytes"));
    let sizes = sizes.chunks_exact(4).map(size);
    sizes.map(|size| usize::try_from(size).map_err(|_| format!("holds an array of size {size}"))).collect()
}

/// Numbers of a storage type; programs may store doubles as smaller numbers where nothing is lost.
fn numbers(kind: u32, bytes: &[u8]) -> Option<Vec<f64>> {
    fn all<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let values = bytes.chunks_exact(N).map(|bytes| number(bytes.try_into().expect("N bytes")));
        bytes.len().is_multiple_of(N).then(|| values.collect())
    }
    match kind {
        MI_INT8 => all(bytes, |bytes| i8::from_le_bytes(bytes).into()),
        2 => all(bytes, |bytes| u8::from_le_bytes(bytes).into()),
        3 => all(bytes, |bytes| i16::from_le_bytes(bytes).into()),
        4 => all(bytes, |bytes| u16::from_le_bytes(bytes).into()),
        MI_INT32 => all(bytes, |bytes| i32::from_le_bytes(bytes).into()),
        MI_UINT32 => all(bytes, |bytes| u32::from_le_bytes(bytes).into()),
        7 => all(bytes, |bytes| f32::from_le_bytes(bytes).into()),
        MI_DOUBLE => all(bytes, f64::from_le_bytes),
        _ => None,
    }
}

fn inflated(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(data).take(LARGEST_ELEMENT + 1).read_to_end(&mut inflated);
    read.map_err(|error| format!("holds a compressed element that cannot be read ({error})"))?;
    match inflated.len() as u64 > LARGEST_ELEMENT {
        true => Err(format!("holds a compressed element of more than {LARGEST_ELEMENT} bytes")),
        false => Ok(inflated),
    }
}

/// The next element of the file itself. Compressed ones are not padded, and the padding of the last may be missing.
fn top_element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let kind = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if kind != Some(MI_COMPRESSED) {
        return element(rest);
    }
    let (tag, data) = rest.split_at_checked(8).ok_or(TRUNCATED)?;
    let length = u32::from_le_bytes(tag[4..].try_into().expect("4 bytes")) as usize;
    let (data, behind) = data.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = behind;
    Ok((MI_COMPRESSED, data))
}

const TRUNCATED: &str = "is truncated";

/// The next data element: its type and its bytes. Small ones keep up to four bytes within the tag.
fn element<'a>(rest: &mut &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let (tag, data) = rest.split_at_checked(8).ok_or(TRUNCATED)?;
    let kind = u32::from_le_bytes(tag[..4].try_into().expect("4 bytes"));
    let small = (kind >> 16) as usize;
    if small > 0 {
        *rest = data;
        let data = tag[4..].get(..small).ok_or_else(|| format!("holds a small element of {small} bytes"))?;
        return Ok((kind & 0xffff, data));
    }
    let length = u32::from_le_bytes(tag[4..].try_into().expect("4 bytes")) as usize;
    let (data, behind) = data.split_at_checked(length).ok_or(TRUNCATED)?;
    let padding = length.next_multiple_of(8) - length;
    *rest = behind.get(padding..).unwrap_or_default();
    Ok((kind, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The published files' layout, of a small array.
    fn sample() -> Vec<u8> {
        synthetic::mat_file(
            &[("CSIphase", &[0.5; 6]), ("CSIamp", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])],
            [3, 2, 1],
        )
    }

    #[test]
    fn an_array_is_found_by_its_name() {
        let array = parse_mat(&sample(), "CSIamp").unwrap();
        assert_eq!(array, MatArray { shape: vec![3, 2, 1], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] });
        assert_eq!(parse_mat(&sample(), "CSI").unwrap_err(), "holds no array CSI; it holds CSIphase, CSIamp");
    }

    #[test]
    fn what_is_no_such_file_is_refused_by_its_fault() {
        let refused = |content: &[u8]| parse_mat(content, "CSIamp").unwrap_err();
        let good = sample();
        assert!(refused(b"\x89HDF\r\n").contains("version 7.3"));
        assert!(refused(&good[..100]).contains("first 128 bytes"));
        assert!(refused(&good[..good.len() - 30]).contains("truncated"));
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        assert!(refused(&with(126, b'X')).contains("no MAT-file of version 5"));
        // The first array's element begins at 128: tag, flags (tag 8, class at 144), dimensions (first at 160).
        let amp = 128 + (good.len() - 128) / 2;
        assert!(refused(&with(amp + 16, 9)).contains("CSIamp as class 9"));
        assert!(refused(&with(amp + 17, COMPLEX)).contains("must be real"));
        assert!(refused(&with(amp + 32, 4)).contains("6 values of CSIamp, but its shape is [4, 2, 1]"));
        assert!(refused(&with(amp + 35, 0x80)).contains("size -2147483645"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content: Vec<u8>, at in 128..600usize, byte: u8) {
            let _ = parse_mat(&content, "CSIamp");
            let mut changed = sample();
            let length = changed.len();
            changed[at % length] = byte;
            let _ = parse_mat(&changed, "CSIamp");
        }
    }
}
