//! A recording.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let _ = data::parse_wav(content);
});
