//! One piece of the division of two matrices into rows that belong together.

/// Consecutive rows of a source matrix, and the consecutive rows of a target matrix where they occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first row that is spread.
    pub source: usize,
    /// The first target row.
    pub target: usize,
    /// The number of target rows.
    pub rows: usize,
    /// Whether one source row occurs in all of them, or as many source rows, one each.
    pub repeat: bool,
}

impl Segment {
    /// The number of its source rows.
    pub fn source_rows(&self) -> usize {
        if self.repeat { 1 } else { self.rows }
    }
}
