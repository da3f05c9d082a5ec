//! Dithered features: what encoders mean becomes integers, and these a stream.

use candle_core::Tensor;
use dib::{
    Features, Phase, Posterior,
    coding::{Encoder, EntryTable, quantise, restore},
    dithers,
};
use node::{Context, NodeError};

use crate::priors::{EntryRows, Tables, values};

/// The integers of one modality's entries, in the order of the encoder's rows.
pub(crate) struct Dithered {
    integers: Vec<i32>,
    dithers: Vec<u8>,
    /// (z - mu) / step.
    pub(crate) noise: Vec<f32>,
    tables: Tables<EntryTable>,
}

/// Where dithers are addressed.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) phase: Phase,
    /// That of tick 0.
    pub(crate) first: u64,
    /// How many rows lie before it, whose dithers are not used.
    pub(crate) skipped: usize,
}

impl Dithered {
    /// Of what modality m's encoder put out, [rows, d]; and the features that receivers will find. Their posterior has
    /// the standard deviation of noise that is uniform over a step.
    pub(crate) fn new(
        context: &Context,
        tables: &Tables<EntryTable>,
        m: usize,
        moment: Moment,
        rows: EntryRows<'_>,
        output: &Tensor,
    ) -> Result<(Self, Features), NodeError> {
        let means = values(output)?;
        let mut dithered = Dithered {
            integers: Vec::with_capacity(means.len()),
            dithers: Vec::with_capacity(means.len()),
            noise: Vec::with_capacity(means.len()),
            tables: tables.clone(),
        };
        let (mut z, mut deviations) = (Vec::with_capacity(means.len()), Vec::with_capacity(means.len()));
        let size = rows.rows * rows.d;
        for (&(tick, t), means) in rows.entries.iter().zip(means.chunks_exact(size)) {
            let address = [context.index, t, m];
            let skipped = moment.skipped * rows.d;
            let drawn =
                dithers(context.seed, moment.phase, address, moment.first + tick as u64, skipped + size);
            let drawn = &drawn[skipped..];
            let table = &tables.of[m][t];
            for (at, (&mean, &dither)) in means.iter().zip(drawn).enumerate() {
                if !mean.is_finite() {
                    let name = &context.scenario.transmitter[context.index].modalities[m];
                    let what =
                        format!("transmitter {}: the encoder of {name} puts out {mean}", context.index);
                    return Err(NodeError::Diverged(what));
                }
                let step = table.step(at % rows.d);
                let integer = quantise(mean, step, dither);
                let value = restore(integer, step, dither);
                dithered.integers.push(integer);
                dithered.noise.push((value - mean) / step);
                z.push(value);
                deviations.push(step / 12_f32.sqrt());
            }
            dithered.dithers.extend_from_slice(drawn);
        }
        let tensor = |values| Tensor::from_vec(values, output.shape(), output.device());
        let posterior = Some(Posterior { mu: output.clone(), std: tensor(deviations)? });
        Ok((dithered, Features { z: tensor(z)?, posterior }))
    }

    /// Codes the entry of receiver t that stands at a place, of `rows` rows of d values.
    pub(crate) fn encode(
        &self,
        (m, t): (usize, usize),
        place: usize,
        [rows, d]: [usize; 2],
        into: &mut Encoder,
    ) {
        let table = &self.tables.of[m][t];
        let here = place * rows * d..(place + 1) * rows * d;
        for (at, (&integer, &dither)) in
            self.integers[here.clone()].iter().zip(&self.dithers[here]).enumerate()
        {
            table.encode(at % d, dither, integer, into);
        }
    }

    /// What its tables are called.
    pub(crate) fn table(&self) -> u64 {
        self.tables.number
    }
}
