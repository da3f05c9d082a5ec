//! Depth pictures: 16-bit PNGs of one channel, in millimetres.

use super::crop::{Crop, Run};
use png::{BitDepth, ColorType, Decoder, Limits};
use std::io::Cursor;

/// Rows and columns that are kept of a picture.
pub const DEPTH_SIDE: usize = 128;

/// Metres in the unit that is stored.
const METRES: f64 = 0.001;

/// Sides longer than this are no depth camera's.
const LONGEST_SIDE: u32 = 8192;

/// Reads a window of a picture from a whole file into `out` (128 x 128, row by row), in metres; 0 where the picture is
/// smaller. Rows below the window are not decoded.
///
/// # Errors
///
/// What is wrong with the file, as words that follow its name.
pub fn parse_depth(content: &[u8], crop: &mut Crop, out: &mut [f32]) -> Result<(), String> {
    let mut reader = open(content)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let rows = crop.run(height, DEPTH_SIDE);
    let columns = crop.run(width, DEPTH_SIDE);
    out.fill(0.0);
    for _ in 0..rows.start {
        next_row(&mut reader)?;
    }
    for out in out.chunks_exact_mut(DEPTH_SIDE).take(rows.length) {
        window(next_row(&mut reader)?, columns, out);
    }
    Ok(())
}

/// Decodes a whole file and says rows and columns; the error says what is wrong.
pub(crate) fn check_depth(content: &[u8]) -> Result<[usize; 2], String> {
    let mut reader = open(content)?;
    let shape = [reader.info().height as usize, reader.info().width as usize];
    for _ in 0..shape[0] {
        next_row(&mut reader)?;
    }
    reader.finish().map_err(|error| unreadable(&error))?;
    Ok(shape)
}

type Reader<'a> = png::Reader<Cursor<&'a [u8]>>;

fn open(content: &[u8]) -> Result<Reader<'_>, String> {
    // A row of the longest side, and what decoding takes beside it.
    let limits = Limits { bytes: 1 << 22 };
    let reader = Decoder::new_with_limits(Cursor::new(content), limits).read_info();
    let reader = reader.map_err(|error| unreadable(&error))?;
    let info = reader.info();
    if (info.color_type, info.bit_depth) != (ColorType::Grayscale, BitDepth::Sixteen) || info.interlaced {
        return Err(format!(
            "is a picture of {:?} with {} bits{}; a depth picture has one channel (Grayscale) of 16 bits, not interlaced",
            info.color_type,
            info.bit_depth as u8,
            if info.interlaced { ", interlaced" } else { "" }
        ));
    }
    if info.width > LONGEST_SIDE || info.height > LONGEST_SIDE {
        let (width, height) = (info.width, info.height);
        return Err(format!("is a picture of {width} x {height}; sides up to {LONGEST_SIDE} can be read"));
    }
    Ok(reader)
}

fn next_row<'a>(reader: &'a mut Reader<'_>) -> Result<&'a [u8], String> {
    match reader.next_row() {
        Ok(Some(row)) => Ok(row.data()),
        Ok(None) => Err("ends before its last row".into()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn window(row: &[u8], columns: Run, out: &mut [f32]) {
    for (out, pixel) in out[..columns.length].iter_mut().zip(row.chunks_exact(2).skip(columns.start)) {
        *out = (f64::from(u16::from_be_bytes([pixel[0], pixel[1]])) * METRES) as f32;
    }
}

fn unreadable(error: &png::DecodingError) -> String {
    match error {
        png::DecodingError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            "is truncated".into()
        }
        error => format!("is no sound PNG ({})", error.to_string().replace(char::is_control, " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(color: ColorType, depth: BitDepth, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    /// Pixel (row, column) holds 1000 row + column millimetres.
    fn depth(width: u16, height: u16) -> Vec<u8> {
        let pixels = (0..height).flat_map(|row| (0..width).map(move |column| 1000 * row + column));
        let data: Vec<u8> = pixels.flat_map(u16::to_be_bytes).collect();
        picture(ColorType::Grayscale, BitDepth::Sixteen, width.into(), height.into(), &data)
    }

    #[test]
    fn the_centre_is_read_in_metres_and_small_pictures_are_padded() {
        let mut out = vec![9.0; DEPTH_SIDE * DEPTH_SIDE];
        parse_depth(&depth(640, 60), &mut Crop::Centred, &mut out).unwrap();
        assert_eq!(&out[..2], &[0.256, 0.257]);
        assert_eq!(out[59 * DEPTH_SIDE + 127], 59.383);
        assert!(out[60 * DEPTH_SIDE..].iter().all(|&value| value == 0.0));
        parse_depth(&depth(3, 2), &mut Crop::Centred, &mut out).unwrap();
        assert_eq!(&out[..4], &[0.0, 0.001, 0.002, 0.0]);
        assert_eq!(out[DEPTH_SIDE + 2], 1.002);
    }

    #[test]
    fn what_is_no_depth_picture_is_refused_by_its_fault() {
        let refused = |content: &[u8]| {
            let mut out = vec![0.0; DEPTH_SIDE * DEPTH_SIDE];
            let error = parse_depth(content, &mut Crop::Centred, &mut out).unwrap_err();
            assert_eq!(check_depth(content), Err(error.clone()));
            error
        };
        let eight = picture(ColorType::Grayscale, BitDepth::Eight, 2, 2, &[0; 4]);
        assert!(refused(&eight).contains("Grayscale with 8 bits; a depth picture has one channel"));
        let colours = picture(ColorType::Rgb, BitDepth::Eight, 2, 2, &[0; 12]);
        assert!(refused(&colours).contains("Rgb with 8 bits"));
        let good = depth(200, 50);
        assert_eq!(refused(&good[..good.len() / 2]), "is truncated");
        assert!(refused(b"PK").contains("no sound PNG") || refused(b"PK").contains("truncated"));
        let mut broken = good.clone();
        broken[20] ^= 1;
        assert!(refused(&broken).contains("no sound PNG"), "{}", refused(&broken));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content: Vec<u8>, at in 0..2000usize, byte: u8) {
            let mut out = vec![0.0; DEPTH_SIDE * DEPTH_SIDE];
            let _ = parse_depth(&content, &mut Crop::Centred, &mut out);
            let mut changed = depth(40, 30);
            let length = changed.len();
            changed[at % length] = byte;
            let _ = parse_depth(&changed, &mut Crop::Centred, &mut out);
        }
    }
}
