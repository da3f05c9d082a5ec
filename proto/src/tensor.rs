use bytes::Bytes;

use crate::{
    WireError, check_length,
    v1::{ElementType, Tensor},
};

/// Packs values of a shape for the wire.
pub fn encode_tensor(values: &[f32], shape: &[usize]) -> Tensor {
    debug_assert_eq!(values.len(), shape.iter().product::<usize>());
    let mut data = Vec::with_capacity(values.len() * 4);
    for value in values {
        data.extend_from_slice(&value.to_le_bytes());
    }
    Tensor {
        element: ElementType::F32.into(),
        shape: shape.iter().map(|&size| size as u64).collect(),
        data: Bytes::from(data),
    }
}

/// Unpacks a payload, which must have exactly this type and shape, and only finite values.
/// Nothing is allocated before type, shape and length are checked.
pub fn decode_tensor(
    what: &'static str,
    tensor: Option<&Tensor>,
    shape: &[usize],
) -> Result<Vec<f32>, WireError> {
    let tensor = tensor.ok_or(WireError::Missing(what))?;
    if tensor.element != i32::from(ElementType::F32) {
        return Err(WireError::ElementType { what, got: tensor.element });
    }
    let expected: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    if tensor.shape != expected {
        let got = tensor.shape.iter().copied().take(8).collect();
        return Err(WireError::Shape { what, got, expected });
    }
    check_length(what, "bytes", tensor.data.len(), 4 * shape.iter().product::<usize>())?;
    let values: Vec<f32> = tensor
        .data
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(position) => Err(WireError::NotFinite { what, value: values[position].into(), position }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_to_the_bit() {
        let values = [0.0, -0.0, 1.5, f32::MIN_POSITIVE / 2.0, f32::MAX, -3.25e-20];
        let back = decode_tensor("z", Some(&encode_tensor(&values, &[2, 3])), &[2, 3]).unwrap();
        assert!(values.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let good = encode_tensor(&[1.0, 2.0], &[1, 2]);
        let refused = |tensor: &Tensor| decode_tensor("z", Some(tensor), &[1, 2]).unwrap_err().to_string();
        assert!(refused(&Tensor { element: 9, ..good.clone() }).contains("z has element type 9"));
        assert!(refused(&Tensor { shape: vec![2, 1], ..good.clone() }).contains("z has shape [2, 1]"));
        assert!(
            refused(&Tensor { data: good.data.slice(..7), ..good.clone() })
                .contains("z has 7 bytes, expected 8")
        );
        assert!(refused(&encode_tensor(&[1.0, f32::NAN], &[1, 2])).contains("z holds NaN at position 1"));
        assert!(
            refused(&encode_tensor(&[f32::INFINITY, 0.0], &[1, 2])).contains("z holds inf at position 0")
        );
        assert!(decode_tensor("z", None, &[1, 2]).unwrap_err().to_string().contains("no z"));
    }
}
