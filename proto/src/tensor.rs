use std::ops::Range;

use bytes::Bytes;

use crate::{
    WireError, check_length,
    v1::{ElementType, Tensor},
};

/// Bytes of an f32.
const SIZE: usize = 4;

impl ElementType {
    /// Bytes of a value.
    fn size(self) -> usize {
        match self {
            ElementType::Unspecified | ElementType::F32 => SIZE,
            ElementType::Bf16 => 2,
            ElementType::Int8 => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            ElementType::Unspecified => "none",
            ElementType::F32 => "f32",
            ElementType::Bf16 => "bf16",
            ElementType::Int8 => "int8",
        }
    }
}

/// A payload in the making: values go from where they were computed straight into the message.
#[derive(Debug)]
pub struct Packer {
    element: ElementType,
    data: Vec<u8>,
    scales: Vec<u8>,
}

impl Packer {
    /// Room for so many values of f32.
    pub fn new(values: usize) -> Self {
        Packer::of(ElementType::F32, values)
    }

    /// Room for so many values of a type.
    pub fn of(element: ElementType, values: usize) -> Self {
        Packer { element, data: Vec::with_capacity(values * element.size()), scales: Vec::new() }
    }

    /// Adds values at the end.
    pub fn extend(&mut self, values: impl IntoIterator<Item = f32>) {
        debug_assert_eq!(self.element, ElementType::F32);
        self.data.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }

    /// Adds upper halves of f32 at the end.
    pub fn extend_bf16(&mut self, halves: impl IntoIterator<Item = u16>) {
        debug_assert_eq!(self.element, ElementType::Bf16);
        self.data.extend(halves.into_iter().flat_map(u16::to_le_bytes));
    }

    /// Adds the next of the first dimension: integers, of which 1 stands for `scale`.
    pub fn extend_int8(&mut self, scale: f32, values: impl IntoIterator<Item = i8>) {
        debug_assert_eq!(self.element, ElementType::Int8);
        self.scales.extend(scale.to_le_bytes());
        self.data.extend(values.into_iter().flat_map(i8::to_le_bytes));
    }

    /// Packs what has been added, as values of a shape.
    pub fn pack(self, shape: &[usize]) -> Tensor {
        debug_assert_eq!(self.data.len(), self.element.size() * shape.iter().product::<usize>());
        Tensor {
            element: self.element.into(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            data: Bytes::from(self.data),
            scales: Bytes::from(self.scales),
        }
    }
}

/// A payload that has been checked: of f32 still where it arrived, else what that stands for. The default has no
/// values.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// f32, little-endian.
    data: Bytes,
    /// Bytes as they travelled.
    bytes: u64,
}

impl Payload {
    /// Checks a payload of f32, which must have exactly this shape, and only finite values.
    ///
    /// # Errors
    ///
    /// If the payload is missing, or its type, shape or length differs, or a value is not finite.
    pub fn check(what: &'static str, tensor: Option<&Tensor>, shape: &[usize]) -> Result<Self, WireError> {
        Payload::check_of(ElementType::F32, what, tensor, shape)
    }

    /// The same of values of a type.
    ///
    /// # Errors
    ///
    /// As of [`Payload::check`].
    pub fn check_of(
        element: ElementType,
        what: &'static str,
        tensor: Option<&Tensor>,
        shape: &[usize],
    ) -> Result<Self, WireError> {
        let tensor = tensor.ok_or(WireError::Missing(what))?;
        if tensor.element != i32::from(element) {
            return Err(WireError::ElementType { what, got: tensor.element, expected: element.name() });
        }
        let expected: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        if tensor.shape != expected {
            let got = tensor.shape.iter().copied().take(8).collect();
            return Err(WireError::Shape { what, got, expected });
        }
        let values = shape.iter().product::<usize>();
        check_length(what, "bytes", tensor.data.len(), element.size() * values)?;
        let scales = if element == ElementType::Int8 { shape.first().copied().unwrap_or(0) } else { 0 };
        check_length(what, "bytes of scales", tensor.scales.len(), SIZE * scales)?;
        let payload = Payload {
            data: in_f32(element, tensor),
            bytes: (tensor.data.len() + tensor.scales.len()) as u64,
        };
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

    /// Its size in bytes, as it travelled.
    pub fn bytes(&self) -> u64 {
        self.bytes
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

/// The values of a payload, whose lengths have been checked, as little-endian f32.
fn in_f32(element: ElementType, tensor: &Tensor) -> Bytes {
    let (halves, _) = tensor.data.as_chunks::<2>();
    let (scales, _) = tensor.scales.as_chunks::<SIZE>();
    match element {
        ElementType::Unspecified | ElementType::F32 => tensor.data.clone(),
        ElementType::Bf16 => halves.iter().flat_map(|[low, high]| [0, 0, *low, *high]).collect(),
        ElementType::Int8 => {
            let each = tensor.data.len().checked_div(scales.len()).unwrap_or(0);
            let value = |(at, byte): (usize, &u8)| {
                f32::from_le_bytes(scales[at / each]) * f32::from(i8::from_le_bytes([*byte]))
            };
            tensor.data.iter().enumerate().map(value).flat_map(f32::to_le_bytes).collect()
        }
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
    fn halves_and_scaled_integers_are_what_they_stand_for() {
        let mut halves = Packer::of(ElementType::Bf16, 2);
        halves.extend_bf16([0x3f80, 0xc040]);
        let halves = halves.pack(&[2, 1]);
        let read = |element, tensor: &Tensor| Payload::check_of(element, "z", Some(tensor), &[2, 1]);
        let payload = read(ElementType::Bf16, &halves).unwrap();
        assert_eq!((payload.values(0..2).collect::<Vec<_>>(), payload.bytes()), (vec![1.0, -3.0], 4));

        let mut integers = Packer::of(ElementType::Int8, 2);
        integers.extend_int8(0.5, [-127]);
        integers.extend_int8(2.0, [3]);
        let integers = integers.pack(&[2, 1]);
        let payload = read(ElementType::Int8, &integers).unwrap();
        assert_eq!((payload.values(0..2).collect::<Vec<_>>(), payload.bytes()), (vec![-63.5, 6.0], 10));
        assert_eq!(
            Payload::check_of(
                ElementType::Int8,
                "z",
                Some(&Packer::of(ElementType::Int8, 0).pack(&[0, 3])),
                &[0, 3]
            )
            .unwrap()
            .len(),
            0
        );

        let refused = |tensor: &Tensor| read(ElementType::Int8, tensor).unwrap_err().to_string();
        assert_eq!(refused(&halves), "z has element type 2, expected int8");
        let short = Tensor { scales: integers.scales.slice(..4), ..integers.clone() };
        assert_eq!(refused(&short), "z has 4 bytes of scales, expected 8");
        let nan = Tensor {
            scales: [f32::NAN, 1.0].iter().flat_map(|scale| scale.to_le_bytes()).collect(),
            ..integers
        };
        assert!(refused(&nan).contains("z holds NaN at position 0"));
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
