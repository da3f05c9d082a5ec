//! The published tree's formats, written.

use data::npy_head;

use super::camera::{HEIGHT, WIDTH};

/// An `.npy` file of f4 values, as NumPy writes it.
pub(super) fn npy_file(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut file = npy_head("<f4", shape);
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

/// A `.bin` file of f8 values.
pub(super) fn bin_file(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A depth picture, as PNG with 16 bits.
pub(super) fn png_file(picture: &[u16]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fast);
    let bytes: Vec<u8> = picture.iter().flat_map(|pixel| pixel.to_be_bytes()).collect();
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&bytes));
    written.expect("a picture of this size goes into memory");
    file
}

/// A `.mat` file of version 5 of double arrays of one shape, uncompressed, as SciPy writes it: values in MATLAB's
/// order.
///
/// For tests of its reader, too.
pub fn mat_file(arrays: &[(&str, &[f64])], shape: [usize; 3]) -> Vec<u8> {
    let mut file =
        format!("{:<116}", "MATLAB 5.0 MAT-file Platform: posix, made by pom2dib: synthetic").into_bytes();
    file.extend([0; 8]);
    file.extend(b"\x00\x01IM");
    for (name, values) in arrays {
        let mut matrix = Vec::new();
        element(&mut matrix, 6, &[6, 0, 0, 0, 0, 0, 0, 0]);
        element(&mut matrix, 5, &shape.map(|size| (size as i32).to_le_bytes()).concat());
        element(&mut matrix, 1, name.as_bytes());
        element(&mut matrix, 9, &bin_file(values));
        element(&mut file, 14, &matrix);
    }
    file
}

/// A data element, padded to eight bytes.
fn element(file: &mut Vec<u8>, kind: u32, data: &[u8]) {
    file.extend(kind.to_le_bytes());
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file.resize(file.len().next_multiple_of(8), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of the published files.
    #[test]
    fn files_have_the_published_sizes() {
        let values = [1.0; 3420];
        let file = mat_file(&[("CSIamp", &values), ("CSIphase", &values)], [3, 114, 10]);
        assert_eq!(file.len(), 54_992);
        assert_eq!(file[200..208], 1.0f64.to_le_bytes());
        assert_eq!(npy_file(&[297, 17, 3], &vec![0.0; 297 * 51]).len(), 60_716);
    }
}
