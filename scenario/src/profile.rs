//! Other hardware, for which a service models latency and energy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Scenario, ScenarioError};

/// Devices and links for which a service models latency and energy, beside what it measures here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Floating-point operations a second, of every node without a table of its own.
    pub flops: f64,
    /// Energy of an operation, in joules.
    #[serde(default)]
    pub joules_per_flop: f64,
    /// Memory in bytes; none: any network has room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Devices of single nodes, such as "transmitter 0".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node: BTreeMap<String, DeviceProfile>,
    /// All links.
    #[serde(default)]
    pub link: LinkProfile,
}

/// The device of one node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProfile {
    /// Floating-point operations a second.
    pub flops: f64,
    /// Energy of an operation, in joules.
    #[serde(default)]
    pub joules_per_flop: f64,
    /// Memory in bytes; none: any network has room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
}

/// A link from a transmitter to a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkProfile {
    /// Seconds until the first bit arrives.
    pub delay: f64,
    /// Bytes a second; of a link that carries bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f64>,
    /// Seconds of a complex symbol; of a link through the air, where two values of a feature are a symbol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol_time: Option<f64>,
    /// Watts while it sends.
    pub transmit_power: f64,
}

impl Profile {
    /// The device of a node, by its name.
    pub fn device(&self, name: &str) -> DeviceProfile {
        let Profile { flops, joules_per_flop, memory, .. } = *self;
        self.node.get(name).copied().unwrap_or(DeviceProfile { flops, joules_per_flop, memory })
    }

    /// Checks all values, for a network of so many transmitters and receivers.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Invalid`] with the first key whose value cannot be.
    pub fn validate(&self, transmitters: usize, receivers: usize) -> Result<(), ScenarioError> {
        let of = |role, count| (0..count).map(move |index| format!("{role} {index}"));
        let names: Vec<String> = of("transmitter", transmitters).chain(of("receiver", receivers)).collect();
        if let Some(stranger) = self.node.keys().find(|name| !names.contains(name)) {
            let what = format!("names no node of this network; there are {}", names.join(", "));
            return Err(ScenarioError::invalid(format!("profile.node.\"{stranger}\""), what));
        }
        self.device("").validate("profile")?;
        for (name, device) in &self.node {
            device.validate(&format!("profile.node.\"{name}\""))?;
        }
        let LinkProfile { delay, bandwidth, symbol_time, transmit_power } = self.link;
        at_least_zero("profile.link.delay", delay)?;
        at_least_zero("profile.link.symbol_time", symbol_time.unwrap_or(0.0))?;
        at_least_zero("profile.link.transmit_power", transmit_power)?;
        above_zero("profile.link.bandwidth", bandwidth.unwrap_or(1.0))
    }
}

impl DeviceProfile {
    fn validate(&self, table: &str) -> Result<(), ScenarioError> {
        above_zero(&format!("{table}.flops"), self.flops)?;
        at_least_zero(&format!("{table}.joules_per_flop"), self.joules_per_flop)?;
        above_zero(&format!("{table}.memory"), self.memory.unwrap_or(1.0))
    }
}

impl Scenario {
    pub(crate) fn validate_profile(&self) -> Result<(), ScenarioError> {
        self.profile
            .as_ref()
            .map_or(Ok(()), |profile| profile.validate(self.transmitters(), self.receivers()))
    }
}

fn above_zero(key: &str, value: f64) -> Result<(), ScenarioError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(ScenarioError::invalid(key, format!("is {value}; it must be above 0"))),
    }
}

fn at_least_zero(key: &str, value: f64) -> Result<(), ScenarioError> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(ScenarioError::invalid(key, format!("is {value}; it must be 0 or more"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "[[transmitter]]\nmodalities = [\"fft\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n\
                            [[receiver]]\ntask = \"digit\"\n";

    fn parse(profile: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(&format!("{SCENARIO}{profile}"), "my.toml", &[])
    }

    #[test]
    fn a_node_has_its_own_device_or_that_of_all_and_the_scenario_is_read_back() {
        let text = "[profile]\nflops = 2e9\nmemory = 5e8\n[profile.node.\"receiver 0\"]\nflops = 1e8\n\
                    [profile.link]\ndelay = 0.01\nbandwidth = 1e6\n";
        let scenario = parse(text).unwrap();
        let profile = scenario.profile.clone().unwrap();
        assert_eq!((profile.device("receiver 0").flops, profile.device("transmitter 1").flops), (1e8, 2e9));
        assert_eq!(
            (profile.device("receiver 0").memory, profile.device("transmitter 0").memory),
            (None, Some(5e8))
        );
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
        let set = ["profile.flops=3e9".to_owned(), "profile.link.delay=0.5".to_owned()];
        let changed = Scenario::parse(&scenario.to_toml(), "again", &set).unwrap();
        assert_eq!(changed.profile.unwrap().link.delay, 0.5);
        assert_eq!(parse("").unwrap().profile, None);
    }

    #[test]
    fn impossible_profiles_are_refused_by_their_keys() {
        for (profile, expected) in [
            ("profile = { flops = 0 }", "profile.flops is 0; it must be above 0"),
            (
                "profile = { flops = 1, joules_per_flop = -1 }",
                "profile.joules_per_flop is -1; it must be 0 or more",
            ),
            ("profile = { flops = 1, memory = nan }", "profile.memory is NaN; it must be above 0"),
            (
                "profile = { flops = 1, link = { delay = inf } }",
                "profile.link.delay is inf; it must be 0 or more",
            ),
            (
                "profile = { flops = 1, link = { bandwidth = 0 } }",
                "profile.link.bandwidth is 0; it must be above 0",
            ),
            (
                "profile = { flops = 1, node = { \"receiver 1\" = { flops = 1 } } }",
                "profile.node.\"receiver 1\" names no node of this network; there are transmitter 0, transmitter 1, receiver 0",
            ),
        ] {
            let message = Scenario::parse(&format!("{profile}\n{SCENARIO}"), "my.toml", &[]).unwrap_err();
            assert_eq!(message.to_string(), format!("my.toml: {expected}"), "{profile}");
        }
        assert!(parse("[profile]\nwatts = 3\n").unwrap_err().to_string().contains("`watts`"));
    }
}
