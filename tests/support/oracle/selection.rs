//! The requests, choices and grants of a round, and how they are drawn.

use candle_core::{DType, Device, Result, Tensor};
use dib::{
    ChoiceGrid, Network, Phase, ResidualMlp, SelectorNode, common, grants, initial_weights, multicast_grants,
    receiver_embedding, selection_stream,
};
use randomness::Purpose;
use scenario::{CommonRandomness, Method, Requests};

use super::{Oracle, draw::draw, network, rows, sight::beside};

/// The selection of a round.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// `[t][tick]`: the transmitters that receiver t requests, in drawn order.
    pub(crate) requests: Vec<Vec<Vec<usize>>>,
    /// `[k][t][tick]`: the modalities that k chooses for t, in drawn order; none where t does not request k.
    pub(crate) choices: Vec<Vec<Vec<Vec<usize>>>>,
    /// `[t][tick]`: the entries (k, m) granted to t.
    pub(crate) granted: Vec<Vec<Vec<(usize, usize)>>>,
}

impl Oracle<'_> {
    /// Draws the round's requests and choices from the nodes' addressed streams; grants are given.
    pub(crate) fn select(&self, granted: Vec<Vec<Vec<(usize, usize)>>>) -> Result<Selection> {
        let scenario = &self.setup.scenario;
        if scenario.train.method == Method::RS_DIB {
            return self.select_once(granted);
        }
        let (ticks, receivers) = (0..self.ticks(), 0..scenario.receivers());
        let requests = (receivers.clone())
            .map(|t| ticks.clone().map(|tick| self.draw_requests(t, tick)).collect::<Result<_>>())
            .collect::<Result<Vec<Vec<_>>>>()?;
        let choices = (0..scenario.transmitters())
            .map(|k| {
                let drawn_for = |t: usize| {
                    let at = |tick: usize| match requests[t][tick].contains(&k) {
                        true => self.draw_choices(k, t, tick),
                        false => Ok(Vec::new()),
                    };
                    ticks.clone().map(at).collect::<Result<Vec<_>>>()
                };
                receivers.clone().map(drawn_for).collect::<Result<Vec<_>>>()
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Selection { requests, choices, granted })
    }

    /// The one selection of rs-dib: drawn at u_0 repeatedly, each time with the address of the next tick, until every
    /// receiver has an entry after the cap. A receiver without an entry of a transmitter does not request it.
    fn select_once(&self, granted: Vec<Vec<Vec<(usize, usize)>>>) -> Result<Selection> {
        let scenario = &self.setup.scenario;
        let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
        let mut number = 0;
        let once = loop {
            let mut once = vec![Vec::new(); receivers];
            for k in 0..transmitters {
                let mut choices = ChoiceGrid::new(1, receivers, scenario.modalities(k));
                for t in 0..receivers {
                    let logits = self.receiver_logits_at(t, 0, &[])?.to_vec1()?;
                    let node = SelectorNode::Receiver(t);
                    let mut stream = selection_stream(self.setup.seed, Phase::Train, node, t, number);
                    if !draw(&logits, scenario.receiver_limit(), &mut stream).contains(&k) {
                        continue;
                    }
                    let logits = self.transmitter_logits_at(k, t, 0, &[])?.to_vec1()?;
                    let node = SelectorNode::Transmitter(k);
                    let mut stream = selection_stream(self.setup.seed, Phase::Train, node, t, number);
                    for m in draw(&logits, self.transmitter_counts(k), &mut stream) {
                        choices.set(0, t, m);
                    }
                }
                let limit = scenario.transmitter_limit(k);
                let cap = if scenario.network.multicast { multicast_grants } else { grants };
                let capped = cap(self.setup.seed, k, Phase::Train, number, &choices, limit);
                for (t, once) in once.iter_mut().enumerate() {
                    once.extend(capped.for_receiver(t).into_iter().map(|(_, m)| (k, m)));
                }
            }
            if once.iter().all(|entries| !entries.is_empty()) {
                break once;
            }
            number += 1;
        };
        let of = |t: usize, k: usize| once[t].iter().filter(move |entry| entry.0 == k).map(|entry| entry.1);
        let requests =
            |t: usize| (0..transmitters).filter(|&k| of(t, k).next().is_some()).collect::<Vec<_>>();
        let choices = |k: usize, t: usize| vec![of(t, k).collect::<Vec<_>>(); self.ticks()];
        assert!((0..receivers).all(|t| granted[t].iter().all(|granted| *granted == once[t])));
        Ok(Selection {
            requests: (0..receivers).map(|t| vec![requests(t); self.ticks()]).collect(),
            choices: (0..transmitters).map(|k| (0..receivers).map(|t| choices(k, t)).collect()).collect(),
            granted,
        })
    }

    fn draw_requests(&self, t: usize, tick: usize) -> Result<Vec<usize>> {
        let scenario = &self.setup.scenario;
        if !scenario.train.method.selects() {
            return Ok((0..scenario.transmitters()).collect());
        }
        if scenario.train.requests == Requests::Strongest {
            return self.strongest(t, tick);
        }
        let logits = self.receiver_logits(t, tick)?.to_vec1()?;
        let mut stream = self.selection_stream(SelectorNode::Receiver(t), t, tick);
        Ok(draw(&logits, scenario.receiver_limit(), &mut stream))
    }

    fn draw_choices(&self, k: usize, t: usize, tick: usize) -> Result<Vec<usize>> {
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
        let gains = if self.seen_by_selectors() { self.seen_by_receiver(t, tick)? } else { Vec::new() };
        self.receiver_logits_at(t, self.first_tick + tick as u64, &gains)
    }

    fn receiver_logits_at(&self, t: usize, tick: u64, gains: &[f64]) -> Result<Tensor> {
        let u = self.u(SelectorNode::Receiver(t), tick)?;
        self.selector(&format!("receiver{t}/selector"), &beside(u, gains)?)
    }

    /// A selector's logits. Selectors of rs-dib are not in a state: they keep their initial weights.
    fn selector(&self, name: &str, input: &Tensor) -> Result<Tensor> {
        if self.setup.scenario.train.method != Method::RS_DIB {
            // Nobody drops values of a selector here: its tick does not matter.
            let draws = network::Draws { seed: self.setup.seed, tick: 0 };
            return network::described(&self.variables, name, &self.setup.scenario.selector(), input, draws)?
                .get(0);
        }
        let (receiver, limit) = (name.starts_with("receiver"), self.setup.scenario.receiver_limit());
        let outputs = match self.index_of(name) {
            _ if receiver => limit + self.setup.scenario.transmitters(),
            k => self.transmitter_counts(k) + self.setup.scenario.modalities(k),
        };
        let weights = initial_weights(self.setup.seed, name);
        let module = Box::new(ResidualMlp::new(input.dim(1)?, outputs));
        let network = Network::new(name, module, weights, DType::F32, &Device::Cpu);
        let logits = network.and_then(|network| network.infer(&input.to_dtype(DType::F32)?));
        logits.expect("a selector can be made").to_dtype(DType::F64)?.get(0)
    }

    /// The index in a selector's name.
    fn index_of(&self, name: &str) -> usize {
        let digits = |letter: char| !letter.is_ascii_digit();
        name.split('/').next().and_then(|node| node.trim_start_matches(digits).parse().ok()).unwrap_or(0)
    }

    /// The logits of v_k for receiver t at a tick, [min(E_k, m(k)) + m(k)].
    pub(crate) fn transmitter_logits(&self, k: usize, t: usize, tick: usize) -> Result<Tensor> {
        let gains = if self.seen_by_selectors() { self.seen_by_transmitter(k, t, tick)? } else { Vec::new() };
        self.transmitter_logits_at(k, t, self.first_tick + tick as u64, &gains)
    }

    fn transmitter_logits_at(&self, k: usize, t: usize, tick: u64, gains: &[f64]) -> Result<Tensor> {
        let d = self.feature_dim();
        let embedding = rows(&receiver_embedding(self.setup.seed, t, d), d)?;
        let u = self.u(SelectorNode::Transmitter(k), tick)?;
        let input = beside(Tensor::cat(&[u, embedding], 1)?, gains)?;
        self.selector(&format!("transmitter{k}/selector"), &input)
    }

    /// The number of different counts that v_k draws.
    pub(crate) fn transmitter_counts(&self, k: usize) -> usize {
        self.setup.scenario.transmitter_limit(k).min(self.setup.scenario.modalities(k))
    }

    /// The u that a node's selector is given at a tick, [1, feature_dim].
    fn u(&self, node: SelectorNode, tick: u64) -> Result<Tensor> {
        let (seed, d) = (self.setup.seed, self.feature_dim());
        let own = match node {
            SelectorNode::Receiver(t) => [0, t as u64],
            SelectorNode::Transmitter(k) => [1, k as u64],
        };
        let u = match self.setup.scenario.train.common_randomness {
            CommonRandomness::Common => common(seed, Phase::Train, tick, d),
            CommonRandomness::Fixed => common(seed, Phase::Train, 0, d),
            CommonRandomness::Private => {
                let mut u = vec![0.0; d];
                seed.stream(Purpose::Common, &own, tick).fill_normal(&mut u);
                u
            }
        };
        rows(&u, d)
    }
}
