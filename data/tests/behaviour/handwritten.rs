//! HandWritten: the real data, where there is some, and how it is prepared.

use std::{collections::BTreeSet, path::Path};

use crate::{
    folders::{handwritten, opened, small_folder},
    real_data::real_data,
};
use pom2dib_data::{Chosen, Dataset, HandWritten, Scaling, Settings, Split, Targets, verify_handwritten};
use serde_json::Value;

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

/// The data set with keys of its preparation.
fn prepared(folder: &Path, keys: &[(&str, Value)]) -> Box<dyn Dataset> {
    let settings = Settings::new("handwritten", Some(folder.into()));
    let settings = keys.iter().fold(settings, |settings, (key, value)| settings.with(key, value.clone()));
    opened(&Chosen::new(settings).unwrap(), &["fft", "mel", "noise-1"]).unwrap()
}

fn row(dataset: &dyn Dataset, modality: &str, split: Split, sample: usize, epoch: u64) -> Vec<f32> {
    let mut row = vec![0.0; dataset.width(modality).unwrap()];
    dataset.read(modality, split, sample, epoch, &mut row).unwrap();
    row
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

/// Mean and standard deviation of every position over rows.
fn positions(rows: &[Vec<f32>]) -> Vec<(f64, f64)> {
    let mean = |of: &dyn Fn(&Vec<f32>) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
    let position = |at: usize| {
        let middle = mean(&|row| f64::from(row[at]));
        (middle, mean(&|row| (f64::from(row[at]) - middle).powi(2)).sqrt())
    };
    (0..rows[0].len()).map(position).collect()
}

#[test]
fn every_position_is_standardised_where_that_is_asked_for() {
    let folder = small_folder();
    for scale in ["standard", "log"] {
        let dataset = prepared(folder.path(), &[("image_scale", scale.into())]);
        let rows: Vec<_> = (0..40).map(|sample| row(&*dataset, "fft", Split::Train, sample, 0)).collect();
        for (mean, deviation) in positions(&rows) {
            assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-4, "{scale}: {mean} {deviation}");
        }
    }
    // Without augmentation a training sample has one of the clips that the means are over, and every test clip its own.
    let plain = [("augmentation", "none".into()), ("audio_scale", "standard".into())];
    let dataset = prepared(folder.path(), &plain);
    let Some(Targets::Classes { labels, .. }) = dataset.targets("digit", Split::Train) else { panic!() };
    let clips: BTreeSet<(u32, Vec<u32>)> = (0..40)
        .flat_map(|sample| (0..40).map(move |epoch| (sample, epoch)))
        .map(|(sample, epoch)| (labels[sample], bits(&row(&*dataset, "mel", Split::Train, sample, epoch))))
        .collect();
    assert_eq!(clips.len(), 10 * 2, "two takes of each digit are trained on; both speakers sound the same");
    let clips: Vec<Vec<f32>> =
        clips.into_iter().map(|(_, row)| row.into_iter().map(f32::from_bits).collect()).collect();
    for (mean, deviation) in positions(&clips) {
        assert!(mean.abs() < 1e-4 && (deviation - 1.0).abs() < 1e-3, "{mean} {deviation}");
    }
}

#[test]
fn each_clip_is_standardised_in_its_logarithm_where_that_is_asked_for() {
    let folder = small_folder();
    let (log, power) =
        (prepared(folder.path(), &[("audio_scale", "log".into())]), prepared(folder.path(), &[]));
    let (log, power) = (row(&*log, "mel", Split::Test, 3, 0), row(&*power, "mel", Split::Test, 3, 0));
    let [(mean, deviation)] = positions(&log.iter().map(|&value| vec![value]).collect::<Vec<_>>())[..] else {
        panic!("one position")
    };
    assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5);
    // What is louder stays louder.
    let order = |values: &[f32]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
        order
    };
    assert_eq!(order(&log).last(), order(&power).last());
    assert_ne!(log, power);
}

/// A test row before its last scaling, by the constants of the data set.
fn unscaled(dataset: &dyn Dataset, modality: &str, sample: usize) -> Vec<f64> {
    let Scaling { shift, scale } = dataset.scaling(modality).unwrap();
    let of = |constants: &[f64], at: usize| constants[at.min(constants.len() - 1)];
    let value = |(at, value): (usize, f32)| f64::from(value) * of(&scale, at) + of(&shift, at);
    row(dataset, modality, Split::Test, sample, 0).into_iter().enumerate().map(value).collect()
}

#[test]
fn the_constants_of_a_scaling_undo_it() {
    let folder = small_folder();
    let of = |key: &str, value: &str| prepared(folder.path(), &[(key, value.into())]);
    // The magnitudes of an image are the same, however they are scaled.
    let range = of("image_scale", "range");
    let (standard, log) = (of("image_scale", "standard"), of("image_scale", "log"));
    let allowed = 1e-5 * range.scaling("fft").unwrap().scale[0];
    for sample in 0..20 {
        let others = unscaled(&*standard, "fft", sample).into_iter().zip(unscaled(&*log, "fft", sample));
        for (magnitude, (same, log)) in unscaled(&*range, "fft", sample).into_iter().zip(others) {
            assert!((magnitude - same).abs() < allowed, "{magnitude} {same}");
            assert!((magnitude - libm::expm1(log)).abs() < allowed, "{magnitude} {log}");
        }
    }
    // Each clip is standardised by its own values, positions by constants.
    let (clip, standard) = (of("audio_scale", "clip"), of("audio_scale", "standard"));
    assert_eq!((clip.scaling("mel"), clip.scaling("noise-1")), (None, None));
    let clip = row(&*clip, "mel", Split::Test, 3, 0);
    for (power, same) in clip.into_iter().zip(unscaled(&*standard, "mel", 3)) {
        assert!((f64::from(power) - same).abs() < 1e-4, "{power} {same}");
    }
    // Unscaled, an image has the pixels of its file.
    let image = opened(&handwritten(HandWritten::new(folder.path())), &["image"]).unwrap();
    for (at, pixel) in unscaled(&*image, "image", 2).into_iter().enumerate() {
        let at = 2 * 784 + at;
        assert!((pixel - (at * at / (57 + 20) % 251) as f64).abs() < 1e-3, "{pixel}");
    }
}

#[test]
fn the_scripts_augmentation_has_22_copies_of_a_clip_with_the_same_masks() {
    let folder = small_folder();
    let script = prepared(folder.path(), &[("augmentation", "script".into())]);
    let (plain, moderate) =
        (prepared(folder.path(), &[("augmentation", "none".into())]), prepared(folder.path(), &[]));
    // Of a digit that is trained on with four clips (two takes of two speakers).
    let of = |dataset: &dyn Dataset, epochs| -> BTreeSet<Vec<u32>> {
        (0..epochs).map(|epoch| bits(&row(dataset, "mel", Split::Train, 7, epoch))).collect()
    };
    assert_eq!(of(&*script, 2000).len(), 4 * 22);
    // Both speakers sound the same.
    assert_eq!(of(&*plain, 200).len(), 2);
    assert_eq!(of(&*moderate, 200).len(), 200);
}

#[test]
fn frozen_audio_is_that_of_the_first_epoch_in_all_of_them() {
    let Some(folder) = real_data() else { return };
    let open = |frozen_audio: bool| prepared(&folder, &[("frozen_audio", frozen_audio.into())]);
    let row = |dataset: &dyn Dataset, modality, epoch| row(dataset, modality, Split::Train, 7, epoch);
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
