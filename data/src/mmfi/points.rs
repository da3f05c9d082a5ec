//! Point clouds: `.bin` files of little-endian f64 without a header, row by row.

/// Columns of a lidar point: x, y, z in metres.
pub const LIDAR_COLUMNS: usize = 3;

/// Columns of a radar point: x, y, z in metres, intensity, Doppler velocity.
pub const RADAR_COLUMNS: usize = 5;

/// Reads all points of a whole file, `columns` values each.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_points(content: &[u8], columns: usize) -> Result<Vec<f32>, String> {
    let row = 8 * columns;
    if !content.len().is_multiple_of(row) {
        return Err(format!(
            "has {} bytes, which is no multiple of {row}: points are {columns} values of 8 bytes",
            content.len()
        ));
    }
    let value = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes")) as f32;
    let values: Vec<f32> = content.chunks_exact(8).map(value).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(format!(
            "holds {} in column {} of point {}; all must be finite in single precision",
            values[position],
            position % columns,
            position / columns
        )),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_come_row_by_row_and_faults_are_named() {
        let bytes = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let points = [1.0, 2.0, 3.0, -4.0, 5.5, 6.0];
        assert_eq!(parse_points(&bytes(&points), 3), Ok(points.map(|value| value as f32).to_vec()));
        assert_eq!(parse_points(&[], 5), Ok(vec![]));
        assert!(
            parse_points(&bytes(&points)[..47], 3)
                .unwrap_err()
                .contains("47 bytes, which is no multiple of 24")
        );
        let refused = parse_points(&bytes(&[0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0]), 3).unwrap_err();
        assert!(refused.contains("NaN in column 1 of point 1"), "{refused}");
        assert!(parse_points(&bytes(&[1e300, 0.0, 0.0]), 3).unwrap_err().contains("inf in column 0"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content: Vec<u8>) {
            let _ = parse_points(&content, LIDAR_COLUMNS);
            let _ = parse_points(&content, RADAR_COLUMNS);
        }
    }
}
