use std::collections::BTreeMap;

use candle_core::Tensor;
use dib::{Grants, RequestGrid};
use node::{Context, NodeError};
use proto::v1::{EntryRate, TransmitterPass};

use crate::encode::Coded;

/// A pass over the whole test set under one selection (Algorithm 2).
pub(crate) struct Pass {
    number: u64,
    /// The piece whose turns are due.
    pub(crate) piece: u64,
    /// Which receivers ask, for the whole pass.
    pub(crate) asked: Vec<bool>,
    pub(crate) requests: RequestGrid,
    pub(crate) grants: Grants,
    /// z, mu and std of the first samples of every entry (receiver, modality), for the large-sample joint rate. Only
    /// the first pass keeps them.
    kept: BTreeMap<(usize, usize), Vec<[Tensor; 3]>>,
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
                let features = &coded.features;
                let kept = [cut(&features.z)?, cut(&features.mu)?, cut(&features.std)?];
                self.kept.entry((t, m)).or_default().push(kept);
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
                let all = |which: usize| {
                    let parts: Vec<&Tensor> = pieces.iter().map(|piece| &piece[which]).collect();
                    Tensor::cat(&parts, 0)
                };
                Ok(EntryRate {
                    transmitter: context.index as u32,
                    receiver: t as u32,
                    modality: m as u32,
                    rate: dib::joint_rate(&all(0)?, &all(1)?, &all(2)?)?,
                })
            })
            .collect::<Result<Vec<_>, NodeError>>()?;
        Ok(TransmitterPass { pass: self.number, joint, samples: self.kept_samples as u64, wire_bytes: 0 })
    }
}
