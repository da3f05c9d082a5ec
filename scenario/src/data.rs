use serde::{Deserialize, Serialize};
use toml::Table;

use crate::Normalisation;

/// The built-in data sets, whose keys are those of [`Data`]. A data set with another name is added by a user's program
/// and brings its own keys.
pub const BUILT_IN_SOURCES: [&str; 4] = ["digits", "handwritten", "arrays", "mmfi"];

/// The source of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The name of the data set. The program checks that it exists, not the scenario.
    pub source: String,
    /// Its folder, if it has one. A node's own `--data` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<std::path::PathBuf>,
    /// HandWritten: whether a held-out part of the training set replaces the test set.
    pub validation: bool,
    /// HandWritten: the test speaker. The test set is all recordings of this speaker and no others; none of them is
    /// trained or validated on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_speaker: Option<String>,
    /// HandWritten: whether every training image keeps the clip and the augmentation of the first epoch.
    pub frozen_audio: bool,
    /// Digits and HandWritten: how much the audio of training samples is augmented.
    pub augmentation: Augmentation,
    /// Digits and HandWritten: how the spectra of images are scaled.
    pub image_scale: ImageScale,
    /// Digits and HandWritten: how the spectra of audio are scaled.
    pub audio_scale: AudioScale,
    /// Arrays: how modalities and regression targets are normalised.
    pub normalisation: Normalisation,
    /// Arrays: values in a sample of a noise modality.
    pub noise_width: usize,
    /// The share of the training rows that is held out for validation; data with its own validation rows keeps all
    /// training rows.
    pub hold_out: f64,
    /// Groups that are held out together: for arrays the rows with equal values in the array of this name; for digits
    /// and HandWritten, with the value `speaker`, all recordings of a speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
    /// Keys of a data set that is not built in.
    #[serde(flatten, skip_deserializing)]
    pub own: Table,
}

/// How much the audio of training samples is augmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// Noise, gain, shift, and masks of up to 4 of 32 frames and 2 of 16 bands, anew for every sample and epoch.
    #[default]
    Moderate,
    /// As the paper's authors have it: masks of up to 20 frames and 10 bands, drawn once for each clip, with 22 copies
    /// of the clip.
    Script,
    /// None.
    None,
}

/// How the spectra of images are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageScale {
    /// The range of all training values to 0 to 1.
    #[default]
    Range,
    /// Every position to mean 0 and variance 1.
    Standard,
    /// The same of ln(1 + magnitude).
    Log,
}

/// How the spectra of audio are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioScale {
    /// The power of each clip to mean 0 and variance 1.
    #[default]
    Clip,
    /// Then every position to mean 0 and variance 1.
    Standard,
    /// The logarithm of the power of each clip to mean 0 and variance 1.
    Log,
}

impl Default for Data {
    fn default() -> Self {
        Data {
            source: BUILT_IN_SOURCES[0].into(),
            path: None,
            validation: false,
            test_speaker: None,
            frozen_audio: false,
            augmentation: Augmentation::Moderate,
            image_scale: ImageScale::Range,
            audio_scale: AudioScale::Clip,
            normalisation: Normalisation::Standard,
            noise_width: 196,
            hold_out: 0.0,
            groups: None,
            own: Table::new(),
        }
    }
}

/// Removes from a scenario's table the keys in `[data]` that [`Data`] lacks, if it names a data set that is not built
/// in.
pub(crate) fn take_own_keys(scenario: &mut Table) -> Table {
    let Some(data) = scenario.get_mut("data").and_then(|data| data.as_table_mut()) else {
        return Table::new();
    };
    let is_own = |name: &str| !BUILT_IN_SOURCES.contains(&name);
    if !data.get("source").and_then(|name| name.as_str()).is_some_and(is_own) {
        return Table::new();
    }
    let all = Data {
        path: Some(Default::default()),
        groups: Some(String::new()),
        test_speaker: Some(String::new()),
        ..Data::default()
    };
    let known = Table::try_from(all).expect("there are strings, numbers and truth values only");
    let own: Vec<String> = data.keys().filter(|key| !known.contains_key(*key)).cloned().collect();
    own.into_iter().filter_map(|key| data.remove_entry(&key)).collect()
}

#[cfg(test)]
mod tests {
    use crate::Scenario;

    const OWN: &str = "[data]\nradius = 2.5\nsource = \"rings\"\nnames = [\"a\", \"b\"]\nmore.deep = 1\n\
                       [[transmitter]]\nmodalities = [\"left\"]\n[[receiver]]\ntask = \"inside\"\n\
                       [network]\nreceiver_limit = 1\n";

    #[test]
    fn a_users_data_set_gets_its_keys_which_are_written_and_read_back() {
        let scenario = Scenario::parse(OWN, "own.toml", &["data.seeds=3".into()]).unwrap();
        let own = &scenario.data.own;
        assert_eq!(own.len(), 4);
        assert_eq!((own["radius"].as_float(), own["seeds"].as_integer()), (Some(2.5), Some(3)));
        assert_eq!(own["more"]["deep"].as_integer(), Some(1));
        assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
        let [change] = &scenario.changes(&Scenario::parse(OWN, "own.toml", &[]).unwrap())[..] else {
            panic!("one key differs")
        };
        assert_eq!(change.to_string(), "data.seeds: 3 -> not set");
    }

    #[test]
    fn a_built_in_data_set_has_no_other_keys_than_its_own() {
        let text = OWN
            .replace("rings", "digits")
            .replace("more.deep = 1\n", "")
            .replace("names = [\"a\", \"b\"]\n", "");
        let message = Scenario::parse(&text, "my.toml", &[]).unwrap_err().to_string();
        assert!(
            message.starts_with("my.toml: line 2: unknown field `radius`, expected one of `source`, "),
            "{message}"
        );
    }
}
