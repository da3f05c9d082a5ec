//! The digest of everything that is read: any value that changes changes it, and how files are packed does not.

use std::{fs, path::Path};

use crate::folders::{arrays, gzip, handwritten, small_folder, write_wav};
use pom2dib_data::{ArraySource, Chosen, HandWritten, Needs, Normalisation, mmfi::MmFi};
use synthetic::{Plan, synthesise};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn of(source: &Chosen, modalities: &[&str], tasks: &[&str]) -> [u8; 32] {
    source.contents(&Needs { modalities: &names(modalities), tasks: &names(tasks) }).unwrap()
}

#[test]
fn one_pixel_and_one_sample_of_a_waveform_change_it_and_packing_does_not() {
    let folder = small_folder();
    let source = handwritten(HandWritten::new(folder.path()));
    let all = || of(&source, &["fft", "mel"], &["digit"]);
    let images_only = || of(&source, &["fft"], &["digit"]);
    let [whole, images] = [all(), images_only()];
    assert_eq!(all(), whole, "twice the same");

    let packed = folder.path().join("mnist/t10k-images-idx3-ubyte.gz");
    let mut plain = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(&fs::read(&packed).unwrap()[..]),
        &mut plain,
    )
    .unwrap();
    fs::remove_file(&packed).unwrap();
    fs::write(packed.with_extension(""), &plain).unwrap();
    assert_eq!(all(), whole, "unpacked it is the same");

    write_wav(&folder.path().join("fsdd/recordings/3_anna_6.wav"), 8000, 1, (0..3000).map(|at| at as i16));
    let other_clip = all();
    assert_ne!(other_clip, whole);
    assert_eq!(images_only(), images, "which a network without recordings does not read");

    *plain.last_mut().unwrap() ^= 1;
    fs::remove_file(packed.with_extension("")).unwrap();
    fs::write(&packed, gzip(&plain)).unwrap();
    assert_ne!(all(), other_clip);
    assert_ne!(images_only(), images);
}

/// A .npy file of version 1.0 with one float a row.
fn write_npy(path: &Path, values: &[f32]) {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 1), }}", values.len()).into_bytes();
    header.resize(117, b' ');
    header.push(b'\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn one_value_of_an_array_changes_it_and_an_array_that_is_not_read_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, values: &[f32]| write_npy(&folder.path().join(name), values);
    for (split, rows) in [("train", 8), ("test", 4)] {
        for array in ["left", "place", "other"] {
            let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
            write(&format!("{array}.{split}.npy"), &values);
        }
    }
    let source = arrays(ArraySource {
        folder: folder.path().into(),
        normalisation: Normalisation::Standard,
        noise_width: 3,
        tasks: Vec::new(),
    });
    let digest = || of(&source, &["left", "noise-1"], &["place"]);
    let whole = digest();
    write("other.test.npy", &[5.0; 4]);
    assert_eq!(digest(), whole);
    write("left.test.npy", &[0.0, 1.0, 2.0, 3.5]);
    assert_ne!(digest(), whole);
    write("left.test.npy", &[0.0, 1.0, 2.0, 3.0]);
    assert_eq!(digest(), whole);
    write("place.train.npy", &[1.0; 8]);
    assert_ne!(digest(), whole);
}

#[test]
fn another_tree_of_mmfi_has_another() {
    let folder = tempfile::tempdir().unwrap();
    let plan = |actions| Plan { subjects_per_scene: 1, actions, frames: 3 };
    let digest = |name: &str, actions| {
        let path = folder.path().join(name);
        synthesise(&path, plan(actions), &|_, _| ()).unwrap();
        let source = MmFi { modalities: names(&["depth"]), ..MmFi::at(path) };
        source.contents().unwrap()
    };
    assert_eq!(digest("a", 2), digest("b", 2));
    assert_ne!(digest("c", 3), digest("a", 2));
}
