//! Arrays for numpy: a .npz file.

use std::io::{self, Seek, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// An array to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewArray {
    /// What it is called in the archive.
    pub name: String,
    /// Sizes of its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its values, row-major: as many as the shape says.
    pub values: Values,
}

/// Values of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `float32`.
    Floats(Vec<f32>),
    /// `float64`.
    Doubles(Vec<f64>),
    /// `complex128`: real and imaginary parts.
    Complex(Vec<[f64; 2]>),
    /// `int64`.
    Integers(Vec<i64>),
    /// `bool`.
    Booleans(Vec<bool>),
    /// `str`.
    Texts(Vec<String>),
}

impl Values {
    /// The type as numpy describes it, and the bytes.
    fn described(&self) -> (String, Vec<u8>) {
        match self {
            Values::Floats(values) => {
                ("<f4".into(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Values::Doubles(values) => {
                ("<f8".into(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Values::Complex(values) => {
                ("<c16".into(), values.iter().flatten().flat_map(|part| part.to_le_bytes()).collect())
            }
            Values::Integers(values) => {
                ("<i8".into(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Values::Booleans(values) => ("|b1".into(), values.iter().map(|&value| value.into()).collect()),
            Values::Texts(texts) => {
                let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
                let padded = |text: &String| {
                    let letters = text.chars().map(u32::from).chain(std::iter::repeat(0));
                    letters.take(longest).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
                };
                (format!("<U{longest}"), texts.iter().flat_map(padded).collect())
            }
        }
    }
}

/// Writes arrays as `numpy.savez` does, uncompressed; `numpy.load` reads them. The same arrays give the same bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write_npz(file: impl Write + Seek, arrays: &[NewArray]) -> io::Result<()> {
    let mut archive = ZipWriter::new(file);
    for array in arrays {
        let (kind, bytes) = array.values.described();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file(
            format!("{}.npy", array.name),
            options.large_file(bytes.len() > u32::MAX as usize / 2),
        )?;
        archive.write_all(&npy_head(&kind, &array.shape))?;
        archive.write_all(&bytes)?;
    }
    archive.finish()?.flush()
}

/// The head of a .npy file of version 1.0, as numpy writes it, padded to 64 bytes: the values follow, row-major. `kind`
/// is the type as numpy describes it, for example `<f4`.
pub fn npy_head(kind: &str, shape: &[usize]) -> Vec<u8> {
    let sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    // A tuple of one value has a comma behind it.
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut dictionary =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}{comma}), }}");
    let length = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
    dictionary.extend(std::iter::repeat_n(' ', length - 1 - dictionary.len()));
    dictionary.push('\n');
    [b"\x93NUMPY\x01\0", &(length as u16).to_le_bytes()[..], dictionary.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_array;

    #[test]
    fn what_is_written_is_read_back() {
        let array =
            |name: &str, shape: &[usize], values| NewArray { name: name.into(), shape: shape.into(), values };
        let arrays = [
            array("z", &[2, 3], Values::Floats(vec![0.5; 6])),
            array("answer", &[4], Values::Integers(vec![1, -1, 7, 0])),
            array("used", &[2, 2], Values::Booleans(vec![true, false, true, true])),
        ];
        let mut file = io::Cursor::new(Vec::new());
        write_npz(&mut file, &arrays).unwrap();
        let content = file.into_inner();
        for NewArray { name, shape, .. } in &arrays {
            assert_eq!(parse_array("npz", &content, name).unwrap(), *shape, "{name}");
        }
        assert_eq!(npy_head("<f4", &[7]).len() % 64, 0);
        let (kind, bytes) = Values::Texts(vec!["cat".into(), "é".into()]).described();
        assert_eq!((kind.as_str(), bytes.len(), bytes[12]), ("<U3", 24, 0xe9));
    }
}
