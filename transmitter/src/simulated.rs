//! Simulated features: what evaluations send of Gaussian ones in about as many bits as they are worth.

use candle_core::Tensor;
use dib::{
    Features,
    coding::{Encoder, SharedPrior, Simulated},
    simulation_keys,
};
use node::{Context, NodeError};

use crate::priors::{EntryRows, Tables, encoder_diverged, entry_name, values};

/// One modality's entries, in the order of the encoder's rows.
pub(crate) struct SimulatedEntries {
    entries: Vec<Simulated>,
    number: u64,
}

impl SimulatedEntries {
    /// Simulates what modality m's encoder put out, [rows, d], from a moment on; and the features that receivers will
    /// find. An entry whose proposals do not suffice is named.
    pub(crate) fn new(
        context: &Context,
        tables: &Tables<SharedPrior>,
        (m, first_moment): (usize, u64),
        rows: EntryRows<'_>,
        features: &Features,
    ) -> Result<(Self, Features), NodeError> {
        let posterior = features.posterior.as_ref();
        let posterior =
            posterior.ok_or_else(|| NodeError::Input("only Gaussian features are simulated".into()))?;
        let (means, deviations) = (values(&posterior.mu)?, values(&posterior.std)?);
        let size = rows.rows * rows.d;
        let of_entries = rows.entries.iter().zip(means.chunks_exact(size).zip(deviations.chunks_exact(size)));
        for (&(_, t), (means, deviations)) in of_entries {
            // The simulation would choose a proposal all the same, without an error.
            if let Some(&value) = means.iter().chain(deviations).find(|value| !value.is_finite()) {
                return Err(encoder_diverged(&context.scenario, [context.index, t, m], value));
            }
        }
        let numbered: Vec<(usize, (usize, usize))> = rows.entries.iter().copied().enumerate().collect();
        let entries = node::in_parallel(&numbered, |&(position, (tick, t))| {
            let here = position * size..(position + 1) * size;
            let keys = simulation_keys(context.seed, [context.index, t, m], first_moment + tick as u64);
            tables.of[m][t].simulate(&means[here.clone()], &deviations[here], keys)
        });
        for (simulated, (_, t)) in
            entries.iter().zip(rows.entries).filter(|(simulated, _)| simulated.inexact > 0)
        {
            tracing::warn!(
                "{}: {} of {} choices are not exact, at {:.1} nats a sample, with D_inf up to {:.1} for 99 % of them: \
                 log r of the chosen proposals is {:.2} nats a sample above its mean",
                entry_name(&context.scenario, [context.index, *t, m]),
                simulated.inexact,
                simulated.choices(),
                simulated.divergence(),
                simulated.log_weight_99(),
                simulated.bias
            );
        }
        let z: Vec<f32> = entries.iter().flat_map(|simulated| &simulated.values).copied().collect();
        let z = Tensor::from_vec(z, features.z.shape(), features.z.device())?;
        let features = Features { z, posterior: features.posterior.clone() };
        Ok((SimulatedEntries { entries, number: tables.number }, features))
    }

    /// Adds the entry at a place to a stream.
    pub(crate) fn write(&self, place: usize, into: &mut Encoder) {
        self.entries[place].write(into);
    }

    /// What its priors are called.
    pub(crate) fn table(&self) -> u64 {
        self.number
    }
}
