//! All possible draws at a tick, with their probabilities.

use candle_core::{Result, Tensor};
use scenario::LogProbability;

use crate::oracle::{
    Oracle,
    draw::{log_probability, orders},
    selection::Selection,
};
use crate::support::local_network::Setup;

/// A selection, and the probability that the caps make these grants of its choices.
pub(crate) struct Outcome {
    pub(crate) selection: Selection,
    pub(crate) of_grants: f64,
}

/// All outcomes of a tick: all requests, then all choices for the receivers that request, then all grants.
pub(crate) fn outcomes(setup: &Setup) -> Vec<Outcome> {
    let scenario = &setup.scenario;
    let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
    let nothing = Selection {
        requests: vec![vec![Vec::new()]; receivers],
        choices: vec![vec![vec![Vec::new()]; receivers]; transmitters],
        granted: vec![vec![Vec::new()]; receivers],
    };
    let mut outcomes = vec![Outcome { selection: nothing, of_grants: 1.0 }];
    for t in 0..receivers {
        outcomes = branch(
            outcomes,
            |_| draws(scenario.receiver_limit(), transmitters),
            |outcome, requests| {
                outcome.selection.requests[t][0] = requests;
            },
        );
    }
    for (k, t) in (0..transmitters).flat_map(|k| (0..receivers).map(move |t| (k, t))) {
        let modalities = scenario.modalities(k);
        let counts = scenario.transmitter_limit(k).min(modalities);
        let drawn = |outcome: &Outcome| match outcome.selection.requests[t][0].contains(&k) {
            true => draws(counts, modalities),
            false => vec![Vec::new()],
        };
        outcomes = branch(outcomes, drawn, |outcome, items| outcome.selection.choices[k][t][0] = items);
    }
    for k in 0..transmitters {
        let kept = |outcome: &Outcome| {
            let kept = capped(&choices(k, outcome), scenario.transmitter_limit(k));
            let of_each = 1.0 / kept.len() as f64;
            kept.into_iter().map(|kept| (kept, of_each)).collect()
        };
        outcomes = branch(outcomes, kept, |outcome, (kept, of_each)| {
            outcome.of_grants *= of_each;
            kept.into_iter().for_each(|(t, m)| outcome.selection.granted[t][0].push((k, m)));
        });
    }
    outcomes
}

/// Every outcome combined with each of its choices.
fn branch<C>(
    outcomes: Vec<Outcome>,
    choices: impl Fn(&Outcome) -> Vec<C>,
    choose: impl Fn(&mut Outcome, C),
) -> Vec<Outcome> {
    let branches = |outcome: Outcome| {
        let with = |choice| {
            let mut chosen = Outcome { selection: outcome.selection.clone(), ..outcome };
            choose(&mut chosen, choice);
            chosen
        };
        choices(&outcome).into_iter().map(with).collect::<Vec<_>>()
    };
    outcomes.into_iter().flat_map(branches).collect()
}

/// All possible draws of some items: one item, or more up to `counts`, in any order.
fn draws(counts: usize, items: usize) -> Vec<Vec<usize>> {
    let items: Vec<usize> = (0..items).collect();
    let sizes = 1..=counts;
    sizes.flat_map(|size| subsets(&items, size)).flat_map(|subset| orders(&subset)).collect()
}

/// The possible results of a cap.
fn capped(choices: &[(usize, usize)], limit: usize) -> Vec<Vec<(usize, usize)>> {
    subsets(choices, limit.min(choices.len()))
}

fn subsets<I: Copy>(items: &[I], size: usize) -> Vec<Vec<I>> {
    let members = |bits: usize| (0..items.len()).filter(move |item| bits >> item & 1 == 1);
    (0usize..1 << items.len())
        .filter(|bits| bits.count_ones() as usize == size)
        .map(|bits| members(bits).map(|item| items[item]).collect())
        .collect()
}

/// All (t, m) chosen by transmitter k.
fn choices(k: usize, outcome: &Outcome) -> Vec<(usize, usize)> {
    let choices = outcome.selection.choices[k].iter().enumerate();
    choices.flat_map(|(t, ticks)| ticks[0].iter().map(move |&m| (t, m))).collect()
}

/// `[t][tick]`, for the one tick.
pub(crate) fn costs(oracle: &Oracle, selection: &Selection) -> Result<Vec<Vec<f64>>> {
    let cost = |t: usize| {
        let objective = oracle.judge(t, 0, &selection.granted[t][0])?.objective.to_scalar()?;
        Ok(oracle.costs(selection, t, &[objective]))
    };
    (0..selection.granted.len()).map(cost).collect()
}

/// The probability of each outcome, for the selectors' current weights.
pub(crate) fn probabilities(setup: &Setup, oracle: &Oracle, outcomes: &[Outcome]) -> Result<Vec<f64>> {
    let scenario = &setup.scenario;
    let receivers = 0..scenario.receivers();
    let requesting = receivers.clone().map(|t| oracle.receiver_logits(t, 0)).collect::<Result<Vec<_>>>()?;
    let choosing = (0..scenario.transmitters())
        .map(|k| receivers.clone().map(|t| oracle.transmitter_logits(k, t, 0)).collect())
        .collect::<Result<Vec<Vec<_>>>>()?;
    let log_probability = |logits: &Tensor, counts, items: &[usize]| {
        log_probability(&logits.detach(), counts, items, LogProbability::Sequence)?.to_scalar::<f64>()
    };
    let probability = |Outcome { selection, of_grants }: &Outcome| {
        let mut sum = of_grants.ln();
        for t in receivers.clone() {
            let requests = &selection.requests[t][0];
            sum += log_probability(&requesting[t], scenario.receiver_limit(), requests)?;
            for &k in requests {
                let counts = oracle.transmitter_counts(k);
                sum += log_probability(&choosing[k][t], counts, &selection.choices[k][t][0])?;
            }
        }
        Ok(sum.exp())
    };
    outcomes.iter().map(probability).collect()
}
