//! The learned prior r of an entry (k, m, t), held by its transmitter.

use std::any::Any;

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::{accumulate_rows, add, assign};
use kernels::prior::{Mixture, gradient, log_probability};
use randomness::Stream;

use super::{Component, EntryTable, MOST_STEP, Marginal, SharedPrior};
use crate::common::Phase;
use crate::nn::{AdamW, Blocks, Draws, Input, Kept, Layout, Module, Network, Parameter, Product};
use crate::{Error, Result};

/// Components of the mixture of every dimension.
pub const COMPONENTS: usize = 3;
/// The components' first locations: around 0, where features begin.
const FIRST_LOCATIONS: [f64; COMPONENTS] = [-1.0, 0.0, 1.0];
/// The logarithm of their first scales.
const FIRST_LOG_SCALE: f64 = -1.0;
/// The logarithm of the first step: a third of how far the first locations reach.
const FIRST_LOG_STEP: f64 = 0.0;
/// Logarithms of scales and steps stay between minus this and this.
const MOST_LOG: f64 = 7.0;
/// Locations likewise.
const MOST_LOCATION: f64 = 1e4;

/// What a prior is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorKind {
    /// The log-density of Gaussian features.
    Density,
    /// The log-probability of a step around dithered features; the steps are learned with it.
    Dithered,
}

/// The prior of one entry: per dimension a mixture of logistic distributions, and of dithered features the steps.
///
/// It is a [`Network`] like others, so that checkpoints and fingerprints have it; it lives on the CPU, where tables are
/// made, wherever the encoders are.
pub struct Prior {
    network: Network,
    kind: PriorKind,
    d: usize,
}

/// What the optimizer holds: indices of its parameters.
struct MixtureModule {
    kind: PriorKind,
    d: usize,
    layout: Layout,
}

/// The parameters' places in the layout.
const LOGITS: usize = 0;
const LOCATIONS: usize = 1;
const LOG_SCALES: usize = 2;
const LOG_STEP: usize = 3;
/// What the tables in force were made of: the others, row by row. It has no gradient, and stays until it is set anew.
const HELD: usize = 4;
/// How many bits have been coded with them. Likewise.
const CODED: usize = 5;
/// The largest whole number up to which an f32 counts.
const MOST_CODED: f64 = (1 << 24) as f64;

impl Prior {
    /// The prior of features of d values, as it begins.
    ///
    /// # Errors
    /// If d is 0.
    pub fn new(name: &str, kind: PriorKind, d: usize, dtype: DType, stream: Stream) -> Result<Self> {
        let module = Box::new(MixtureModule::new(kind, d));
        let network = Network::new(name, module, stream, dtype, &Device::Cpu)?;
        Ok(Prior { network, kind, d })
    }

    /// The logarithm of the prior's density at every value of z, or of its mass in a step around it, in nats: both
    /// [rows, d], on the CPU.
    ///
    /// # Errors
    /// If z does not fit.
    pub fn log_probability(&self, z: &Tensor) -> Result<Tensor> {
        let parameters: Vec<Parameter> = self.network.parameters().cloned().collect();
        Ok(log_probability(&z.contiguous()?, mixture(&parameters, self.kind))?)
    }

    /// Adds the gradients of an objective in which z enters directly, by `dz`, and the log-probability of each of its
    /// values with the number in `dmass`; gives the whole gradient with respect to z. All are [rows, d]. Of dithered
    /// features `noise` is (z - mu) / step: with it held, z = mu + step noise, so that dz/dstep = noise. `blocks`: see
    /// [`Network::forward`].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn learn(
        &mut self,
        z: &Tensor,
        noise: Option<&Tensor>,
        dz: &Tensor,
        dmass: &Tensor,
        blocks: &[usize],
    ) -> Result<Tensor> {
        let zeros;
        let noise = match noise {
            Some(noise) => noise,
            None => {
                zeros = z.zeros_like()?;
                &zeros
            }
        };
        let input = Tensor::cat(&[z, noise], 1)?;
        let (_, trace) = self.network.forward(Input::Dense(input), blocks, None)?;
        let upstream = Tensor::cat(&[dz, dmass], 1)?;
        let gradients = self.network.backward_to_input(&trace, &upstream)?;
        Ok(gradients.first().ok_or(Error::Trace)?.narrow(1, 0, self.d)?.contiguous()?)
    }

    /// A step with the gradients so far, without weight decay; then all parameters are put back into their range.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, rate: f64) -> Result<()> {
        self.network.step(&AdamW { decay: 0.0, ..AdamW::new(rate) })?;
        let parameters: Vec<&Parameter> = self.network.parameters().collect();
        let bounds = [(LOCATIONS, MOST_LOCATION), (LOG_SCALES, MOST_LOG), (LOG_STEP, MOST_LOG)];
        for (index, bound) in bounds {
            if let Some(parameter) = parameters.get(index) {
                assign(&parameter.value, &parameter.value.clamp(-bound, bound)?)?;
            }
        }
        Ok(())
    }

    /// From now on the tables in force are those of the prior as it is.
    ///
    /// # Errors
    /// If the features are not dithered.
    pub fn hold(&mut self) -> Result<()> {
        assign(&self.parameter(HELD)?.value, &self.all()?)?;
        let coded = &self.parameter(CODED)?.value;
        Ok(assign(coded, &coded.zeros_like()?)?)
    }

    /// Counts bits that have been coded with the tables in force.
    ///
    /// # Errors
    /// If the features are not dithered.
    pub fn count(&mut self, bits: u64) -> Result<()> {
        let coded = self.coded_bits()? + bits;
        let parameter = &self.parameter(CODED)?.value;
        let counted = Tensor::new(&[(coded as f64).min(MOST_CODED)], &Device::Cpu)?;
        Ok(assign(parameter, &counted.to_dtype(parameter.dtype())?)?)
    }

    /// How many bits have been coded with the tables in force, as far as is counted: up to 2^24.
    ///
    /// # Errors
    /// If the features are not dithered.
    pub fn coded_bits(&self) -> Result<u64> {
        let coded: Vec<f64> = self.parameter(CODED)?.value.to_dtype(DType::F64)?.to_vec1()?;
        Ok(coded.first().map_or(0, |coded| *coded as u64))
    }

    /// The tables in force.
    ///
    /// # Errors
    /// If the features are not dithered.
    pub fn held_table(&self) -> Result<EntryTable> {
        table(&self.parameter(HELD)?.value)
    }

    /// The tables of the prior as it is.
    ///
    /// # Errors
    /// If the features are not dithered.
    pub fn table(&self) -> Result<EntryTable> {
        table(&self.all()?)
    }

    /// The prior as both ends of a link can have it.
    ///
    /// # Errors
    /// If it has numbers that none has.
    pub fn shared(&self) -> Result<SharedPrior> {
        let value = |index| Ok::<_, Error>(self.parameter(index)?.value.to_dtype(DType::F32)?);
        let rows = Tensor::cat(&[value(LOGITS)?, value(LOCATIONS)?, value(LOG_SCALES)?], 0)?;
        let rows: Vec<f32> = rows.flatten_all()?.to_vec1()?;
        SharedPrior::new(&rows, self.d).map_err(|_| Error::Trace)
    }

    /// What tables are made of, row by row.
    fn all(&self) -> Result<Tensor> {
        let value = |index| Ok::<_, Error>(self.parameter(index)?.value.clone());
        let log_step = value(LOG_STEP)?.unsqueeze(0)?;
        Ok(Tensor::cat(&[value(LOGITS)?, value(LOCATIONS)?, value(LOG_SCALES)?, log_step], 0)?)
    }

    fn parameter(&self, index: usize) -> Result<&Parameter> {
        self.network.parameters().nth(index).ok_or(Error::Trace)
    }

    /// The network that it is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to restore it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

/// The tables of parameters [3 components + 1, d]: logits, locations, logarithms of scales and steps.
fn table(parameters: &Tensor) -> Result<EntryTable> {
    let rows: Vec<Vec<f64>> = parameters.to_dtype(DType::F64)?.to_vec2()?;
    let step =
        |at: usize| libm::exp(rows[3 * COMPONENTS][at]).clamp(1.0 / f64::from(MOST_STEP), MOST_STEP.into());
    let dimension = |at: usize| {
        let component = |c: usize| Component {
            weight: libm::exp(rows[c][at]),
            location: rows[COMPONENTS + c][at],
            scale: libm::exp(rows[2 * COMPONENTS + c][at]),
        };
        (Marginal::new((0..COMPONENTS).map(component).collect()), step(at) as f32)
    };
    Ok(EntryTable::new(&(0..rows[0].len()).map(dimension).collect::<Vec<_>>()))
}

fn mixture(parameters: &[Parameter], kind: PriorKind) -> Mixture<'_> {
    Mixture {
        logits: &parameters[LOGITS].value,
        locations: &parameters[LOCATIONS].value,
        log_scales: &parameters[LOG_SCALES].value,
        log_step: (kind == PriorKind::Dithered).then(|| &parameters[LOG_STEP].value),
    }
}

impl MixtureModule {
    fn new(kind: PriorKind, d: usize) -> Self {
        let mut layout = Layout::default();
        for name in ["logits", "locations", "log_scales"] {
            layout.add(name.into(), &[COMPONENTS, d]);
        }
        if kind == PriorKind::Dithered {
            layout.add("log_step".into(), &[d]);
            layout.add("held".into(), &[3 * COMPONENTS + 1, d]);
            layout.add("coded".into(), &[1]);
        }
        MixtureModule { kind, d, layout }
    }

    /// One block's share of the gradients; that with respect to z.
    fn add_block(&self, parameters: &[Parameter], [z, noise, dz, dmass]: [&Tensor; 4]) -> Result<Tensor> {
        let gradient = gradient(z, dmass, mixture(parameters, self.kind))?;
        add(&gradient.z, dz)?;
        add(&parameters[LOGITS].gradient, &gradient.logits)?;
        add(&parameters[LOCATIONS].gradient, &gradient.locations)?;
        add(&parameters[LOG_SCALES].gradient, &gradient.log_scales)?;
        if self.kind == PriorKind::Dithered {
            // dz/d(ln step) with the noise held is step noise.
            let along = (&gradient.z * noise)?.broadcast_mul(&parameters[LOG_STEP].value.exp()?)?;
            accumulate_rows(&gradient.log_step, &along)?;
            add(&parameters[LOG_STEP].gradient, &gradient.log_step)?;
        }
        Ok(gradient.z)
    }
}

impl Module for MixtureModule {
    fn inputs(&self) -> usize {
        2 * self.d
    }

    /// z, and the log-probability of its values.
    fn outputs(&self) -> usize {
        2 * self.d
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn initialise(&self, parameters: &[Parameter], _: &mut Stream) -> Result<()> {
        let values = |rows: &[f64]| rows.iter().flat_map(|&row| vec![row; self.d]).collect::<Vec<f64>>();
        let set = |index: usize, rows: &[f64]| -> Result<()> {
            let value = &parameters[index].value;
            let first = Tensor::from_vec(values(rows), value.shape(), &Device::Cpu)?;
            Ok(assign(value, &first.to_dtype(value.dtype())?)?)
        };
        set(LOCATIONS, &FIRST_LOCATIONS)?;
        set(LOG_SCALES, &[FIRST_LOG_SCALE; COMPONENTS])?;
        if self.kind == PriorKind::Dithered {
            set(LOG_STEP, &[FIRST_LOG_STEP])?;
            let scales = [FIRST_LOG_SCALE; COMPONENTS];
            set(HELD, &[&[0.0; COMPONENTS][..], &FIRST_LOCATIONS, &scales, &[FIRST_LOG_STEP]].concat())?;
        }
        Ok(())
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &[usize],
        _: Phase,
        _: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let input = dense(input)?;
        let z = input.narrow(1, 0, self.d)?.contiguous()?;
        let output = Tensor::cat(&[&z, &log_probability(&z, mixture(parameters, self.kind))?], 1)?;
        Ok((output, Box::new(())))
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let input = dense(input)?;
        for parameter in parameters {
            blocks.clear_first(&parameter.gradient)?;
        }
        let mut gradients = Vec::new();
        blocks.each(|_, start, rows| {
            let part = |of: &Tensor, half: usize| {
                of.narrow(0, start, rows)?.narrow(1, half * self.d, self.d)?.contiguous()
            };
            let (z, noise) = (part(input, 0)?, part(input, 1)?);
            let (dz, dmass) = (part(upstream, 0)?, part(upstream, 1)?);
            gradients.push(self.add_block(parameters, [&z, &noise, &dz, &dmass])?);
            Ok(())
        })?;
        if !to_input || gradients.is_empty() {
            return Ok(Vec::new());
        }
        let to_z = Tensor::cat(&gradients, 0)?;
        Ok(vec![Tensor::cat(&[&to_z, &to_z.zeros_like()?], 1)?])
    }

    fn products(&self) -> Vec<Product> {
        Vec::new()
    }
}

fn dense(input: &Input) -> Result<&Tensor> {
    match input {
        Input::Dense(values) => Ok(values),
        Input::Blocks { .. } => Err(Error::Trace),
    }
}
