//! Dithered features: what encoders mean becomes integers, and these a stream.

use candle_core::Tensor;
use dib::{
    Features, Phase, Posterior,
    coding::{Encoder, EntryTable, quantise, restore},
    dithers,
};
use node::{Context, NodeError};

use crate::priors::{EntryRows, Tables, encoder_diverged, entry_name, values};

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
                let step = table.step(at % rows.d);
                if !(mean.is_finite() && step.is_finite()) {
                    return Err(diverged(context, (m, t), (mean, step)));
                }
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

/// The error of modality m's entry of receiver t with a mean or a step that is not finite.
fn diverged(context: &Context, (m, t): (usize, usize), (mean, step): (f32, f32)) -> NodeError {
    let (scenario, entry) = (&context.scenario, [context.index, t, m]);
    match mean.is_finite() {
        false => encoder_diverged(scenario, entry, mean),
        true => {
            NodeError::Diverged(format!("{}: its prior has a step of {step}", entry_name(scenario, entry)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use candle_core::Device;
    use dib::coding::{Component, Marginal};
    use proto::Secret;
    use randomness::Seed;
    use scenario::Scenario;

    use super::*;

    const SCENARIO: &str = r#"
[network]
feature_dim = 2
[[transmitter]]
modalities = ["mel"]
[[transmitter]]
modalities = ["noise-1", "fft"]
[[receiver]]
task = "digit"
[[receiver]]
task = "parity"
"#;

    /// The context of transmitter 1.
    fn context() -> Context {
        Context {
            scenario: Arc::new(Scenario::parse(SCENARIO, "test", &[]).unwrap()),
            seed: Seed::from_number(1),
            run: Bytes::from_static(b"0123456789abcdef"),
            incarnation: 0,
            index: 1,
            secret: Secret::new([7; 32]),
            weights: node::WeightFiles::default(),
            device: Device::Cpu,
            verify: false,
        }
    }

    /// The features z of modality 1 for both receivers at a tick, three rows of two values each. A mean and a step of
    /// receiver 1 are as given.
    fn found(mean: f32, step: f32) -> Result<Vec<f32>, NodeError> {
        let table = |steps: [f32; 2]| {
            let prior = || Marginal::new(vec![Component { weight: 1.0, location: 0.0, scale: 1.0 }]);
            Arc::new(EntryTable::new(&steps.map(|step| (prior(), step))))
        };
        let good = || table([1.0, 0.5]);
        let tables = Tables { number: 0, of: vec![vec![good(), good()], vec![good(), table([1.0, step])]] };
        let mut means = vec![0.25; 12];
        means[9] = mean;
        let means = Tensor::from_vec(means, (6, 2), &Device::Cpu)?;
        let rows = EntryRows { entries: &[(0, 0), (0, 1)], rows: 3, d: 2 };
        let moment = Moment { phase: Phase::Train, first: 0, skipped: 0 };
        let (_, features) = Dithered::new(&context(), &tables, 1, moment, rows, &means)?;
        values(&features.z)
    }

    #[test]
    fn the_error_of_a_mean_or_step_that_is_not_finite_names_its_entry() {
        assert!(found(0.25, 0.5).unwrap().iter().all(|z| (z - 0.25).abs() <= 0.5));
        for (mean, step, problem) in [
            (f32::NAN, 0.5, "its encoder puts out NaN"),
            (f32::INFINITY, 0.5, "its encoder puts out inf"),
            (f32::NEG_INFINITY, 0.5, "its encoder puts out -inf"),
            (0.25, f32::NAN, "its prior has a step of NaN"),
            (0.25, f32::INFINITY, "its prior has a step of inf"),
        ] {
            let line = found(mean, step).unwrap_err().to_string();
            assert_eq!(
                line,
                format!("transmitter 1, fft for receiver 1: {problem}; try a smaller learning rate")
            );
        }
    }
}
