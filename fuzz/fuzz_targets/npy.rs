//! A NumPy array.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    if let Ok(array) = data::mmfi::parse_npy(content) {
        assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
        assert!(4 * array.values.len() <= content.len());
    }
});
