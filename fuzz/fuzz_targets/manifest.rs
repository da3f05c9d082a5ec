//! The manifest of a checkpoint.
#![no_main]

use coordinator::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let _ = Manifest::parse(content);
});
