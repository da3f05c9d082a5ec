//! A small network over arrays whose test set ends in the midst of a piece and of a group.

use std::{fs::File, process::Command};

use harness::{Outcome, Place};
use serde_json::json;

use crate::PROGRAM;

/// Rows of the test set of [`SCENARIO`].
pub(crate) const ROWS: u64 = 50;

/// Pieces of 16 rows, of groups of 4: the test set ends in the midst of a piece and of a group.
const SCENARIO: &str = r#"
    name = "halves"
    [data]
    source = "arrays"
    path = "halves"
    [network]
    feature_dim = 6
    receiver_limit = 2
    transmitter_limit = 2
    [network.encoder]
    hidden = [32, 16]
    [network.joint]
    hidden = [32, 16]
    [network.local]
    hidden = [32, 16]
    [train]
    rounds = 8
    ticks_per_round = 4
    samples_per_tick = 4
    coding_lr = 2e-3
    [evaluation]
    passes = 3
    [[transmitter]]
    modalities = ["left", "right"]
    [[transmitter]]
    modalities = ["right"]
    [[receiver]]
    task = "digit"
    [[receiver]]
    task = "ink"
"#;

/// A place with the scenario and its arrays, and the run "trained" with further words.
pub(crate) fn halves(words: &str) -> Place {
    let place = Place::new(PROGRAM);
    place.write("halves.toml", SCENARIO);
    for (split, rows) in [("train", 60), ("test", ROWS as usize)] {
        let write =
            |name: &str, content: Vec<u8>| place.write(&format!("halves/{name}.{split}.npy"), content);
        let values = |width: usize, of: fn(usize, usize) -> f32| {
            let all = (0..rows).flat_map(|row| (0..width).map(move |at| of(row, at)));
            all.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
        };
        write("left", npy("<f4", &format!("({rows}, 4)"), &values(4, left)));
        write("right", npy("<f4", &format!("({rows}, 3)"), &values(3, right)));
        write("ink", npy("<f4", &format!("({rows},)"), &values(1, |row, _| 50.0 + 3.0 * left(row, 0))));
        let digits: Vec<u8> = (0..rows).map(|row| (row % 3) as u8).collect();
        write("digit", npy("|u1", &format!("({rows},)"), &digits));
    }
    place.run(&format!("run halves.toml --in-process --out trained {words}")).done();
    place
}

pub(crate) fn left(row: usize, at: usize) -> f32 {
    ((4 * row + at) as f32).sin()
}

pub(crate) fn right(row: usize, at: usize) -> f32 {
    100.0 * ((3 * row + at + 7) as f32).sin()
}

/// A .npy file of version 1.0.
pub(crate) fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (dictionary.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], dictionary.as_bytes(), values].concat()
}

/// A line of a sample, with the values that stand in its rows.
pub(crate) fn line(seq: usize, with: &[&str]) -> String {
    let mut object = json!({ "seq": seq });
    for name in with {
        let (width, of): (usize, fn(usize, usize) -> f32) =
            if name.ends_with("left") { (4, left) } else { (3, right) };
        object[*name] = (0..width).map(|at| f64::from(of(seq % ROWS as usize, at))).collect();
    }
    format!("{object}\n")
}

/// The program in a place, with other input and output than a [`harness::Process`] has.
pub(crate) fn program(place: &Place, words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(place.path("")).args(words.split(' ')).env_remove("POM2DIB_DATA");
    command
}

/// The same with these bytes on standard input, to its end.
pub(crate) fn fed(place: &Place, words: &str, input: impl AsRef<[u8]>) -> Outcome {
    place.write("input", input);
    let output = program(place, words).stdin(File::open(place.path("input")).unwrap()).output().unwrap();
    Outcome {
        words: words.into(),
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
