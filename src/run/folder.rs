//! The default output directory of a run.

use std::path::PathBuf;

use scenario::Scenario;

/// A new folder under runs/: runs/NAME-METHOD-sSEED, then -2, -3 and so on. It is created here, so that two runs that
/// begin at the same time get different folders.
pub(crate) fn fresh(scenario: &Scenario) -> PathBuf {
    // A name may be any text: characters that could lead out of the folder become dashes.
    let safe = |letter: char| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' };
    let name: String = scenario.name.chars().map(safe).collect();
    let name = format!("{name}-{}-s{}", scenario.train.method.name(), scenario.seed);
    let runs = PathBuf::from("runs");
    let numbered = |number: u32| match number {
        1 => runs.join(&name),
        _ => runs.join(format!("{name}-{number}")),
    };
    if std::fs::create_dir_all(&runs).is_err() {
        return numbered(1);
    }
    // Other errors of creating it are reported when the run begins to write.
    let is_taken = |path: &PathBuf| {
        std::fs::create_dir(path).is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists)
    };
    (1..).map(numbered).find(|path| !is_taken(path)).expect("some number is free")
}
