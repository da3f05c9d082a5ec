//! The head of a .safetensors file.

use super::{
    element::{Element, Kind},
    layout::Layout,
    names::{member, no_member},
};
use safetensors::{Dtype, tensor::Metadata};
use std::io::Read;

/// The longest header that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Finds the tensor of that name, or the only one, in a file of so many bytes; the error says what is wrong.
pub(crate) fn read_layout(reader: &mut impl Read, length: u64, name: &str) -> Result<Layout, String> {
    let header = header(reader)?;
    let start = 8 + header.len() as u64;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|_| "has a damaged header: write it with safetensors' save_file")?;
    let follow = length.saturating_sub(start);
    if metadata.data_len() as u64 != follow {
        let expected = metadata.data_len();
        return Err(format!("holds {follow} bytes of values, but {expected} are due: save it again"));
    }
    let names = metadata.offset_keys();
    let key = match names.as_slice() {
        [only] => only,
        _ => member(name, &names).ok_or_else(|| no_member("tensor", name, &names))?,
    };
    let info = metadata.info(key).ok_or("has a damaged header: save it again")?;
    let element = Element { kind: kind(info.dtype)?, big_endian: false };
    Layout::new(element, info.shape.clone(), start + info.data_offsets.0 as u64)
}

fn header(reader: &mut impl Read) -> Result<Vec<u8>, String> {
    let fail = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "ends within its header: save it again".to_owned(),
        _ => format!("cannot be read ({error})"),
    };
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(fail)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(format!(
            "claims a header of {length} bytes; at most {LONGEST} are read (is it a .safetensors file?)"
        ));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(fail)?;
    Ok(header)
}

fn kind(dtype: Dtype) -> Result<Kind, String> {
    Ok(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::U8,
        Dtype::U16 => Kind::U16,
        Dtype::U32 => Kind::U32,
        Dtype::U64 => Kind::U64,
        Dtype::I8 => Kind::I8,
        Dtype::I16 => Kind::I16,
        Dtype::I32 => Kind::I32,
        Dtype::I64 => Kind::I64,
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        other => {
            return Err(format!(
                "holds elements of type {other:?}, but BOOL, I8 to I64, U8 to U64, BF16, or F16 to F64 are needed"
            ));
        }
    })
}
