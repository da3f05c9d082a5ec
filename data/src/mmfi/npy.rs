//! NumPy's `.npy` files, as far as MM-Fi has them: f4 or f8, little-endian, in C order.
//!
//! Own code, since what is read here is small and must be strict: nothing is allocated or skipped on the word of a
//! header, and the header is one flat dictionary of three keys.

/// What every file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy itself writes 128 bytes, header and all; longer ones than this are refused.
const LONGEST_HEADER: usize = 4096;

/// More dimensions than MM-Fi's arrays have.
const MOST_DIMENSIONS: usize = 8;

/// An array: its shape, and its values in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Npy {
    /// Sizes of the dimensions, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the shape says, all finite.
    pub values: Vec<f32>,
}

/// The head of a file: all but the values.
struct Head<'a> {
    shape: Vec<usize>,
    /// Bytes of a value, 4 or 8.
    size: usize,
    /// The bytes behind the header.
    data: &'a [u8],
}

/// Reads an array from a whole file; the error says what is wrong with it. f8 is rounded to f4.
pub fn parse_npy(content: &[u8]) -> Result<Npy, String> {
    let Head { shape, size, data } = head(content)?;
    let count = shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size))
        .ok_or_else(|| format!("has the shape {shape:?}, which is too large"))?;
    if count.checked_mul(size) != Some(data.len()) {
        return Err(format!(
            "has {} bytes of values, but the shape {shape:?} of f{size} takes {} of them",
            data.len(),
            count.saturating_mul(size)
        ));
    }
    let values: Vec<f32> = match size {
        4 => {
            data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4 bytes"))).collect()
        }
        _ => data
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().expect("8 bytes")) as f32)
            .collect(),
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(format!("holds {} as value {position}; all must be finite", values[position])),
        None => Ok(Npy { shape, values }),
    }
}

fn head(content: &[u8]) -> Result<Head<'_>, String> {
    let rest = content.strip_prefix(MAGIC).ok_or("is no .npy file: it does not begin with \\x93NUMPY")?;
    let (header_length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [version, _, ..] if *version > 3 => {
            return Err(format!("is of version {version} of the format; 1, 2 and 3 can be read"));
        }
        _ => return Err("is truncated in its first bytes".into()),
    };
    if header_length > LONGEST_HEADER {
        return Err(format!("has a header of {header_length} bytes; at most {LONGEST_HEADER} can be read"));
    }
    let (header, data) = rest.split_at_checked(header_length).ok_or("is truncated in its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is no text")?;
    let dictionary = dictionary(header).ok_or_else(|| {
        "has a header that is not a dictionary of 'descr', 'fortran_order' and 'shape'".to_owned()
    })?;
    let size = match dictionary.descr {
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(format!("holds values of type {other:?}; <f4 and <f8 can be read")),
    };
    if dictionary.fortran_order {
        return Err("is in Fortran order; save it in C order".into());
    }
    Ok(Head { shape: dictionary.shape, size, data })
}

/// What a header says.
struct Dictionary<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (297, 17, 3), }`, in any order of keys.
fn dictionary(header: &str) -> Option<Dictionary<'_>> {
    let mut text = header.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !text.is_empty() {
        let (key, rest) = quoted(text)?;
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        let rest = match key {
            "descr" => take(&mut descr, quoted(rest)?),
            "fortran_order" => take(&mut fortran_order, boolean(rest)?),
            "shape" => take(&mut shape, tuple(rest)?),
            _ => return None,
        }?;
        let rest = rest.trim_start();
        text = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(Dictionary { descr: descr?, fortran_order: fortran_order?, shape: shape? })
}

/// Keeps a value, and gives the text behind it; nothing if there was one already.
fn take<'a, V>(place: &mut Option<V>, (value, rest): (V, &'a str)) -> Option<&'a str> {
    place.replace(value).is_none().then_some(rest)
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn boolean(text: &str) -> Option<(bool, &str)> {
    match text.strip_prefix("False") {
        Some(rest) => Some((false, rest)),
        None => text.strip_prefix("True").map(|rest| (true, rest)),
    }
}

fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inside, rest) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some((Vec::new(), rest));
    }
    let size = |word: &str| {
        let word = word.trim();
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| word.parse().ok()).flatten()
    };
    let shape: Vec<usize> = inside.split(',').map(size).collect::<Option<_>>()?;
    (shape.len() <= MOST_DIMENSIONS).then_some((shape, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[1, 0]].concat();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn refusal(content: &[u8]) -> String {
        parse_npy(content).unwrap_err()
    }

    #[test]
    fn keys_may_come_in_any_order_and_f8_is_rounded() {
        let header = "{\"shape\": (2,), 'fortran_order': False, 'descr': '<f8'}\n";
        let values = [0.1f64, -3.0].map(f64::to_le_bytes).concat();
        assert_eq!(parse_npy(&file(header, &values)), Ok(Npy { shape: vec![2], values: vec![0.1, -3.0] }));
    }

    #[test]
    fn what_is_no_such_array_is_refused_by_its_fault() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        let refused = |from: &str, to: &str| refusal(&file(&good.replace(from, to), &[0; 8]));
        parse_npy(&file(good, &[0; 8])).unwrap();
        assert!(refusal(b"PK").contains("does not begin"));
        assert!(
            refusal(&file(good, &[0; 7])).contains("7 bytes of values, but the shape [1, 2] of f4 takes 8")
        );
        assert!(refusal(&file(good, &f32::NAN.to_le_bytes().repeat(2))).contains("NaN as value 0"));
        assert!(refused("<f4", ">f4").contains("type \">f4\""));
        assert!(refused("False", "True").contains("Fortran order"));
        assert!(refused("'shape'", "'shapes'").contains("not a dictionary"));
        assert!(refused("(1, 2)", "(1, -2)").contains("not a dictionary"));
        assert!(refused("(1, 2)", "(18446744073709551615, 2)").contains("too large"));
        assert!(refused("(1, 2)", "(9223372036854775807, 1)").contains("takes 18446744073709551615"));
        assert!(refusal(&file(good, &[])[..40]).contains("truncated in its header"));
        assert!(refusal(&[MAGIC, &[2, 0, 255, 255, 255, 255]].concat()).contains("4294967295 bytes"));
        assert!(refusal(&[MAGIC, &[7, 0, 1]].concat()).contains("version 7"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content: Vec<u8>, header: String) {
            let _ = parse_npy(&content);
            let _ = parse_npy(&file(&header, &content));
        }
    }
}
