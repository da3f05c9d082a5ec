use candle_core::Tensor;
use dib::{Draw, Input, Network, RowAddresses, SelectorShape, Trace};
use randomness::Stream;

use crate::{Context, NodeError};

/// A selector: the network v and the distribution over selections that its outputs define.
pub struct Selector {
    network: Network,
    shape: SelectorShape,
}

/// A selector's computation and draws in a round, stored for learning from the costs.
pub struct Choice {
    trace: Trace,
    logits: Vec<Vec<f32>>,
    /// The draws, by row of the input.
    pub draws: Vec<Draw>,
}

impl Selector {
    /// v_t: u in, and the gains that it sees; E_t + K logits out.
    ///
    /// # Errors
    ///
    /// If the log-probability of the scenario does not fit this shape, or the network cannot be built.
    pub fn of_receiver(context: &Context, t: usize) -> Result<Self, NodeError> {
        let scenario = &context.scenario;
        let shape = SelectorShape { counts: scenario.receiver_limit(), items: scenario.transmitters() };
        let inputs = context.feature_dim() + scenario.gains_at_receiver_selector(t);
        Selector::new(context, &format!("receiver{t}/selector"), inputs, shape)
    }

    /// v_k: (u, embedding of t) in, and the gain of the link to t if it sees any; min(E_k, m(k)) + m(k) logits out.
    ///
    /// # Errors
    ///
    /// If the log-probability of the scenario does not fit this shape, or the network cannot be built.
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

    /// Draws for every row of the input and stores what learning needs. A row's draw does not depend on other rows. All
    /// rows are one gradient block.
    ///
    /// # Errors
    ///
    /// If a tensor operation fails.
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

    /// The same for an evaluation: draws only.
    ///
    /// # Errors
    ///
    /// As [`choose`](Self::choose).
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

    /// The probability of each item to be the first that is drawn, mean over the rows of a choice; nothing without
    /// rows.
    pub fn first_probabilities(&self, choice: &Choice) -> Vec<f64> {
        let rows = choice.logits.len();
        if rows == 0 {
            return Vec::new();
        }
        let mut sums = vec![0.0; self.shape.items];
        for logits in &choice.logits {
            let probabilities = self.shape.first_probabilities(logits);
            sums.iter_mut().zip(probabilities).for_each(|(sum, probability)| *sum += probability);
        }
        sums.iter().map(|sum| sum / rows as f64).collect()
    }

    /// The entropy term of a draw's cost: its log-probability times the weight of the entropy bonus in this round. A
    /// nearly certain draw costs more than one of many.
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

    /// One step along the score function (21): the gradient of the sum over rows of advantage x log-probability of the
    /// draw, clipped. Returns that sum.
    ///
    /// # Errors
    ///
    /// If a tensor operation fails.
    pub fn learn(
        &mut self,
        context: &Context,
        round: u64,
        choice: &Choice,
        advantages: &[f64],
    ) -> Result<f64, NodeError> {
        let (shape, kind) = (self.shape, crate::log_probability(context.scenario.train.log_mass));
        self.step_along(context, round, choice, |row, gradient| {
            let (draw, logits, advantage) = (&choice.draws[row], &choice.logits[row], advantages[row]);
            shape.add_log_probability_gradient(logits, draw, kind, advantage, gradient);
            advantage * shape.log_probability(logits, draw, kind)
        })
    }

    /// The same where each term of the log-probability of a drawn sequence has its own advantage: its count, then each
    /// item given those before. `advantages` are by row and term.
    ///
    /// # Errors
    ///
    /// If a tensor operation fails.
    pub fn learn_terms(
        &mut self,
        context: &Context,
        round: u64,
        choice: &Choice,
        advantages: &[Vec<f64>],
    ) -> Result<f64, NodeError> {
        let shape = self.shape;
        self.step_along(context, round, choice, |row, gradient| {
            let (draw, logits, advantages) = (&choice.draws[row], &choice.logits[row], &advantages[row]);
            shape.add_term_gradients(logits, draw, advantages, gradient);
            let terms = shape.log_probability_terms(logits, draw);
            terms.iter().zip(advantages).map(|(term, advantage)| advantage * term).sum::<f64>()
        })
    }

    /// One clipped step along the gradient that `add_row` adds up for each row; it returns what the row's score is.
    fn step_along(
        &mut self,
        context: &Context,
        round: u64,
        choice: &Choice,
        add_row: impl Fn(usize, &mut [f64]) -> f64,
    ) -> Result<f64, NodeError> {
        let train = &context.scenario.train;
        let (rows, outputs) = (choice.draws.len(), self.shape.outputs());
        let mut upstream = vec![0.0; rows * outputs];
        let mut score = 0.0;
        for (row, gradient) in upstream.chunks_mut(outputs).enumerate() {
            score += add_row(row, gradient);
        }
        let upstream: Vec<f32> = upstream.into_iter().map(|value| value as f32).collect();
        let upstream = Tensor::from_vec(upstream, (rows, outputs), &context.device)?;
        self.network.backward(&choice.trace, &upstream)?;
        self.network.clip_gradients(train.selection_clip)?;
        self.network.step(&crate::adamw(train.selection_lr_at(round), train.weight_decay))?;
        Ok(score)
    }
}
