//! How an encoder learns for which receiver it encodes: the argument t of (1), f(x, t).

use serde::{Deserialize, Serialize};

use crate::{Described, Kind, Model, Scenario};

/// How an encoder learns for which receiver it encodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskInput {
    /// A fixed embedding of the receiver, 0.1 times a standard normal, beside the sample.
    #[default]
    Embedding,
    /// The same embedding with values of unit variance.
    Scaled,
    /// Feature-wise modulation: gains and biases for the values that a trunk makes of the sample (Perez et al., FiLM,
    /// 2018).
    Film,
    /// A last linear layer for each receiver, behind a trunk that does not know the receiver.
    Output,
}

impl TaskInput {
    /// The name in scenarios.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TaskInput::Embedding => "embedding",
            TaskInput::Scaled => "scaled",
            TaskInput::Film => "film",
            TaskInput::Output => "output",
        }
    }

    /// Whether an encoder is a trunk, which sees a sample once for all receivers, and a head of a given form.
    pub(crate) fn divides(self) -> bool {
        matches!(self, TaskInput::Film | TaskInput::Output)
    }

    /// Gives an encoder the trunk and the head that this task input needs.
    fn divide(self, model: &mut Model) {
        if !self.divides() {
            return;
        }
        // Other kinds than the paper's say how many values their trunks have.
        let last = |kind: &Kind| match kind {
            Kind::ResidualMlp { hidden } => hidden.last().copied(),
            _ => None,
        };
        let values = model.outputs.or_else(|| last(&model.kind)).unwrap_or(1);
        let kind = match self {
            TaskInput::Film => Kind::Film { values },
            _ => Kind::Sequential { layers: Vec::new() },
        };
        model.outputs = Some(values);
        model.head = Some(Box::new(Model { kind, ..Model::default() }));
    }
}

impl Scenario {
    /// The network that encodes a modality.
    pub fn encoder(&self, modality: &str) -> Described {
        let mut described = self.encoder_as_written(modality);
        self.train.task_input.divide(&mut described.model);
        described
    }

    /// In how many places the values of a sample may stand in the input of an encoder's last part. With a linear layer
    /// for each receiver there is one place for each, and zeros stand in the others: so one matrix is all those layers.
    pub fn places(&self) -> usize {
        if self.train.task_input == TaskInput::Output { self.receivers() } else { 1 }
    }

    /// How many values an encoder of transmitter k is given beside those of the sample, or of its trunk: the receiver's
    /// embedding and the gain of its link, if the transmitter sees any.
    pub fn task_inputs(&self, k: usize) -> usize {
        self.network.feature_dim + self.gains_at_transmitter(k)
    }

    /// The number of inputs of the last part of an encoder of transmitter k, which gets so many values of a sample.
    pub fn head_inputs(&self, k: usize, values: usize) -> usize {
        self.places() * values + self.task_inputs(k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "network.receiver_limit = 1\nnetwork.feature_dim = 24\n\
                            [[transmitter]]\nmodalities = [\"fft\"]\n\
                            [[receiver]]\ntask = \"digit\"\n[[receiver]]\ntask = \"parity\"\n";

    fn with(task_input: &str, set: &[&str]) -> Result<Scenario, String> {
        let task_input = format!("train.task_input={task_input}");
        let set: Vec<String> = set.iter().map(|&key| key.to_owned()).chain([task_input]).collect();
        Scenario::parse(SCENARIO, "my.toml", &set).map_err(|error| error.to_string())
    }

    #[test]
    fn the_task_input_says_how_an_encoder_is_divided() {
        for plain in ["embedding", "scaled"] {
            let scenario = with(plain, &[]).unwrap();
            assert_eq!(scenario.encoder("fft").model, Model::default());
            assert_eq!(scenario.head_inputs(0, 196), 196 + 24);
        }
        let output = with("output", &[]).unwrap();
        let encoder = output.encoder("fft");
        assert_eq!(
            (encoder.model.outputs, encoder.head().model.kind),
            (Some(256), Kind::Sequential { layers: Vec::new() })
        );
        assert_eq!(output.head_inputs(0, 256), 2 * 256 + 24);
        let film = with("film", &["network.encoder.hidden=[32, 16]"]).unwrap();
        assert_eq!(film.encoder("fft").head().model.kind, Kind::Film { values: 16 });
        assert_eq!(film.head_inputs(0, 16), 16 + 24);
        // What is written is what the user wrote.
        assert_eq!(Scenario::parse(&film.to_toml(), "again", &[]).unwrap(), film);
    }

    #[test]
    fn a_head_of_ones_own_is_refused_where_the_task_input_makes_it() {
        let trunk = "network.encoder={kind=\"gru\", hidden=3, outputs=2, head={hidden=[4]}}";
        assert!(with("embedding", &[trunk]).is_ok());
        for divided in ["film", "output"] {
            let line = with(divided, &[trunk]).unwrap_err();
            let expected = format!(
                "my.toml: network.encoder.head is set, but train.task_input = \"{divided}\" makes the head"
            );
            assert!(line.starts_with(&expected) && line.lines().count() == 1, "{line}");
        }
        assert!(
            with("outptu", &[])
                .unwrap_err()
                .contains("expected one of `embedding`, `scaled`, `film`, `output`")
        );
    }
}
