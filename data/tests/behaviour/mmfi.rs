//! Trees of MM-Fi: what is read of them, and the errors of bad ones.

use pom2dib_data::{
    Chosen, DataError, Dataset, Divided, Needs, Scaling, Settings, Split, Targets,
    mmfi::{Listed, MmFi, SplitRule, describe, is_synthetic, verify},
};
use randomness::Seed;
use std::{
    fs,
    path::{Path, PathBuf},
};
use synthetic::{Plan, synthesise};
use tempfile::TempDir;

const SENSORS: [&str; 7] = ["rgb", "infra1", "infra2", "depth", "lidar", "mmwave", "wifi-csi"];

fn tree(plan: Plan) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mmfi");
    synthesise(&root, plan, &|_, _| {}).unwrap();
    (folder, root)
}

/// Four subjects, two actions, four frames, all of them with radar points.
fn small() -> (TempDir, PathBuf) {
    let (folder, root) = tree(Plan { subjects_per_scene: 1, actions: 2, frames: 4 });
    for subject in ["E01/S01", "E02/S11", "E03/S21", "E04/S31"] {
        for frame in (1..=2)
            .flat_map(|action| (1..=4).map(move |frame| format!("A0{action}/mmwave/frame00{frame}.bin")))
        {
            let path = root.join(subject).join(frame);
            if fs::metadata(&path).unwrap().len() == 0 {
                fs::write(path, [0; 80]).unwrap();
            }
        }
    }
    (folder, root)
}

/// Subjects 1 to 20 are trained on.
fn manual(root: &Path) -> MmFi {
    let listed = |subjects: std::ops::RangeInclusive<u8>| Listed {
        subjects: subjects.collect(),
        actions: (1..=27).collect(),
    };
    MmFi {
        split: SplitRule::Manual { train: listed(1..=20), test: listed(21..=40) },
        modalities: SENSORS.map(String::from).to_vec(),
        ..MmFi::at(root.into())
    }
}

fn opened(source: MmFi, modalities: &[&str], tasks: &[&str]) -> Result<Box<dyn Dataset>, DataError> {
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let (modalities, tasks) = (strings(modalities), strings(tasks));
    source.open(Seed::from_number(7), &Needs { modalities: &modalities, tasks: &tasks })
}

fn read(dataset: &dyn Dataset, modality: &str, split: Split, sample: usize, epoch: u64) -> Vec<f32> {
    let mut values = vec![f32::NAN; dataset.width(modality).unwrap()];
    dataset.read(modality, split, sample, epoch, &mut values).unwrap();
    values
}

#[test]
fn every_modality_has_the_references_size_and_reads_anew_only_what_is_cut() {
    let (_folder, root) = small();
    let dataset = opened(manual(&root), &[&SENSORS[..], &["noise-1"]].concat(), &[]).unwrap();
    let widths = [34, 34, 34, 16384, 3600, 250, 2700, 250];
    for (name, width) in SENSORS.into_iter().chain(["noise-1"]).zip(widths) {
        assert_eq!(dataset.width(name), Some(width));
        let values = read(dataset.as_ref(), name, Split::Train, 3, 0);
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
        assert_eq!(values, read(dataset.as_ref(), name, Split::Train, 3, 0));
        // Depth, CSI and noise differ between epochs: windows and runs are drawn anew. So does a cloud that is cut
        // because it has too many points. A test sample never changes.
        let changes = values != read(dataset.as_ref(), name, Split::Train, 3, 1);
        let is_cut = matches!(name, "depth" | "wifi-csi" | "noise-1");
        assert!(changes == is_cut || matches!(name, "lidar" | "mmwave"), "{name}");
        let test = |epoch| read(dataset.as_ref(), name, Split::Test, 2, epoch);
        assert_eq!(test(0), test(5), "{name}");
    }
    assert_eq!(dataset.width("smell"), None);
}

#[test]
fn targets_are_poses_in_metres_actions_and_scenes() {
    let (_folder, root) = small();
    let dataset = opened(manual(&root), &[], &["pose", "action", "scene"]).unwrap();
    assert_eq!((dataset.samples(Split::Train), dataset.samples(Split::Test)), (16, 16));
    let Some(Targets::Values { width, values }) = dataset.targets("pose", Split::Test) else {
        panic!("pose is regression")
    };
    assert_eq!((width, values.len()), (51, 16 * 51));
    // The first test sample is the first frame of S21's A01.
    let file = fs::read(root.join("E03/S21/A01/ground_truth.npy")).unwrap();
    let first: Vec<f32> = file[128..]
        .chunks_exact(4)
        .take(51)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(values[..51], first);
    let labels = |task| match dataset.targets(task, Split::Test) {
        Some(Targets::Classes { labels, classes }) => (labels, classes),
        other => panic!("{other:?}"),
    };
    let (actions, classes) = labels("action");
    assert_eq!((classes, actions), (27, [[0; 4], [1; 4], [0; 4], [1; 4]].concat()));
    let (scenes, classes) = labels("scene");
    assert_eq!((classes, scenes), (4, [[2; 8], [3; 8]].concat()));
    let clusters = dataset.clusters();
    assert_eq!(clusters.chunk_by(|a, b| a == b).map(<[u32]>::len).collect::<Vec<_>>(), [4; 4]);
    assert_eq!(dataset.recordings(None).unwrap(), Some(clusters));
    assert!(dataset.is_pose("pose") && !dataset.is_pose("action"));
}

#[test]
fn reading_ahead_changes_nothing_and_what_was_not_read_ahead_is_read_too() {
    let (_folder, root) = small();
    let dataset = opened(manual(&root), &["depth", "mmwave"], &[]).unwrap();
    let plain: Vec<Vec<f32>> =
        (0..16).map(|sample| read(dataset.as_ref(), "depth", Split::Train, sample, 2)).collect();
    let expected: Vec<(usize, u64)> = (0..12).map(|sample| (sample, 2)).collect();
    dataset.read_ahead("depth", Split::Train, &expected[..6]);
    dataset.read_ahead("depth", Split::Train, &expected);
    for sample in (0..16).rev() {
        assert_eq!(read(dataset.as_ref(), "depth", Split::Train, sample, 2), plain[sample]);
    }
}

#[test]
fn standardised_modalities_lie_about_0_in_units_of_their_spread() {
    let (_folder, root) = small();
    let dataset = opened(MmFi { standardise: true, ..manual(&root) }, &["rgb", "lidar"], &[]).unwrap();
    for name in ["rgb", "lidar"] {
        let frames: Vec<Vec<f32>> =
            (0..16).map(|sample| read(dataset.as_ref(), name, Split::Train, sample, 0)).collect();
        let mean = |position: usize| frames.iter().map(|frame| frame[position]).sum::<f32>() / 16.0;
        assert!((0..frames[0].len()).all(|position| mean(position).abs() < 1e-3), "{name}");
        let squares: f32 = frames.iter().flatten().map(|value| value * value).sum();
        assert!((squares / (16 * frames[0].len()) as f32 - 1.0).abs() < 1e-2, "{name}");
    }
}

#[test]
fn the_constants_of_a_scaling_standardise_what_is_read() {
    let (_folder, root) = small();
    let of = |standardise| opened(MmFi { standardise, ..manual(&root) }, &["lidar"], &[]).unwrap();
    let (plain, standard) = (of(false), of(true));
    assert_eq!(plain.scaling("lidar"), None);
    let Scaling { shift, scale } = standard.scaling("lidar").unwrap();
    let before = read(plain.as_ref(), "lidar", Split::Test, 1, 0);
    let after = read(standard.as_ref(), "lidar", Split::Test, 1, 0);
    assert_eq!((shift.len(), scale.len()), (before.len(), before.len()));
    for (at, (before, after)) in before.into_iter().zip(after).enumerate() {
        let expected = (f64::from(before) - shift[at]) / scale[at];
        assert!((expected - f64::from(after)).abs() < 1e-5, "{expected} {after}");
    }
}

#[test]
fn no_scale_is_made_of_recordings_that_are_held_out() {
    let (_folder, root) = small();
    let section = serde_json::json!({
        "protocol": 3, "standardise": true, "split": "manual", "split_ratio": 0.8, "split_seed": 0,
        "train_subjects": [1, 11, 21], "test_subjects": [31], "train_actions": [1, 2], "test_actions": [1, 2],
    });
    let rgb = ["rgb".to_owned()];
    let needs = Needs { modalities: &rgb, tasks: &[] };
    for seed in (1..=5).map(Seed::from_number) {
        let settings = Settings::new("mmfi", Some(root.clone())).with("mmfi", section.clone());
        let source = Chosen::new(settings.with("hold_out", 0.3)).unwrap();
        let opened = source.open(seed, &needs).unwrap();
        let Divided { train, validation } = source.divide(opened, seed, &needs, 0.3).unwrap();
        assert_eq!((train.samples(Split::Train), validation.unwrap().samples(Split::Test)), (16, 8));
        let mut mean = vec![0.0; train.width("rgb").unwrap()];
        for sample in 0..16 {
            let values = read(train.as_ref(), "rgb", Split::Train, sample, 0);
            mean.iter_mut().zip(values).for_each(|(mean, value)| *mean += value / 16.0);
        }
        assert!(mean.iter().all(|mean| mean.abs() < 1e-4), "{mean:?}");
    }
}

#[test]
fn frames_without_radar_points_are_left_out_for_whoever_the_run_lets_read_radar() {
    let (_folder, root) = small();
    let radar = root.join("E01/S01/A02/mmwave/frame003.bin");
    fs::write(&radar, []).unwrap();
    let with = opened(manual(&root), &["rgb"], &["action"]).unwrap();
    let without = MmFi { modalities: vec!["rgb".into()], ..manual(&root) };
    let without = opened(without, &["rgb"], &["action"]).unwrap();
    assert_eq!((with.samples(Split::Train), without.samples(Split::Train)), (15, 16));
    assert_ne!(with.digest(), without.digest());
    let Some(Targets::Classes { labels, .. }) = with.targets("action", Split::Train) else { panic!() };
    assert_eq!(labels.iter().filter(|&&label| label == 1).count(), 7);
}

#[test]
fn all_packings_hold_the_same_data() {
    let (_folder, root) = small();
    let now = || {
        let dataset = opened(manual(&root), &["rgb"], &[]).unwrap();
        (dataset.digest(), read(dataset.as_ref(), "rgb", Split::Test, 15, 0))
    };
    let plain = now();
    for subject in ["E01/S01", "E02/S11", "E03/S21", "E04/S31"] {
        fs::rename(root.join(subject), root.join(&subject[4..])).unwrap();
        fs::remove_dir(root.join(&subject[..3])).unwrap();
    }
    assert_eq!(now(), plain);
    fs::create_dir_all(root.join("E04/E04")).unwrap();
    fs::rename(root.join("S31"), root.join("E04/E04/S31")).unwrap();
    assert_eq!(now(), plain);
}

#[test]
fn the_index_is_kept_and_made_anew_when_files_come_or_go() {
    let (_folder, root) = small();
    let samples = || opened(manual(&root), &[], &[]).unwrap().samples(Split::Train);
    assert_eq!(samples(), 16);
    let kept = || fs::read(root.join(".pom2dib-index.json")).unwrap();
    let first = kept();
    assert_eq!(samples(), 16);
    assert_eq!(kept(), first);
    fs::remove_dir_all(root.join("E01/S01/A02")).unwrap();
    assert_eq!(samples(), 12);
    fs::write(root.join(".pom2dib-index.json"), "broken").unwrap();
    assert_eq!(samples(), 12);
}

/// AppleDouble files and the like, wherever a copy leaves them.
#[test]
fn hidden_files_are_nobodys() {
    let (_folder, root) = small();
    let before = describe(root.clone(), &|_, _| {}).unwrap();
    let hidden = [
        ".DS_Store",
        "._E01",
        "E01/._S01",
        "E01/S01/._A01",
        "E01/S01/A01/._mmwave",
        "E01/S01/A01/._ground_truth.npy",
        "E01/S01/A01/mmwave/._frame002.bin",
        "E01/S01/A01/rgb/.DS_Store",
    ];
    hidden.into_iter().for_each(|name| fs::write(root.join(name), "AppleDouble").unwrap());
    fs::remove_file(root.join(".pom2dib-index.json")).unwrap();
    assert_eq!(describe(root.clone(), &|_, _| {}).unwrap(), before);
    let report = verify(&root, &|_, _| {}).unwrap();
    assert!(report.is_ok(), "{report:?}");
}

#[test]
fn the_index_is_made_anew_when_a_gap_is_filled_in_place() {
    let (_folder, root) = small();
    let samples = || opened(manual(&root), &[], &[]).map(|data| data.samples(Split::Train)).unwrap_or(0);
    let radar = |frame| root.join(format!("E01/S01/A02/mmwave/frame00{frame}.bin"));
    let whole = fs::read(radar(3)).unwrap();
    // What a copy in place does: the folder's own times stay.
    let folder = fs::File::open(root.join("E01/S01/A02/mmwave")).unwrap();
    let modified = folder.metadata().unwrap().modified().unwrap();
    fs::write(radar(3), []).unwrap();
    assert_eq!(samples(), 15);
    fs::write(radar(3), &whole).unwrap();
    assert_eq!(folder.metadata().unwrap().modified().unwrap(), modified);
    assert_eq!(samples(), 16);
    // A copying tool that sets the folder's time back: a missing file comes, and one too many goes.
    let after = |change: &dyn Fn()| {
        change();
        folder.set_modified(modified).unwrap();
        samples()
    };
    assert_eq!(after(&|| fs::remove_file(radar(2)).unwrap()), 0);
    assert_eq!(after(&|| fs::write(radar(2), &whole).unwrap()), 16);
    assert_eq!(after(&|| fs::write(radar(5), &whole).unwrap()), 0);
    assert_eq!(after(&|| fs::remove_file(radar(5)).unwrap()), 16);
}

#[test]
fn recordings_that_are_there_twice_or_half_are_found_and_said() {
    let (_folder, root) = small();
    let plain = opened(manual(&root), &[], &[]).unwrap().digest();
    assert!(describe(root.clone(), &|_, _| {}).unwrap().notes.is_empty());
    fs::create_dir_all(root.join("E01/E01/S01")).unwrap();
    fs::rename(root.join("E01/S01/A02"), root.join("E01/E01/S01/A02")).unwrap();
    assert_eq!(opened(manual(&root), &[], &[]).unwrap().digest(), plain, "half in each packing");
    fs::create_dir_all(root.join("E01/E01/S01/A01")).unwrap();
    let described = describe(root.clone(), &|_, _| {}).unwrap();
    assert!(described.notes[0].contains("E01/S01/A01 is read, "), "{:?}", described.notes);
    let report = verify(&root, &|_, _| {}).unwrap();
    assert_eq!(report.unread, [root.join("E01/E01/S01/A01")]);
    assert!(report.is_ok());
}

/// What is done to a sound tree, and words of the error that opening it must give.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

const CASES: &[Case] = &[
    ("no folder", |root| fs::remove_dir_all(root).unwrap(), &["is missing", "E01 to E04"]),
    (
        "another data set",
        |root| (1..=4).for_each(|scene| fs::remove_dir_all(root.join(format!("E0{scene}"))).unwrap()),
        &["holds no recording of MM-Fi"],
    ),
    (
        "no poses",
        |root| fs::remove_file(root.join("E01/S01/A01/ground_truth.npy")).unwrap(),
        &["E01/S01/A01/ground_truth.npy", "is missing"],
    ),
    (
        "cut poses",
        |root| cut(&root.join("E01/S01/A01/ground_truth.npy"), 300),
        &["E01/S01/A01/ground_truth.npy", "172 bytes of values"],
    ),
    (
        "poses of another shape",
        |root| {
            copy(root, "E01/S01/A01/rgb/frame001.npy", "E01/S01/A01/ground_truth.npy");
        },
        &["ground_truth.npy", "shape [17, 2]", "[frames, 17, 3]"],
    ),
    (
        "a row too many",
        |root| fs::remove_file(root.join("E02/S11/A02/lidar/frame004.bin")).unwrap(),
        &["E02/S11/A02/lidar/frame004.bin", "is missing", "E02/S11/A02/ground_truth.npy has 4 rows"],
    ),
    (
        "a row too few",
        |root| {
            copy(root, "E02/S11/A02/rgb/frame001.npy", "E02/S11/A02/rgb/frame005.npy");
        },
        &["E02/S11/A02/rgb/frame005.npy", "frame 5 of 4", "E02/S11/A02/ground_truth.npy has 4 rows"],
    ),
    (
        "no modality",
        |root| fs::remove_dir_all(root.join("E04/S31/A01/wifi-csi")).unwrap(),
        &["E04/S31/A01/wifi-csi", "is missing", "pom2dib data verify mmfi"],
    ),
    (
        "no subject to test on",
        |root| ["E03", "E04"].iter().for_each(|scene| fs::remove_dir_all(root.join(scene)).unwrap()),
        &["holds no frame to test on"],
    ),
];

fn copy(root: &Path, from: &str, to: &str) {
    fs::copy(root.join(from), root.join(to)).unwrap();
}

fn cut(path: &Path, length: usize) {
    let content = fs::read(path).unwrap();
    fs::write(path, &content[..length]).unwrap();
}

#[test]
fn whatever_is_wrong_with_a_tree_is_said_in_one_line_that_names_it() {
    for (case, damage, words) in CASES {
        let (_folder, root) = small();
        damage(&root);
        let error =
            opened(manual(&root), &["rgb"], &[]).err().unwrap_or_else(|| panic!("{case}")).to_string();
        assert!(!error.contains('\n'), "{case}: {error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{case}: {error}"));
    }
}

#[test]
fn a_malformed_frame_is_named_when_it_is_read_and_by_verify() {
    let files = [
        ("rgb/frame001.npy", "bytes of values"),
        ("infra2/frame001.npy", "bytes of values"),
        ("depth/frame001.png", "is truncated"),
        ("lidar/frame001.bin", "no multiple of 24"),
        ("mmwave/frame001.bin", "no multiple of 40"),
        ("wifi-csi/frame001.mat", "is truncated"),
    ];
    let (_folder, root) = small();
    let recording = root.join("E01/S01/A01");
    for (file, _) in files {
        let path = recording.join(file);
        // No size that is left fits, and of the picture too few rows are left for any window.
        let part = if file.starts_with("depth") { 16 } else { 2 };
        cut(&path, (fs::metadata(&path).unwrap().len() as usize / part) | 1);
    }
    fs::write(recording.join("rgb/frame002.npy"), []).unwrap();
    fs::remove_file(recording.join("lidar/frame004.bin")).unwrap();
    let dataset = || {
        let modalities = vec!["depth".into()];
        opened(MmFi { modalities, ..manual(&root) }, &SENSORS, &[]).unwrap()
    };
    for ahead in [false, true] {
        for (file, problem) in files {
            let (modality, _) = file.split_once('/').unwrap();
            let dataset = dataset();
            if ahead {
                dataset.read_ahead(modality, Split::Train, &[(0, 0)]);
            }
            let mut values = vec![0.0; dataset.width(modality).unwrap()];
            let error = dataset.read(modality, Split::Train, 0, 0, &mut values).unwrap_err().to_string();
            assert!(error.contains(&format!("E01/S01/A01/{file}")) && error.contains(problem), "{error}");
        }
    }
    let report = verify(&root, &|_, _| {}).unwrap();
    assert!(!report.is_ok() && report.synthetic);
    for sensor in &report.sensors {
        let found = files.iter().find(|(file, _)| file.starts_with(&format!("{}/", sensor.name)));
        assert_eq!(sensor.malformed.len(), usize::from(found.is_some()), "{sensor:?}");
        for ((file, problem), (path, how)) in found.iter().zip(&sensor.malformed) {
            assert!(path.ends_with(file) && how.contains(problem), "{path:?}: {how}");
        }
    }
    let of = |name: &str| report.sensors.iter().find(|sensor| sensor.name == name).unwrap();
    assert!(of("rgb").empty.iter().any(|path| path.ends_with("rgb/frame002.npy")));
    assert_eq!(of("lidar").missing, [recording.join("lidar/frame004.bin")]);
    assert_eq!((of("ground_truth").sound, of("infra1").sound), (8, 32));
}

#[test]
fn verify_finds_nothing_wrong_with_a_sound_tree() {
    let (_folder, root) = small();
    let report = verify(&root, &|_, _| {}).unwrap();
    assert!(report.is_ok(), "{report:?}");
    for sensor in &report.sensors[1..] {
        assert_eq!(sensor.sound + sensor.empty.len(), 32, "{}", sensor.name);
    }
}

#[test]
fn a_synthetic_tree_is_marked_and_the_same_every_time() {
    let (_one, one) = small();
    let (_other, other) = small();
    assert!(is_synthetic(&one));
    for file in [
        "E02/S11/A01/depth/frame002.png",
        "E04/S31/A02/wifi-csi/frame004.mat",
        "E01/S01/A01/lidar/frame001.bin",
    ] {
        assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(other.join(file)).unwrap(), "{file}");
    }
    let described = describe(one.clone(), &|_, _| {}).unwrap();
    assert!(described.synthetic && described.recordings == 8 && described.modalities == SENSORS);
    // A whole one is kept; what is something else is not touched.
    synthesise(&one, Plan { subjects_per_scene: 1, actions: 2, frames: 4 }, &|_, _| panic!("it is there"))
        .unwrap();
    let refused = synthesise(&one, Plan { subjects_per_scene: 1, actions: 2, frames: 5 }, &|_, _| {});
    assert!(refused.unwrap_err().to_string().contains("name another folder"));
    let refused =
        synthesise(&one.join("new"), Plan { subjects_per_scene: 11, actions: 2, frames: 4 }, &|_, _| {});
    assert!(refused.unwrap_err().to_string().contains("at most 40 subjects"));
    let info = manual(&one).info().unwrap();
    assert_eq!((info.splits[0].samples, info.splits[1].recordings), (16, 4));
}

#[test]
fn names_that_nobody_knows_are_refused() {
    let (_folder, root) = small();
    let refused = |modalities: &[&str], tasks: &[&str]| {
        opened(manual(&root), modalities, tasks).err().unwrap().to_string()
    };
    assert!(refused(&["fft"], &[]).contains("rgb, infra1"));
    assert!(refused(&[], &["digit"]).contains("pose, action, scene"));
}
