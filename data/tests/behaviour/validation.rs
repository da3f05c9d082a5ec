//! Rows to validate on: held out of training, by group where groups are known, or brought in files of their own.

use pom2dib_data::{
    ArrayTask, Chosen, DataError, Dataset, Divided, IGNORED, Needs, NewArray, Settings, Split, Targets,
    Trained, Values, write_npz,
};
use randomness::Seed;
use std::{fs, path::Path};

use crate::folders::{small_folder, write_wav};

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
fn an_array_groups_test_rows_into_recordings() {
    let folder = folder();
    write(folder.path(), "take.test", vec![2.0, 2.0, 0.5, 0.5]);
    let Divided { train, validation } = divide(settings(folder.path()), 1, &["left"], &[]).unwrap();
    assert_eq!(train.recordings(Some("take")).unwrap(), Some(vec![0, 0, 1, 1]));
    assert_eq!(train.recordings(None).unwrap(), None);
    // Held-out rows are not known to be in order of time.
    assert_eq!(validation.unwrap().recordings(Some("take")).unwrap(), None);

    write(folder.path(), "take.test", vec![2.0; 5]);
    let refused = train.recordings(Some("take")).unwrap_err().to_string();
    assert!(refused.contains("take.test.npz") && refused.contains("as evaluation.recordings"), "{refused}");
    assert!(refused.contains("each of the 4 test rows") && refused.lines().count() == 1, "{refused}");
    assert!(train.recordings(Some("nothing")).unwrap_err().to_string().contains("nothing.test"));
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
fn digits_have_held_out_images_with_recordings_that_are_held_out_too() {
    let folder = small_folder();
    let mut sides = [0, 0];
    let before = heard(folder.path(), None);
    for digit in 0..10 {
        for (speaker, take) in [("anna", 5), ("anna", 6), ("bert", 5), ("bert", 6)] {
            let file = folder.path().join(format!("fsdd/recordings/{digit}_{speaker}_{take}.wav"));
            let content = fs::read(&file).unwrap();
            write_wav(&file, 8000, 1, (0..2500).map(|at: i32| (at * at % 9000) as i16));
            let [trained, validated] = heard(folder.path(), None);
            fs::write(&file, content).unwrap();
            let changed = [trained != before[0], validated != before[1]];
            assert_ne!(changed, [true, true], "{digit}_{speaker}_{take} is heard on both sides");
            sides[0] += usize::from(changed[0]);
            sides[1] += usize::from(changed[1]);
        }
    }
    assert!(sides[0] > 10 && sides[1] > 5, "{sides:?}");
}

#[test]
fn a_speaker_is_heard_on_one_side_where_groups_are_speakers() {
    let folder = small_folder();
    let before = heard(folder.path(), Some("speaker"));
    let mut changed = Vec::new();
    for speaker in ["anna", "bert"] {
        let files = || (0..10).flat_map(|digit| [5, 6].map(|take| format!("{digit}_{speaker}_{take}.wav")));
        let place = |name: String| folder.path().join("fsdd/recordings").join(name);
        let contents: Vec<Vec<u8>> = files().map(|name| fs::read(place(name)).unwrap()).collect();
        for name in files() {
            write_wav(&place(name), 8000, 1, (0..2500).map(|at: i32| (at * at % 9000) as i16));
        }
        let after = heard(folder.path(), Some("speaker"));
        changed.push([after[0] != before[0], after[1] != before[1]]);
        files().zip(contents).for_each(|(name, content)| fs::write(place(name), content).unwrap());
    }
    changed.sort_unstable();
    assert_eq!(changed, [[false, true], [true, false]]);

    let refused = |groups: &str| {
        let settings = Settings::new("handwritten", Some(folder.path().into()));
        divide(settings.with("hold_out", 0.3).with("groups", groups), 1, &["mel"], &[])
            .err()
            .unwrap()
            .to_string()
    };
    assert!(
        refused("age").contains("data.groups = \"age\", which must be \"speaker\""),
        "{}",
        refused("age")
    );
    for entry in fs::read_dir(folder.path().join("fsdd/recordings")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("bert") {
            fs::remove_file(path).unwrap();
        }
    }
    let alone = refused("speaker");
    assert!(alone.contains("fsdd/recordings: holds a single speaker of digit 0"), "{alone}");
}

/// All that training hears of a folder like HandWritten's in three epochs, and all that validation hears.
fn heard(folder: &Path, groups: Option<&str>) -> [Vec<f32>; 2] {
    let mut settings = Settings::new("handwritten", Some(folder.into())).with("hold_out", 0.3);
    if let Some(groups) = groups {
        settings = settings.with("groups", groups);
    }
    let Divided { train, validation } = divide(settings, 1, &["mel"], &[]).unwrap();
    let validation = validation.unwrap();
    assert_eq!((train.samples(Split::Train), validation.samples(Split::Test)), (28, 12));
    [mels(train.as_ref(), Split::Train, 3), mels(validation.as_ref(), Split::Test, 1)]
}

/// All spectrograms of a split in its first epochs.
fn mels(dataset: &dyn Dataset, split: Split, epochs: u64) -> Vec<f32> {
    let mut values = Vec::new();
    for epoch in 0..epochs {
        for sample in 0..dataset.samples(split) {
            let mut out = vec![0.0; dataset.width("mel").unwrap()];
            dataset.read("mel", split, sample, epoch, &mut out).unwrap();
            values.extend(out);
        }
    }
    values
}

#[test]
fn the_test_split_has_all_of_the_test_speaker_and_no_others() {
    let folder = small_folder();
    let settings = || Settings::new("handwritten", Some(folder.path().into())).with("hold_out", 0.3);
    let of_bert = || settings().with("test_speaker", "bert");
    let all = |settings: Settings| {
        let Divided { train, validation } = divide(settings, 1, &["mel"], &[]).unwrap();
        let validation = validation.unwrap();
        [
            mels(train.as_ref(), Split::Train, 3),
            mels(validation.as_ref(), Split::Test, 1),
            mels(train.as_ref(), Split::Test, 1),
        ]
    };
    let before = all(of_bert());
    for (speaker, expected) in [("anna", [true, true, false]), ("bert", [false, false, true])] {
        let files =
            || (0..10).flat_map(|digit| (0..7).map(move |take| format!("{digit}_{speaker}_{take}.wav")));
        let place = |name: String| folder.path().join("fsdd/recordings").join(name);
        let contents: Vec<Vec<u8>> = files().map(|name| fs::read(place(name)).unwrap()).collect();
        for name in files() {
            write_wav(&place(name), 8000, 1, (0..2500).map(|at: i32| (at * at % 9000) as i16));
        }
        let after = all(of_bert());
        let changed = [0, 1, 2].map(|side| after[side] != before[side]);
        assert_eq!(changed, expected, "train, validation and test with other recordings of {speaker}");
        files().zip(contents).for_each(|(name, content)| fs::write(place(name), content).unwrap());
    }
    // All takes of bert are tested, also those that would be trained on otherwise.
    let info = Chosen::new(of_bert()).unwrap().info().unwrap();
    let recordings: Vec<_> = info.splits.iter().map(|split| split.recordings).collect();
    assert_eq!(recordings, [20, 70]);
}

#[test]
fn the_test_speaker_changes_the_digest_and_must_exist() {
    let folder = small_folder();
    let settings = || Settings::new("handwritten", Some(folder.path().into()));
    let digest =
        |settings: Settings| divide(settings.with("hold_out", 0.3), 1, &[], &[]).unwrap().train.digest();
    let by = |speaker: &str| settings().with("test_speaker", speaker);
    let digests = [digest(settings()), digest(by("anna")), digest(by("bert"))];
    assert_eq!(digests.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    let refused = |speaker: &str| {
        let refused = divide(by(speaker), 1, &["mel"], &[]).err().unwrap().to_string();
        assert_eq!(refused.lines().count(), 1, "{refused}");
        refused
    };
    let unknown = refused("Bert");
    assert!(unknown.ends_with("data.test_speaker names \"Bert\"; the speakers are anna, bert"), "{unknown}");
    for entry in fs::read_dir(folder.path().join("fsdd/recordings")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("bert") {
            fs::remove_file(path).unwrap();
        }
    }
    let alone = refused("anna");
    assert!(alone.contains("data.test_speaker is \"anna\", but "), "{alone}");
    assert!(alone.ends_with("fsdd/recordings holds no training recordings of other speakers"), "{alone}");
    // With either test speaker a network can be used on recordings of anna alone.
    let modalities = ["mel".to_owned()];
    let needs = Needs { modalities: &modalities, tasks: &[] };
    for speaker in ["bert", "anna"] {
        let (source, seed) = (Chosen::new(by(speaker)).unwrap(), Seed::from_number(1));
        let rows = source.open_rows(seed, &needs, Split::Test, &Trained::default());
        let rows = rows.unwrap_or_else(|error| panic!("{speaker}: {error}"));
        assert!(rows.samples(Split::Test) > 0, "{speaker}");
    }
}

#[test]
fn nothing_is_fitted_on_rows_that_are_held_out() {
    for seed in 1..=6 {
        let folder = folder();
        let values = (0..20).map(|row| (row * row) as f32 + 0.5).collect();
        write(folder.path(), "size.train", values);
        write(folder.path(), "size.test", vec![0.5; 4]);
        let settings = Settings {
            tasks: vec![ArrayTask::plain("size")],
            ..settings(folder.path()).with("normalisation", "standard")
        };
        let plain = settings.clone().with("normalisation", "none");
        let Divided { train, .. } = divide(plain, seed, &["left"], &[]).unwrap();
        let rows = rows(train.as_ref(), Split::Train);
        let Divided { train, .. } = divide(settings, seed, &["left"], &["size"]).unwrap();
        assert_eq!(train.kept().len(), 2);
        for kept in train.kept() {
            let value = |row: usize| if kept.name == "left" { row as f64 } else { (row * row) as f64 + 0.5 };
            let mean = rows.iter().map(|&row| value(row)).sum::<f64>() / rows.len() as f64;
            assert!((kept.shift()[0] - mean).abs() < 1e-9, "{}: {} {mean}", kept.name, kept.shift()[0]);
        }

        let folder = small_folder();
        let settings = Settings::new("handwritten", Some(folder.path().into())).with("hold_out", 0.3);
        let Divided { train, .. } = divide(settings, seed, &["fft"], &[]).unwrap();
        let spectra = all_values(train.as_ref(), "fft");
        let ends =
            spectra.iter().fold((1.0f32, 0.0f32), |(low, high), &value| (low.min(value), high.max(value)));
        assert_eq!(ends, (0.0, 1.0), "the range of those that are trained on");
        assert!(spectra.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

fn all_values(dataset: &dyn Dataset, modality: &str) -> Vec<f32> {
    let mut values = Vec::new();
    for sample in 0..dataset.samples(Split::Train) {
        let mut out = vec![0.0; dataset.width(modality).unwrap()];
        dataset.read(modality, Split::Train, sample, 0, &mut out).unwrap();
        values.extend(out);
    }
    values
}
