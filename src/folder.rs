//! Where a run goes when nobody says.

use std::path::PathBuf;

use scenario::Scenario;

/// The first folder under runs/ that does not exist: runs/NAME-METHOD-sSEED, then -2, -3 and so on.
pub(crate) fn fresh(scenario: &Scenario) -> PathBuf {
    let name = format!("{}-{}-s{}", scenario.name, scenario.train.method.name(), scenario.seed);
    let runs = PathBuf::from("runs");
    let numbered = |number: u32| match number {
        1 => runs.join(&name),
        _ => runs.join(format!("{name}-{number}")),
    };
    (1..).map(numbered).find(|path| !path.exists()).expect("some number is free")
}
