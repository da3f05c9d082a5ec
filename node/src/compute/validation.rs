//! Passes over validation rows during training, beside those of the evaluation at the end.

/// Passes over validation rows are numbered from here on: none of their draws is one of the evaluation's, so that what is chosen by
/// them owes nothing to the luck of the test.
const FIRST: u64 = 1 << 32;

/// The number of the first pass over validation rows, or over the test set.
pub fn first_pass(validation: bool) -> u64 {
    if validation { FIRST } else { 0 }
}

/// Whether a pass is over validation rows.
pub fn is_validation(pass: u64) -> bool {
    pass >= FIRST
}
