//! What the values of a task's file mean: classes by number, by name, by column, or values; and the notes on each.

use crate::folders::arrays;
use pom2dib_data::{
    About, ArraySource, ArrayTask, Balance, IGNORED, Label, Needs, Normalisation, Split, Targets, TaskKind,
    check_arrays, check_arrays_of,
};
use randomness::Seed;
use std::{fs, path::Path};

/// A .npy file of version 1.0.
fn npy(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

/// A column of float64.
fn column(values: &[f64]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<f8", false, &format!("({},)", values.len()), &bytes)
}

fn integers(values: &[i64]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<i8", false, &format!("({},)", values.len()), &bytes)
}

/// Texts of at most seven characters.
fn texts(values: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let letters = value.chars().map(u32::from).chain(std::iter::repeat(0)).take(7);
        letters.for_each(|letter| bytes.extend(letter.to_le_bytes()));
    }
    npy("<U7", false, &format!("({},)", values.len()), &bytes)
}

/// Rows of float32.
fn rows(values: &[[f32; 3]]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    npy("<f4", false, &format!("({}, 3)", values.len()), &bytes)
}

fn folder(train: Vec<u8>, test: Vec<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lab.train.npy"), train).unwrap();
    fs::write(folder.path().join("lab.test.npy"), test).unwrap();
    folder
}

fn source(folder: &Path, task: ArrayTask) -> ArraySource {
    ArraySource {
        folder: folder.into(),
        normalisation: Normalisation::None,
        noise_width: 5,
        tasks: vec![task],
    }
}

/// Targets of both splits, and the notes on them.
fn opened(folder: &Path, task: ArrayTask) -> Result<([Targets; 2], About), String> {
    let needs = Needs { modalities: &[], tasks: &["lab".to_owned()] };
    let source = arrays(source(folder, task));
    let data = source.open(Seed::from_number(1), &needs).map_err(|error| error.to_string())?;
    let targets = [Split::Train, Split::Test].map(|split| data.targets("lab", split).unwrap());
    Ok((targets, data.about("lab")))
}

fn plain() -> ArrayTask {
    ArrayTask::plain("lab")
}

fn classes(labels: &[u32], classes: usize) -> Targets {
    Targets::Classes { labels: labels.to_vec(), classes }
}

/// Whether a file of floats is taken for classes, and all notes on it.
fn floats_are_classes(train: &[f64], test: &[f64]) -> (bool, String) {
    let folder = folder(column(train), column(test));
    let ([train, _], about) = opened(folder.path(), plain()).unwrap();
    (matches!(train, Targets::Classes { .. }), about.notes.join("; "))
}

#[test]
fn floats_are_classes_only_if_they_are_exactly_0_to_c_minus_1() {
    let (is_classes, said) = floats_are_classes(&[0., 2., 1., 1.], &[1., 2.]);
    assert!(is_classes && said.contains("lab.train.npy: whole numbers 0 to 2 as float64"), "{said}");
    assert!(said.contains("learnt as 3 classes (kind = \"regression\""), "{said}");
    for (train, test) in [
        (vec![1., 2., 3.], vec![1., 2.]),
        (vec![0., 1., 3.], vec![1.]),
        (vec![0., 1., 2.], vec![3.]),
        (vec![-1., 0., 1.], vec![0.]),
        (vec![0., 0., 0.], vec![0.]),
        ((0..101).map(f64::from).collect(), vec![1.]),
    ] {
        let (is_classes, said) = floats_are_classes(&train, &test);
        assert!(!is_classes, "{train:?} {test:?}");
        assert!(said.contains("learnt as values (kind = \"classification\""), "{said}");
    }
    assert!(floats_are_classes(&(0..100).map(f64::from).collect::<Vec<_>>(), &[99.]).0);
    for (train, test) in [(vec![0., 1., 0.5], vec![1.]), (vec![0., 1., 1.], vec![0.5])] {
        let (is_classes, said) = floats_are_classes(&train, &test);
        assert!(!is_classes && said.contains("learnt as values"), "{said}");
    }
    // Where the scenario gives the kind, no note explains how it was guessed.
    let folder = folder(column(&[0., 1., 2.]), column(&[1.]));
    let of_kind = |kind| opened(folder.path(), ArrayTask { kind: Some(kind), ..plain() }).unwrap();
    let ([train, _], about) = of_kind(TaskKind::Regression);
    assert!(matches!(train, Targets::Values { .. }) && about.notes.is_empty());
    let ([train, _], about) = of_kind(TaskKind::Classification);
    assert!(matches!(train, Targets::Classes { .. }) && about.notes.is_empty());
}

#[test]
fn texts_are_classes_in_the_order_of_the_alphabet() {
    let folder = folder(texts(&["dog", "cat", "dog", "é"]), texts(&["é", "cat"]));
    let (targets, about) = opened(folder.path(), plain()).unwrap();
    assert_eq!(targets, [classes(&[1, 0, 1, 2], 3), classes(&[2, 0], 3)]);
    assert_eq!(about.names, ["cat", "dog", "é"]);
    assert!(about.notes[0].contains("3 classes from 0: \"cat\", \"dog\""), "{:?}", about.notes);
    let bytes = npy("|S3", false, "(3,)", b"b\0\0a\0\0b\0\0");
    fs::write(folder.path().join("lab.train.npy"), bytes).unwrap();
    let line = opened(folder.path(), plain()).unwrap_err();
    assert!(line.contains("lab.test.npy: row 0 is \"é\", which no row of lab.train.npy is"), "{line}");
    fs::write(folder.path().join("lab.test.npy"), integers(&[0, 1])).unwrap();
    let line = opened(folder.path(), plain()).unwrap_err();
    assert!(line.contains("lab.test.npy: holds int64, but lab.train.npy bytes"), "{line}");
    let source = source(folder.path(), plain());
    let needs = Needs { modalities: &["lab".to_owned()], tasks: &[] };
    let line = arrays(source).open(Seed::from_number(1), &needs).err().unwrap().to_string();
    assert!(line.contains("lab.train.npy: holds texts, which only a task can have"), "{line}");
}

#[test]
fn one_hot_rows_are_understood_as_integers_and_as_floats() {
    let hot = [[0., 1., 0.], [1., 0., 0.], [0., 1., 0.]];
    let sound = folder(rows(&hot), rows(&[[0., 0., 1.]]));
    let (targets, about) = opened(sound.path(), plain()).unwrap();
    assert_eq!(targets, [classes(&[1, 0, 1], 3), classes(&[2], 3)]);
    assert!(about.notes[0].contains("one-hot rows, learnt as 3 classes"), "{:?}", about.notes);
    assert!(about.notes[1].contains("class 2 is in no row, of 3"), "{:?}", about.notes);
    fs::write(sound.path().join("lab.train.npy"), npy("|u1", false, "(2, 3)", &[0, 1, 0, 1, 0, 0])).unwrap();
    assert_eq!(opened(sound.path(), plain()).unwrap().0[0], classes(&[1, 0], 3));
    fs::write(sound.path().join("lab.train.npy"), npy("|u1", false, "(2, 3)", &[0, 1, 1, 1, 0, 0])).unwrap();
    let line = opened(sound.path(), plain()).unwrap_err();
    assert!(
        line.contains("lab.train.npy: has 3 values a row") && line.contains("single 1 among zeros"),
        "{line}"
    );
    // Floats that are not one-hot are values, as ever.
    let values = folder(rows(&hot), rows(&[[0., 0.5, 1.]]));
    assert!(matches!(opened(values.path(), plain()).unwrap().0[0], Targets::Values { width: 3, .. }));
}

#[test]
fn labels_that_do_not_count_from_0_without_gaps_are_named() {
    let said = |train: &[i64], test: &[i64]| {
        let folder = folder(integers(train), integers(test));
        opened(folder.path(), plain()).map(|(_, about)| about.notes.join("; "))
    };
    let notes = said(&[1, 2, 3], &[1]).unwrap();
    assert!(
        notes.contains("lab.train.npy: class 0 is in no row, of 4") && notes.contains("subtract 1"),
        "{notes}"
    );
    let notes = said(&[0, 1000, 2000], &[0]).unwrap();
    assert!(notes.contains("classes 1 to 999, 1001 to 1999 are in no row, of 2001"), "{notes}");
    let notes = said(&[0, 1, 255, 2], &[0]).unwrap();
    assert!(notes.contains("classes 3 to 254 are in no row") && notes.contains("ignore = 255"), "{notes}");
    assert_eq!(said(&[0, 1, 2], &[0]).unwrap(), "");
    let line = said(&[0, 1, -1], &[0]).unwrap_err();
    assert!(line.contains("lab.train.npy: row 2 is of class -1") && line.contains("ignore = -1"), "{line}");
}

#[test]
fn ignored_labels_are_none_in_every_form() {
    let ignoring = |folder: &Path, ignore: Vec<Label>| opened(folder, ArrayTask { ignore, ..plain() });
    let by_number = folder(integers(&[0, -1, 1, 255]), integers(&[255, 1]));
    let ignore = vec![Label::Number(-1), Label::Number(255)];
    let (targets, about) = ignoring(by_number.path(), ignore.clone()).unwrap();
    assert_eq!(targets, [classes(&[0, IGNORED, 1, IGNORED], 2), classes(&[IGNORED, 1], 2)]);
    assert!(about.notes.is_empty());
    let balance = Balance::of(&targets[0], &targets[1]).unwrap();
    assert_eq!((balance.train, balance.test), (vec![1, 1], vec![0, 1]));
    let as_floats = folder(column(&[0., -1., 1.]), column(&[1.]));
    assert_eq!(ignoring(as_floats.path(), ignore).unwrap().0[0], classes(&[0, IGNORED, 1], 2));
    let by_name = folder(texts(&["b", "?", "a"]), texts(&["?", "b"]));
    let ignore = vec![Label::Text("?".into())];
    let (targets, about) = ignoring(by_name.path(), ignore).unwrap();
    assert_eq!(targets, [classes(&[1, IGNORED, 0], 2), classes(&[IGNORED, 1], 2)]);
    assert_eq!(about.names, ["a", "b"]);
    let nothing_left = folder(integers(&[0, 1]), integers(&[9, 9]));
    let line = ignoring(nothing_left.path(), vec![Label::Number(9)]).unwrap_err();
    assert!(
        line.contains("lab.test.npy: has only labels that the receiver's key ignore leaves out"),
        "{line}"
    );
}

#[test]
fn fortran_order_and_headers_of_python_2_are_read() {
    let in_order = folder(rows(&[[0., 1., 2.], [3., 4., 5.]]), rows(&[[6., 7., 8.]]));
    let expected = opened(in_order.path(), plain()).unwrap().0;
    let turned: Vec<u8> = [0f32, 3., 1., 4., 2., 5.].iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(in_order.path().join("lab.train.npy"), npy("<f4", true, "(2L, 3L)", &turned)).unwrap();
    assert_eq!(opened(in_order.path(), plain()).unwrap().0, expected);
}

#[test]
fn what_arrays_are_as_tasks_is_reported_with_and_without_a_scenario() {
    let folder = folder(integers(&[0, 1, 1, 3]), integers(&[1, 0]));
    fs::write(folder.path().join("x.train.npy"), rows(&[[0.5; 3]; 4])).unwrap();
    fs::write(folder.path().join("x.test.npy"), rows(&[[0.5; 3]; 2])).unwrap();
    for name in ["lab.train.csv", "Other_train.mat", "lonely.npy", "notes.md", "._y.test.npy"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let report = check_arrays(folder.path(), false).unwrap();
    let [task] = report.tasks.as_slice() else { panic!("{:?}", report.tasks) };
    let balance = task.balance.as_ref().unwrap();
    assert_eq!((task.array.as_str(), task.kind), ("lab", Some("classification")));
    assert_eq!(
        (&*balance.train, &*balance.test, &*balance.empty),
        (&[1, 2, 0, 1][..], &[1, 1, 0, 0][..], &[2][..])
    );
    assert_eq!(balance.majority, 0.5);
    let unread: Vec<_> =
        report.unread.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(unread, ["Other_train.mat", "lab.train.csv", "lonely.npy"]);

    let named = |modalities: &[&str], tasks: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        check_arrays_of(&source(folder.path(), plain()), &owned(modalities), &owned(tasks), true).unwrap()
    };
    assert_eq!(named(&["x", "noise-1"], &["lab"]).problems().count(), 0);
    let problems =
        |report: &pom2dib_data::ArrayReport| report.problems().map(str::to_owned).collect::<Vec<_>>();
    let report = named(&["gone", "x"], &["x"]);
    let [missing] = &*problems(&report) else { panic!("{:?}", problems(&report)) };
    assert!(missing.contains("gone.train.npy is missing"), "{missing}");
    // What only a run refuses: a label that no training row has.
    fs::write(folder.path().join("lab.test.npy"), integers(&[1, 7])).unwrap();
    assert_eq!(check_arrays(folder.path(), true).unwrap().problems().count(), 0);
    let report = named(&["x"], &["lab"]);
    assert!(problems(&report)[0].contains("lab.test.npy: row 1 is of class 7"), "{:?}", problems(&report));
    // Values that leave float32 once they are normalised.
    let large = |values: [f64; 2]| column(&values);
    fs::write(folder.path().join("wide.train.npy"), large([1.0, 1.0 + 1e-14])).unwrap();
    fs::write(folder.path().join("wide.test.npy"), large([3e38, 1.0])).unwrap();
    let source = ArraySource { normalisation: Normalisation::Standard, ..source(folder.path(), plain()) };
    let report = check_arrays_of(&source, &["wide".into()], &[], true).unwrap();
    assert!(
        problems(&report)[0].contains("wide.test.npy: row 0 leaves float32's range"),
        "{:?}",
        problems(&report)
    );
}

#[test]
fn a_missing_array_is_told_what_is_there_in_its_stead() {
    let folder = folder(integers(&[0, 1]), integers(&[0]));
    fs::remove_file(folder.path().join("lab.train.npy")).unwrap();
    fs::write(folder.path().join("lab_train.csv"), "").unwrap();
    let line = opened(folder.path(), plain()).unwrap_err();
    assert!(
        line.contains("lab.train.npy is missing") && line.contains("lab_train.csv is read by nobody"),
        "{line}"
    );
}
