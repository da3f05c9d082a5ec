//! Files that are missing, truncated or wrong: one line that names the culprit.

use crate::folders::{digits, gzip, handwritten, idx, opened, small_folder, write_wav};
use pom2dib_data::{HandWritten, Needs};
use randomness::Seed;
use std::{fs, path::Path};

/// What is done to a sound folder, and words of the error that it must give.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

const CASES: &[Case] = &[
    ("no folder", |root| fs::remove_dir_all(root).unwrap(), &["is missing"]),
    (
        "no labels",
        |root| fs::remove_file(root.join("mnist/train-labels-idx1-ubyte")).unwrap(),
        &["train-labels-idx1-ubyte", "is missing", "pom2dib data fetch handwritten"],
    ),
    (
        "no images",
        |root| fs::remove_file(root.join("mnist/t10k-images-idx3-ubyte.gz")).unwrap(),
        &["t10k-images-idx3-ubyte", "is missing"],
    ),
    (
        "truncated labels",
        |root| cut(&root.join("mnist/train-labels-idx1-ubyte"), 5),
        &["train-labels-idx1-ubyte", "ends after 35 of the 40 bytes"],
    ),
    (
        "truncated archive",
        |root| cut(&root.join("mnist/train-images-idx3-ubyte.gz"), 50),
        &["train-images-idx3-ubyte.gz", "is truncated"],
    ),
    (
        "not an archive",
        |root| {
            fs::write(root.join("mnist/train-images-idx3-ubyte.gz"), "<html>no such file, sorry</html>")
                .unwrap()
        },
        &["train-images-idx3-ubyte.gz", "cannot be read"],
    ),
    (
        "images for labels",
        |root| fs::write(root.join("mnist/t10k-labels-idx1-ubyte"), idx(0x803, &[1], &[1])).unwrap(),
        &["t10k-labels-idx1-ubyte", "begins with 0x00000803"],
    ),
    (
        "another number of images",
        |root| {
            let images = gzip(&idx(0x803, &[39, 28, 28], &[0; 39 * 784]));
            fs::write(root.join("mnist/train-images-idx3-ubyte.gz"), images).unwrap();
        },
        &["train-images-idx3-ubyte.gz", "holds 39 images", "40 labels"],
    ),
    (
        "a label of 10",
        |root| fs::write(root.join("mnist/train-labels-idx1-ubyte"), idx(0x801, &[1], &[10])).unwrap(),
        &["train-labels-idx1-ubyte", "label 0 is 10"],
    ),
    ("no recordings", |root| fs::remove_dir_all(root.join("fsdd")).unwrap(), &["recordings", "is missing"]),
    (
        "a recording missing",
        |root| fs::remove_file(root.join("fsdd/recordings/6_bert_6.wav")).unwrap(),
        &["6_bert_6.wav", "is missing"],
    ),
    (
        "a misnamed recording",
        |root| fs::write(root.join("fsdd/recordings/six.wav"), "").unwrap(),
        &["six.wav", "{digit}_{speaker}_{index}.wav"],
    ),
    (
        "a truncated recording",
        |root| cut(&root.join("fsdd/recordings/3_anna_2.wav"), 1001),
        &["3_anna_2.wav", "truncated"],
    ),
    (
        "a recording at another rate",
        |root| write_wav(&root.join("fsdd/recordings/3_anna_2.wav"), 16_000, 1, 0..100),
        &["3_anna_2.wav", "has 16000 Hz", "8000 Hz"],
    ),
    (
        "a recording in stereo",
        |root| write_wav(&root.join("fsdd/recordings/3_anna_6.wav"), 8000, 2, 0..100),
        &["3_anna_6.wav", "2 channels"],
    ),
    (
        "an empty recording",
        |root| write_wav(&root.join("fsdd/recordings/3_anna_6.wav"), 8000, 1, 0..0),
        &["3_anna_6.wav", "holds no samples"],
    ),
];

/// Takes bytes off a file's end.
fn cut(path: &Path, bytes: usize) {
    let content = fs::read(path).unwrap();
    fs::write(path, &content[..content.len() - bytes]).unwrap();
}

#[test]
fn each_fault_gives_one_line_that_names_its_file() {
    for (case, spoil, words) in CASES {
        let folder = small_folder();
        let source = handwritten(HandWritten::new(folder.path()));
        opened(&source, &["fft", "mel"]).unwrap();
        spoil(folder.path());
        let error = opened(&source, &["fft", "mel"]).err().expect(case).to_string();
        assert!(!error.contains('\n'), "{case}: {error}");
        for word in *words {
            assert!(error.contains(word), "{case}: {error}");
        }
    }
}

#[test]
fn recordings_that_are_too_few_to_hold_some_out_are_refused() {
    let folder = small_folder();
    let source = HandWritten { validation: true, ..HandWritten::new(folder.path()) };
    let error = opened(&handwritten(source), &["mel"]).err().unwrap().to_string();
    assert!(error.contains("recordings") && error.contains("more than 10 times"), "{error}");
}

#[test]
fn what_is_not_needed_is_not_read() {
    let folder = small_folder();
    let source = handwritten(HandWritten::new(folder.path()));
    fs::write(folder.path().join("fsdd/recordings/3_anna_2.wav"), "no sound").unwrap();
    opened(&source, &["fft", "noise-1"]).unwrap();
    fs::remove_file(folder.path().join("mnist/train-images-idx3-ubyte.gz")).unwrap();
    opened(&source, &["noise-1"]).unwrap();
    opened(&source, &[]).unwrap();
}

#[test]
fn recordings_may_lie_right_in_the_folder() {
    let folder = small_folder();
    let source = handwritten(HandWritten::new(folder.path()));
    let usual = opened(&source, &["mel"]).unwrap().digest();
    fs::rename(folder.path().join("fsdd/recordings"), folder.path().join("recordings")).unwrap();
    assert_eq!(opened(&source, &["mel"]).unwrap().digest(), usual);
}

#[test]
fn unknown_names_are_named() {
    for (modalities, tasks, words) in [
        (&["colour"][..], &[][..], ["colour", "fft, mel, noise-1"]),
        (&["noise-10"], &[], ["noise-10", "noise-9"]),
        (&["noise-0"], &[], ["noise-0", "noise-1"]),
        (&[], &["taste"], ["taste", "parity, ring, digit"]),
    ] {
        let (modalities, tasks) = (strings(modalities), strings(tasks));
        let needs = Needs { modalities: &modalities, tasks: &tasks };
        let error = digits().open(Seed::from_number(1), &needs).err().unwrap().to_string();
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{error}");
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}
