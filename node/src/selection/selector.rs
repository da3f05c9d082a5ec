use candle_core::Tensor;
use dib::{Draw, Input, Network, RowAddresses, SelectorShape, Trace};
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
    /// What was drawn, by row of the input.
    pub draws: Vec<Draw>,
}

impl Selector {
    /// v_t: u in, and the gains that it sees; E_t + K logits out.
    pub fn of_receiver(context: &Context, t: usize) -> Result<Self, NodeError> {
        let scenario = &context.scenario;
        let shape = SelectorShape { counts: scenario.receiver_limit(), items: scenario.transmitters() };
        let inputs = context.feature_dim() + scenario.gains_at_receiver_selector(t);
        Selector::new(context, &format!("receiver{t}/selector"), inputs, shape)
    }

    /// v_k: (u, embedding of t) in, and the gain of the link to t if it sees any; min(E_k, m(k)) + m(k) logits out.
    pub fn of_transmitter(context: &Context, k: usize) -> Result<Self, NodeError> {
        let modalities = context.scenario.modalities(k);
        let counts = context.scenario.transmitter_limit(k).min(modalities);
        let shape = SelectorShape { counts, items: modalities };
        let inputs = 2 * context.feature_dim() + context.scenario.gains_at_transmitter_selector(k);
        Selector::new(context, &format!("transmitter{k}/selector"), inputs, shape)
    }

    /// A selector with `inputs` values in; its name addresses its initial weights.
    fn new(context: &Context, name: &str, inputs: usize, shape: SelectorShape) -> Result<Self, NodeError> {
        let kind = crate::log_probability(context.scenario.train.log_mass);
        shape.check(kind).map_err(|error| NodeError::Input(format!("{name}: {error}")))?;
        let described = context.scenario.selector();
        let module = crate::module(&described, &[inputs], shape.outputs())?;
        let network = crate::network(context, &described, name, module)?;
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

    /// Draws for every row of the input, and keeps what learning needs. What is drawn for a row does not depend on the
    /// other rows. All rows are one gradient block.
    pub fn choose(
        &self,
        input: Tensor,
        rows: RowAddresses<'_>,
        stream: impl Fn(usize) -> Stream,
    ) -> Result<Choice, NodeError> {
        let blocks = [input.dim(0)?];
        let (logits, trace) = self.network.forward(Input::Dense(input), &blocks, Some(rows))?;
        let logits = logits.to_vec2::<f32>()?;
        let draws = self.draw_rows(&logits, stream);
        Ok(Choice { trace, logits, draws })
    }

    /// The same for an evaluation: only the draws.
    pub fn draw(&self, input: &Tensor, stream: impl Fn(usize) -> Stream) -> Result<Vec<Draw>, NodeError> {
        Ok(self.draw_rows(&self.logits(input)?, stream))
    }

    /// The logits of every row of the input.
    pub(crate) fn logits(&self, input: &Tensor) -> Result<Vec<Vec<f32>>, NodeError> {
        Ok(self.network.infer(input)?.to_vec2::<f32>()?)
    }

    /// A draw for every row of logits.
    pub(crate) fn draw_rows(&self, logits: &[Vec<f32>], stream: impl Fn(usize) -> Stream) -> Vec<Draw> {
        let draw = |(row, logits): (usize, &Vec<f32>)| self.shape.draw(logits, &mut stream(row));
        logits.iter().enumerate().map(draw).collect()
    }

    /// What a draw costs beside what it brought: its log-probability, as a number, times the entropy bonus's weight in this round.
    /// A draw that is nearly certain costs more than one among many.
    pub fn entropy_bonus(&self, context: &Context, round: u64, choice: &Choice, row: usize) -> f64 {
        let train = &context.scenario.train;
        match train.entropy_bonus_at(round) {
            0.0 => 0.0,
            weight => {
                let kind = crate::log_probability(train.log_mass);
                weight * self.shape.log_probability(&choice.logits[row], &choice.draws[row], kind)
            }
        }
    }

    /// One step along the score function (21): the gradient of sum over rows of advantage x log-probability of the draw,
    /// clipped. Gives that sum.
    pub fn learn(
        &mut self,
        context: &Context,
        round: u64,
        choice: &Choice,
        advantages: &[f64],
    ) -> Result<f64, NodeError> {
        let train = &context.scenario.train;
        let score = self.score(context, choice, advantages)?;
        self.network.clip_gradients(train.selection_clip)?;
        self.network.step(&crate::adamw(train.selection_lr_at(round), train.weight_decay))?;
        Ok(score)
    }

    /// Leaves the gradient of the score function in the network.
    fn score(&mut self, context: &Context, choice: &Choice, advantages: &[f64]) -> Result<f64, NodeError> {
        let kind = crate::log_probability(context.scenario.train.log_mass);
        let outputs = self.shape.outputs();
        let mut upstream = vec![0.0; advantages.len() * outputs];
        let mut score = 0.0;
        for (row, gradient) in upstream.chunks_mut(outputs).enumerate() {
            let (draw, logits, advantage) = (&choice.draws[row], &choice.logits[row], advantages[row]);
            self.shape.add_log_probability_gradient(logits, draw, kind, advantage, gradient);
            score += advantage * self.shape.log_probability(logits, draw, kind);
        }
        let upstream: Vec<f32> = upstream.into_iter().map(|value| value as f32).collect();
        let upstream = Tensor::from_vec(upstream, (advantages.len(), outputs), &context.device)?;
        self.network.backward(&choice.trace, &upstream)?;
        Ok(score)
    }
}
