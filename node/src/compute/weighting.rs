use candle_core::{Device, Tensor};
use dib::ReceiverWeights;
use scenario::Objective;

use crate::{Context, NodeError, Role};

/// How much each receiver counts, as a node keeps it. Where the worst receiver counts, all nodes move the weights by
/// the same costs, and so have the same.
pub struct Weighting {
    /// What their tensor is called in a state.
    name: String,
    rate: f64,
    memory: f64,
    /// None if all receivers always count alike.
    weights: Option<ReceiverWeights>,
}

impl Weighting {
    /// That of a node of a role, before the first round.
    pub fn new(context: &Context, role: Role) -> Self {
        let scenario = &context.scenario;
        let weights = match scenario.train.objective {
            Objective::Sum => None,
            Objective::Worst => Some(ReceiverWeights::uniform(scenario.receivers())),
        };
        // The ending says that it is no parameter.
        let name = format!("{}{}/objective.log-weights", role.name(), context.index);
        Weighting { name, rate: scenario.train.worst_lr, memory: scenario.train.worst_memory, weights }
    }

    /// What scales gradients and costs of receiver t: T times its weight, 1 if all count alike.
    pub fn factor(&self, t: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights.factor(t))
    }

    /// The weight of receiver t, where the worst counts.
    pub fn probability(&self, t: usize) -> Option<f64> {
        self.weights.as_ref().map(|weights| weights.probability(t))
    }

    /// Moves the weights by what a round cost each receiver at its ticks: by the mean over them. Without weights
    /// nothing happens.
    pub fn learn<'a>(&mut self, costs: impl Iterator<Item = &'a [f64]>) {
        if let Some(weights) = &mut self.weights {
            let means: Vec<f64> =
                costs.map(|costs| costs.iter().sum::<f64>() / costs.len().max(1) as f64).collect();
            weights.learn(self.rate, self.memory, &means);
        }
    }

    /// What a state keeps of it.
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

    /// Takes it from a state.
    ///
    /// # Errors
    ///
    /// If the state has none, others, or such as no weights can be.
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
    fn weights_that_are_missing_are_told_from_impossible_ones() {
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
