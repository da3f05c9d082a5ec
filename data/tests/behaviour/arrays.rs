//! Arrays of anybody's own: what is read of them, and how every malformed file is refused.

use crate::folders::arrays;
use pom2dib_data::{
    ArraySource, ArrayTask, Chosen, Dataset, Kept, Needs, Normalisation, Split, Targets, TaskKind,
    check_arrays,
};
use randomness::Seed;
use std::{fs, io::Write, path::Path};

/// A .npy file of version 1.0 with this dictionary.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A .npz archive of these members.
fn npz(members: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        archive
            .start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method))
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A .safetensors file of one tensor.
fn safetensors_file(name: &str, dtype: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!(
        "{{\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[0,{}]}}}}",
        values.len()
    );
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// Four training and two test samples: `left` (2 x 1 values), `right` (3 values), and tasks `kind` (classes) and
/// `place` (values).
fn sound_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: Vec<u8>| fs::write(folder.path().join(name), content).unwrap();
    write("left.train.npy", npy("<f4", "(4, 2, 1)", &floats(&[1., 10., 2., 10., 3., 10., 4., 10.])));
    write("left.test.npy", npy("<f4", "(2, 2, 1)", &floats(&[5., 10., 1., 11.])));
    let right = npy("|u1", "(4, 3)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    write("right.train.npz", npz(&[("arr_0.npy", right)], zip::CompressionMethod::Stored));
    let right = npy("|u1", "(2, 3)", &[5, 5, 5, 6, 6, 6]);
    write(
        "right.test.npz",
        npz(
            &[("other.npy", npy("|u1", "(1,)", &[1])), ("right.npy", right)],
            zip::CompressionMethod::Deflated,
        ),
    );
    write("kind.train.npy", npy(">i2", "(4,)", &[0, 0, 0, 2, 0, 1, 0, 0]));
    write("kind.test.npy", npy("<i8", "(2,)", &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    write("place.train.safetensors", safetensors_file("place", "F32", "[4,1]", &floats(&[1., 3., 1., 3.])));
    write("place.test.safetensors", safetensors_file("place", "F32", "[2,1]", &floats(&[2., 7.])));
    folder
}

fn source(folder: &Path, normalisation: Normalisation, tasks: &[ArrayTask]) -> Chosen {
    arrays(ArraySource { folder: folder.into(), normalisation, noise_width: 5, tasks: tasks.to_vec() })
}

fn opened(
    folder: &Path,
    normalisation: Normalisation,
    modalities: &[&str],
    tasks: &[&str],
) -> Result<Box<dyn Dataset>, String> {
    let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
    let needs = Needs { modalities: &owned(modalities), tasks: &owned(tasks) };
    source(folder, normalisation, &[]).open(Seed::from_number(1), &needs).map_err(|error| error.to_string())
}

fn read(dataset: &dyn Dataset, modality: &str, split: Split, sample: usize) -> Vec<f32> {
    let mut out = vec![0.0; dataset.width(modality).unwrap()];
    dataset.read(modality, split, sample, 0, &mut out).unwrap();
    out
}

#[test]
fn a_node_reads_its_own_files_and_needs_no_others() {
    let folder = sound_folder();
    for name in ["right.train.npz", "kind.test.npy", "place.train.safetensors"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let left = opened(folder.path(), Normalisation::None, &["left", "noise-2"], &[]).unwrap();
    assert_eq!((left.samples(Split::Train), left.samples(Split::Test)), (4, 2));
    assert_eq!(read(left.as_ref(), "left", Split::Train, 2), [3.0, 10.0]);
    assert_eq!(read(left.as_ref(), "left", Split::Test, 1), [1.0, 11.0]);
    assert_eq!(read(left.as_ref(), "noise-2", Split::Train, 2).len(), 5);
    assert_eq!(left.width("right"), None);
}

#[test]
fn every_format_is_read_and_the_only_member_or_the_one_of_that_name_is_taken() {
    let folder = sound_folder();
    let data = opened(folder.path(), Normalisation::None, &["left", "right"], &["kind", "place"]).unwrap();
    assert_eq!(read(data.as_ref(), "right", Split::Train, 3), [9.0, 10.0, 11.0]);
    assert_eq!(read(data.as_ref(), "right", Split::Test, 1), [6.0, 6.0, 6.0]);
    let classes = |labels: &[u32]| Some(Targets::Classes { labels: labels.to_vec(), classes: 3 });
    assert_eq!(data.targets("kind", Split::Train), classes(&[0, 2, 1, 0]));
    assert_eq!(data.targets("kind", Split::Test), classes(&[2, 1]));
    let values = |values: &[f32]| Some(Targets::Values { width: 1, values: values.to_vec() });
    assert_eq!(data.targets("place", Split::Test), values(&[2.0, 7.0]));
    assert_eq!(data.clusters(), [0, 1]);
}

#[test]
fn hidden_files_and_what_desktops_pack_are_nobodys() {
    let folder = sound_folder();
    let sound = check_arrays(folder.path(), true).unwrap();
    fs::write(folder.path().join("._left.train.npy"), "AppleDouble").unwrap();
    fs::write(folder.path().join(".left.test.npy"), "hidden").unwrap();
    let right = npy("|u1", "(4, 3)", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let members =
        [("__MACOSX/._arr_0.npy", b"AppleDouble".to_vec()), ("arr_0.npy", right), ("._b.npy", vec![])];
    fs::write(folder.path().join("right.train.npz"), npz(&members, zip::CompressionMethod::Deflated))
        .unwrap();
    assert_eq!(check_arrays(folder.path(), true).unwrap(), sound);
    let data = opened(folder.path(), Normalisation::None, &["right"], &[]).unwrap();
    assert_eq!(read(data.as_ref(), "right", Split::Train, 3), [9.0, 10.0, 11.0]);
}

#[test]
fn normalisation_is_that_of_the_training_rows_in_both_splits() {
    let folder = sound_folder();
    let data = opened(folder.path(), Normalisation::MinMax, &["left"], &[]).unwrap();
    assert_eq!(read(data.as_ref(), "left", Split::Train, 3), [1.0, 0.0]);
    assert_eq!(read(data.as_ref(), "left", Split::Test, 0), [4.0 / 3.0, 0.0]);
    let data = opened(folder.path(), Normalisation::Standard, &["left"], &["place"]).unwrap();
    let deviation = 1.25f64.sqrt();
    assert_eq!(read(data.as_ref(), "left", Split::Test, 0), [(2.5 / deviation) as f32, 0.0]);
    let expected = Targets::Values { width: 1, values: vec![0.0, 5.0] };
    assert_eq!(data.targets("place", Split::Test), Some(expected));
    assert_eq!(data.units("place"), Some(vec![1.0]));
}

#[test]
fn a_task_is_of_the_kind_and_has_the_classes_that_it_is_said_to() {
    let folder = sound_folder();
    let with = |name: &str, kind, classes| {
        let task = ArrayTask { kind, classes, ..ArrayTask::plain(name) };
        let needs = Needs { modalities: &[], tasks: &[name.to_owned()] };
        source(folder.path(), Normalisation::None, &[task])
            .open(Seed::from_number(1), &needs)
            .map(|data| data.targets(name, Split::Test).unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(with("kind", None, Some(7)), Ok(Targets::Classes { labels: vec![2, 1], classes: 7 }));
    let values = Ok(Targets::Values { width: 1, values: vec![2.0, 1.0] });
    assert_eq!(with("kind", Some(TaskKind::Regression), None), values);
    let refused = |outcome: Result<Targets, String>| outcome.unwrap_err();
    let line = refused(with("kind", None, Some(2)));
    assert!(
        line.contains("kind.train.npy: row 1 is of class 2, but classes are 0 to 1: the receiver's key"),
        "{line}"
    );
    let line = refused(with("place", Some(TaskKind::Classification), None));
    assert!(line.contains("place.test.safetensors: row 1 is of class 7, but classes are 0 to 3"), "{line}");
    let wave = safetensors_file("place", "F32", "[4,1]", &floats(&[1., 3.5, 1., 3.]));
    let whole = fs::read(folder.path().join("place.train.safetensors")).unwrap();
    fs::write(folder.path().join("place.train.safetensors"), wave).unwrap();
    let line = refused(with("place", Some(TaskKind::Classification), None));
    assert!(
        line.contains("place.train.safetensors: row 1 holds 3.5, but classes are whole numbers"),
        "{line}"
    );
    fs::write(folder.path().join("place.train.safetensors"), whole).unwrap();
    let line = refused(with("place", None, Some(3)));
    assert!(line.contains("place.train.safetensors: is a task of values"), "{line}");
}

#[test]
fn a_checkpoint_gives_normalisation_back_and_finds_a_changed_file() {
    let folder = sound_folder();
    let mut data = opened(folder.path(), Normalisation::Standard, &["left"], &["place"]).unwrap();
    let kept = data.kept();
    assert_eq!(kept.iter().map(|kept| kept.name.as_str()).collect::<Vec<_>>(), ["left", "place"]);
    data.restore(&kept).unwrap();
    let moved = Kept::from_parts("left", kept[0].sha256, vec![1.0, 0.0], vec![2.0, 1.0]);
    data.restore(&[moved, kept[1].clone()]).unwrap();
    assert_eq!(read(data.as_ref(), "left", Split::Train, 2), [1.0, 10.0], "what the checkpoint holds counts");

    let test = npy("<f4", "(2, 2, 1)", &floats(&[5., 10., 1., 12.]));
    fs::write(folder.path().join("left.test.npy"), test).unwrap();
    let mut changed = opened(folder.path(), Normalisation::Standard, &["left"], &["place"]).unwrap();
    let line = changed.restore(&kept).unwrap_err().to_string();
    assert!(line.contains("left.test.npy: has changed since the checkpoint was saved"), "{line}");
    let line = changed.restore(&[]).unwrap_err().to_string();
    assert!(line.contains("left.train.npy: is not what the checkpoint was trained on"), "{line}");
    let unsound = Kept::from_parts("left", kept[0].sha256, vec![0.0, f64::NAN], vec![0.0, 1.0]);
    assert!(changed.restore(&[unsound]).is_err());
}

#[test]
fn a_file_that_is_cut_or_spoilt_in_mid_run_is_named() {
    let folder = sound_folder();
    let data = opened(folder.path(), Normalisation::Standard, &["left"], &[]).unwrap();
    let path = folder.path().join("left.train.npy");
    let mut content = fs::read(&path).unwrap();
    let end = content.len();
    content[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &content).unwrap();
    let mut row = [0.0; 2];
    let mut refused = |sample| data.read("left", Split::Train, sample, 0, &mut row).unwrap_err().to_string();
    assert!(refused(3).contains("left.train.npy: row 3 holds NaN"));
    fs::File::options().write(true).open(&path).unwrap().set_len(end as u64 - 6).unwrap();
    assert!(refused(3).contains("left.train.npy: "));
    data.read("left", Split::Train, 0, 0, &mut row).unwrap();
}

/// What is done to a sound folder, and words of the line that opening it must give.
type Case = (&'static str, fn() -> Vec<u8>, &'static [&'static str]);

const CASES: &[Case] = &[
    ("left.train.npy", || b"a,b\n1".to_vec(), &["left.train.npy", "ends within its header"]),
    ("left.train.npy", || vec![7; 200], &["left.train.npy", "does not begin with", "numpy.save"]),
    (
        "left.train.npy",
        || npy("<f4", "(4, 2, 1)", &floats(&[1.0; 7])),
        &["left.train.npy", "ends after 28 of the 32 bytes", "[4, 2, 1]"],
    ),
    (
        "left.train.npy",
        || npy("<f4", "(4, 2, 1)", &floats(&[1.0; 9])),
        &["left.train.npy", "goes on for 4 bytes", "one array a file"],
    ),
    (
        "left.train.npy",
        || npy("<f4", "(5, 2, 1)", &floats(&[1.0; 10])),
        &["right.train.npz", "has 4 rows", "left.train.npy", "has 5"],
    ),
    (
        "left.test.npy",
        || npy("<f4", "(2, 3)", &floats(&[1.0; 6])),
        &["left.test.npy", "[3]", "left.train.npy", "[2, 1]"],
    ),
    (
        "left.test.npy",
        || npy("<f4", "(2, 2, 1)", &floats(&[1.0, 1.0, f32::NAN, 1.0])),
        &["left.test.npy", "row 1 holds NaN", "leave the row out"],
    ),
    (
        "left.test.npy",
        || npy("<f8", "(2, 2, 1)", &[1.0, 1e300, 1.0, 1.0f64].map(f64::to_le_bytes).concat()),
        &["left.test.npy", "row 0 holds 1000000", "float32's range"],
    ),
    ("left.train.npy", || npy("|O", "(4,)", b"pickle"), &["left.train.npy", "\"|O\"", "astype"]),
    (
        "right.train.npz",
        || b"PK no archive".to_vec(),
        &["right.train.npz", "no readable .npz", "numpy.savez"],
    ),
    (
        "right.train.npz",
        || {
            npz(
                &[("a.npy", npy("|u1", "(4, 3)", &[0; 12])), ("b.npy", vec![])],
                zip::CompressionMethod::Stored,
            )
        },
        &["right.train.npz", "holds 2 arrays (\"a\", \"b\")", "none is called \"right\""],
    ),
    ("right.train.npz", || npz(&[], zip::CompressionMethod::Stored), &["right.train.npz", "holds no array"]),
    (
        "right.train.npz",
        || npz(&[("a.npy", npy("|u1", "(4, 3)", &[0; 11]))], zip::CompressionMethod::Deflated),
        &["right.train.npz", "its array ends after 11 of the 12 bytes"],
    ),
    (
        "right.train.npz",
        || {
            let mut archive =
                npz(&[("a.npy", npy("|u1", "(4, 3)", &[9; 12]))], zip::CompressionMethod::Stored);
            let at = archive.windows(12).position(|values| values == [9; 12]).unwrap();
            archive[at] = 8;
            archive
        },
        &["right.train.npz", "damaged archive", "checksum"],
    ),
    (
        "place.train.safetensors",
        || b"\xff\xff\xff\xff\0\0\0\0".to_vec(),
        &["place.train.safetensors", "claims a header of 4294967295 bytes"],
    ),
    (
        "place.train.safetensors",
        || [&7u64.to_le_bytes()[..], b"{\"a\":1}"].concat(),
        &["place.train.safetensors", "damaged header"],
    ),
    (
        "place.train.safetensors",
        || safetensors_file("place", "F32", "[4,1]", &floats(&[1.0; 4]))[..80].to_vec(),
        &["place.train.safetensors", "bytes of values, but 16 are due"],
    ),
    (
        "place.train.safetensors",
        || safetensors_file("place", "F8_E4M3", "[4,1]", &[1; 4]),
        &["place.train.safetensors", "F8_E4M3", "are needed"],
    ),
    (
        "kind.train.npy",
        || npy("|i1", "(4,)", &[0, 1, 0xff, 0]),
        &["kind.train.npy", "row 2 is of class -1", "count from 0"],
    ),
    ("kind.train.npy", || npy("|u1", "(4,)", &[0; 4]), &["kind.train.npy", "class 0 alone"]),
    (
        "kind.test.npy",
        || npy("|u1", "(2,)", &[0, 9]),
        &["kind.test.npy", "row 1 is of class 9", "0 to 2", "kind.train.npy"],
    ),
    (
        "kind.train.npy",
        || npy("|u1", "(4, 3)", &[0; 12]),
        &["kind.test.npy", "rows of shape []", "kind.train.npy", "[3]"],
    ),
];

#[test]
fn every_malformed_file_gives_the_one_line_that_names_it() {
    for (name, content, expected) in CASES {
        let folder = sound_folder();
        fs::write(folder.path().join(name), content()).unwrap();
        let outcome = opened(folder.path(), Normalisation::Standard, &["left", "right"], &["kind", "place"]);
        let line = outcome.err().unwrap_or_else(|| panic!("{name}, {expected:?}: was opened"));
        assert!(expected.iter().all(|words| line.contains(words)), "{expected:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_file_that_is_not_there_or_there_twice_is_named() {
    let folder = sound_folder();
    let refused =
        |modality: &str| opened(folder.path(), Normalisation::None, &[modality], &[]).err().unwrap();
    let line = refused("middle");
    assert!(line.contains("middle.train.npy is missing: save the array of \"middle\" there"), "{line}");
    fs::copy(folder.path().join("left.train.npy"), folder.path().join("left.train.npz")).unwrap();
    let line = refused("left");
    assert!(line.contains("left.train.npy: and left.train.npz are both there: remove one"), "{line}");
    for name in ["../left", "a/b", "", "."] {
        assert!(refused(name).contains("letters, digits, hyphens"), "{name}");
    }
    let line = opened(Path::new("/no/such"), Normalisation::None, &["left"], &[]).err().unwrap();
    assert!(line.contains("/no/such is missing") && line.contains("--data DIR"), "{line}");
    let line = opened(folder.path(), Normalisation::None, &["noise-1"], &[]).err().unwrap();
    assert!(line.contains("needs none of its arrays"), "{line}");
}

#[test]
fn an_archive_is_judged_by_its_shape_before_it_is_unpacked() {
    let folder = sound_folder();
    // Zeros pack a thousandfold. The archive is damaged, which only who unpacks it finds out.
    let packed = |shape: &str, values: usize| {
        let mut archive =
            npz(&[("left.npy", npy("<f4", shape, &vec![0; 4 * values]))], zip::CompressionMethod::Deflated);
        let middle = archive.len() / 2;
        archive[middle..middle + 40].fill(0xff);
        fs::remove_file(folder.path().join("left.train.npy")).unwrap_or_default();
        fs::write(folder.path().join("left.train.npz"), archive).unwrap();
    };
    let refused = || opened(folder.path(), Normalisation::None, &["left", "right"], &["kind"]).err().unwrap();
    packed("(4, 1048576)", 4 << 20);
    let line = refused();
    assert!(line.contains("left.test.npy: has rows of shape [2, 1]"), "{line}");
    packed("(2000000, 2, 1)", 4_000_000);
    let line = refused();
    assert!(line.contains("left.train.npz: has 2000000 rows, but right.train.npz has 4 rows"), "{line}");
    packed("(4, 2, 1)", 8);
    let line = refused();
    assert!(line.contains("left.train.npz: "), "{line}");
}

#[test]
fn a_folder_is_verified_file_by_file() {
    let folder = sound_folder();
    let report = check_arrays(folder.path(), true).unwrap();
    assert_eq!(report.files.len(), 8);
    assert_eq!(report.problems().collect::<Vec<_>>(), [] as [&str; 0]);
    assert_eq!((report.files[3].array.as_str(), report.files[3].shape.as_slice()), ("left", &[4, 2, 1][..]));

    fs::write(folder.path().join("left.test.npy"), npy("<f4", "(2, 2, 1)", &floats(&[f32::NAN; 4]))).unwrap();
    fs::write(folder.path().join("right.train.npz"), "").unwrap();
    fs::write(folder.path().join("kind.test.npy"), npy("|u1", "(3,)", &[0; 3])).unwrap();
    fs::remove_file(folder.path().join("place.test.safetensors")).unwrap();
    let report = check_arrays(folder.path(), true).unwrap();
    let problems: Vec<&str> = report.problems().collect();
    let expected = [
        "kind.test.npy: has 3 rows, but left.test.npy has 2 rows",
        "left.test.npy: row 0 holds NaN",
        "place.test.npy is missing",
        "right.train.npz: is no readable .npz file",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(check_arrays(empty.path(), true).unwrap_err().to_string().contains("NAME.train.npy"));
}
