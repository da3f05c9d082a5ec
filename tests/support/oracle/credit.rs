//! The cost of a selection, and the score function (21) from which every node learns.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Result, Tensor};
use data::{Split, Targets};
use scenario::{Baseline, Credit, Objective, Requests, SparseTerm};

use super::{
    Oracle,
    draw::{log_probability, steps},
    mean,
    selection::Selection,
    sum,
};
use crate::support::local_network::Node;

impl Oracle<'_> {
    /// Receiver t's cost at every tick: objective, the penalty where nothing is granted, the sparse term.
    pub(crate) fn costs(&self, selection: &Selection, t: usize, objectives: &[f64]) -> Vec<f64> {
        let train = &self.setup.scenario.train;
        let cost = |(tick, objective): (usize, &f64)| {
            let own = selection.granted[t][tick].len();
            let counted = match train.sparse_term {
                SparseTerm::Own => own + selection.requests[t][tick].len(),
                SparseTerm::Global if self.setup.scenario.network.multicast => {
                    let all = selection.granted.iter().flat_map(|granted| &granted[tick]);
                    all.collect::<BTreeSet<_>>().len()
                }
                SparseTerm::Global => selection.granted.iter().map(|granted| granted[tick].len()).sum(),
            };
            objective + if own == 0 { train.empty_penalty } else { 0.0 } + train.gamma * counted as f64
        };
        objectives.iter().enumerate().map(cost).collect()
    }

    /// What a tick would have cost receiver t, had it requested these transmitters alone, and got what they did grant it.
    fn cost_with(&self, selection: &Selection, t: usize, tick: usize, left: &[usize]) -> Result<f64> {
        let train = &self.setup.scenario.train;
        let is_left = |entry: &&(usize, usize)| left.contains(&entry.0);
        let granted: Vec<(usize, usize)> =
            selection.granted[t][tick].iter().filter(is_left).copied().collect();
        let counted = match train.sparse_term {
            SparseTerm::Own => granted.len() + left.len(),
            SparseTerm::Global => {
                selection.granted.iter().flat_map(|granted| &granted[tick]).filter(is_left).count()
            }
        };
        let objective: f64 = self.judge(t, tick, &granted)?.objective.to_scalar()?;
        let penalty = if granted.is_empty() { train.empty_penalty } else { 0.0 };
        Ok(objective + penalty + train.gamma * counted as f64)
    }

    /// What receiver t tells transmitter k of a tick that did cost it this: all, or with difference credit what would
    /// not have been paid without that transmitter.
    pub(crate) fn told(
        &self,
        selection: &Selection,
        (k, t, tick): (usize, usize, usize),
        cost: f64,
    ) -> Result<f64> {
        if !self.credits_differences() {
            return Ok(cost);
        }
        let requested = selection.requests[t][tick].iter().copied();
        let others: Vec<usize> = requested.filter(|&other| other != k).collect();
        Ok(cost - self.cost_with(selection, t, tick, &others)?)
    }

    fn credits_differences(&self) -> bool {
        let train = &self.setup.scenario.train;
        train.method.selects() && train.credit == Credit::Difference
    }

    /// [`Self::score`] of every node.
    pub(crate) fn scores(&self, selection: &Selection, costs: &[Vec<f64>]) -> Result<BTreeMap<Node, Tensor>> {
        let scenario = &self.setup.scenario;
        if !scenario.train.method.selects() {
            return Ok(BTreeMap::new());
        }
        let transmitters = (0..scenario.transmitters()).map(Node::Transmitter);
        // Who goes by the strength of links learns nothing about whom to request.
        let learns = scenario.train.requests == Requests::Learned;
        let receivers = if learns { 0..scenario.receivers() } else { 0..0 };
        (transmitters.chain(receivers.map(Node::Receiver)))
            .map(|node| Ok((node, self.score(node, selection, costs)?)))
            .collect()
    }

    /// A selector's sum over the ticks of advantage x log-probability of its draw; `costs` are by receiver and tick.
    pub(crate) fn score(&self, node: Node, selection: &Selection, costs: &[Vec<f64>]) -> Result<Tensor> {
        let weighed = |(costs, factor): (&Vec<f64>, &f64)| costs.iter().map(|cost| factor * cost).collect();
        let costs: Vec<Vec<f64>> = costs.iter().zip(&self.factors).map(weighed).collect();
        let train = &self.setup.scenario.train;
        let judges_all = train.objective == Objective::Worst && train.credit == Credit::Shared;
        match node {
            Node::Receiver(t) if judges_all => {
                let at = |tick: usize| costs.iter().map(|costs| costs[tick]).sum::<f64>();
                let all: Vec<f64> = (0..self.ticks()).map(at).collect();
                self.score_of_receiver(t, selection, &all)
            }
            Node::Receiver(t) if self.credits_differences() => {
                self.score_of_differences(t, selection, &costs[t])
            }
            Node::Receiver(t) => self.score_of_receiver(t, selection, &costs[t]),
            Node::Transmitter(k) => {
                let told = |t: usize, tick: usize| match selection.requests[t][tick].contains(&k) {
                    true => self.told(selection, (k, t, tick), costs[t][tick]),
                    false => Ok(0.0),
                };
                let of_receiver =
                    |t: usize| (0..self.ticks()).map(|tick| told(t, tick)).collect::<Result<Vec<f64>>>();
                let told = (0..costs.len()).map(of_receiver).collect::<Result<Vec<_>>>()?;
                self.score_of_transmitter(k, selection, &told)
            }
        }
    }

    /// Each step of a receiver's draw is judged by what the tick cost it, less what it would have cost with the
    /// transmitters drawn before alone; less a baseline over the other ticks that have such a step.
    fn score_of_differences(&self, t: usize, selection: &Selection, costs: &[f64]) -> Result<Tensor> {
        let limit = self.setup.scenario.receiver_limit();
        let draws = &selection.requests[t];
        let of_steps = (0..self.ticks())
            .map(|tick| steps(&self.receiver_logits(t, tick)?, limit, &draws[tick]))
            .collect::<Result<Vec<_>>>()?;
        let wholes = of_steps.iter().map(|steps| sum(steps).map(Some)).collect::<Result<Vec<_>>>()?;
        let costs = self.with_entropy_bonus(costs, &wholes)?;
        let gains = self.gains_of_ticks(|tick| self.seen_by_receiver(t, tick))?;
        let mut terms = Vec::new();
        for step in 0..limit {
            let masses: Vec<Option<Tensor>> = of_steps.iter().map(|steps| steps.get(step).cloned()).collect();
            let mut judged = vec![0.0; self.ticks()];
            for tick in (0..self.ticks()).filter(|&tick| masses[tick].is_some()) {
                judged[tick] = costs[tick] - self.cost_with(selection, t, tick, &draws[tick][..step])?;
            }
            let advantages = self.advantages(t, &masses, &judged, &gains);
            terms.push(self.weighed(&masses, &advantages)?);
        }
        sum(&terms)
    }

    /// These costs judge a receiver's requests.
    fn score_of_receiver(&self, t: usize, selection: &Selection, costs: &[f64]) -> Result<Tensor> {
        let (limit, kind) = (self.setup.scenario.receiver_limit(), self.setup.scenario.train.log_mass);
        let masses = (0..self.ticks())
            .map(|tick| {
                log_probability(&self.receiver_logits(t, tick)?, limit, &selection.requests[t][tick], kind)
                    .map(Some)
            })
            .collect::<Result<Vec<_>>>()?;
        let gains = self.gains_of_ticks(|tick| self.seen_by_receiver(t, tick))?;
        let advantages = self.advantages(t, &masses, &self.with_entropy_bonus(costs, &masses)?, &gains);
        self.weighed(&masses, &advantages)
    }

    /// What each receiver tells judges the choices made for it; unless own costs are credited, also those made for others
    /// at a tick at which it requested too.
    fn score_of_transmitter(&self, k: usize, selection: &Selection, costs: &[Vec<f64>]) -> Result<Tensor> {
        let masses = (0..costs.len())
            .map(|t| {
                (0..self.ticks()).map(|tick| self.log_probability_of_choices(k, t, tick, selection)).collect()
            })
            .collect::<Result<Vec<Vec<_>>>>()?;
        let mut terms = Vec::new();
        for t in 0..costs.len() {
            let judged = self.with_entropy_bonus(&costs[t], &masses[t])?;
            let gains = |t: usize| self.gains_of_ticks(|tick| self.seen_by_transmitter(k, t, tick));
            let mut advantages = self.advantages(t, &masses[t], &judged, &gains(t)?);
            if self.setup.scenario.train.credit != Credit::Own {
                for other in (0..costs.len()).filter(|&other| other != t) {
                    let others = self.advantages(other, &masses[other], &costs[other], &gains(other)?);
                    advantages.iter_mut().zip(others).for_each(|(advantage, other)| *advantage += other);
                }
            }
            terms.push(self.weighed(&masses[t], &advantages)?);
        }
        sum(&terms)
    }

    /// None where t does not request k.
    fn log_probability_of_choices(
        &self,
        k: usize,
        t: usize,
        tick: usize,
        selection: &Selection,
    ) -> Result<Option<Tensor>> {
        if !selection.requests[t][tick].contains(&k) {
            return Ok(None);
        }
        let (logits, limit) = (self.transmitter_logits(k, t, tick)?, self.transmitter_counts(k));
        let choices = &selection.choices[k][t][tick];
        log_probability(&logits, limit, choices, self.setup.scenario.train.log_mass).map(Some)
    }

    /// The sum over the draws of advantage x log-probability.
    fn weighed(&self, masses: &[Option<Tensor>], advantages: &[f64]) -> Result<Tensor> {
        let draws =
            masses.iter().zip(advantages).filter_map(|(mass, advantage)| Some((mass.as_ref()?, advantage)));
        sum(&draws.map(|(mass, &advantage)| mass * advantage).collect::<Result<Vec<_>>>()?)
    }

    /// Costs with the entropy bonus: every draw adds its own log-probability as a number, times a weight that falls
    /// linearly to 0.
    fn with_entropy_bonus(&self, costs: &[f64], masses: &[Option<Tensor>]) -> Result<Vec<f64>> {
        let train = &self.setup.scenario.train;
        let weight = train.entropy_bonus * (1.0 - self.progress(train.entropy_until));
        let bonus = |mass: &Option<Tensor>| mass.as_ref().map_or(Ok(0.0), Tensor::to_scalar::<f64>);
        costs.iter().zip(masses).map(|(cost, mass)| Ok(cost + weight * bonus(mass)?)).collect()
    }

    /// Each cost less its baseline, where there was a draw; elsewhere 0.
    fn advantages(&self, t: usize, masses: &[Option<Tensor>], costs: &[f64], gains: &[Vec<f64>]) -> Vec<f64> {
        let drawn: Vec<usize> = (0..costs.len()).filter(|&tick| masses[tick].is_some()).collect();
        let advantage = |tick: usize| {
            let others: Vec<f64> =
                drawn.iter().filter(|&&other| other != tick).map(|&other| costs[other]).collect();
            match self.setup.scenario.train.baseline {
                _ if !drawn.contains(&tick) => 0.0,
                Baseline::None => costs[tick],
                Baseline::LabelEntropy => costs[tick] - self.factors[t] * self.label_entropy(t),
                // Differences say something by themselves.
                Baseline::LeaveOneOut | Baseline::Gains if others.is_empty() => {
                    if self.credits_differences() { costs[tick] } else { 0.0 }
                }
                Baseline::Gains => {
                    let others: Vec<usize> = drawn.iter().copied().filter(|&other| other != tick).collect();
                    costs[tick] - regression(&others, costs, gains, &gains[tick])
                }
                Baseline::LeaveOneOut => costs[tick] - mean(others.into_iter()),
            }
        };
        (0..costs.len()).map(advantage).collect()
    }

    fn gains_of_ticks(&self, of: impl Fn(usize) -> Result<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
        (0..self.ticks()).map(of).collect()
    }

    /// H(Y_t) of the training labels in nats.
    fn label_entropy(&self, t: usize) -> f64 {
        let task = &self.setup.scenario.receiver[t].task;
        match self.setup.dataset.targets(task, Split::Train).expect("a task of the data set") {
            Targets::Values { .. } => 0.0,
            Targets::Classes { labels, classes } => {
                let count = |class| labels.iter().filter(|&&label| label as usize == class).count() as f64;
                let shares = (0..classes).map(|class| count(class) / labels.len() as f64);
                shares.filter(|&share| share > 0.0).map(|share| -share * share.ln()).sum()
            }
        }
    }
}

/// What a linear fit to some ticks, with weight 1 on its squared slopes, says at other gains: its equations by Gauss's
/// elimination.
fn regression(ticks: &[usize], costs: &[f64], gains: &[Vec<f64>], at: &[f64]) -> f64 {
    let row = |gains: &[f64]| [&[1.0], gains].concat();
    let width = at.len() + 1;
    let mut system = vec![vec![0.0; width + 1]; width];
    for i in 0..width {
        for &tick in ticks {
            let values = row(&gains[tick]);
            (0..width).for_each(|j| system[i][j] += values[i] * values[j]);
            system[i][width] += values[i] * costs[tick];
        }
        system[i][i] += if i > 0 { 1.0 } else { 0.0 };
    }
    for pivot in 0..width {
        let own = system[pivot].clone();
        for (_, row) in system.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = row[pivot] / own[pivot];
            row.iter_mut().zip(&own).for_each(|(value, own)| *value -= factor * own);
        }
    }
    row(at).iter().enumerate().map(|(i, value)| value * system[i][width] / system[i][i]).sum()
}
