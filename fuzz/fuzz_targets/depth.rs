//! A depth picture.
#![no_main]

use data::mmfi::{Crop, DEPTH_SIDE, parse_depth};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let mut out = vec![f32::NAN; DEPTH_SIDE * DEPTH_SIDE];
    if parse_depth(content, &mut Crop::Centred, &mut out).is_ok() {
        assert!(out.iter().all(|value| (0.0..66.0).contains(value)));
    }
});
