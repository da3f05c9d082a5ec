//! `run --tui`: a live table on a terminal, lines elsewhere.

use std::process::Command;

use harness::Place;

use crate::PROGRAM;

/// The text of what goes to a terminal: without colours, and a space where the cursor jumps.
fn spelt_out(shown: &str) -> String {
    let mut parts = shown.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        if part[..end].ends_with('H') {
            text.push(' ');
        }
        text += &part[end..];
    }
    text
}

#[test]
fn a_terminal_shows_a_live_table_and_gets_its_screen_back() {
    let place = Place::new(PROGRAM);
    let command = format!("stty rows 40 cols 100; exec {PROGRAM} run tiny.toml --tui --rounds 30 --out a");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "typescript"])
        .current_dir(place.path("."))
        .env("TERM", "xterm-256color")
        .output()
        .expect("util-linux has the program `script`");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    let (before, rest) = shown.split_once("\x1b[?1049h").expect("the table has a screen of its own");
    let (table, after) = rest.split_once("\x1b[?1049l").expect("the screen that was there before comes back");
    assert!(before.contains("page http://"), "{before}");
    let table = spelt_out(table);
    for words in [
        "pom2dib on tiny, seed 1",
        "of 30",
        "N-CE",
        "sum-rate",
        "granted, % of ticks",
        "tx 1",
        "rx 0",
        "receiver 1",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(after.contains("parity") && after.contains("digit"), "the scores come after it: {after}");

    let plain = place.run("run tiny.toml --tui --rounds 30 --page off --out b").done();
    assert!(plain.stderr.contains("rounds 30 of 30") && !plain.stderr.contains('\x1b'), "{plain}");
    let fingerprint = |folder: &str| place.run_folder(folder).json("summary.json")["fingerprint"].clone();
    assert_eq!(fingerprint("a"), fingerprint("b"));
}
