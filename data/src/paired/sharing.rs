//! Tests that nodes of one process share the rows of digits.

use std::{cell::Cell, sync::Arc};

use randomness::Seed;

use super::PairedDigits;
use crate::{
    Dataset, Needs, Settings, Split, content::Wants, digits, error::DataError,
    held_recordings::HeldRecordings, preparation::Preparation,
};

const OBSERVED: [&[&str]; 2] = [&["fft"], &["mel", "noise-1"]];

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Settings of a run of two transmitters that no other test uses.
fn settings(folder: &str) -> Settings {
    let transmitters = OBSERVED.map(strings).to_vec();
    Settings { transmitters, ..Settings::new("digits", Some(folder.into())) }
}

fn opened(needs: &Needs) -> Result<PairedDigits, DataError> {
    let wants = Wants::of(needs)?;
    let held = HeldRecordings::default();
    Ok(PairedDigits::new(digits::make(wants), wants, Seed::from_number(1), Preparation::default(), held))
}

#[test]
fn transmitters_share_rows_of_all_their_modalities_while_any_of_them_is_open() {
    let (settings, opens) = (settings("shared rows"), Cell::new(0));
    let shared = |modalities: &[&str]| {
        let needs = Needs { modalities: &strings(modalities), tasks: &[] };
        let shared = PairedDigits::shared(&settings, Seed::from_number(1), &needs, |needs| {
            opens.set(opens.get() + 1);
            opened(needs)
        });
        shared.unwrap()
    };
    let [first, second] = OBSERVED.map(shared);
    assert!(Arc::ptr_eq(&first.rows, &second.rows), "each has rows of its own");
    assert_eq!(opens.get(), 1);
    // A node without modalities, or with a modality that no transmitter has, has rows of its own.
    let others: [&[&str]; 2] = [&[], &["image"]];
    for modalities in others {
        assert!(!Arc::ptr_eq(&first.rows, &shared(modalities).rows));
    }
    assert_eq!(opens.get(), 3);
    drop((first, second));
    shared(OBSERVED[0]);
    assert_eq!(opens.get(), 4, "unused rows were kept");
}

#[test]
fn shared_rows_keep_their_bits_while_other_nodes_read_ahead() {
    let (settings, seed) = (settings("the same rows"), Seed::from_number(1));
    let names = OBSERVED.map(strings);
    let of = |modalities: &[String], is_shared: bool| {
        let needs = Needs { modalities, tasks: &[] };
        match is_shared {
            true => PairedDigits::shared(&settings, seed, &needs, opened).unwrap(),
            false => opened(&needs).unwrap(),
        }
    };
    let shared = [&names[0], &names[1], &names[1]].map(|names| of(names, true));
    let announced = |first: usize| -> Vec<(usize, u64)> { (first..first + 6).map(|row| (row, 2)).collect() };
    for (number, node) in shared.iter().enumerate() {
        node.read_ahead("mel", Split::Train, &announced(3 * number));
        node.read_ahead("noise-1", Split::Test, &announced(3 * number));
    }
    for (node, names) in shared.iter().zip([&names[0], &names[1], &names[1]]) {
        let own = of(names, false);
        assert_eq!(node.digest(), own.digest());
        for name in names {
            let read = |from: &PairedDigits, split: Split, row: usize| {
                let mut values = vec![0.0; from.width(name).unwrap()];
                from.read(name, split, row, 2, &mut values).unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            for row in [0, 4, 8] {
                for split in [Split::Train, Split::Test] {
                    assert!(read(node, split, row) == read(&own, split, row), "row {row} of {name}");
                }
            }
        }
    }
}
