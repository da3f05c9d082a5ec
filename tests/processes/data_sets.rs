//! The scripts of examples/data convert data sets in Python packages into arrays for their scenarios, and refuse files
//! that are not, bit for bit, the expected ones. The packages here are made up, with the same layout.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use harness::Place;

use crate::PROGRAM;

/// Makes packages in its own folder. A script runs as if the SHA-256 of its data were theirs:
/// `python3 made_up.py SCRIPTS NAME ARGUMENT...`
const MADE_UP: &str = r#"
import hashlib, importlib, os, sys
import numpy

here, scripts, name = os.path.dirname(os.path.abspath(__file__)), sys.argv[1], sys.argv[2]
sys.path[:0] = [scripts, here]
draws = numpy.random.RandomState(1)

def package(file, content):
    about = os.path.join(here, f"{file.package}-{file.version}.dist-info")
    os.makedirs(about, exist_ok=True)
    open(f"{about}/METADATA", "w").write(f"Name: {file.package}\nVersion: {file.version}\n")
    path = os.path.join(here, file.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").write(content)
    return file._replace(sha256=hashlib.sha256(content).hexdigest())

def watch():
    """A recording of every person, exercise and side, of 150 or 151 samples: two windows each. A sample is 1000 x person + its time."""
    of = [(p, e, s) for p in range(1, 11) for e in range(7) for s in (0, 1)]
    steps = [numpy.arange(150 + s)[:, None] + numpy.asarray([0, .1, .2, .3, .4, .5]) for _, _, s in of]
    people, exercises, sides = map(numpy.asarray, zip(*of))
    data = {"X": [1000 * p + step for p, step in zip(people, steps)], "y": exercises, "side": sides.astype(float), "subject": people}
    data["y_labels"] = ["PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"]
    numpy.save(os.path.join(here, "made.npy"), data)
    return open(os.path.join(here, "made.npy"), "rb").read()

def table(columns):
    """200 rows, 20 of each digit; the last column is the digit."""
    rows = [[*draws.rand(columns).round(3), digit] for digit in range(10) for _ in range(20)]
    lines = [",".join(map(str, range(columns + 1)))] + [",".join(map(str, row)) for row in rows]
    return "\n".join(lines).encode()

def htad():
    """70 rows, 10 of each activity."""
    names = ["watch_tv", "mop_floor", "sweep", "brush_teeth", "eat_chips", "wash_hands", "type_on_keyboard"]
    header = ["class"] + [f"v1_mfcc{i}" for i in range(36)] + [f"v2_{i}" for i in range(16)]
    rows = [[name, *map(str, draws.rand(52).round(3))] for name in names for _ in range(10)]
    return "\n".join(map(",".join, [header] + rows)).encode()

script = importlib.import_module(name)
if name == "mfeat":
    script.FILES = {view: package(file, table(script.VIEWS[view][0])) for view, file in script.FILES.items()}
else:
    script.FILE = package(script.FILE, {"watch": watch, "htad": htad}[name]())
sys.argv = [f"{name}.py", *sys.argv[3:]]
importlib.import_module("packaged").run(script.main)
"#;

/// A package of the right name and version whose file runs a command when it is unpickled.
const TRAP: &str = r#"
import os, sys
import numpy

here = os.path.dirname(os.path.abspath(__file__))
os.makedirs(f"{here}/trap/seglearn/data")
os.makedirs(f"{here}/trap/seglearn-{sys.argv[1]}.dist-info")
open(f"{here}/trap/seglearn-{sys.argv[1]}.dist-info/METADATA", "w").write(f"Name: seglearn\nVersion: {sys.argv[1]}\n")

class Trap:
    def __reduce__(self):
        return os.mkdir, (f"{here}/unpickled",)

numpy.save(f"{here}/trap/seglearn/data/watch_dataset.npy", numpy.asarray(Trap(), object))
"#;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data")
}

/// A Python that has numpy, if there is one.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("POM2DIB_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| "python3".into());
    let has_numpy =
        Command::new(&python).args(["-c", "import numpy"]).output().is_ok_and(|it| it.status.success());
    if !has_numpy {
        eprintln!("skipped: no python3 with numpy; POM2DIB_PYTHON may name one");
    }
    has_numpy.then_some(python)
}

/// Runs Python in a place, without leaving compiled files among the scripts.
fn tell(python: &Path, place: &Place, words: &[&str]) -> Output {
    let mut command = Command::new(python);
    command
        .current_dir(place.path(""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", place.path("trap"));
    command.args(words).output().expect("Python starts")
}

/// The output of a script that makes arrays of a made-up package.
fn made(python: &Path, place: &Place, words: &str) -> String {
    place.write("made_up.py", MADE_UP);
    let scripts = scripts().display().to_string();
    let all: Vec<&str> = ["made_up.py", &scripts].into_iter().chain(words.split(' ')).collect();
    let output = tell(python, place, &all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The output of Python, with numpy, for this code.
fn printed(python: &Path, place: &Place, told: &str) -> String {
    let output = tell(python, place, &["-c", &format!("import numpy\n{told}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn scenario(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml")).display().to_string()
}

#[test]
fn windows_of_the_watch_are_two_seconds_of_one_recording_and_a_fold_holds_two_people_out() {
    let Some(python) = python() else { return };
    let place = Place::new(PROGRAM);
    for fold in 0..5 {
        let told = made(&python, &place, &format!("watch fold{fold} --fold {fold}"));
        assert!(told.contains("1120 windows to train on, copies among them, 56 of people"), "{told}");
        assert!(told.contains("BSD 3-clause"), "{told}");
    }
    let look = r#"
for fold in range(5):
    of = lambda name, part: numpy.load(f"fold{fold}/{name}.{part}.npy")
    assert sorted(set(of("person", "test"))) == [2 * fold + 1, 2 * fold + 2]
    assert not set(of("person", "train")) & set(of("person", "test"))
    for part in ("train", "test"):
        # Behind the windows as they were recorded, copies that are turned: acceleration keeps its size.
        recorded = 224 if part == "train" else 56
        size = sum((of(name, part).astype(float) ** 2).sum(axis=2) for name in ("acc-xy", "acc-z"))
        assert len(size) == (5 * recorded if part == "train" else recorded)
        assert numpy.allclose(size[-recorded:], size[:recorded], rtol=1e-4)
        assert part == "test" or not numpy.allclose(of("acc-z", part)[-recorded:], of("acc-z", part)[:recorded])
        window, person = of("acc-xy", part)[:recorded], of("person", part)[:recorded]
        assert window.shape[1:] == (100, 2) and of("gyro-z", part).shape[1:] == (100, 1)
        # The samples say whose they are, and at what time they were taken.
        start = window[:, 0, 0] - 1000 * person
        assert sorted(set(start)) == [0, 50], set(start)
        assert (window[:, -1, 0] - 1000 * person == start + 99).all()
        assert (of("exercise", part) == "PEN").sum() * 7 == len(of("exercise", part))
"#;
    printed(&python, &place, look);
    let told = place.run(&format!("check {} --data fold0", scenario("watch"))).done().stdout;
    assert!(told.starts_with("watch can be run"), "{told}");
    // Convolutions over windows of files, with whole persons held out for validation.
    let run = format!(
        "run {} --data fold0 --rounds 2 --set evaluation.every=1 --in-process --json",
        scenario("watch")
    );
    assert_eq!(place.run(&run).done().json()["test"]["samples"], 56);
}

#[test]
fn views_of_the_digits_are_held_out_by_tenths_of_which_each_row_is_in_one() {
    let Some(python) = python() else { return };
    let place = Place::new(PROGRAM);
    for split in 0..10 {
        let told = made(&python, &place, &format!("mfeat split{split} --split {split}"));
        assert!(
            told.contains("180 digits to train on, 20 to test on") && told.contains("CC BY 4.0"),
            "{told}"
        );
    }
    let look = r#"
tests = [numpy.load(f"split{split}/pix.test.npy") for split in range(10)]
assert tests[0].shape == (20, 240)
assert len(numpy.unique(numpy.concatenate(tests), axis=0)) == 200
digit, ring, parity = (numpy.load(f"split3/{task}.test.npy") for task in ("digit", "ring", "parity"))
assert (numpy.bincount(digit) == 2).all() and (parity == digit % 2).all()
assert all((ring[digit == d] == r).all() for d, r in enumerate([0, 5, 5, 5, 1, 5, 2, 5, 3, 4]))
"#;
    printed(&python, &place, look);
    let told = place.run(&format!("check {} --data split3", scenario("mfeat"))).done().stdout;
    assert!(told.starts_with("mfeat can be run"), "{told}");
}

#[test]
fn activities_at_home_come_with_their_terms() {
    let Some(python) = python() else { return };
    let place = Place::new(PROGRAM);
    let told = made(&python, &place, "htad home");
    assert!(told.contains("63 windows to train on, 7 to test on"), "{told}");
    assert!(told.contains("competitions and commercial use need the authors' written permission"), "{told}");
    let look = r#"
activity, housework = (numpy.load(f"home/{task}.train.npy") for task in ("activity", "housework"))
assert numpy.load("home/audio.train.npy").shape == (63, 36) and numpy.load("home/wrist.train.npy").shape == (63, 16)
assert (housework == [name in ("sweep", "mop_floor") for name in activity]).all()
"#;
    printed(&python, &place, look);
    let told = place.run(&format!("check {} --data home", scenario("htad"))).done().stdout;
    assert!(told.starts_with("htad can be run"), "{told}");
}

#[test]
fn two_bits_and_their_flips_are_listed_as_often_as_they_are_probable() {
    let Some(python) = python() else { return };
    let place = Place::new(PROGRAM);
    let script = scripts().join("coordination.py").display().to_string();
    let output = tell(&python, &place, &[&script, "bits"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("40000 rows to train on"), "{output:?}");
    let look = r#"
for part in ("train", "test"):
    exact, flipped, first, second = (numpy.load(f"bits/{name}.{part}.npy") for name in ("exact", "flipped", "first", "second"))
    assert (exact == numpy.stack([first, second], axis=1)).all()
    flips = flipped != exact
    # Of every hundred rows eleven, with each pair of bits, of both bits independently.
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        these = flips[(first == a) & (second == b)]
        assert len(these) == 10000 and (these.sum(axis=0) == 1100).all() and these.all(axis=1).sum() == 121
"#;
    printed(&python, &place, look);
    let told = place.run(&format!("check {} --data bits", scenario("coordination"))).done().stdout;
    assert!(told.starts_with("coordination can be run"), "{told}");
    let run = format!(
        "run {} --data bits --rounds 2 --set evaluation.passes=1 --in-process --json",
        scenario("coordination")
    );
    assert_eq!(place.run(&run).done().json()["test"]["samples"], 40_000);
}

#[test]
fn what_is_not_the_file_that_was_looked_at_is_refused_before_it_is_read() {
    let Some(python) = python() else { return };
    let script = scripts().join("watch.py").display().to_string();
    for (version, wrong) in [("1.2.5", "has the SHA-256 "), ("1.2.4", "seglearn is 1.2.4 here")] {
        let place = Place::new(PROGRAM);
        place.write("trap.py", TRAP);
        assert!(tell(&python, &place, &["trap.py", version]).status.success());
        // The package is harmful if unpickled.
        let spring = "numpy.load('trap/seglearn/data/watch_dataset.npy', allow_pickle=True)";
        printed(&python, &place, spring);
        std::fs::remove_dir(place.path("unpickled")).expect("it has sprung");

        let output = tell(&python, &place, &[&script, "out"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
        assert!(told.starts_with("error: ") && told.contains(wrong), "{told}");
        assert!(told.contains("pip install --no-deps seglearn==1.2.5"), "{told}");
        assert!(!place.path("unpickled").exists() && !place.path("out").exists());
    }

    let place = Place::new(PROGRAM);
    let missing = "import sys, watch, packaged\nsys.argv = ['watch.py', 'out']\n\
        watch.FILE = watch.FILE._replace(package='seglearn-of-nobody')\npackaged.run(watch.main)";
    let told = format!("import sys\nsys.path.insert(0, {:?})\n{missing}", scripts().display().to_string());
    let output = tell(&python, &place, &["-c", &told]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(
        told.contains("is not installed: python3 -m pip install --no-deps seglearn-of-nobody==1.2.5"),
        "{told}"
    );
}
