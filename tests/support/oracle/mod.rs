//! An independent evaluation of a training round: the design's formulas in one process, in f64 on candle's tape, one
//! tick, one receiver and one entry at a time.
//!
//! It shares with the machines the addressed parts (weights, draws, data, embeddings) and none of the computation.

mod air;
mod book;
mod coding;
mod credit;
pub(crate) mod draw;
mod kinds;
mod network;
mod prior;
mod rate;
pub(crate) mod selection;
mod sight;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Result, Tensor, Var};
use data::Split;
use dib::{BatchOrder, SampleAt};
use selection::Selection;

use crate::support::local_network::{Node, Setup};

/// `[t][tick]`: entries (k, m).
pub(crate) type Sent = Vec<Vec<Vec<(usize, usize)>>>;

/// Features by (k, t, m, tick).
type Encoded = HashMap<[usize; 4], coding::Coded>;

/// A round of a network, given its weights.
pub(crate) struct Oracle<'a> {
    setup: &'a Setup,
    round: u64,
    /// The round's first tick.
    first_tick: u64,
    /// The samples of every tick of the round.
    samples: Vec<Vec<SampleAt>>,
    /// `[t][tick]`: the entries sent to receiver t, used or not. With one sample a tick, the marginal of a rate is over
    /// all of them; with multicast, they say who shares a feature.
    sent: Option<Sent>,
    /// Features encoded in the current evaluation: an entry's features are components of many mixtures.
    encoded: RefCell<Option<Encoded>>,
    /// Where somebody asks for the gradients with respect to what receivers decode: those, as variables of their own.
    pub(crate) decoded: RefCell<Option<HashMap<[usize; 4], Var>>>,
    /// All parameters of all nodes, in f64.
    pub(crate) variables: BTreeMap<String, Var>,
    /// Running means of power, [modalities, receivers], by transmitter.
    means: BTreeMap<usize, Vec<Vec<f32>>>,
    /// By receiver, how often it counts: once, or where the worst counts T times its weight.
    pub(crate) factors: Vec<f64>,
}

/// The results of a round.
pub(crate) struct Round {
    /// The function behind every coding gradient: the sum of all receivers' objectives over the ticks.
    pub(crate) objective: Tensor,
    /// The function behind every selection gradient: the sum of advantage x log-probability over nodes and ticks.
    pub(crate) score: Tensor,
    /// By receiver.
    pub(crate) receivers: Vec<Figures>,
    /// `[t][tick]`: the cost that judges receiver t's selection.
    pub(crate) costs: Vec<Vec<f64>>,
    /// Advantage x log-probability of every selector, mean over ticks.
    pub(crate) log_likelihoods: BTreeMap<Node, f64>,
}

/// A receiver's figures of a round: means over ticks, in nats (or squared error).
pub(crate) struct Figures {
    pub(crate) cross_entropy: f64,
    pub(crate) objective: f64,
    pub(crate) rate: f64,
}

impl<'a> Oracle<'a> {
    /// An oracle for a round, of nodes with these parameters; other tensors are ignored.
    pub(crate) fn new(setup: &'a Setup, round: u64, tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let train = &setup.scenario.train;
        let first_tick = round * train.ticks_per_round as u64;
        let mut order = BatchOrder::new(setup.seed, setup.dataset.samples(Split::Train));
        let samples = (first_tick..first_tick + train.ticks_per_round as u64)
            .map(|tick| order.positions(tick, train.samples_per_tick))
            .collect();
        let variables = (tensors.iter())
            .filter(|(name, _)| node::is_parameter(name))
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(&tensor.to_dtype(DType::F64)?)?)))
            .collect::<Result<_>>()?;
        let mean = |k: usize| Some((k, tensors.get(&format!("transmitter{k}/power.mean"))?.to_vec2().ok()?));
        let means = (0..setup.scenario.transmitters()).filter_map(mean).collect();
        let factors = match tensors.get("receiver0/objective.log-weights") {
            Some(logs) => {
                let logs = logs.to_vec1::<f64>()?;
                let sum: f64 = logs.iter().map(|log| log.exp()).sum();
                logs.iter().map(|log| logs.len() as f64 * log.exp() / sum).collect()
            }
            None => vec![1.0; setup.scenario.receivers()],
        };
        Ok(Oracle {
            setup,
            factors,
            round,
            first_tick,
            samples,
            sent: None,
            encoded: RefCell::default(),
            decoded: RefCell::default(),
            variables,
            means,
        })
    }

    /// The same with rates over the round's sent entries, and shared by all that were sent a feature.
    pub(crate) fn with_rates_over(self, sent: Sent) -> Self {
        Oracle { sent: Some(sent), ..self }
    }

    /// How many receivers share the rate of a feature: one, or with multicast all its recipients.
    fn payers(&self, k: usize, m: usize, tick: usize) -> f64 {
        if !self.setup.scenario.network.multicast {
            return 1.0;
        }
        let sent = self.sent.as_ref().expect("with_rates_over was called");
        sent.iter().filter(|sent| sent[tick].contains(&(k, m))).count() as f64
    }

    /// All results of the round under a selection.
    pub(crate) fn round(&self, selection: &Selection) -> Result<Round> {
        self.encoding_once(|| self.evaluate(selection))
    }

    /// An evaluation with fixed parameters, in which no feature is encoded twice.
    pub(crate) fn encoding_once<R>(&self, evaluation: impl FnOnce() -> R) -> R {
        self.encoded.replace(Some(Encoded::new()));
        let result = evaluation();
        self.encoded.replace(None);
        result
    }

    fn evaluate(&self, selection: &Selection) -> Result<Round> {
        let mut receivers = Vec::new();
        let mut objectives = Vec::new();
        let mut costs = Vec::new();
        for t in 0..self.setup.scenario.receivers() {
            let judged = (0..self.ticks())
                .map(|tick| self.judge(t, tick, &selection.granted[t][tick]))
                .collect::<Result<Vec<_>>>()?;
            let own =
                judged.iter().map(|judged| judged.objective.to_scalar()).collect::<Result<Vec<f64>>>()?;
            receivers.push(Figures {
                cross_entropy: mean(judged.iter().map(|judged| judged.cross_entropy)),
                objective: mean(own.iter().copied()),
                rate: mean(judged.iter().map(|judged| judged.rate)),
            });
            for judged in judged {
                objectives.push((judged.objective * self.factors[t])?);
            }
            // What transmitters add themselves is in no cost.
            let granted = selection.granted[t].iter().enumerate().filter(|_| self.has_books());
            for (tick, granted) in granted {
                for &(k, m) in granted {
                    objectives.push(self.book_loss([k, t, m, tick])?);
                }
            }
            costs.push(self.costs(selection, t, &own));
        }
        let scores = self.scores(selection, &costs)?;
        let log_likelihoods = (scores.iter())
            .map(|(node, score)| Ok((*node, score.to_scalar::<f64>()? / self.ticks() as f64)))
            .collect::<Result<_>>()?;
        Ok(Round {
            objective: sum(&objectives)?,
            score: sum(&scores.into_values().collect::<Vec<_>>())?,
            receivers,
            costs,
            log_likelihoods,
        })
    }

    fn ticks(&self) -> usize {
        self.samples.len()
    }

    /// The fraction of the first `share` of all rounds that is over before this one, at most 1.
    fn progress(&self, share: f64) -> f64 {
        (self.round as f64 / (share * self.setup.scenario.train.rounds as f64)).min(1.0)
    }

    fn feature_dim(&self) -> usize {
        self.setup.scenario.network.feature_dim
    }
}

/// The sum of scalars; zero if there are none.
fn sum(terms: &[Tensor]) -> Result<Tensor> {
    if terms.is_empty() {
        return Tensor::new(0f64, &Device::Cpu);
    }
    Tensor::stack(terms, 0)?.sum_all()
}

/// f32 draws or data as rows of `width` values.
fn rows(values: &[f32], width: usize) -> Result<Tensor> {
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    let count = values.len() / width;
    Tensor::from_vec(values, (count, width), &Device::Cpu)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
