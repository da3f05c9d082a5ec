use std::collections::BTreeMap;

use candle_core::Tensor;
use dib::{Features, Grants, Posterior, RateEstimator, RequestGrid};
use node::{Context, NodeError};
use proto::v1::{EntryRate, TransmitterPass};

use crate::{coded::Coded, rates::group_rates};

/// A pass over the whole test set under one selection (Algorithm 2).
pub(crate) struct Pass {
    number: u64,
    /// The piece whose turns are due.
    pub(crate) piece: u64,
    /// Which receivers ask, for the whole pass.
    pub(crate) asked: Vec<bool>,
    pub(crate) requests: RequestGrid,
    pub(crate) grants: Grants,
    /// Features of the first samples of every entry (receiver, modality), for the large-sample joint rate. Only the first
    /// pass keeps them.
    kept: BTreeMap<(usize, usize), Vec<Features>>,
    kept_samples: usize,
}

impl Pass {
    pub(crate) fn new(number: u64, asked: Vec<bool>, requests: RequestGrid, grants: Grants) -> Self {
        Pass { number, piece: 0, asked, requests, grants, kept: BTreeMap::new(), kept_samples: 0 }
    }

    /// Keeps what the large-sample estimate needs of a piece.
    pub(crate) fn keep(&mut self, context: &Context, coded: &Coded) -> Result<(), NodeError> {
        let wanted = context.scenario.evaluation.joint_rate_samples;
        if self.number > 0 || self.kept_samples >= wanted {
            return Ok(());
        }
        let mut samples = 0;
        for (m, coded) in coded.modalities.iter().enumerate() {
            let Some(coded) = coded else { continue };
            let rows = coded.features.z.dim(0)? / coded.entries.len();
            samples = rows.min(wanted - self.kept_samples);
            for (position, &(_, t)) in coded.entries.iter().enumerate() {
                let cut = |tensor: &Tensor| tensor.narrow(0, position * rows, samples)?.force_contiguous();
                self.kept.entry((t, m)).or_default().push(each(&coded.features, cut)?);
            }
        }
        self.kept_samples += samples;
        Ok(())
    }

    pub(crate) fn report(self, context: &Context) -> Result<TransmitterPass, NodeError> {
        let joint = self
            .kept
            .iter()
            .map(|(&(t, m), pieces)| {
                let all = joined(pieces)?;
                let rows = [all.z.dim(0)?];
                Ok(EntryRate {
                    transmitter: context.index as u32,
                    receiver: t as u32,
                    modality: m as u32,
                    rate: group_rates(context, RateEstimator::Joint, &all, &rows)?.to_vec()?[0],
                })
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        Ok(TransmitterPass { pass: self.number, joint, samples: self.kept_samples as u64, wire_bytes: 0 })
    }
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
