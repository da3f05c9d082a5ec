//! Numbers of a tensor in this machine's memory, of either type.

/// The numbers of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Of an f32 tensor.
    F32(&'a [f32]),
    /// Of an f64 tensor.
    F64(&'a [f64]),
}

impl<'a> Numbers<'a> {
    /// Those of an f32 tensor.
    ///
    /// # Panics
    ///
    /// If they are f64.
    pub fn f32s(self) -> &'a [f32] {
        match self {
            Numbers::F32(values) => values,
            Numbers::F64(_) => panic!("these numbers are f64"),
        }
    }

    /// Those of an f64 tensor.
    ///
    /// # Panics
    ///
    /// If they are f32.
    pub fn f64s(self) -> &'a [f64] {
        match self {
            Numbers::F64(values) => values,
            Numbers::F32(_) => panic!("these numbers are f32"),
        }
    }
}
