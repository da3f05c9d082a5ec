use std::str::FromStr;

use toml::{Table, Value};

/// Hyper-parameters that belong together: they override those of a scenario's file and are overridden by those set for
/// a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The paper's hyper-parameters and, for HandWritten, the preparation of the data by the authors' script.
    Paper,
}

impl Preset {
    /// All presets.
    pub const ALL: [Preset; 1] = [Preset::Paper];

    /// The name of the preset.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Paper => "paper",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Preset::Paper => include_str!("../presets/paper.toml"),
        }
    }

    /// Writes the preset's keys into a scenario's table. A key that the preset leaves unset is removed. Which keys
    /// apply depends on the data set of `overridden`, the table with the run's overrides.
    pub(crate) fn apply(self, scenario: &mut Table, overridden: &Table) {
        let preset: Table = self.text().parse().expect("a preset is TOML");
        let source = overridden.get("data").and_then(|data| data.get("source")?.as_str());
        for (section, keys) in preset {
            // Other data sets refuse some of these keys, and the paper does not use those data sets.
            if section == "data" && source != Some("handwritten") {
                continue;
            }
            let (Value::Table(keys), Some(place)) = (keys, section_of(scenario, &section)) else { continue };
            place.extend(keys);
        }
        if let Some(network) = section_of(scenario, "network").filter(|_| source == Some("mmfi")) {
            network.insert("feature_dim".into(), 48.into());
        }
        if let Some(train) = section_of(scenario, "train") {
            train.remove("beta_start");
        }
    }
}

/// A section of a scenario; none if another value has its name, which the reader refuses.
fn section_of<'a>(scenario: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    scenario.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Preset::ALL.map(Preset::name).join(", ");
        let named = Preset::ALL.into_iter().find(|preset| preset.name() == text);
        named.ok_or_else(|| format!("there is no preset \"{text}\"; there is: {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AudioScale, Augmentation, Baseline, Credit, Data, ImageScale, Scenario, SparseTerm, TaskInput, Train,
    };

    const FILES: [(&str, &str, usize); 3] = [
        ("digits.toml", include_str!("../../scenarios/digits.toml"), 24),
        ("handwritten.toml", include_str!("../../scenarios/handwritten.toml"), 24),
        ("mmfi.toml", include_str!("../../scenarios/mmfi.toml"), 48),
    ];

    fn with_preset(text: &str, overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        Scenario::parse_with(text, "my.toml", Some(Preset::Paper), &overrides).unwrap()
    }

    #[test]
    fn the_papers_preset_overrides_hyper_parameters_of_any_file() {
        for (file, text, feature_dim) in FILES {
            let busy = text
                .replace("#beta_start", "beta_start")
                .replace("\nobjective = \"sum\"", "\nobjective = \"worst\"");
            let scenario = with_preset(&busy, &[]);
            let expected = Train {
                gamma: 0.0,
                sparse_term: SparseTerm::Global,
                baseline: Baseline::LabelEntropy,
                credit: Credit::Own,
                entropy_bonus: 0.0,
                ..Train::default()
            };
            // All other keys have the program's defaults.
            assert_eq!(scenario.train, expected, "{file}");
            let network = &scenario.network;
            assert_eq!((network.receiver_limit, network.transmitter_limit), (2, 4));
            assert_eq!((network.limits, network.feature_dim), (true, feature_dim), "{file}");
        }
    }

    #[test]
    fn the_papers_preset_prepares_only_handwritten_as_the_authors_script() {
        let (_, handwritten, _) = FILES[1];
        let busy = handwritten
            .replace("\nimage_scale = \"range\"", "\nimage_scale = \"log\"")
            .replace("\naudio_scale = \"clip\"", "\naudio_scale = \"standard\"")
            .replace("\ntask_input = \"embedding\"", "\ntask_input = \"output\"");
        assert_ne!(busy, handwritten);
        let scenario = with_preset(&busy, &[]);
        let Data { frozen_audio, augmentation, image_scale, audio_scale, .. } = scenario.data;
        let found = (frozen_audio, augmentation, image_scale, audio_scale);
        assert_eq!(found, (true, Augmentation::Script, ImageScale::Range, AudioScale::Clip));
        assert_eq!(scenario.train.task_input, TaskInput::Embedding);
        let moderate = with_preset(&busy, &["data.augmentation=moderate", "data.frozen_audio=false"]).data;
        assert_eq!((moderate.augmentation, moderate.frozen_audio), (Augmentation::Moderate, false));

        for (file, text, _) in [FILES[0], FILES[2]] {
            assert_eq!(with_preset(text, &[]).data, Scenario::parse(text, file, &[]).unwrap().data, "{file}");
        }
        // An override may name the data set too.
        assert!(!with_preset(handwritten, &["data.source=digits"]).data.frozen_audio);
        assert!(with_preset(FILES[0].1, &["data.source=handwritten"]).data.frozen_audio);
    }

    #[test]
    fn assignments_override_the_preset_which_leaves_other_keys_alone() {
        let (_, text, _) = FILES[0];
        let scenario =
            with_preset(text, &["train.beta=1e-2", "train.beta_start=1e-4", "network.feature_dim=8"]);
        assert_eq!((scenario.train.beta, scenario.train.beta_start), (1e-2, Some(1e-4)));
        assert_eq!(scenario.network.feature_dim, 8);
        let plain = Scenario::parse(text, "my.toml", &[]).unwrap();
        let rest = Scenario { train: plain.train.clone(), network: plain.network.clone(), ..scenario };
        assert_eq!(rest, plain);
    }

    #[test]
    fn a_preset_that_is_none_is_refused_with_those_that_are() {
        let refusal = "papers".parse::<Preset>().unwrap_err();
        assert_eq!(refusal, "there is no preset \"papers\"; there is: paper");
        assert_eq!("paper".parse(), Ok(Preset::Paper));
    }

    #[test]
    fn a_mistake_in_the_file_is_answered_in_one_line_with_a_preset_too() {
        for text in ["train = 3", "network = \"big\"", "data = 1"] {
            let refused =
                Scenario::parse_with(text, "my.toml", Some(Preset::Paper), &[]).unwrap_err().to_string();
            assert!(refused.starts_with("my.toml: ") && refused.lines().count() == 1, "{refused}");
        }
    }
}
