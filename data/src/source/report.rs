use serde::Serialize;
use serde_json::Value;

/// What was found of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// For people to read, with the end of the last line.
    pub text: String,
    /// The same as one JSON object.
    pub json: Value,
    /// Whether nothing is wrong with it.
    pub is_sound: bool,
    /// Why a run would refuse it although its files are sound, in one line.
    pub refusal: Option<String>,
}

impl Report {
    /// One of what can be told as JSON.
    pub fn new(text: String, told: &impl Serialize, is_sound: bool) -> Self {
        let json = serde_json::to_value(told).expect("a report has only strings, numbers and lists");
        Report { text, json, is_sound, refusal: None }
    }
}
