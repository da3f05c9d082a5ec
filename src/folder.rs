//! Where a run goes when nobody says.

use std::path::PathBuf;

use scenario::Scenario;

/// The first folder under runs/ that does not exist: runs/NAME-METHOD-sSEED, then -2, -3 and so on.
pub(crate) fn fresh(scenario: &Scenario) -> PathBuf {
    // A name may be any text: what could lead out of the folder becomes a dash.
    let safe = |letter: char| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' };
    let name: String = scenario.name.chars().map(safe).collect();
    let name = format!("{name}-{}-s{}", scenario.train.method.name(), scenario.seed);
    let runs = PathBuf::from("runs");
    let numbered = |number: u32| match number {
        1 => runs.join(&name),
        _ => runs.join(format!("{name}-{number}")),
    };
    (1..).map(numbered).find(|path| !path.exists()).expect("some number is free")
}
