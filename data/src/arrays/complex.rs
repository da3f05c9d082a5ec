//! Complex numbers, which no modality has, but a trace of gains.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use zip::ZipArchive;

use super::{npy, npz};
use crate::error::DataError;

/// More than anybody replays: 256 MiB of them.
const MOST: usize = 1 << 24;

/// Reads the complex array of a name (or the only one) of a .npz file: its shape, and real and imaginary parts, row by
/// row.
///
/// # Errors
/// [`DataError`], which names the file and what is wrong with it.
pub fn read_complex(path: &Path, name: &str) -> Result<(Vec<usize>, Vec<[f64; 2]>), DataError> {
    let file = File::open(path).map_err(|source| DataError::io(path, source))?;
    read(BufReader::new(file), name).map_err(|problem| DataError::malformed(path, problem))
}

fn read(archive: impl Read + std::io::Seek, name: &str) -> Result<(Vec<usize>, Vec<[f64; 2]>), String> {
    let mut archive = ZipArchive::new(archive).map_err(npz::problem)?;
    let index = npz::index_of(&archive, name)?;
    let mut member = archive.by_index(index).map_err(npz::problem)?;
    let (head, _) = npy::read_head(&mut member).map_err(|problem| format!("its array {problem}"))?;
    let size = match head.descr.as_str() {
        "<c8" => 8,
        "<c16" => 16,
        other => {
            return Err(format!(
                "its array holds elements of type {other:?}, but complex64 or complex128 are needed"
            ));
        }
    };
    if head.fortran_order {
        return Err("its array is in Fortran order: save numpy.ascontiguousarray(array)".into());
    }
    let count = head.shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let Some(count) = count.filter(|&count| count <= MOST) else {
        return Err(format!("its array claims the shape {:?}; at most {MOST} numbers are read", head.shape));
    };
    // No more is set aside than there is: one byte more would show.
    let mut bytes = Vec::new();
    let most = (count * size) as u64 + 1;
    member.by_ref().take(most).read_to_end(&mut bytes).map_err(npz::damaged)?;
    if bytes.len() != count * size {
        return Err(format!(
            "its array has not the {} bytes that the shape {:?} takes",
            count * size,
            head.shape
        ));
    }
    let value = |part: &[u8]| match part {
        &[a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        part => f64::from_le_bytes(part.try_into().expect("a part has 4 or 8 bytes")),
    };
    let number = |bytes: &[u8]| [value(&bytes[..size / 2]), value(&bytes[size / 2..])];
    Ok((head.shape, bytes.chunks_exact(size).map(number).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{NewArray, Values, write_npz};

    fn archive(shape: &[usize], values: Values) -> Cursor<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        write_npz(&mut file, &[NewArray { name: "gains".into(), shape: shape.into(), values }]).unwrap();
        file.set_position(0);
        file
    }

    #[test]
    fn complex_numbers_are_read_back_and_others_refused() {
        let numbers = vec![[0.5, -1.0], [2.0, f64::INFINITY], [0.0, 3.25]];
        let (shape, read_back) = read(archive(&[3, 1], Values::Complex(numbers.clone())), "gains").unwrap();
        assert_eq!((shape, read_back), (vec![3, 1], numbers.clone()));
        let refused = read(archive(&[3], Values::Doubles(vec![1.0; 3])), "gains").unwrap_err();
        assert!(refused.contains("\"<f8\", but complex64 or complex128"), "{refused}");
        let refused = read(archive(&[4], Values::Complex(numbers.clone())), "gains").unwrap_err();
        assert!(refused.contains("has not the 64 bytes"), "{refused}");
        let refused = read(archive(&[2], Values::Complex(numbers.clone())), "gains").unwrap_err();
        assert!(refused.contains("has not the 32 bytes"), "{refused}");
        let refused = read(archive(&[1 << 40], Values::Complex(numbers)), "gains").unwrap_err();
        assert!(refused.contains("at most 16777216 numbers"), "{refused}");
        assert!(read(Cursor::new(vec![7; 100]), "gains").unwrap_err().contains("is no readable .npz file"));
    }
}
