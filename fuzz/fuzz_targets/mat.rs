//! A MAT-file, as such and as a frame of channel states.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if let Ok(array) = data::mmfi::parse_mat(content, "CSIamp") {
        assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
    }
    if let Ok(frame) = data::mmfi::parse_csi(content) {
        assert!(frame.iter().all(|value| (0.0..=1.0).contains(value)));
    }
});
