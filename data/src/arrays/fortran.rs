//! Arrays whose first axis varies fastest (Fortran order), as MATLAB and pandas leave them: turned when they are
//! opened.

use super::layout::Layout;
use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

/// Bytes of rows that are turned at once.
const BLOCK: usize = 1 << 26;

/// The same array with its rows one after the other, in a temporary file without a name; its values begin at `start`.
pub(crate) fn turned(layout: &Layout, start: u64, values: &File) -> io::Result<File> {
    let (size, width) = (layout.element.kind.size(), layout.width);
    let mut turned = tempfile::tempfile()?;
    let rows_at_once = (BLOCK / layout.row_bytes()).clamp(1, layout.rows);
    let mut block = vec![0; rows_at_once * layout.row_bytes()];
    let mut column = vec![0; rows_at_once * size];
    for first in (0..layout.rows).step_by(rows_at_once) {
        let rows = rows_at_once.min(layout.rows - first);
        for position in 0..width {
            // A value of all rows lies together; where those of the next position begin, all rows have gone by.
            let place = start + ((position * layout.rows + first) * size) as u64;
            values.read_exact_at(&mut column[..rows * size], place)?;
            let at = row_major(position, &layout.shape[1..]) * size;
            for (row, value) in column[..rows * size].chunks_exact(size).enumerate() {
                block[row * layout.row_bytes() + at..][..size].copy_from_slice(value);
            }
        }
        turned.write_all(&block[..rows * layout.row_bytes()])?;
    }
    Ok(turned)
}

/// Where a value of a sample of this shape lies in row-major order, if it is the `position`-th with the first axis
/// fastest.
pub(crate) fn row_major(mut position: usize, shape: &[usize]) -> usize {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut place = 0;
    for (&size, stride) in shape.iter().zip(strides) {
        place += position % size * stride;
        position /= size;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::element::{Element, Kind};

    #[test]
    fn rows_come_out_in_order_whatever_the_shape() {
        for shape in [vec![3, 2], vec![2, 3, 4], vec![5, 1, 3], vec![1, 2, 2, 3]] {
            let count: usize = shape.iter().product();
            let width = count / shape[0];
            // The value of (row, position) in Fortran order is its row-major number.
            let mut bytes = vec![9; 7];
            for at in 0..count {
                let (row, position) = (at % shape[0], at / shape[0]);
                bytes.push((row * width + row_major(position, &shape[1..])) as u8);
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let element = Element { kind: Kind::U8, big_endian: false };
            let layout = Layout { is_fortran: true, ..Layout::new(element, shape, 7).unwrap() };
            let turned = super::turned(&layout, layout.start, &file).unwrap();
            let mut found = vec![0; count];
            turned.read_exact_at(&mut found, 0).unwrap();
            assert_eq!(found, (0..count as u8).collect::<Vec<_>>());
        }
        // numpy: numpy.arange(12).reshape(2, 3, 2).ravel(order="F") begins 0, 6, 2, 8: positions 0, 1 are (0, 0), (1,
        // 0).
        assert_eq!([0, 1, 2, 3, 4, 5].map(|position| row_major(position, &[3, 2])), [0, 2, 4, 1, 3, 5]);
    }
}
