use std::collections::{BTreeMap, BTreeSet, HashMap};

use candle_core::Tensor;
use dib::{ChoiceGrid, Features, Grants, Phase, Posterior, RateEstimator, grants};
use node::{Context, NodeError};
use proto::v1::{EntryRate, TransmitterPass};
use scenario::Coding;

use crate::{coded::Coded, rates::group_rates};

/// A pass over the whole test set, or all validation rows: under one selection (Algorithm 2), or one for every group of
/// samples.
pub(crate) struct Pass {
    pub(crate) number: u64,
    /// The piece whose turns are due.
    pub(crate) piece: u64,
    /// What each receiver requests at every tick of the piece; where a draw holds for the whole pass, at one.
    pub(crate) requested: Vec<Vec<bool>>,
    pub(crate) choices: ChoiceGrid,
    pub(crate) grants: Grants,
    /// All entries (receiver, modality) that were granted so far.
    granted: BTreeSet<(usize, usize)>,
    /// The first samples of every entry (receiver, modality), for the large-sample joint rate. Only the first pass
    /// keeps them.
    kept: BTreeMap<(usize, usize), Kept>,
}

/// Samples of an entry.
#[derive(Default)]
struct Kept {
    features: Vec<Features>,
    samples: usize,
    /// The sum of their rates, where a coding of a user's program says them.
    nats: f64,
}

impl Pass {
    pub(crate) fn new(number: u64, requested: Vec<Vec<bool>>, choices: ChoiceGrid, grants: Grants) -> Self {
        let granted = entries_of(&grants).collect();
        Pass { number, piece: 0, requested, choices, grants, granted, kept: BTreeMap::new() }
    }

    /// The selection of its next piece.
    pub(crate) fn go_on(&mut self, requested: Vec<Vec<bool>>, choices: ChoiceGrid, grants: Grants) {
        self.granted.extend(entries_of(&grants));
        (self.requested, self.choices, self.grants) = (requested, choices, grants);
    }

    /// All that was granted in it, as of one tick.
    pub(crate) fn all_grants(&self, context: &Context) -> Grants {
        let modalities = context.scenario.modalities(context.index);
        let mut all = ChoiceGrid::new(1, context.scenario.receivers(), modalities);
        self.granted.iter().for_each(|&(t, m)| all.set(0, t, m));
        grants(context.seed, context.index, Phase::Evaluate, self.number, &all, usize::MAX)
    }

    /// Whether it is the one of which the large-sample rate is estimated.
    pub(crate) fn is_first(&self) -> bool {
        self.number == 0
    }

    /// Keeps what the large-sample estimate needs of a piece.
    pub(crate) fn keep(&mut self, context: &Context, coded: &Coded) -> Result<(), NodeError> {
        let wanted = context.scenario.evaluation.joint_rate_samples;
        if !self.is_first() {
            return Ok(());
        }
        for (m, coded) in coded.modalities.iter().enumerate() {
            let Some(coded) = coded else { continue };
            let rows = coded.features.z.dim(0)? / coded.entries.len();
            let rates = match context.scenario.train.coding() {
                Coding::Own => coded.rated.of_entries(&coded.rated.sent.to_vec()?),
                _ => vec![0.0; coded.entries.len()],
            };
            for (position, (&(_, t), rate)) in coded.entries.iter().zip(rates).enumerate() {
                let kept = self.kept.entry((t, m)).or_default();
                let samples = rows.min(wanted - kept.samples);
                if samples > 0 {
                    let cut =
                        |tensor: &Tensor| tensor.narrow(0, position * rows, samples)?.force_contiguous();
                    kept.features.push(each(&coded.features, cut)?);
                    kept.samples += samples;
                    kept.nats += samples as f64 * rate;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn report(self, context: &Context) -> Result<TransmitterPass, NodeError> {
        let joint = self
            .kept
            .iter()
            .map(|(&(t, m), kept)| {
                let all = joined(&kept.features)?;
                let copies = copies(&all)?;
                // Of deterministic features, copies of a row lie at distance 0 from each other: they have no density.
                let is_entropy =
                    all.posterior.is_none() && context.scenario.train.coding() == Coding::Deterministic;
                let all = if is_entropy { once(&all, &copies)? } else { all };
                let rate = match context.scenario.train.coding() {
                    Coding::Own => kept.nats / kept.samples as f64,
                    _ => group_rates(context, RateEstimator::Joint, &all, &[all.z.dim(0)?])?.to_vec()?[0],
                };
                Ok(EntryRate {
                    ceiling: all.posterior.is_some().then(|| entropy_of(&copies)),
                    transmitter: context.index as u32,
                    receiver: t as u32,
                    modality: m as u32,
                    rate,
                })
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        let samples = self.kept.values().map(|kept| kept.samples as u64).max().unwrap_or(0);
        Ok(TransmitterPass { pass: self.number, joint, samples, wire_bytes: 0, spent: None })
    }
}

/// The entries (receiver, modality) that are granted at any tick.
fn entries_of(grants: &Grants) -> impl Iterator<Item = (usize, usize)> {
    grants.ticks().flatten().map(|&(t, m)| (t, m))
}

/// The same of all tensors of features.
pub(crate) fn each(
    features: &Features,
    of: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Features> {
    let posterior = match &features.posterior {
        Some(Posterior { mu, std }) => Some(Posterior { mu: of(mu)?, std: of(std)? }),
        None => None,
    };
    Ok(Features { z: of(&features.z)?, posterior })
}

/// For every row the number of the first that is the same: with the same posterior, or without one with the same
/// feature.
fn copies(features: &Features) -> Result<Vec<usize>, NodeError> {
    let told_by = features.posterior.as_ref().map_or(&features.z, |posterior| &posterior.mu);
    let rows: Vec<Vec<f32>> = told_by.to_vec2()?;
    let mut first = HashMap::new();
    let bits = |row: &Vec<f32>| row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    Ok(rows.iter().enumerate().map(|(at, row)| *first.entry(bits(row)).or_insert(at)).collect())
}

/// Each row once.
fn once(features: &Features, copies: &[usize]) -> Result<Features, NodeError> {
    let firsts: Vec<u32> =
        copies.iter().enumerate().filter(|(at, first)| at == *first).map(|(at, _)| at as u32).collect();
    let count = firsts.len();
    let firsts = Tensor::from_vec(firsts, count, features.z.device())?;
    Ok(each(features, |tensor| tensor.index_select(&firsts, 0))?)
}

/// The entropy of how often each distinct row is there, in nats. (17) over them cannot exceed it: a row's own component
/// is among its marginal's as often as it is there.
fn entropy_of(copies: &[usize]) -> f64 {
    let mut counts = BTreeMap::new();
    copies.iter().for_each(|first| *counts.entry(first).or_insert(0_usize) += 1);
    let shares = counts.into_values().map(|count| count as f64 / copies.len() as f64);
    -shares.map(|share| share * libm::log(share)).sum::<f64>() + 0.0
}

/// Pieces of the same kind, one after the other.
fn joined(pieces: &[Features]) -> Result<Features, NodeError> {
    let all = |of: &dyn Fn(&Features) -> Option<&Tensor>| {
        let parts: Option<Vec<&Tensor>> = pieces.iter().map(of).collect();
        parts.map(|parts| Tensor::cat(&parts, 0)).transpose()
    };
    let z = all(&|piece| Some(&piece.z))?.expect("every piece has features");
    let mu = all(&|piece| piece.posterior.as_ref().map(|both| &both.mu))?;
    let std = all(&|piece| piece.posterior.as_ref().map(|both| &both.std))?;
    Ok(Features { z, posterior: mu.zip(std).map(|(mu, std)| Posterior { mu, std }) })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "features and ceiling need not be equal bit by bit")]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Rows of one dimension, apart by far more than their spread, each of `copies` times.
    fn apart(rows: usize, times: usize) -> Features {
        let mu: Vec<f32> = (0..rows * times).map(|at| 100.0 * (at % rows) as f32).collect();
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, (rows * times, 1), &Device::Cpu).unwrap();
        let z = tensor(mu.iter().enumerate().map(|(at, mu)| mu + 0.01 * (at as f32).sin()).collect());
        let posterior = Posterior { mu: tensor(mu), std: tensor(vec![0.01; rows * times]) };
        Features { z, posterior: Some(posterior) }
    }

    #[test]
    fn no_estimate_exceeds_its_ceiling_and_one_of_rows_that_lie_apart_meets_it() {
        for (rows, times) in [(50, 1), (10, 5), (300, 7), (1, 20)] {
            let features = apart(rows, times);
            let ceiling = entropy_of(&copies(&features).unwrap());
            assert!((ceiling - (rows as f64).ln()).abs() < 1e-9, "{rows} rows: {ceiling}");
            let Posterior { mu, std } = features.posterior.as_ref().unwrap();
            let rate = dib::joint_rate(&features.z, mu, std).unwrap();
            assert!(rate <= ceiling + 1e-5 && rate > ceiling - 1e-3, "{rate} of at most {ceiling}");
        }
    }

    #[test]
    fn an_entropy_is_of_each_row_once() {
        let values: Vec<f32> = (0..400).map(|at| ((at % 200) as f32 * 0.731).sin()).collect();
        let features =
            Features { z: Tensor::from_vec(values, (400, 1), &Device::Cpu).unwrap(), posterior: None };
        let whole = dib::entropy(&features.z, &[400]).unwrap()[0];
        let distinct = once(&features, &copies(&features).unwrap()).unwrap();
        assert_eq!(distinct.z.dims(), [200, 1]);
        let own = dib::entropy(&distinct.z, &[200]).unwrap()[0];
        // Copies halve the distances that are left: the density looks twice as large, or without an end.
        assert!(own.is_finite() && own > whole, "{own} beside {whole}");
        // Nothing is left out of rows that are all there once.
        let again = once(&distinct, &copies(&distinct).unwrap()).unwrap();
        assert_eq!(again.z.to_vec2::<f32>().unwrap(), distinct.z.to_vec2::<f32>().unwrap());
    }
}
