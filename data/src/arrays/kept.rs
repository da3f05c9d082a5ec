//! What a checkpoint keeps of an array.

use super::normal::Map;

/// What a checkpoint keeps of an array: its digests, and the normalisation that was fitted on its training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The array's name.
    pub name: String,
    /// SHA-256 of type, shape and values, of the training and the test file.
    pub sha256: [[u8; 32]; 2],
    pub(super) map: Map,
}

impl Kept {
    pub(super) fn new(name: &str, sha256: [[u8; 32]; 2], map: Map) -> Self {
        Kept { name: name.into(), sha256, map }
    }

    /// Restores it from a checkpoint: value x of position i becomes (x - `shift[i]`) / `scale[i]`.
    pub fn from_parts(name: &str, sha256: [[u8; 32]; 2], shift: Vec<f64>, scale: Vec<f64>) -> Self {
        Kept::new(name, sha256, Map { shift, scale })
    }

    /// The numbers that are subtracted from a row's values.
    pub fn shift(&self) -> &[f64] {
        &self.map.shift
    }

    /// The divisors of the differences.
    pub fn scale(&self) -> &[f64] {
        &self.map.scale
    }

    pub(super) fn is_sound(&self, width: usize) -> bool {
        let lengths = [self.map.shift.len(), self.map.scale.len()];
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        lengths == [width; 2]
            && finite(&self.map.shift)
            && finite(&self.map.scale)
            && self.map.scale.iter().all(|&scale| scale > 0.0)
    }
}
