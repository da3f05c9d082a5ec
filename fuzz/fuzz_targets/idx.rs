//! MNIST's files. The first byte says which, and whether it is compressed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let Some((kind, content)) = content.split_first() else { return };
    let compressed = kind & 1 == 1;
    match kind & 2 {
        0 => drop(data::parse_idx_labels(content, compressed)),
        _ => drop(data::parse_idx_images(content, compressed)),
    }
});
