//! A selector's distribution, from its definition: a count, then that many items without replacement.

use candle_core::{Result, Tensor};
use randomness::Stream;
use scenario::LogProbability;

/// Draws from the softmaxes of `counts` logits (for the count, less one) and of the others (for the items); in drawn
/// order.
pub(crate) fn draw(logits: &[f64], counts: usize, stream: &mut Stream) -> Vec<usize> {
    let (count_logits, item_logits) = logits.split_at(counts);
    let count = 1 + categorical(count_logits, stream);
    let mut left: Vec<usize> = (0..item_logits.len()).collect();
    (0..count)
        .map(|_| {
            let logits: Vec<f64> = left.iter().map(|&item| item_logits[item]).collect();
            left.remove(categorical(&logits, stream))
        })
        .collect()
}

fn categorical(logits: &[f64], stream: &mut Stream) -> usize {
    let masses: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
    let target = stream.uniform() * masses.iter().sum::<f64>();
    let reached = |position: usize| masses[..=position].iter().sum::<f64>();
    (0..masses.len()).find(|&position| target < reached(position)).expect("a uniform below 1")
}

/// The log-probability of a draw of `items`, or of their set: `logits` [counts + items].
pub(crate) fn log_probability(
    logits: &Tensor,
    counts: usize,
    items: &[usize],
    kind: LogProbability,
) -> Result<Tensor> {
    let item_logits = logits.narrow(0, counts, logits.dim(0)? - counts)?;
    let count = count_log_probability(logits, counts, items.len())?;
    match kind {
        LogProbability::Sequence => count + sequence_log_probability(&item_logits, items)?,
        LogProbability::Set => {
            let orders: Vec<Tensor> = (orders(items).iter())
                .map(|order| sequence_log_probability(&item_logits, order)?.exp())
                .collect::<Result<_>>()?;
            count + Tensor::stack(&orders, 0)?.sum_all()?.log()?
        }
    }
}

/// Of the steps of a draw: of the first its log-probability and that of the count, of each other its log-probability
/// given those before. Their sum is the log-probability of the sequence.
pub(crate) fn steps(logits: &Tensor, counts: usize, items: &[usize]) -> Result<Vec<Tensor>> {
    let item_logits = logits.narrow(0, counts, logits.dim(0)? - counts)?;
    let mut steps = item_log_probabilities(&item_logits, items)?;
    steps[0] = (count_log_probability(logits, counts, items.len())? + &steps[0])?;
    Ok(steps)
}

fn count_log_probability(logits: &Tensor, counts: usize, count: usize) -> Result<Tensor> {
    let count_logits = logits.narrow(0, 0, counts)?;
    count_logits.get(count - 1)? - count_logits.exp()?.sum_all()?.log()?
}

/// The sum over the steps of the log-probability of each item among the remaining ones.
fn sequence_log_probability(logits: &Tensor, items: &[usize]) -> Result<Tensor> {
    Tensor::stack(&item_log_probabilities(logits, items)?, 0)?.sum_all()
}

/// Of each item among the remaining ones.
fn item_log_probabilities(logits: &Tensor, items: &[usize]) -> Result<Vec<Tensor>> {
    let mut steps = Vec::new();
    for (step, &item) in items.iter().enumerate() {
        let left: Vec<Tensor> = (0..logits.dim(0)?)
            .filter(|other| !items[..step].contains(other))
            .map(|other| logits.get(other))
            .collect::<Result<_>>()?;
        steps.push((logits.get(item)? - Tensor::stack(&left, 0)?.exp()?.sum_all()?.log()?)?);
    }
    Ok(steps)
}

/// All orders of some items.
pub(crate) fn orders(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let begun_with = |&first: &usize| {
        let rest: Vec<usize> = items.iter().copied().filter(|&item| item != first).collect();
        orders(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    items.iter().flat_map(begun_with).collect()
}
