//! What holds of every program that adds a part of its own: a channel, a coding, a kind of network, a rule of selection.

use harness::Place;

/// A program that lacks a part is refused by name: when it runs a scenario (`words`) with the part, and when its node (a
/// `role`) joins a run of the program that has it. `known` is a part that it does have.
pub(crate) fn assert_refused_without(
    own: &Place,
    plain: &Place,
    words: &str,
    role: &str,
    [missing, known]: [&str; 2],
) {
    plain.run(&format!("run {words} --out a")).failed(2, &[missing, known]);

    // A node of another program than the coordinator's reports that.
    let coordinator = own.start(&format!("coordinator {words} --out a --listen 127.0.0.1:0"));
    let node = plain.start(&format!("{role} --coordinator {} --index 0", own.address("a")));
    let said = node.finish();
    assert!(!said.status.success() && said.stderr.contains(missing), "{said}");
    let ended = coordinator.finish();
    assert!(!ended.status.success() && ended.stderr.contains(missing), "{ended}");
}

/// An example's own program accepts all commands with it that a page of the documentation has, `count` of them; its text
/// names one, and has at most so many lines.
pub(crate) fn assert_commands_are_accepted(
    place: &Place,
    page: &str,
    count: usize,
    (name, text, lines): (&str, &str, usize),
) {
    let prefix = format!("cargo run --release --example {name} -- ");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.trim().strip_prefix(&prefix)).collect();
    assert_eq!(commands.len(), count);
    for command in commands {
        place.run(&command.replacen("run ", "check ", 1).replace('\'', "")).done();
    }
    assert!(text.lines().count() <= lines && text.contains(&format!("//! {prefix}run")));
}
