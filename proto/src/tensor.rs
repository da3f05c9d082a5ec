use std::ops::Range;

use bytes::Bytes;

use crate::{
    WireError, check_length,
    v1::{ElementType, Tensor},
};

/// Bytes of an f32.
const SIZE: usize = 4;

/// Builds a payload: values go straight from their computation into the message.
#[derive(Debug)]
pub struct Packer {
    data: Vec<u8>,
}

impl Packer {
    /// A packer with room for `values` values.
    pub fn new(values: usize) -> Self {
        Packer { data: Vec::with_capacity(values * SIZE) }
    }

    /// Appends values.
    pub fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        self.data.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }

    /// Packs the values as a tensor of this shape.
    pub fn pack(self, shape: &[usize]) -> Tensor {
        debug_assert_eq!(self.data.len(), SIZE * shape.iter().product::<usize>());
        Tensor {
            element: ElementType::F32.into(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            data: Bytes::from(self.data),
        }
    }
}

/// A checked payload that shares the memory in which it arrived. The default has no values.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    data: Bytes,
}

impl Payload {
    /// Checks a payload, which must have exactly this type and shape, and finite values only.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is missing, of another type, shape or length, or has a value that is not finite.
    pub fn check(what: &'static str, tensor: Option<&Tensor>, shape: &[usize]) -> Result<Self, WireError> {
        let tensor = tensor.ok_or(WireError::Missing(what))?;
        if tensor.element != i32::from(ElementType::F32) {
            return Err(WireError::ElementType { what, got: tensor.element });
        }
        let expected: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if tensor.shape != expected {
            let got = tensor.shape.iter().copied().take(8).collect();
            return Err(WireError::Shape { what, got, expected });
        }
        check_length(what, "bytes", tensor.data.len(), SIZE * shape.iter().product::<usize>())?;
        let payload = Payload { data: tensor.data.clone() };
        let position = payload.values(0..payload.len()).position(|value| !value.is_finite());
        match position {
            None => Ok(payload),
            Some(position) => {
                let value = payload.values(position..position + 1).map(f64::from).sum();
                Err(WireError::NotFinite { what, value, position })
            }
        }
    }

    /// The number of its values.
    pub fn len(&self) -> usize {
        self.data.len() / SIZE
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// A range of its values.
    ///
    /// # Panics
    /// If the range does not lie within the payload.
    pub fn values(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = f32> + '_ {
        let (values, _) = self.data[range.start * SIZE..range.end * SIZE].as_chunks::<SIZE>();
        values.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(values: &[f32], shape: &[usize]) -> Tensor {
        let mut packer = Packer::new(values.len());
        packer.extend(values.iter().copied());
        packer.pack(shape)
    }

    #[test]
    fn values_come_back_to_the_bit() {
        let values = [0.0, -0.0, 1.5, f32::MIN_POSITIVE / 2.0, f32::MAX, -3.25e-20];
        let back = Payload::check("z", Some(&pack(&values, &[2, 3])), &[2, 3]).unwrap();
        assert_eq!(back.len(), 6);
        assert!(values.iter().zip(back.values(0..6)).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(back.values(2..3).collect::<Vec<_>>(), [1.5]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let good = pack(&[1.0, 2.0], &[1, 2]);
        let refused = |tensor: &Tensor| Payload::check("z", Some(tensor), &[1, 2]).unwrap_err().to_string();
        assert!(refused(&Tensor { element: 9, ..good.clone() }).contains("z has element type 9"));
        assert!(refused(&Tensor { shape: vec![2, 1], ..good.clone() }).contains("z has shape [2, 1]"));
        assert!(
            refused(&Tensor { data: good.data.slice(..7), ..good.clone() })
                .contains("z has 7 bytes, expected 8")
        );
        assert!(refused(&pack(&[1.0, f32::NAN], &[1, 2])).contains("z holds NaN at position 1"));
        assert!(refused(&pack(&[f32::INFINITY, 0.0], &[1, 2])).contains("z holds inf at position 0"));
        assert!(Payload::check("z", None, &[1, 2]).unwrap_err().to_string().contains("no z"));
    }
}
