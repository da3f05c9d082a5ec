//! Constants that a modality's values are scaled with.

use crate::arrays::Map;

/// Value x of position i becomes (x - `shift[i]`) / `scale[i]`. One number stands for all positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// What is subtracted.
    pub shift: Vec<f64>,
    /// What the difference is divided by. Infinite where training values do not differ: they become 0.
    pub scale: Vec<f64>,
}

impl Scaling {
    pub(crate) fn of(map: &Map) -> Self {
        Scaling { shift: map.shift.clone(), scale: map.scale.clone() }
    }
}
