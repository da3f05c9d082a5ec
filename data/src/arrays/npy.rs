//! The head of a .npy file: magic, version, length, and one Python dictionary of three keys.
//!
//! Read here and not by a crate: those at hand evaluate any Python literal, recursively, and allocate what the file
//! claims. What numpy writes of plain arrays is much less.

use super::{
    element::{Element, Kind},
    layout::Layout,
};
use std::io::Read;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest dictionary that is read, in bytes; numpy itself reads no longer one.
const LONGEST: u32 = 10_000;

/// The longest text that can name a class.
const LONGEST_TEXT: usize = 1 << 12;

/// Reads the head of an array of real numbers or texts; the error says what is wrong with it.
pub(crate) fn read_layout(reader: &mut impl Read) -> Result<Layout, String> {
    let (head, start) = read_head(reader)?;
    let layout = Layout::new(element(&head.descr)?, head.shape, start)?;
    // Of rows of one value both orders are the same.
    Ok(Layout { is_fortran: head.fortran_order && layout.width > 1, ..layout })
}

/// Reads the head of any array, and gives where its values begin.
pub(crate) fn read_head(reader: &mut impl Read) -> Result<(Head, u64), String> {
    let mut fixed = [0; 8];
    fill(reader, &mut fixed)?;
    let (magic, version) = fixed.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("is no .npy file: it does not begin with \\x93NUMPY; write it with numpy.save".into());
    }
    let (length, before) = match version {
        [1, 0] => {
            let mut length = [0; 2];
            fill(reader, &mut length)?;
            (u16::from_le_bytes(length).into(), 10)
        }
        [2 | 3, 0] => {
            let mut length = [0; 4];
            fill(reader, &mut length)?;
            (u32::from_le_bytes(length), 12)
        }
        _ => {
            let [major, minor] = [version[0], version[1]];
            return Err(format!("is a .npy file of version {major}.{minor}; versions 1.0 to 3.0 are read"));
        }
    };
    if length > LONGEST {
        return Err(format!(
            "has a header of {length} bytes; at most {LONGEST} are read: save it as a plain array"
        ));
    }
    let mut text = vec![0; length as usize];
    fill(reader, &mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| strange("is no text"))?;
    Ok((Head::parse(text)?, u64::from(before + length)))
}

fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "ends within its header: save it again".into(),
        _ => format!("cannot be read ({error})"),
    })
}

fn strange(how: &str) -> String {
    format!("has a header that {how}: write the file with numpy.save")
}

/// The type of number that numpy means by a text such as `<f8`.
pub(crate) fn element(descr: &str) -> Result<Element, String> {
    let unknown = || {
        format!(
            "holds elements of type {descr:?}, but bool, int8 to int64, uint8 to uint64, float16, float32 or float64 are \
             needed, or texts (str) of a task: convert it with astype"
        )
    };
    let (order, name) = descr.split_at_checked(1).ok_or_else(unknown)?;
    let kind = match name {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "i4" => Kind::I32,
        "i8" => Kind::I64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        text => match (text.get(..1), text.get(1..).and_then(|length| length.parse().ok())) {
            (Some("U"), Some(length @ 1..=LONGEST_TEXT)) => Kind::Text(length),
            (Some("S"), Some(length @ 1..=LONGEST_TEXT)) => Kind::Bytes(length),
            _ => return Err(unknown()),
        },
    };
    match order {
        "<" => Ok(Element { kind, big_endian: false }),
        ">" => Ok(Element { kind, big_endian: true }),
        "|" if kind.size() == 1 || matches!(kind, Kind::Bytes(_)) => Ok(Element { kind, big_endian: false }),
        _ => Err(unknown()),
    }
}

/// What the dictionary says.
pub(crate) struct Head {
    /// The type of the elements.
    pub(crate) descr: String,
    pub(crate) fortran_order: bool,
    pub(crate) shape: Vec<usize>,
}

impl Head {
    /// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.expect("{")?;
        while !rest.take("}") {
            let key = rest.string()?;
            rest.expect(":")?;
            let known = match key {
                "descr" => descr.replace(rest.descr()?.to_owned()).is_none(),
                "fortran_order" => fortran_order.replace(rest.boolean()?).is_none(),
                "shape" => shape.replace(rest.shape()?).is_none(),
                _ => false,
            };
            if !known {
                return Err(strange("has another key than descr, fortran_order and shape, or one twice"));
            }
            if !rest.take(",") {
                rest.expect("}")?;
                break;
            }
        }
        if !rest.0.trim().is_empty() {
            return Err(strange("goes on after its dictionary"));
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Head { descr, fortran_order, shape }),
            _ => Err(strange("lacks descr, fortran_order or shape")),
        }
    }
}

/// What is not parsed yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Goes past a word if it comes next, spaces before it aside.
    fn take(&mut self, word: &str) -> bool {
        match self.0.trim_start().strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(strange(&format!("has no {word:?} where one is due"))) }
    }

    /// A text in quotes, without escapes.
    fn string(&mut self) -> Result<&'a str, String> {
        for quote in ['\'', '"'] {
            let rest = self.0.trim_start().strip_prefix(quote);
            if let Some((text, rest)) = rest.and_then(|rest| rest.split_once(quote)) {
                self.0 = rest;
                return Ok(text);
            }
        }
        Err(strange("has no text in quotes where one is due"))
    }

    fn descr(&mut self) -> Result<&'a str, String> {
        match self.0.trim_start().starts_with('[') {
            true => Err("is a structured array: save each of its fields as an array of its own".into()),
            false => self.string(),
        }
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match (self.take("True"), self.take("False")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(strange("has neither True nor False for fortran_order")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.take(")") {
            let rest = self.0.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
            let (number, rest) = rest.split_at(digits);
            shape.push(number.parse().map_err(|_| strange("has a shape of other things than sizes"))?);
            // Python 2 wrote long integers so: 400L.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A .npy file of version 1.0 with this dictionary.
    pub(crate) fn npy(dictionary: &str, values: &[u8]) -> Vec<u8> {
        let padded = format!("{dictionary}{}\n", " ".repeat(63 - (10 + dictionary.len()) % 64));
        let length = (padded.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, padded.as_bytes(), values].concat()
    }

    fn layout(dictionary: &str) -> Result<Layout, String> {
        read_layout(&mut npy(dictionary, &[]).as_slice())
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let found = layout("{'descr': '>i2', 'fortran_order': False, 'shape': (3, 4, 5), }").unwrap();
        assert_eq!(found.element, Element { kind: Kind::I16, big_endian: true });
        assert_eq!((found.shape.as_slice(), found.rows, found.width), (&[3, 4, 5][..], 3, 20));
        assert_eq!((found.start, found.bytes()), (128, 120));
        let found = layout("{\"shape\":(7,),\"descr\":\"|u1\",\"fortran_order\":False}").unwrap();
        assert_eq!((found.rows, found.width), (7, 1));
        let found = layout("{'descr': '<f8', 'fortran_order': False, 'shape': (400L, 3L), }").unwrap();
        assert_eq!(found.shape, [400, 3]);
        let fortran = |shape: &str| {
            layout(&format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}"))
                .unwrap()
                .is_fortran
        };
        assert!(fortran("(3, 4)") && !fortran("(3,)") && !fortran("(3, 1)"));
        let found = layout("{'descr': '>U7', 'fortran_order': False, 'shape': (3,), }").unwrap();
        assert_eq!((found.element.kind, found.row_bytes()), (Kind::Text(7), 28));
        let found = layout("{'descr': '|S7', 'fortran_order': False, 'shape': (3,), }").unwrap();
        assert_eq!((found.element.kind, found.row_bytes()), (Kind::Bytes(7), 7));
    }

    #[test]
    fn every_other_header_is_refused_by_what_is_wrong_with_it() {
        for (dictionary, expected) in [
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "type \"|O\""),
            ("{'descr': '<U0', 'fortran_order': False, 'shape': (3,), }", "type \"<U0\""),
            ("{'descr': '<U99999', 'fortran_order': False, 'shape': (3,), }", "type \"<U99999\""),
            ("{'descr': '|U7', 'fortran_order': False, 'shape': (3,), }", "type \"|U7\""),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3LL,), }", "no \")\""),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", "convert it with astype"),
            ("{'descr': '|f8', 'fortran_order': False, 'shape': (3,), }", "type \"|f8\""),
            ("{'descr': '', 'fortran_order': False, 'shape': (3,), }", "type \"\""),
            ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }", "structured array"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "a single number"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }", "holds no values"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, -4), }", "other things than sizes"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 9999999), }", "at most 1048576 values"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2), }",
                "at most 1048576 values",
            ),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': 3, }", "no \"(\""),
            ("{'descr': '<f8', 'fortran_order': 0, 'shape': (3,), }", "neither True nor False"),
            ("{'descr': '<f8', 'fortran_order': False, }", "lacks descr, fortran_order or shape"),
            ("{'descr': '<f8', 'descr': '<f8', 'shape': (3,), }", "one twice"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), } + 1", "goes on"),
            ("[]", "no \"{\""),
        ] {
            let message = layout(dictionary).unwrap_err();
            assert!(message.contains(expected), "{dictionary}: {message}");
            assert_eq!(message.lines().count(), 1);
        }
    }

    #[test]
    fn what_is_no_npy_file_is_refused() {
        let good = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", &[]);
        let refused = |content: &[u8]| read_layout(&mut &content[..]).unwrap_err();
        assert!(refused(b"PK\x03\x04 this is a zip").contains("does not begin with"));
        for length in 0..good.len() {
            assert!(refused(&good[..length]).contains("ends within its header"), "{length}");
        }
        assert!(refused(b"\x93NUMPY\x04\0\0\0\0\0").contains("version 4.0"));
        assert!(refused(b"\x93NUMPY\x02\0\xff\xff\xff\xff").contains("header of 4294967295 bytes"));
    }
}
