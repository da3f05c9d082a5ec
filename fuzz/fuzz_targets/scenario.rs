//! A scenario file: whatever is accepted can be written down and read again, and is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scenario::Scenario;

fuzz_target!(|text: &str| {
    if let Ok(scenario) = Scenario::parse(text, "fuzz", &[]) {
        let again = Scenario::parse(&scenario.to_toml(), "fuzz", &[]).expect("what was accepted can be read");
        assert_eq!(again.to_toml(), scenario.to_toml());
    }
});
