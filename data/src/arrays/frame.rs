//! An array in the midst of a stream: the bytes of one .npy file, whatever follows them.

use super::{element::Element, fortran::row_major, npy};
use std::io::{ErrorKind, Read};

/// The longest array that is read on past, in bytes: what claims more cannot be told from nonsense.
const LONGEST: u64 = 1 << 26;

const ENDS_EARLY: &str = "ends within its values";

/// Why a stream cannot be read on: where its next array begins is not known.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfStep(
    /// What is wrong with the array.
    pub String,
);

/// Reads one array of numbers, of any type, order and shape, of which there are to be `width` values: row by row.
///
/// An array that is not as it should be is an error within, and is read past. Nothing larger than `width` is kept.
///
/// # Errors
///
/// [`OutOfStep`] if the stream ends, or the head of the array cannot be read.
pub fn read_npy(reader: &mut impl Read, width: usize) -> Result<Result<Vec<f32>, String>, OutOfStep> {
    let (head, _) = npy::read_head(reader).map_err(OutOfStep)?;
    let element = npy::element(&head.descr).map_err(OutOfStep)?;
    let product = head.shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let bytes = product.and_then(|values| values.checked_mul(element.kind.size()));
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes <= LONGEST);
    let (Some(values), Some(bytes)) = (product, bytes) else {
        return Err(OutOfStep(format!("claims the shape {:?}, which no sample has", head.shape)));
    };
    if values != width || element.kind.is_text() {
        pass(reader, bytes)?;
        return Ok(Err(match element.kind.is_text() {
            true => "holds texts, and no numbers".into(),
            false => format!("has {values} values, and a sample of it has {width}"),
        }));
    }
    let mut content = vec![0; bytes as usize];
    reader.read_exact(&mut content).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => OutOfStep(ENDS_EARLY.into()),
        _ => OutOfStep(error.to_string()),
    })?;
    Ok(numbers(element, &content, &head))
}

/// Skips this many bytes of the input.
fn pass(reader: &mut impl Read, bytes: u64) -> Result<(), OutOfStep> {
    let copied = std::io::copy(&mut reader.take(bytes), &mut std::io::sink());
    match copied.map_err(|error| OutOfStep(error.to_string()))? == bytes {
        true => Ok(()),
        false => Err(OutOfStep(ENDS_EARLY.into())),
    }
}

/// The values in row order, all of them finite.
fn numbers(element: Element, content: &[u8], head: &npy::Head) -> Result<Vec<f32>, String> {
    let mut values = Vec::new();
    element.decode(content, &mut values);
    let mut numbers = vec![0.0; values.len()];
    for (position, value) in values.iter().enumerate() {
        let place = if head.fortran_order { row_major(position, &head.shape) } else { position };
        numbers[place] = *value as f32;
    }
    match numbers.iter().find(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(number) => Err(format!("holds {number}, and only finite numbers of float32's range are taken")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::npy::tests::npy as file;

    fn array(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        file(&format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"), values)
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn arrays_of_any_type_order_and_shape_follow_each_other() {
        let stream = [
            array("<f4", "False", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0])),
            array("<f4", "True", "(2, 2)", &floats(&[1.0, 3.0, 2.0, 4.0])),
            array("|u1", "False", "(4,)", &[1, 2, 3, 4]),
            array(">i2", "False", "(1, 4, 1)", &[0, 1, 0, 2, 0, 3, 0, 4]),
            b"more".to_vec(),
        ]
        .concat();
        let mut reader = stream.as_slice();
        for _ in 0..4 {
            assert_eq!(read_npy(&mut reader, 4), Ok(Ok(vec![1.0, 2.0, 3.0, 4.0])));
        }
        assert_eq!(reader, b"more");
        let mut single = array("<f8", "False", "()", &2.5f64.to_le_bytes());
        single.push(7);
        let mut reader = single.as_slice();
        assert_eq!((read_npy(&mut reader, 1), reader), (Ok(Ok(vec![2.5])), [7].as_slice()));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_read_past_and_named() {
        for (bytes, word) in [
            (
                array("<f4", "False", "(3,)", &floats(&[1.0, 2.0, 3.0])),
                "has 3 values, and a sample of it has 2",
            ),
            (array("<f4", "False", "(2,)", &floats(&[1.0, f32::NAN])), "holds NaN"),
            (
                array("<f8", "False", "(2,)", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]),
                "holds inf",
            ),
            (array("<f8", "False", "(2,)", &[1e300f64.to_le_bytes(), [0; 8]].concat()), "holds inf"),
            (array("<U1", "False", "(2,)", &[0; 8]), "texts"),
        ] {
            let stream = [bytes.as_slice(), b"!"].concat();
            let mut reader = stream.as_slice();
            let complaint = read_npy(&mut reader, 2).unwrap().unwrap_err();
            assert!(complaint.contains(word), "{complaint}");
            assert_eq!(reader, b"!", "{word}");
        }
    }

    #[test]
    fn without_a_head_that_can_be_read_nothing_follows() {
        let mut cut = array("<f4", "False", "(2,)", &floats(&[1.0, 2.0]));
        cut.pop();
        for (bytes, word) in [
            (b"no array at all".to_vec(), "is no .npy file"),
            (array("<c8", "False", "(2,)", &[0; 16]), "<c8"),
            (array("<f4", "False", "(99999999, 99999)", &[]), "claims the shape"),
            (cut, "ends within its values"),
            (array("<f4", "False", "(5,)", &[0; 3]), "ends within its values"),
        ] {
            let OutOfStep(complaint) = read_npy(&mut bytes.as_slice(), 2).unwrap_err();
            assert!(complaint.contains(word), "{complaint}");
        }
    }
}
