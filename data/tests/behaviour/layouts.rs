//! HandWritten as others leave it: layouts, files beside those that are meant, recordings of one's own.

use crate::folders::{gzip, handwritten, idx, opened, small_folder, write_wav};
use pom2dib_data::{Chosen, FileState, HandWritten, check_handwritten, verify_handwritten};
use std::{fs, path::Path};

fn source(root: &Path) -> Chosen {
    handwritten(HandWritten::new(root))
}

fn digest(root: &Path) -> [u8; 32] {
    opened(&source(root), &["fft", "mel"]).unwrap().digest()
}

/// Renames all of MNIST's files.
fn rename_mnist(root: &Path, place: &str, name: impl Fn(&str) -> String) {
    let place = root.join(place);
    fs::create_dir_all(&place).unwrap();
    for entry in fs::read_dir(root.join("mnist")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let to = place.join(name(path.file_name().unwrap().to_str().unwrap()));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(path, to).unwrap();
        }
    }
}

#[test]
fn mnist_is_found_in_every_known_layout() {
    let usual = digest(small_folder().path());
    let dotted = |name: &str| name.replace("-idx", ".idx");
    for place in ["mnist", "MNIST/raw", "mnist/MNIST/raw", "mnist/raw"] {
        let folder = small_folder();
        rename_mnist(folder.path(), place, str::to_owned);
        assert_eq!(digest(folder.path()), usual, "{place}");
        let folder = small_folder();
        rename_mnist(folder.path(), place, dotted);
        assert_eq!(digest(folder.path()), usual, "{place} with dots");
        assert!(source(folder.path()).info().unwrap().bytes > 0);
    }
    // Kaggle's archive: a folder of each file's name, and the file in it.
    let folder = small_folder();
    let images = folder.path().join("mnist/train-images-idx3-ubyte.gz");
    fs::remove_file(&images).unwrap();
    let pixels: Vec<u8> = (0..40 * 784).map(|at: usize| (at * at / 97 % 251) as u8).collect();
    let plain = folder.path().join("mnist/train-images-idx3-ubyte");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("train-images-idx3-ubyte"), idx(0x803, &[40, 28, 28], &pixels)).unwrap();
    opened(&source(folder.path()), &["fft"]).unwrap();
}

#[test]
fn a_missing_file_is_named_with_a_fetch_that_fills_its_own_folder() {
    let folder = small_folder();
    fs::remove_file(folder.path().join("mnist/train-labels-idx1-ubyte")).unwrap();
    let error = opened(&source(folder.path()), &[]).err().unwrap().to_string();
    let fetch = format!("pom2dib data fetch handwritten {}", folder.path().display());
    assert!(
        error.contains("mnist/train-labels-idx1-ubyte.gz is missing") && error.contains(&fetch),
        "{error}"
    );
}

#[test]
fn hidden_files_are_nobodys() {
    let folder = small_folder();
    let usual = digest(folder.path());
    let recordings = folder.path().join("fsdd/recordings");
    for name in ["._0_anna_0.wav", "._six.wav", ".hidden.wav", ".DS_Store"] {
        fs::write(recordings.join(name), "AppleDouble").unwrap();
    }
    fs::write(folder.path().join("mnist/._train-labels-idx1-ubyte"), "AppleDouble").unwrap();
    assert_eq!(digest(folder.path()), usual);
    assert!(check_handwritten(&HandWritten::new(folder.path())).unwrap().is_ok());
    let unexpected = verify_handwritten(folder.path()).unwrap();
    let hidden = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with('.');
    assert!(!unexpected.files.iter().any(|file| hidden(&file.path)));
}

#[test]
fn what_is_there_twice_is_said_and_the_usual_place_is_read() {
    let folder = small_folder();
    let root = folder.path();
    let usual = digest(root);
    assert!(source(root).notes().unwrap().is_empty());
    fs::create_dir_all(root.join("MNIST/raw")).unwrap();
    fs::write(root.join("MNIST/raw/train-labels-idx1-ubyte"), "other").unwrap();
    fs::create_dir(root.join("recordings")).unwrap();
    // An empty folder holds nothing that could be missed.
    assert_eq!(source(root).notes().unwrap().len(), 1);
    fs::write(root.join("recordings/0_zoe_0.wav"), "other").unwrap();
    let said = source(root).notes().unwrap();
    assert_eq!(digest(root), usual);
    assert!(said[0].contains("MNIST/raw/train-labels-idx1-ubyte is there too"), "{said:?}");
    assert!(said[1].contains("recordings holds recordings too"), "{said:?}");
    assert_eq!(source(root).info().unwrap().notes, said);
}

#[test]
fn recordings_lie_where_there_are_any_and_a_half_elsewhere_is_named() {
    let folder = small_folder();
    let root = folder.path();
    let usual = digest(root);
    for place in ["recordings", "free-spoken-digit-dataset/recordings"] {
        fs::create_dir_all(root.join(place).parent().unwrap()).unwrap();
        fs::rename(root.join("fsdd/recordings"), root.join(place)).unwrap();
        fs::create_dir_all(root.join("fsdd/recordings")).unwrap();
        assert_eq!(digest(root), usual, "{place}");
        fs::remove_dir(root.join("fsdd/recordings")).unwrap();
        fs::rename(root.join(place), root.join("fsdd/recordings")).unwrap();
    }
    fs::create_dir_all(root.join("recordings")).unwrap();
    fs::rename(root.join("fsdd/recordings/4_bert_6.wav"), root.join("recordings/4_bert_6.wav")).unwrap();
    let error = opened(&source(root), &[]).err().unwrap().to_string();
    assert!(error.contains("4_bert_6.wav is missing") && error.contains("it is in"), "{error}");
    assert!(!error.contains("data fetch"), "{error}");
}

#[test]
fn a_new_speaker_with_fewer_takes_is_read_and_counted() {
    let folder = small_folder();
    let usual = digest(folder.path());
    let recordings = folder.path().join("fsdd/recordings");
    for digit in 0..10 {
        for take in 0..6 {
            write_wav(&recordings.join(format!("{digit}_me_{take}.wav")), 8000, 1, (0..800).map(|at| at * 3));
        }
    }
    assert_ne!(digest(folder.path()), usual);
    let described = source(folder.path()).info().unwrap();
    let takes: Vec<_> =
        described.speakers.iter().map(|speaker| (speaker.name.as_str(), speaker.takes)).collect();
    assert_eq!(takes, [("anna", 7), ("bert", 7), ("me", 6)]);
    let recordings: Vec<_> = described.splits.iter().map(|split| split.recordings).collect();
    assert_eq!(recordings, [50, 150]);
}

#[test]
fn recordings_of_ones_own_are_verified_without_the_published_ones() {
    let folder = small_folder();
    let root = folder.path();
    let check = || check_handwritten(&HandWritten::new(root)).unwrap();
    assert!(!verify_handwritten(root).unwrap().is_ok());
    assert!(check().is_ok());
    assert_eq!(check().files.len(), 4 + 140);
    fs::write(root.join("fsdd/recordings/3_anna_2.wav"), "no sound").unwrap();
    fs::remove_file(root.join("fsdd/recordings/4_bert_6.wav")).unwrap();
    fs::write(root.join("fsdd/recordings/six.wav"), "").unwrap();
    fs::write(root.join("mnist/t10k-labels-idx1-ubyte"), idx(0x801, &[1], &[11])).unwrap();
    let report = check();
    let faults: Vec<_> = report
        .faults()
        .map(|fault| (fault.path.file_name().unwrap().to_str().unwrap(), fault.state == FileState::Missing))
        .collect();
    let expected = [
        ("t10k-labels-idx1-ubyte", false),
        ("3_anna_2.wav", false),
        ("six.wav", false),
        ("4_bert_6.wav", true),
    ];
    assert_eq!(faults, expected);
    // What only a run refuses is refused here: each by itself is sound.
    let folder = small_folder();
    let images = gzip(&idx(0x803, &[39, 28, 28], &[0; 39 * 784]));
    fs::write(folder.path().join("mnist/train-images-idx3-ubyte.gz"), images).unwrap();
    let report = check_handwritten(&HandWritten::new(folder.path())).unwrap();
    let fault = format!("{:?}", report.faults().next().unwrap());
    assert!(fault.contains("train-images-idx3-ubyte.gz") && fault.contains("holds 39 images"), "{fault}");
}

#[test]
fn of_images_and_labels_that_disagree_the_one_that_is_not_as_published_is_blamed() {
    let folder = small_folder();
    let mnist = folder.path().join("mnist");
    let images = gzip(&idx(0x803, &[10_000, 28, 28], &vec![0; 10_000 * 784]));
    fs::write(mnist.join("t10k-images-idx3-ubyte.gz"), images).unwrap();
    let error = opened(&source(folder.path()), &["fft"]).err().unwrap().to_string();
    assert!(error.contains("t10k-labels-idx1-ubyte: holds 20 labels"), "{error}");
    assert!(error.contains("t10k-images-idx3-ubyte.gz holds 10000 images"), "{error}");
}
