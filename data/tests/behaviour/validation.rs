//! Rows to validate on: held out of training, by group where groups are known, or brought in files of their own.

use pom2dib_data::{
    ArrayTask, Chosen, DataError, Dataset, Divided, IGNORED, Needs, NewArray, Settings, Split, Targets,
    Values, write_npz,
};
use randomness::Seed;
use std::{fs, path::Path};

/// Twenty training rows of five speakers, whose only value is the row's number, and four test rows.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = |count: usize, of: &dyn Fn(usize) -> f32| (0..count).map(of).collect::<Vec<f32>>();
    write(folder.path(), "left.train", rows(20, &|row| row as f32));
    write(folder.path(), "left.test", rows(4, &|row| 100.0 + row as f32));
    write(folder.path(), "kind.train", rows(20, &|row| (row % 3) as f32));
    write(folder.path(), "kind.test", rows(4, &|row| (row % 3) as f32));
    write(folder.path(), "speaker.train", rows(20, &|row| 0.5 + (row / 4) as f32));
    folder
}

/// An archive with an array of one value a row.
fn write(folder: &Path, stem: &str, values: Vec<f32>) {
    let name = stem.split('.').next().unwrap().to_owned();
    let array = NewArray { name, shape: vec![values.len()], values: Values::Floats(values) };
    let mut content = std::io::Cursor::new(Vec::new());
    write_npz(&mut content, &[array]).unwrap();
    fs::write(folder.join(format!("{stem}.npz")), content.into_inner()).unwrap();
}

fn settings(folder: &Path) -> Settings {
    Settings {
        transmitters: vec![vec!["left".into(), "noise-1".into()]],
        tasks: vec![ArrayTask::plain("kind")],
        ..Settings::new("arrays", Some(folder.into())).with("normalisation", "none").with("hold_out", 0.3)
    }
}

fn divide(settings: Settings, seed: u64, modalities: &[&str], tasks: &[&str]) -> Result<Divided, DataError> {
    let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
    let needs = Needs { modalities: &owned(modalities), tasks: &owned(tasks) };
    let (source, seed) = (Chosen::new(settings).unwrap(), Seed::from_number(seed));
    source.divide(source.open(seed, &needs)?, seed, &needs, 0.3)
}

/// The numbers of the rows of a split, of which `left` is the value.
fn rows(dataset: &dyn Dataset, split: Split) -> Vec<usize> {
    let read = |sample| {
        let mut out = [0.0];
        dataset.read("left", split, sample, 0, &mut out).unwrap();
        out[0] as usize
    };
    (0..dataset.samples(split)).map(read).collect()
}

fn labels(dataset: &dyn Dataset, split: Split) -> Vec<u32> {
    let Some(Targets::Classes { labels, .. }) = dataset.targets("kind", split) else { panic!("no classes") };
    labels
}

#[test]
fn what_is_held_out_is_not_trained_on_and_every_node_holds_the_same_out() {
    let folder = folder();
    let Divided { train, validation } = divide(settings(folder.path()), 1, &["left"], &["kind"]).unwrap();
    let validation = validation.unwrap();
    let (kept, held) = (rows(train.as_ref(), Split::Train), rows(validation.as_ref(), Split::Test));
    assert_eq!((kept.len(), held.len()), (14, 6));
    let mut all = [kept.clone(), held.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
    assert!(kept.is_sorted() && held.is_sorted());
    assert_eq!(rows(train.as_ref(), Split::Test), [100, 101, 102, 103], "the test set is as it was");
    let class = |rows: &[usize]| rows.iter().map(|row| (row % 3) as u32).collect::<Vec<_>>();
    assert_eq!(labels(train.as_ref(), Split::Train), class(&kept));
    assert_eq!(labels(validation.as_ref(), Split::Test), class(&held));

    let receiver = divide(settings(folder.path()), 1, &[], &["kind"]).unwrap();
    assert_eq!(receiver.train.digest(), train.digest());
    assert_eq!(labels(receiver.train.as_ref(), Split::Train), class(&kept));
    let other = divide(settings(folder.path()), 2, &["left"], &["kind"]).unwrap();
    assert_ne!(other.train.digest(), train.digest());
}

#[test]
fn a_group_is_held_out_as_a_whole() {
    let folder = folder();
    let of_speakers = settings(folder.path()).with("groups", "speaker");
    let Divided { train, validation } = divide(of_speakers.clone(), 1, &["left"], &[]).unwrap();
    let held = rows(validation.unwrap().as_ref(), Split::Test);
    assert_eq!(held.len(), 8, "two speakers of four rows each are the first to be 30 %");
    let speakers = |rows: &[usize]| rows.iter().map(|row| row / 4).collect::<std::collections::BTreeSet<_>>();
    assert!(speakers(&held).is_disjoint(&speakers(&rows(train.as_ref(), Split::Train))));

    write(folder.path(), "speaker.train", vec![1.0; 19]);
    let refused = divide(of_speakers.clone(), 1, &["left"], &[]).err().unwrap().to_string();
    assert!(
        refused.contains("speaker.train.npz") && refused.contains("each of the 20 training rows"),
        "{refused}"
    );
    write(folder.path(), "speaker.train", vec![1.0; 20]);
    let refused = divide(of_speakers, 1, &["left"], &[]).err().unwrap().to_string();
    assert!(refused.contains("20 training rows in a single group"), "{refused}");
}

#[test]
fn files_for_validation_are_taken_and_all_rows_are_trained_on() {
    let folder = folder();
    write(folder.path(), "left.validation", vec![50.0, 51.0, 52.0]);
    let missing = divide(settings(folder.path()), 1, &[], &["kind"]).err().unwrap().to_string();
    assert!(missing.contains("kind.validation.npy"), "{missing}");

    write(folder.path(), "kind.validation", vec![2.0, 2.0, 0.0]);
    let Divided { train, validation } =
        divide(settings(folder.path()), 1, &["left", "noise-1"], &["kind"]).unwrap();
    let validation = validation.unwrap();
    assert_eq!(rows(train.as_ref(), Split::Train), (0..20).collect::<Vec<_>>());
    assert_eq!(rows(validation.as_ref(), Split::Test), [50, 51, 52]);
    assert_eq!(labels(validation.as_ref(), Split::Test), [2, 2, 0]);
    let noise = |dataset: &dyn Dataset, split| {
        let mut out = vec![0.0; dataset.width("noise-1").unwrap()];
        dataset.read("noise-1", split, 0, 0, &mut out).unwrap();
        out
    };
    assert_ne!(noise(validation.as_ref(), Split::Test), noise(train.as_ref(), Split::Test), "of other rows");

    write(folder.path(), "kind.validation", vec![2.0, 7.0, 0.0]);
    let refused = divide(settings(folder.path()), 1, &[], &["kind"]).err().unwrap().to_string();
    assert!(refused.contains("kind.validation.npz") && refused.contains("class 7"), "{refused}");
    write(folder.path(), "kind.validation", vec![2.0, 0.0]);
    let refused = divide(settings(folder.path()), 1, &["left"], &["kind"]).err().unwrap().to_string();
    assert!(refused.contains("kind.validation.npz: has 2 rows"), "{refused}");
    assert!(!labels(train.as_ref(), Split::Train).contains(&IGNORED));
}

#[test]
fn held_out_rows_of_digits_are_heard_as_in_no_epoch_of_training() {
    let source = Chosen::new(Settings::new("digits", None)).unwrap();
    let (seed, mel) = (Seed::from_number(1), ["mel".to_owned()]);
    let needs = Needs { modalities: &mel, tasks: &[] };
    let Divided { train, validation } =
        source.divide(source.open(seed, &needs).unwrap(), seed, &needs, 0.1).unwrap();
    let validation = validation.unwrap();
    let all = source.open(seed, &needs).unwrap().samples(Split::Train);
    assert_eq!(validation.samples(Split::Test), all.div_ceil(10));
    assert_eq!(train.samples(Split::Train) + validation.samples(Split::Test), all);
    let read = |epoch| {
        let mut out = vec![0.0; validation.width("mel").unwrap()];
        validation.read("mel", Split::Test, 3, epoch, &mut out).unwrap();
        out
    };
    assert_eq!(read(0), read(7), "always the same");
}
