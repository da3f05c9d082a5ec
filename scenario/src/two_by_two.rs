//! The network of the unit tests that are about single keys.

use crate::{Scenario, ScenarioError};

/// Two transmitters and two receivers; every key with a default has its default.
pub(crate) const TWO_BY_TWO: &str = r#"
    [[transmitter]]
    modalities = ["fft"]
    [[transmitter]]
    modalities = ["mel"]
    [[receiver]]
    task = "digit"
    [[receiver]]
    task = "parity"
"#;

/// This network with further tables and overrides.
pub(crate) fn two_by_two(tables: &str, overrides: &[&str]) -> Result<Scenario, ScenarioError> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::parse(&format!("{TWO_BY_TWO}\n{tables}"), "my.toml", &overrides)
}
