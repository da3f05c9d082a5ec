//! A table and a stream of dithered features. The first two bytes say how long the table is.
#![no_main]

use dib::coding::{Decoder, Encoder, EntryTable};
use libfuzzer_sys::fuzz_target;

const DIMENSIONS: usize = 3;

fuzz_target!(|content: &[u8]| {
    let Some(([low, high], content)) = content.split_first_chunk() else { return };
    let (table, stream) = content.split_at(content.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
    let Ok(table) = EntryTable::from_bytes(table, DIMENSIONS) else { return };
    let Ok(mut decoder) = Decoder::new(stream) else { return };
    let mut values = Vec::new();
    for position in 0..4096 {
        let dither = (position * 7 % 32) as u8;
        let Ok(value) = table.decode(position % DIMENSIONS, dither, &mut decoder) else { return };
        values.push((position % DIMENSIONS, dither, value));
        if decoder.clone().finish().is_ok() {
            break;
        }
    }
    // What ends where it should is what a sender would have written.
    if decoder.finish().is_ok() && !values.is_empty() {
        let mut encoder = Encoder::default();
        values
            .iter()
            .for_each(|&(dimension, dither, value)| table.encode(dimension, dither, value, &mut encoder));
        assert_eq!(encoder.finish(), stream);
    }
});
