//! Who asks whom for what in a round, and how that is drawn.

use candle_core::{Result, Tensor};
use dib::{Phase, SelectorNode, common, receiver_embedding, selection_stream};

use super::{Oracle, draw::draw, network, rows};

/// The selection of a round.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// `[t][tick]`: whom receiver t asks, in drawn order.
    pub(crate) asks: Vec<Vec<Vec<usize>>>,
    /// `[k][t][tick]`: the modalities that k requests for t, in drawn order; none where t does not ask k.
    pub(crate) requests: Vec<Vec<Vec<Vec<usize>>>>,
    /// `[t][tick]`: the entries (k, m) that t is granted.
    pub(crate) granted: Vec<Vec<Vec<(usize, usize)>>>,
}

impl Oracle<'_> {
    /// Draws the round's asks and requests from the nodes' addressed streams; grants are as given.
    pub(crate) fn select(&self, granted: Vec<Vec<Vec<(usize, usize)>>>) -> Result<Selection> {
        let scenario = &self.setup.scenario;
        let (ticks, receivers) = (0..self.ticks(), 0..scenario.receivers());
        let asks = (receivers.clone())
            .map(|t| ticks.clone().map(|tick| self.draw_asks(t, tick)).collect::<Result<_>>())
            .collect::<Result<Vec<Vec<_>>>>()?;
        let requests = (0..scenario.transmitters())
            .map(|k| {
                let drawn_for = |t: usize| {
                    let at = |tick: usize| match asks[t][tick].contains(&k) {
                        true => self.draw_requests(k, t, tick),
                        false => Ok(Vec::new()),
                    };
                    ticks.clone().map(at).collect::<Result<Vec<_>>>()
                };
                receivers.clone().map(drawn_for).collect::<Result<Vec<_>>>()
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Selection { asks, requests, granted })
    }

    fn draw_asks(&self, t: usize, tick: usize) -> Result<Vec<usize>> {
        let scenario = &self.setup.scenario;
        if !scenario.train.method.selects() {
            return Ok((0..scenario.transmitters()).collect());
        }
        let logits = self.receiver_logits(t, tick)?.to_vec1()?;
        let mut stream = self.selection_stream(SelectorNode::Receiver(t), t, tick);
        Ok(draw(&logits, scenario.receiver_limit(), &mut stream))
    }

    fn draw_requests(&self, k: usize, t: usize, tick: usize) -> Result<Vec<usize>> {
        let scenario = &self.setup.scenario;
        if !scenario.train.method.selects() {
            return Ok((0..scenario.modalities(k)).collect());
        }
        let logits = self.transmitter_logits(k, t, tick)?.to_vec1()?;
        let mut stream = self.selection_stream(SelectorNode::Transmitter(k), t, tick);
        Ok(draw(&logits, self.transmitter_counts(k), &mut stream))
    }

    fn selection_stream(&self, node: SelectorNode, t: usize, tick: usize) -> randomness::Stream {
        selection_stream(self.setup.seed, Phase::Train, node, t, self.first_tick + tick as u64)
    }

    /// The logits of v_t at a tick, [E_t + K].
    pub(crate) fn receiver_logits(&self, t: usize, tick: usize) -> Result<Tensor> {
        network::forward(&self.variables, &format!("receiver{t}/selector"), &self.common(tick)?)?.get(0)
    }

    /// The logits of v_k for receiver t at a tick, [min(E_k, m(k)) + m(k)].
    pub(crate) fn transmitter_logits(&self, k: usize, t: usize, tick: usize) -> Result<Tensor> {
        let d = self.feature_dim();
        let embedding = rows(&receiver_embedding(self.setup.seed, t, d), d)?;
        let input = Tensor::cat(&[self.common(tick)?, embedding], 1)?;
        network::forward(&self.variables, &format!("transmitter{k}/selector"), &input)?.get(0)
    }

    /// How many different counts v_k draws.
    pub(crate) fn transmitter_counts(&self, k: usize) -> usize {
        self.setup.scenario.transmitter_limit(k).min(self.setup.scenario.modalities(k))
    }

    /// u at a tick, [1, feature_dim].
    fn common(&self, tick: usize) -> Result<Tensor> {
        let d = self.feature_dim();
        rows(&common(self.setup.seed, Phase::Train, self.first_tick + tick as u64, d), d)
    }
}
