//! The real data, where there is some.

use crate::folders::{handwritten, opened, real_data};
use pom2dib_data::{Dataset, HandWritten, Split, Targets, verify_handwritten};

const GEORGE: &str = include_str!("../fixtures/mel-0_george_0.txt");

#[test]
fn handwritten_has_its_sizes_and_scales() {
    let Some(folder) = real_data() else { return };
    let dataset = opened(&handwritten(HandWritten::new(folder)), &["fft", "mel"]).unwrap();
    assert_eq!((dataset.samples(Split::Train), dataset.samples(Split::Test)), (60_000, 10_000));

    let mut row = vec![0.0; 196];
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for sample in 0..60_000 {
        dataset.read("fft", Split::Train, sample, 0, &mut row).unwrap();
        low = row.iter().fold(low, |low, &value| low.min(value));
        high = row.iter().fold(high, |high, &value| high.max(value));
    }
    assert_eq!((low, high), (0.0, 1.0));
}

#[test]
fn test_images_take_the_thirty_clips_of_their_digit_in_turn() {
    let Some(folder) = real_data() else { return };
    let dataset = opened(&handwritten(HandWritten::new(folder)), &[]).unwrap();
    let Some(Targets::Classes { labels, .. }) = dataset.targets("digit", Split::Test) else { panic!() };
    let mut seen = [0; 10];
    for (cluster, digit) in dataset.clusters().into_iter().zip(labels) {
        assert_eq!(cluster, digit * 30 + seen[digit as usize] % 30);
        seen[digit as usize] += 1;
    }
}

#[test]
fn what_is_held_out_for_validation_is_no_longer_trained_on() {
    let Some(folder) = real_data() else { return };
    let source = handwritten(HandWritten { validation: true, ..HandWritten::new(&folder) });
    let described = source.info().unwrap();
    let sizes: Vec<_> = described.splits.iter().map(|split| (split.samples, split.recordings)).collect();
    assert_eq!(sizes, [(50_000, 2_400), (10_000, 300)]);

    let (held_out, plain) = (opened(&source, &[]).unwrap(), handwritten(HandWritten::new(folder)));
    let plain = opened(&plain, &[]).unwrap();
    let digits = |dataset: &dyn Dataset, split| match dataset.targets("digit", split) {
        Some(Targets::Classes { labels, .. }) => labels,
        other => panic!("{other:?}"),
    };
    let (training, validation) = (digits(&*held_out, Split::Train), digits(&*held_out, Split::Test));
    assert_eq!([training, validation].concat(), digits(&*plain, Split::Train));
    assert_ne!(held_out.digest(), plain.digest());
}

#[test]
fn frozen_audio_is_that_of_the_first_epoch_in_all_of_them() {
    let Some(folder) = real_data() else { return };
    let open = |frozen_audio| {
        let source = HandWritten { frozen_audio, ..HandWritten::new(&folder) };
        opened(&handwritten(source), &["mel", "noise-1"]).unwrap()
    };
    let row = |dataset: &dyn Dataset, modality, epoch| {
        let mut row = vec![0.0; dataset.width(modality).unwrap()];
        dataset.read(modality, Split::Train, 7, epoch, &mut row).unwrap();
        row
    };
    let (frozen, fresh) = (open(true), open(false));
    assert_eq!(row(&*frozen, "mel", 5), row(&*fresh, "mel", 0));
    assert_ne!(row(&*fresh, "mel", 5), row(&*fresh, "mel", 0));
    assert_eq!(row(&*frozen, "noise-1", 5), row(&*fresh, "noise-1", 5));
    frozen.read_ahead("mel", Split::Train, &[(7, 3)]);
    assert_eq!(row(&*frozen, "mel", 3), row(&*fresh, "mel", 0));
}

#[test]
fn a_recording_has_the_standardised_spectrogram_that_librosa_gives_it() {
    let Some(folder) = real_data() else { return };
    let dataset = opened(&handwritten(HandWritten::new(folder)), &["mel"]).unwrap();
    // The first test clip: 0_george_0.wav.
    let sample = dataset.clusters().iter().position(|&cluster| cluster == 0).unwrap();
    let mut computed = vec![0.0; 512];
    dataset.read("mel", Split::Test, sample, 0, &mut computed).unwrap();
    let lines = GEORGE.lines().filter(|line| !line.starts_with('#'));
    let expected: Vec<f32> =
        lines.flat_map(|line| line.split(' ').map(|value| value.parse::<f32>().unwrap())).collect();
    assert_eq!(expected.len(), 512);
    for (computed, expected) in computed.iter().zip(&expected) {
        assert!((computed - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{computed} {expected}");
    }
}

#[test]
fn the_published_files_are_recognised() {
    let Some(folder) = real_data() else { return };
    let report = verify_handwritten(&folder).unwrap();
    assert_eq!(report.files.len(), 4 + 3000);
    assert!(report.is_ok(), "{:?}", report.faults().next());
}

#[test]
fn its_description_says_what_is_there() {
    let Some(folder) = real_data() else { return };
    let info = handwritten(HandWritten::new(folder)).info().unwrap();
    let sizes: Vec<_> = info.splits.iter().map(|split| (split.samples, split.recordings)).collect();
    assert_eq!(sizes, [(60_000, 2_700), (10_000, 300)]);
    assert_eq!(info.splits[1].per_digit[..3], [980, 1135, 1032]);
    assert!(info.bytes > 30_000_000);
}
