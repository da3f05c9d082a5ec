//! What features are coded with: a table and a stream of dithered ones, a prior and a stream of simulated ones, a
//! stream of quantised ones. The first two bytes say how long table or prior is.
#![no_main]

use dib::coding::{Decoder, Encoder, EntryTable, Levels, SharedPrior};
use libfuzzer_sys::fuzz_target;

const DIMENSIONS: usize = 3;
const ROWS: usize = 64;

fuzz_target!(|content: &[u8]| {
    let Some(([low, high], content)) = content.split_first_chunk() else { return };
    let (first, stream) = content.split_at(content.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
    dithered(first, stream);
    simulated(first, stream);
    quantised(u32::from(*low) % 16 + 1, stream);
});

fn dithered(table: &[u8], stream: &[u8]) {
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
}

fn simulated(prior: &[u8], stream: &[u8]) {
    let Ok(prior) = SharedPrior::from_bytes(prior, DIMENSIONS) else { return };
    let Ok(mut decoder) = Decoder::new(stream) else { return };
    let Ok(values) = prior.decode(ROWS, 5, &mut decoder) else { return };
    assert!(values.len() == ROWS * DIMENSIONS && values.iter().all(|value| value.is_finite()));
}

fn quantised(bits: u32, stream: &[u8]) {
    let Ok(mut decoder) = Decoder::new(stream) else { return };
    let (mut levels, mut values) = (Levels::new(bits, DIMENSIONS), Vec::new());
    for modality in [0, 1, 0] {
        if levels.decode(modality, ROWS, &mut decoder, &mut values).is_err() {
            return;
        }
    }
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    // As above.
    if decoder.finish().is_ok() {
        let (mut levels, mut encoder) = (Levels::new(bits, DIMENSIONS), Encoder::default());
        let parts = values.chunks(ROWS * DIMENSIONS).zip([0, 1, 0]);
        parts.for_each(|(values, modality)| levels.encode(modality, values, &mut encoder));
        assert_eq!(encoder.finish(), stream);
    }
}
