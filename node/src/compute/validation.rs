//! Passes over validation rows during training, apart from the evaluation at the end.

/// Number of the first pass over validation rows: their draws differ from those of the evaluation, so that choosing a
/// version by them is independent of the test.
const FIRST: u64 = 1 << 32;

/// The number of the first pass over validation rows, or over the test set.
pub fn first_pass(validation: bool) -> u64 {
    if validation { FIRST } else { 0 }
}

/// Whether a pass is over validation rows.
pub fn is_validation(pass: u64) -> bool {
    pass >= FIRST
}
