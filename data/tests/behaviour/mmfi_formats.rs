//! MM-Fi's formats as NumPy, SciPy and Pillow write them: `fixtures/mmfi.py` made the files.

use pom2dib_data::mmfi::{
    Crop, DEPTH_SIDE, LIDAR_COLUMNS, RADAR_COLUMNS, parse_csi, parse_depth, parse_mat, parse_npy,
    parse_points,
};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/mmfi/", $name)).as_slice()
    };
}

/// Little-endian numbers at the end of a file.
fn last<const N: usize, V>(file: &[u8], count: usize, number: fn([u8; N]) -> V) -> Vec<V> {
    file[file.len() - N * count..].chunks_exact(N).map(|bytes| number(bytes.try_into().unwrap())).collect()
}

#[test]
fn arrays_of_numpy_are_read_in_both_precisions_and_versions() {
    let single = parse_npy(fixture!("keypoints-f4.npy")).unwrap();
    assert_eq!(single.shape, [17, 2]);
    assert_eq!(single.values, last(fixture!("keypoints-f4.npy"), 34, f32::from_le_bytes));
    assert_eq!(parse_npy(fixture!("keypoints-f8.npy")).unwrap(), single);
    assert_eq!(parse_npy(fixture!("version-2.npy")).unwrap(), single);
    assert_eq!(parse_npy(fixture!("poses.npy")).unwrap().shape, [3, 17, 3]);
    assert!(parse_npy(fixture!("fortran.npy")).unwrap_err().contains("Fortran order"));
}

#[test]
fn point_clouds_of_numpy_are_read() {
    let lidar = parse_points(fixture!("lidar.bin"), LIDAR_COLUMNS).unwrap();
    let expected: Vec<f32> =
        last(fixture!("lidar.bin"), 21, f64::from_le_bytes).into_iter().map(|value| value as f32).collect();
    assert_eq!(lidar, expected);
    assert_eq!(parse_points(fixture!("mmwave.bin"), RADAR_COLUMNS).unwrap().len(), 20);
    assert!(parse_points(fixture!("mmwave.bin"), LIDAR_COLUMNS).unwrap_err().contains("no multiple of 24"));
}

/// The steps of the data set's toolbox, by NumPy.
#[test]
fn channel_states_of_scipy_are_read_compressed_or_not_and_scaled_as_by_the_toolbox() {
    let expected = last(fixture!("csi-scaled-every-19th.bin"), 180, f32::from_le_bytes);
    for file in [fixture!("csi.mat"), fixture!("csi-compressed.mat")] {
        let scaled = parse_csi(file).unwrap();
        assert_eq!(scaled.len(), 3420);
        for (found, expected) in scaled.iter().step_by(19).zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
    }
    assert_eq!(parse_csi(fixture!("other.mat")).unwrap_err(), "holds no array CSIamp; it holds CSIphase");
    assert_eq!(parse_mat(fixture!("other.mat"), "CSIphase").unwrap().shape, [3, 2]);
    let cut = &fixture!("csi-compressed.mat")[..2000];
    assert_eq!(parse_csi(cut).unwrap_err(), "is truncated");
}

#[test]
fn depth_pictures_of_pillow_are_read() {
    let mut window = vec![0.0; DEPTH_SIDE * DEPTH_SIDE];
    parse_depth(fixture!("depth.png"), &mut Crop::Centred, &mut window).unwrap();
    // The centre of 150 x 200 begins at row 11 and column 36.
    for (row, column) in [(0, 0), (0, 127), (64, 5), (127, 127)] {
        let millimetres = 40 * (row + 11) + 250 * (column + 36) % 3001;
        let expected = (f64::from(millimetres as u32) * 0.001) as f32;
        assert_eq!(window[row * DEPTH_SIDE + column], expected, "row {row}, column {column}");
    }
    let error = parse_depth(fixture!("eight-bits.png"), &mut Crop::Centred, &mut window).unwrap_err();
    assert!(error.contains("Grayscale with 8 bits"), "{error}");
}
