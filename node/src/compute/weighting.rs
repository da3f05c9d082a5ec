use candle_core::{Device, Tensor};
use dib::ReceiverWeights;
use scenario::Objective;

use crate::{Context, NodeError, Role};

/// A node's copy of the weights of receivers. Under the objective `worst` all nodes update the weights with the same
/// costs, so their copies are equal.
pub struct Weighting {
    /// The name of their tensor in a state.
    name: String,
    rate: f64,
    memory: f64,
    /// `None` under the objective `sum`: all receivers have the same weight.
    weights: Option<ReceiverWeights>,
}

impl Weighting {
    /// The weights before the first round, at a node with this role.
    pub fn new(context: &Context, role: Role) -> Self {
        let scenario = &context.scenario;
        let weights = match scenario.train.objective {
            Objective::Sum => None,
            Objective::Worst => Some(ReceiverWeights::uniform(scenario.receivers())),
        };
        // By the ending, `is_parameter` knows that it is not a parameter.
        let name = format!("{}{}/objective.log-weights", role.name(), context.index);
        Weighting { name, rate: scenario.train.worst_lr, memory: scenario.train.worst_memory, weights }
    }

    /// The factor of receiver t's gradients and costs: T times its weight; 1 if all weights are equal.
    pub fn factor(&self, t: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights.factor(t))
    }

    /// The [factors](Self::factor) of all `receivers`.
    pub fn factors(&self, receivers: usize) -> Vec<f64> {
        self.weights.as_ref().map_or_else(|| vec![1.0; receivers], ReceiverWeights::factors)
    }

    /// The weight of receiver t. `None` under the objective `sum`.
    pub fn probability(&self, t: usize) -> Option<f64> {
        self.weights.as_ref().map(|weights| weights.probability(t))
    }

    /// Updates the weights with the mean of each receiver's costs over the ticks of a round. Without weights it does
    /// nothing.
    pub fn learn<'a>(&mut self, costs: impl Iterator<Item = &'a [f64]>) {
        if let Some(weights) = &mut self.weights {
            let means: Vec<f64> =
                costs.map(|costs| costs.iter().sum::<f64>() / costs.len().max(1) as f64).collect();
            weights.learn(self.rate, self.memory, &means);
        }
    }

    /// The tensors that a state keeps.
    ///
    /// # Errors
    ///
    /// If a tensor cannot be made.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>, NodeError> {
        let tensor = |weights: &ReceiverWeights| -> Result<(String, Tensor), NodeError> {
            let logs = weights.logs();
            Ok((self.name.clone(), Tensor::from_slice(logs, logs.len(), &Device::Cpu)?))
        };
        self.weights.iter().map(tensor).collect()
    }

    /// Restores the weights from a state.
    ///
    /// # Errors
    ///
    /// If the state lacks the weights, has those of another number of receivers, or has impossible values.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), NodeError> {
        let Some(weights) = &mut self.weights else { return Ok(()) };
        let tensors = crate::unpack_state(state, &Device::Cpu)?;
        let (name, receivers) = (&self.name, weights.logs().len());
        let Some(tensor) = tensors.get(name) else {
            let line =
                format!("the checkpoint has no tensor \"{name}\" of the weights of {receivers} receivers");
            return Err(NodeError::Input(line));
        };
        let logs = tensor.to_vec1::<f64>().ok().filter(|logs| logs.len() == receivers);
        *weights = logs.and_then(ReceiverWeights::from_logs).ok_or_else(|| {
            let what =
                format!("no logarithms of the weights of {receivers} receivers, of which the largest is 0");
            NodeError::Input(format!("the checkpoint's tensor \"{name}\" has {what}"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack_state;

    fn weighting() -> Weighting {
        let name = "receiver0/objective.log-weights".into();
        Weighting { name, rate: 0.5, memory: 0.95, weights: Some(ReceiverWeights::uniform(2)) }
    }

    #[test]
    fn missing_weights_and_impossible_weights_have_different_errors() {
        let mut moved = weighting();
        moved.learn([&[1.0, 2.0][..], &[0.5][..]].into_iter());
        let mut restored = weighting();
        restored.restore(&pack_state(moved.tensors().unwrap(), 3).unwrap()).unwrap();
        assert_eq!(restored.weights, moved.weights);
        assert!(restored.factor(0) > 1.0);

        let refused = |tensors: Vec<(String, Tensor)>| {
            let line = weighting().restore(&pack_state(tensors, 3).unwrap()).unwrap_err().to_string();
            assert!(line.contains(&weighting().name) && line.lines().count() == 1, "{line}");
            line
        };
        assert!(refused(Vec::new()).contains("has no tensor"));
        for logs in [vec![-1.0, -2.0], vec![0.0], vec![0.0, f64::NAN]] {
            let count = logs.len();
            let tensor = Tensor::from_vec(logs, count, &Device::Cpu).unwrap();
            let line = refused(vec![(weighting().name, tensor)]);
            assert!(line.ends_with("no logarithms of the weights of 2 receivers, of which the largest is 0"));
        }
    }
}
