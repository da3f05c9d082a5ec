//! Disturbed sensors in evaluation: off, noisy, blurred, or lagging behind.

use crate::{BUILT_IN_SOURCES, Scenario, ScenarioError, validate::within_reals};

/// Upper limit of `evaluation.sensor_noise`.
const MOST_NOISE: f64 = 1e3;

/// Upper limit of `evaluation.blur`.
const MOST_BLUR: f64 = 1e3;

impl Scenario {
    /// Whether modality m of transmitter k is off in evaluation: its entries never arrive.
    pub fn is_off(&self, k: usize, m: usize) -> bool {
        self.evaluation.off.iter().any(|name| match self.sensor(name) {
            Some((transmitter, modality)) => {
                transmitter == k && modality.is_none_or(|modality| modality == m)
            }
            None => false,
        })
    }

    /// The transmitter, and its modality if one is named, of a sensor such as "1/mel" or "1".
    fn sensor(&self, name: &str) -> Option<(usize, Option<usize>)> {
        let (k, modality) = match name.split_once('/') {
            Some((k, modality)) => (k, Some(modality)),
            None => (name, None),
        };
        let k: usize = k.parse().ok()?;
        let modalities = &self.transmitter.get(k)?.modalities;
        match modality {
            Some(modality) => Some((k, Some(modalities.iter().position(|known| known == modality)?))),
            None => Some((k, None)),
        }
    }

    /// Whether test rows are in order of time, so that a sensor can lag behind; `None` if only the data set knows.
    pub fn is_in_time(&self) -> Option<bool> {
        match self.data.source.as_str() {
            "mmfi" => Some(true),
            "arrays" => Some(self.evaluation.recordings.is_some()),
            "digits" | "handwritten" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn validate_conditions(&self) -> Result<(), ScenarioError> {
        if let Some(name) = self.evaluation.off.iter().find(|name| self.sensor(name).is_none()) {
            let known: Vec<String> = (0..self.transmitters())
                .flat_map(|k| self.transmitter[k].modalities.iter().map(move |name| format!("{k}/{name}")))
                .collect();
            let what = format!(
                "names \"{name}\"; a sensor is a transmitter, such as \"0\", or one of its modalities: {}",
                known.join(", ")
            );
            return Err(ScenarioError::invalid("evaluation.off", what));
        }
        within_reals("evaluation.sensor_noise", self.evaluation.sensor_noise, 0.0, MOST_NOISE)?;
        within_reals("evaluation.blur", self.evaluation.blur, 0.0, MOST_BLUR)?;
        let (stale, source) = (self.evaluation.stale, self.data.source.as_str());
        let has_none = source != "arrays" && BUILT_IN_SOURCES.contains(&source);
        if has_none && self.evaluation.recordings.is_some() {
            let what = format!(
                "is for data.source \"arrays\", or for a data set of your own; with \"{source}\" leave it out"
            );
            return Err(ScenarioError::invalid("evaluation.recordings", what));
        }
        if stale > 0 && self.is_in_time() == Some(false) {
            let remedy = match source {
                "arrays" => ": name the array of the test rows' recordings with evaluation.recordings",
                _ => "; set it to 0",
            };
            let what =
                format!("is {stale}, but rows of data.source \"{source}\" are not in order of time{remedy}");
            return Err(ScenarioError::invalid("evaluation.stale", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "[[transmitter]]\nmodalities = [\"fft\", \"mel\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n\
                            [[receiver]]\ntask = \"digit\"\n";

    fn with(set: &str) -> Result<Scenario, String> {
        Scenario::parse(SCENARIO, "my.toml", &[set.to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn sensors_are_off_by_transmitter_or_by_modality() {
        let off = |scenario: &Scenario| [(0, 0), (0, 1), (1, 0)].map(|(k, m)| scenario.is_off(k, m));
        assert_eq!(off(&with("seed=1").unwrap()), [false; 3]);
        assert_eq!(off(&with("evaluation.off=[\"0/mel\"]").unwrap()), [false, true, false]);
        assert_eq!(off(&with("evaluation.off=[\"0\"]").unwrap()), [true, true, false]);
        assert_eq!(off(&with("evaluation.off=[\"1/mel\", \"0/fft\"]").unwrap()), [true, false, true]);
    }

    #[test]
    fn sensors_lag_behind_only_where_rows_are_in_order_of_time() {
        let of = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
            Scenario::parse(SCENARIO, "my.toml", &sets).map_err(|error| error.to_string())
        };
        let arrays = ["data.source=arrays", "evaluation.stale=2", "evaluation.recordings=recording"];
        assert_eq!(of(&arrays).unwrap().is_in_time(), Some(true));
        let unnamed = of(&arrays[..2]).unwrap_err();
        assert!(unnamed.contains("evaluation.stale is 2") && unnamed.ends_with("with evaluation.recordings"));
        assert_eq!(of(&["data.source=mmfi", "evaluation.stale=1"]).unwrap().is_in_time(), Some(true));
        assert_eq!(of(&["data.source=mine", "evaluation.stale=1"]).unwrap().is_in_time(), None);
        let named = |source: &str| {
            let source = format!("data.source={source}");
            of(&[source.as_str(), "evaluation.recordings=recording"])
        };
        for source in ["digits", "handwritten", "mmfi"] {
            let line = named(source).unwrap_err();
            assert!(
                line.starts_with("my.toml: evaluation.recordings is for data.source \"arrays\""),
                "{line}"
            );
            assert!(line.ends_with(&format!("with \"{source}\" leave it out")), "{line}");
        }
        assert!(named("arrays").is_ok() && named("mine").is_ok());
    }

    #[test]
    fn what_is_no_sensor_and_no_noise_is_refused_in_one_line() {
        for (set, expected) in [
            ("evaluation.off=[\"2\"]", "evaluation.off names \"2\"; a sensor is a transmitter"),
            ("evaluation.off=[\"0/depth\"]", "one of its modalities: 0/fft, 0/mel, 1/mel"),
            ("evaluation.off=[\"mel\"]", "evaluation.off names \"mel\""),
            ("evaluation.sensor_noise=-0.1", "evaluation.sensor_noise is -0.1; it must be from 0 to 1000"),
            ("evaluation.sensor_noise=nan", "evaluation.sensor_noise is NaN"),
            ("evaluation.blur=-1.0", "evaluation.blur is -1; it must be from 0 to 1000"),
            ("evaluation.blur=nan", "evaluation.blur is NaN"),
            (
                "evaluation.stale=2",
                "evaluation.stale is 2, but rows of data.source \"digits\" are not in order of time",
            ),
        ] {
            let line = with(set).unwrap_err();
            assert!(line.contains(expected) && line.lines().count() == 1, "{line}");
        }
    }
}
