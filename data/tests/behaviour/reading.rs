//! Reading samples: shapes, and that what is read depends on its address alone.

use crate::folders::{digits, handwritten, opened, small_folder};
use pom2dib_data::{ArrayTask, Chosen, Dataset, HandWritten, Needs, Settings, Split, Targets};
use randomness::Seed;

const MODALITIES: [(&str, usize); 4] = [("fft", 196), ("mel", 512), ("noise-1", 196), ("noise-2", 196)];

fn read(dataset: &dyn Dataset, modality: &str, split: Split, sample: usize, epoch: u64) -> Vec<f32> {
    let mut out = vec![f32::NAN; dataset.width(modality).unwrap()];
    dataset.read(modality, split, sample, epoch, &mut out).unwrap();
    assert!(out.iter().all(|value| value.is_finite()));
    out
}

fn everything(source: &Chosen) -> Box<dyn Dataset> {
    opened(source, &MODALITIES.map(|(name, _)| name)).unwrap()
}

#[test]
fn built_in_digits_have_their_sizes() {
    let digits = everything(&digits());
    assert_eq!((digits.samples(Split::Train), digits.samples(Split::Test)), (20_000, 4_000));
    for (modality, width) in MODALITIES {
        assert_eq!(digits.width(modality), Some(width));
    }
    assert_eq!((digits.width("colour"), digits.width("noise-10")), (None, None));
    for (task, expected) in [("parity", 2), ("ring", 6), ("digit", 10)] {
        for split in [Split::Train, Split::Test] {
            let Some(Targets::Classes { labels, classes }) = digits.targets(task, split) else {
                panic!("{task}")
            };
            assert_eq!((labels.len(), classes), (digits.samples(split), expected));
            for class in 0..classes as u32 {
                assert!(labels.contains(&class), "{task} {class}");
            }
        }
    }
    assert_eq!(digits.targets("colour", Split::Train), None);
    let clusters = digits.clusters();
    assert_eq!((clusters.len(), clusters.iter().max()), (4_000, Some(&299)));
}

#[test]
fn reading_ahead_changes_nothing_and_what_was_not_read_ahead_is_read_too() {
    let folder = small_folder();
    let source = handwritten(HandWritten::new(folder.path()));
    let (dataset, plain) = (everything(&source), everything(&source));
    for (modality, _) in MODALITIES {
        for split in [Split::Train, Split::Test] {
            let expected: Vec<(usize, u64)> = (0..8).map(|sample| (sample, 2)).collect();
            dataset.read_ahead(modality, split, &expected[..4]);
            dataset.read_ahead(modality, split, &expected);
            for sample in (0..10).rev() {
                let got = read(&*dataset, modality, split, sample, 2);
                assert_eq!(got, read(&*plain, modality, split, sample, 2), "{modality}, {split:?}, {sample}");
            }
        }
    }
}

#[test]
fn a_sample_is_the_same_whenever_it_is_read_and_another_in_another_epoch() {
    let folder = small_folder();
    let dataset = everything(&handwritten(HandWritten::new(folder.path())));
    for (modality, _) in MODALITIES {
        let first = read(&*dataset, modality, Split::Train, 7, 3);
        // Something else between.
        read(&*dataset, modality, Split::Train, 8, 4);
        assert_eq!(first, read(&*dataset, modality, Split::Train, 7, 3), "{modality}");
        assert_ne!(first, read(&*dataset, modality, Split::Train, 8, 3), "{modality}");
        let images = modality == "fft";
        assert_eq!(first == read(&*dataset, modality, Split::Train, 7, 4), images, "{modality}");
        let test = read(&*dataset, modality, Split::Test, 7, 3);
        assert_eq!(test, read(&*dataset, modality, Split::Test, 7, 4), "{modality}");
        assert_ne!(first, test, "{modality}");
    }
}

#[test]
fn many_threads_read_the_same_as_one() {
    let folder = small_folder();
    let dataset = everything(&handwritten(HandWritten::new(folder.path())));
    let dataset = &*dataset;
    let all = |backwards: bool| {
        let mut samples: Vec<usize> = (0..40).collect();
        if backwards {
            samples.reverse();
        }
        let mut rows = vec![Vec::new(); 40];
        for sample in samples {
            rows[sample] = MODALITIES.map(|(name, _)| read(dataset, name, Split::Train, sample, 5)).concat();
        }
        rows
    };
    let alone = all(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || all(thread % 2 == 0))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn another_seed_pairs_and_augments_otherwise_but_has_the_same_content() {
    let folder = small_folder();
    let source = handwritten(HandWritten::new(folder.path()));
    let modalities = MODALITIES.map(|(name, _)| name.to_string());
    let with =
        |seed| source.open(Seed::from_number(seed), &Needs { modalities: &modalities, tasks: &[] }).unwrap();
    let (one, other) = (with(1), with(2));
    assert_eq!(one.digest(), other.digest());
    for (modality, same) in [("fft", true), ("mel", false), ("noise-1", false)] {
        let equal = read(&*one, modality, Split::Train, 3, 0) == read(&*other, modality, Split::Train, 3, 0);
        assert_eq!(equal, same, "{modality}");
    }
    assert_eq!(read(&*one, "mel", Split::Test, 3, 0), read(&*other, "mel", Split::Test, 3, 0));
}

#[test]
fn nodes_with_other_needs_agree() {
    let folder = small_folder();
    for source in [digits(), handwritten(HandWritten::new(folder.path()))] {
        let full = everything(&source);
        for needs in [&["fft"][..], &["mel", "noise-2"], &[]] {
            let some = opened(&source, needs).unwrap();
            assert_eq!(some.digest(), full.digest());
            assert_eq!(some.clusters(), full.clusters());
            assert_eq!(some.targets("ring", Split::Test), full.targets("ring", Split::Test));
            for modality in needs {
                let row = |dataset: &dyn Dataset| read(dataset, modality, Split::Train, 11, 2);
                assert_eq!(row(&*some), row(&*full));
            }
        }
    }
}

#[test]
fn noise_is_shared_by_name_and_standard_normal() {
    let both = opened(&digits(), &["noise-1", "noise-2"]).unwrap();
    let other = opened(&digits(), &["noise-2"]).unwrap();
    let row = |dataset: &dyn Dataset, name| read(dataset, name, Split::Train, 5, 9);
    assert_eq!(row(&*both, "noise-2"), row(&*other, "noise-2"));
    assert_ne!(row(&*both, "noise-1"), row(&*both, "noise-2"));

    let values: Vec<f32> =
        (0..200).flat_map(|sample| read(&*both, "noise-1", Split::Train, sample, 0)).collect();
    let count = values.len() as f32;
    let mean = values.iter().sum::<f32>() / count;
    let variance = values.iter().map(|value| value * value).sum::<f32>() / count;
    // Four standard errors.
    assert!(mean.abs() < 4.0 / count.sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 4.0 * (2.0 / count).sqrt(), "{variance}");
}

#[test]
fn another_label_or_another_name_is_another_digest() {
    let folder = small_folder();
    let digest = || opened(&handwritten(HandWritten::new(folder.path())), &[]).unwrap().digest();
    let before = digest();
    let file = folder.path().join("mnist/t10k-labels-idx1-ubyte");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] = (bytes[8] + 1) % 10;
    std::fs::write(&file, bytes).unwrap();
    assert_ne!(before, digest());
}

#[test]
fn scenarios_can_be_checked_before_anything_is_opened() {
    let checked = |source: &str, modality: &str, task: &str| {
        let (transmitters, tasks) = (vec![vec![modality.into()]], vec![ArrayTask::plain(task)]);
        let chosen = Chosen::new(Settings { transmitters, tasks, ..Settings::new(source, None) })?;
        chosen.check_names(&[])
    };
    let refused = |source, modality, task| checked(source, modality, task).unwrap_err().to_string();
    for source in ["digits", "handwritten"] {
        for name in ["fft", "mel", "noise-1", "noise-2", "noise-9"] {
            checked(source, name, "ring").unwrap();
        }
        assert_eq!(
            refused(source, "fft", "scene"),
            format!(
                "scenario: receiver[0].task names \"scene\"; the data set \"{source}\" has parity, ring, digit"
            )
        );
        assert!(
            refused(source, "noise-10", "ring")
                .starts_with("scenario: transmitter[0].modalities names \"noise-10\"")
        );
    }
    checked("mmfi", "wifi-csi", "pose").unwrap();
    checked("arrays", "anything", "at-all").unwrap();
    assert!(refused("arrays", "noise-1", "at-all").contains("names noise only"));
    assert!(refused("arrays", "anything", "noise-1").contains("is noise and has no file"));
    assert!(
        refused("nothing", "fft", "ring")
            .starts_with("scenario: data.source is \"nothing\", which is no data set")
    );
}
