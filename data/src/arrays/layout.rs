//! What an array is, as the head of its file says.

use super::element::Element;

/// More values in a row than any modality has: what claims more has its axes in another order.
const WIDEST: usize = 1 << 20;

/// Type and shape of an array whose first axis is the sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) element: Element,
    /// All axes, the sample's first.
    pub(crate) shape: Vec<usize>,
    pub(crate) rows: usize,
    /// Values in a row.
    pub(crate) width: usize,
    /// Where the values begin in the file.
    pub(crate) start: u64,
    /// Whether the first axis varies fastest (Fortran order): such a file is turned when it is opened.
    pub(crate) is_fortran: bool,
}

impl Layout {
    /// The axes of a row: one, of one value, where the file has the sample's axis alone.
    pub(crate) fn of_a_row(&self) -> Vec<usize> {
        match self.shape.get(1..) {
            Some(axes) if !axes.is_empty() => axes.to_vec(),
            _ => vec![self.width],
        }
    }

    /// Checks the shape; the error says what is wrong with it.
    pub(crate) fn new(element: Element, shape: Vec<usize>, start: u64) -> Result<Self, String> {
        let Some((&rows, trailing)) = shape.split_first() else {
            return Err("holds a single number: the first axis of an array must be the sample".into());
        };
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
        let width = product(trailing).filter(|&width| width <= WIDEST);
        let bytes = product(&shape).and_then(|values| values.checked_mul(element.kind.size()));
        let (Some(width), Some(_)) = (width, bytes.filter(|&bytes| i64::try_from(bytes).is_ok())) else {
            return Err(format!(
                "claims the shape {shape:?}; a sample has at most {WIDEST} values (is the first axis the sample?)"
            ));
        };
        if rows == 0 || width == 0 {
            return Err(format!("has the shape {shape:?}: it holds no values"));
        }
        Ok(Layout { element, shape, rows, width, start, is_fortran: false })
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.width * self.element.kind.size()
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> u64 {
        self.rows as u64 * self.row_bytes() as u64
    }

    /// Checks that exactly the values follow the head; `length` is that of the whole.
    pub(crate) fn check_length(&self, length: u64) -> Result<(), String> {
        let follow = length.saturating_sub(self.start);
        match follow.cmp(&self.bytes()) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(format!(
                "ends after {follow} of the {} bytes that the shape {:?} takes: save it again",
                self.bytes(),
                self.shape
            )),
            std::cmp::Ordering::Greater => Err(format!(
                "goes on for {} bytes after an array of shape {:?}: save one array a file",
                follow - self.bytes(),
                self.shape
            )),
        }
    }
}
