//! NumPy's `.npy` files, as far as MM-Fi has them: f4 or f8, little-endian, in C order.

use crate::arrays::{
    element::{Element, Kind},
    npy::read_layout,
};

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

/// Reads an array from a whole file. f8 is rounded to f4.
///
/// # Errors
/// What is wrong with the file, in words that go behind its name.
pub fn parse_npy(content: &[u8]) -> Result<Npy, String> {
    let mut rest = content;
    let layout = read_layout(&mut rest)?;
    let shape = layout.shape.clone();
    if shape.len() > MOST_DIMENSIONS {
        return Err(format!("has the shape {shape:?}; at most {MOST_DIMENSIONS} dimensions can be read"));
    }
    if layout.is_fortran {
        return Err("is in Fortran order; save it in C order".into());
    }
    let size = match layout.element {
        Element { kind: Kind::F32, big_endian: false } => 4,
        Element { kind: Kind::F64, big_endian: false } => 8,
        Element { kind, big_endian } => {
            let order = if big_endian { " of big-endian bytes" } else { "" };
            return Err(format!(
                "holds {}{order}; little-endian float32 and float64 can be read",
                kind.name()
            ));
        }
    };
    if layout.bytes() != rest.len() as u64 {
        return Err(format!(
            "has {} bytes of values, but the shape {shape:?} of f{size} takes {} of them",
            rest.len(),
            layout.bytes()
        ));
    }
    let mut wide = Vec::new();
    layout.element.decode(rest, &mut wide);
    let values: Vec<f32> = wide.into_iter().map(|value| value as f32).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(format!("holds {} as value {position}; all must be finite", values[position])),
        None => Ok(Npy { shape, values }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arrays::npy::tests::npy;

    #[test]
    fn f8_is_rounded() {
        let header = "{\"shape\": (2,), 'fortran_order': False, 'descr': '<f8'}\n";
        let values = [0.1f64, -3.0].map(f64::to_le_bytes).concat();
        assert_eq!(parse_npy(&npy(header, &values)), Ok(Npy { shape: vec![2], values: vec![0.1, -3.0] }));
    }

    #[test]
    fn what_is_no_such_array_is_refused_by_its_fault() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        let refusal = |content: &[u8]| parse_npy(content).unwrap_err();
        let refused = |from: &str, to: &str| refusal(&npy(&good.replace(from, to), &[0; 8]));
        parse_npy(&npy(good, &[0; 8])).unwrap();
        assert!(refusal(b"PK").contains("header"));
        let short = refusal(&npy(good, &[0; 7]));
        assert!(short.contains("7 bytes of values, but the shape [1, 2] of f4 takes 8"), "{short}");
        assert!(refusal(&npy(good, &f32::NAN.to_le_bytes().repeat(2))).contains("NaN as value 0"));
        assert!(refused("<f4", ">f4").contains("float32 of big-endian bytes"));
        assert!(refused("<f4", "<i4").contains("holds int32"));
        assert!(refused("False", "True").contains("Fortran order"));
        assert!(refused("(1, 2)", "(1, 1, 1, 1, 1, 1, 1, 1, 2)").contains("at most 8 dimensions"));
        assert!(refused("(1, 2)", "(18446744073709551615, 2)").contains("claims the shape"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content: Vec<u8>, header: String) {
            let _ = parse_npy(&content);
            let _ = parse_npy(&npy(&header, &content));
        }
    }
}
