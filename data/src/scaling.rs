//! The constants of a modality's scaling.

use crate::arrays::Map;

/// Value x of position i becomes (x - `shift[i]`) / `scale[i]`. A single number holds for all positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The numbers that are subtracted.
    pub shift: Vec<f64>,
    /// The divisors of the differences; infinite where all training values are equal, so that they become 0.
    pub scale: Vec<f64>,
}

impl Scaling {
    pub(crate) fn of(map: &Map) -> Self {
        Scaling { shift: map.shift.clone(), scale: map.scale.clone() }
    }
}
