//! What numbers look like in a file.

use half::{bf16, f16};

/// A type of number, and the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) kind: Kind,
    pub(crate) big_endian: bool,
}

/// The types of number that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    Bf16,
    F32,
    F64,
    /// Texts of so many characters of four bytes.
    Text(usize),
    /// Texts of so many bytes.
    Bytes(usize),
}

impl Kind {
    /// Bytes of a value.
    pub(crate) fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 | Kind::F16 | Kind::Bf16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
            Kind::Text(length) => 4 * length,
            Kind::Bytes(length) => length,
        }
    }

    /// Whether values need not be whole.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Kind::F16 | Kind::Bf16 | Kind::F32 | Kind::F64)
    }

    /// Whether values are texts, which only a task may have.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Kind::Text(_) | Kind::Bytes(_))
    }

    /// The name as numpy has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::U8 => "uint8",
            Kind::U16 => "uint16",
            Kind::U32 => "uint32",
            Kind::U64 => "uint64",
            Kind::I8 => "int8",
            Kind::I16 => "int16",
            Kind::I32 => "int32",
            Kind::I64 => "int64",
            Kind::F16 => "float16",
            Kind::Bf16 => "bfloat16",
            Kind::F32 => "float32",
            Kind::F64 => "float64",
            Kind::Text(_) => "str",
            Kind::Bytes(_) => "bytes",
        }
    }
}

impl Element {
    /// Decodes whole values into `values`, which is cleared before. Integers beyond 2^53 are rounded; of texts there
    /// are none.
    pub(crate) fn decode(self, bytes: &[u8], values: &mut Vec<f64>) {
        values.clear();
        match self.kind {
            Kind::Bool => values.extend(bytes.iter().map(|&byte| f64::from(u8::from(byte != 0)))),
            Kind::U8 => values.extend(bytes.iter().map(|&byte| f64::from(byte))),
            Kind::I8 => values.extend(bytes.iter().map(|&byte| f64::from(byte as i8))),
            Kind::U16 => self.words(bytes, values, |word| u16::from_le_bytes(word).into()),
            Kind::I16 => self.words(bytes, values, |word| i16::from_le_bytes(word).into()),
            Kind::F16 => self.words(bytes, values, |word| f16::from_le_bytes(word).into()),
            Kind::Bf16 => self.words(bytes, values, |word| bf16::from_le_bytes(word).into()),
            Kind::U32 => self.words(bytes, values, |word| u32::from_le_bytes(word).into()),
            Kind::I32 => self.words(bytes, values, |word| i32::from_le_bytes(word).into()),
            Kind::F32 => self.words(bytes, values, |word| f32::from_le_bytes(word).into()),
            Kind::U64 => self.words(bytes, values, |word| u64::from_le_bytes(word) as f64),
            Kind::I64 => self.words(bytes, values, |word| i64::from_le_bytes(word) as f64),
            Kind::F64 => self.words(bytes, values, f64::from_le_bytes),
            Kind::Text(_) | Kind::Bytes(_) => {}
        }
    }

    /// Decodes a text, which zeros fill up; none if it is no text.
    pub(crate) fn text(self, bytes: &[u8]) -> Option<String> {
        let text = match self.kind {
            Kind::Text(_) => {
                let (words, _) = bytes.as_chunks::<4>();
                let of = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
                words.iter().map(|&word| char::from_u32(of(word))).collect::<Option<String>>()?
            }
            _ => std::str::from_utf8(bytes).ok()?.to_owned(),
        };
        Some(text.trim_end_matches('\0').to_owned())
    }

    fn words<const N: usize>(self, bytes: &[u8], values: &mut Vec<f64>, value: impl Fn([u8; N]) -> f64) {
        let (words, _) = bytes.as_chunks::<N>();
        values.extend(words.iter().map(|&word| {
            let mut word = word;
            if self.big_endian {
                word.reverse();
            }
            value(word)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_in_both_byte_orders() {
        let cases: [(Kind, &[u8], f64); 13] = [
            (Kind::Bool, &[1], 1.0),
            (Kind::U8, &[200], 200.0),
            (Kind::I8, &[200], -56.0),
            (Kind::U16, &[0x39, 0x30], 12345.0),
            (Kind::I16, &[0xff, 0xff], -1.0),
            (Kind::U32, &[0, 0, 0, 0x80], 2_147_483_648.0),
            (Kind::I32, &[0, 0, 0, 0x80], -2_147_483_648.0),
            (Kind::U64, &[1, 0, 0, 0, 0, 0, 0, 0], 1.0),
            (Kind::I64, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -2.0),
            (Kind::F16, &[0, 0x3e], 1.5),
            (Kind::Bf16, &[0xc0, 0x3f], 1.5),
            (Kind::F32, &[0, 0, 0xc0, 0x3f], 1.5),
            (Kind::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], 1.5),
        ];
        for (kind, bytes, expected) in cases {
            assert_eq!(kind.size(), bytes.len());
            let mut values = vec![7.0];
            Element { kind, big_endian: false }.decode(bytes, &mut values);
            assert_eq!(values, [expected], "{}", kind.name());
            let turned: Vec<u8> = bytes.iter().rev().copied().collect();
            Element { kind, big_endian: true }.decode(&turned, &mut values);
            assert_eq!(values, [expected], "{}", kind.name());
        }
    }
}
