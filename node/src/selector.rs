use candle_core::{DType, Tensor};
use dib::{Draw, Network, SelectorShape, Trace, initial_weights};
use randomness::Stream;

use crate::{Context, NodeError};

/// A selector: the network v and the distribution over selections that its outputs stand for.
pub struct Selector {
    network: Network,
    shape: SelectorShape,
}

/// What a selector computed and drew in a round, as far as it needs it to learn from the costs.
pub struct Choice {
    trace: Trace,
    logits: Vec<Vec<f32>>,
    /// A draw for every row of the input, or none where nobody asked for one.
    pub draws: Vec<Option<Draw>>,
}

impl Selector {
    /// A selector with `inputs` values in; its name addresses its initial weights.
    pub fn new(
        context: &Context,
        name: &str,
        inputs: usize,
        shape: SelectorShape,
    ) -> Result<Self, NodeError> {
        let kind = crate::log_mass(context.scenario.train.log_mass);
        shape.check(kind).map_err(|error| NodeError::Input(format!("{name}: {error}")))?;
        let weights = initial_weights(context.seed, name);
        let network = Network::new(name, inputs, shape.outputs(), weights, DType::F32, &context.device)?;
        Ok(Selector { network, shape })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to restore it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Draws for every row of the input for which `stream` gives a stream, and keeps what learning needs.
    pub fn choose(
        &self,
        input: &Tensor,
        stream: impl Fn(usize) -> Option<Stream>,
    ) -> Result<Choice, NodeError> {
        let (logits, trace) = self.network.forward(input)?;
        let logits = logits.to_vec2::<f32>()?;
        let draws = self.draw_rows(&logits, stream);
        Ok(Choice { trace, logits, draws })
    }

    /// The same for an evaluation: only the draws.
    pub fn draw(
        &self,
        input: &Tensor,
        stream: impl Fn(usize) -> Option<Stream>,
    ) -> Result<Vec<Option<Draw>>, NodeError> {
        let logits = self.network.infer(input)?.to_vec2::<f32>()?;
        Ok(self.draw_rows(&logits, stream))
    }

    fn draw_rows(&self, logits: &[Vec<f32>], stream: impl Fn(usize) -> Option<Stream>) -> Vec<Option<Draw>> {
        let draw = |(row, logits): (usize, &Vec<f32>)| Some(self.shape.draw(logits, &mut stream(row)?));
        logits.iter().enumerate().map(draw).collect()
    }

    /// The costs that judge some rows' draws, each with the entropy bonus of its draw: its log-mass, as a number, times
    /// the bonus's weight in this round. A draw that is nearly certain costs more than one among many.
    pub fn with_entropy_bonus(
        &self,
        context: &Context,
        round: u64,
        choice: &Choice,
        rows: impl Iterator<Item = usize>,
        costs: &[f64],
    ) -> Vec<f64> {
        let train = &context.scenario.train;
        let (weight, kind) = (train.entropy_bonus_at(round), crate::log_mass(train.log_mass));
        if weight == 0.0 {
            return costs.to_vec();
        }
        let log_mass = |row: usize| match &choice.draws[row] {
            Some(draw) => self.shape.log_mass(&choice.logits[row], draw, kind),
            None => 0.0,
        };
        rows.zip(costs).map(|(row, cost)| cost + weight * log_mass(row)).collect()
    }

    /// One step along the score function (21): the gradient of sum over rows of advantage x log-mass of the draw,
    /// clipped. `blocks` are the gradient blocks of the input's rows. Gives that sum.
    pub fn learn(
        &mut self,
        context: &Context,
        choice: &Choice,
        advantages: &[f64],
        blocks: &[usize],
    ) -> Result<f64, NodeError> {
        let train = &context.scenario.train;
        let score = self.score(context, choice, advantages, blocks)?;
        self.network.clip_gradients(train.selection_clip)?;
        self.network.step(&crate::adamw(train.selection_rate, train.weight_decay))?;
        Ok(score)
    }

    /// Leaves the gradient of the score function in the network.
    fn score(
        &mut self,
        context: &Context,
        choice: &Choice,
        advantages: &[f64],
        blocks: &[usize],
    ) -> Result<f64, NodeError> {
        let kind = crate::log_mass(context.scenario.train.log_mass);
        let outputs = self.shape.outputs();
        let mut upstream = vec![0.0; advantages.len() * outputs];
        let mut score = 0.0;
        for (row, gradient) in upstream.chunks_mut(outputs).enumerate() {
            let Some(draw) = &choice.draws[row] else { continue };
            let (logits, advantage) = (&choice.logits[row], advantages[row]);
            self.shape.add_log_mass_gradient(logits, draw, kind, advantage, gradient);
            score += advantage * self.shape.log_mass(logits, draw, kind);
        }
        let upstream: Vec<f32> = upstream.into_iter().map(|value| value as f32).collect();
        let upstream = Tensor::from_vec(upstream, (advantages.len(), outputs), &context.device)?;
        self.network.backward(&choice.trace, &upstream, blocks)?;
        Ok(score)
    }
}
