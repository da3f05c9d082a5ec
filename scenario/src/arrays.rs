//! The scenario's keys for arrays from users.

use serde::{Deserialize, Serialize};

use crate::{AudioScale, Augmentation, ImageScale, Scenario, ScenarioError, validate::within};

/// How the values of arrays are normalised, separately for each position of a row, over the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// No normalisation.
    None,
    /// To mean 0 and standard deviation 1.
    Standard,
    /// To the range from 0 to 1.
    MinMax,
}

/// The kinds of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// One of several classes.
    Classification,
    /// One or more values.
    Regression,
}

/// A label in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// A number; for one-hot rows, the column.
    Number(i64),
    /// A text.
    Text(String),
}

/// Reads one label or a list of them.
pub(crate) fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Label>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a label, a whole number or a text, or a list of such")]
    enum Labels {
        One(Label),
        More(Vec<Label>),
    }
    Ok(match Labels::deserialize(deserializer)? {
        Labels::One(label) => vec![label],
        Labels::More(labels) => labels,
    })
}

/// Upper limit on the classes of a task.
const MOST_CLASSES: usize = 1 << 16;

/// Upper limit on the values of a noise sample.
const WIDEST: usize = 1 << 20;

impl Scenario {
    pub(crate) fn validate_arrays(&self) -> Result<(), ScenarioError> {
        within("data.noise_width", self.data.noise_width, 1, WIDEST)?;
        let of_handwritten = [
            ("data.validation", self.data.validation),
            ("data.test_speaker", self.data.test_speaker.is_some()),
            ("data.frozen_audio", self.data.frozen_audio),
        ];
        for (key, is_set) in of_handwritten {
            if is_set && self.data.source != "handwritten" {
                return Err(ScenarioError::invalid(key, "is for data.source \"handwritten\" alone"));
            }
        }
        if !["digits", "handwritten"].contains(&self.data.source.as_str()) {
            let of_digits = [
                ("data.augmentation", self.data.augmentation != Augmentation::Moderate),
                ("data.image_scale", self.data.image_scale != ImageScale::Range),
                ("data.audio_scale", self.data.audio_scale != AudioScale::Clip),
            ];
            if let Some((key, _)) = of_digits.into_iter().find(|(_, is_set)| *is_set) {
                let what = "is for data.source \"digits\" and \"handwritten\" alone";
                return Err(ScenarioError::invalid(key, what));
            }
        }
        self.validate_groups()?;
        for (t, receiver) in self.receiver.iter().enumerate() {
            if let Some(classes) = receiver.classes {
                within(&format!("classes of receiver {t}"), classes, 2, MOST_CLASSES)?;
            }
            let same = |other: &&crate::Receiver| other.task == receiver.task;
            let first = self.receiver.iter().find(same).unwrap_or(receiver);
            let differs = (first.kind, first.classes) != (receiver.kind, receiver.classes);
            if differs || first.ignore != receiver.ignore {
                let what = if differs { "kind or classes" } else { "labels to ignore" };
                let message = format!(
                    "has task \"{}\" with other {what} than an earlier one: give both the same",
                    receiver.task
                );
                return Err(ScenarioError::invalid(format!("receiver[{t}]"), message));
            }
        }
        Ok(())
    }
    /// What belongs together where training rows are held out: of arrays an array, of recorded digits the speakers.
    fn validate_groups(&self) -> Result<(), ScenarioError> {
        let Some(groups) = self.data.groups.as_deref().filter(|_| self.data.hold_out > 0.0) else {
            return Ok(());
        };
        let refuse = |message: String| Err(ScenarioError::invalid("data.groups", message));
        match self.data.source.as_str() {
            "digits" | "handwritten" if groups != "speaker" => refuse(format!(
                "is \"{groups}\"; of data.source \"{}\" it must be \"speaker\", or not be set",
                self.data.source
            )),
            "mmfi" => {
                refuse("is not for data.source \"mmfi\", of which whole recordings are held out".into())
            }
            _ => Ok(()),
        }
    }
}
