//! The encoder of an entry: Gaussian, z = mu + softplus(raw - 5) * noise, or one of the deterministic kinds of other
//! methods.

use candle_core::{Device, Tensor};
use kernels::elementwise::add;
use kernels::rate::{RateEstimator, rate_gradient};
use kernels::{gaussian, quantise};

use crate::channel::{Amplified, Observed};
use crate::nn::{Input, Network, RowAddresses, Trace};
use crate::{Error, Result};

/// How a network's outputs become a feature.
///
/// These are what encoders compute where they are, on a GPU too. What is made of outputs on the way to a stream of bits,
/// as by a [`Coding`](crate::Coding) of a user's program, stands behind an encoder of [`EncoderKind::Outputs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderKind {
    /// A sample of N(mu, std^2): mu and raw side by side, std = softplus(raw - 5).
    Gaussian,
    /// The outputs as they are.
    Deterministic,
    /// Their sigmoid, rounded to one of 2^bits levels from 0 to 1; the gradient ignores the rounding
    /// (straight-through).
    Quantised {
        /// Bits of each value.
        bits: u32,
    },
    /// The outputs as they are, of which a [`Coding`](crate::Coding) makes the feature.
    Outputs {
        /// Outputs for each value of a feature.
        each: usize,
    },
}

/// A network and what becomes of its outputs.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use pom2dib_dib::{Encoder, EncoderKind, Input, Network, ResidualMlp};
/// use randomness::{Purpose, Seed};
///
/// let (inputs, feature_dim, kind) = (3, 4, EncoderKind::Gaussian);
/// let stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
/// let module = Box::new(ResidualMlp::new(inputs, kind.outputs(feature_dim)));
/// let network = Network::new("encoder", module, stream, DType::F32, &Device::Cpu)?;
/// let encoder = Encoder::new(network, feature_dim, kind)?;
///
/// // Two rows; noise of one moves each feature by its standard deviation.
/// let x = Tensor::ones((2, inputs), DType::F32, &Device::Cpu)?;
/// let noise = Tensor::ones((2, feature_dim), DType::F32, &Device::Cpu)?;
/// let features = encoder.infer(Input::Dense(x), Some(&noise))?;
/// let posterior = features.posterior.expect("a Gaussian encoder has one");
/// let moved = (posterior.mu + posterior.std)?;
/// let apart = (features.z - moved)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(apart < 1e-6);
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
pub struct Encoder {
    network: Network,
    feature_dim: usize,
    kind: EncoderKind,
}

/// The features that an encoder computes for its inputs.
#[derive(Clone, Debug)]
pub struct Features {
    /// The features, [rows, feature_dim]; of [`EncoderKind::Outputs`] the outputs, [rows, outputs].
    pub z: Tensor,
    /// The distribution they were drawn from; none if they are deterministic.
    pub posterior: Option<Posterior>,
}

/// p(z|x) of a Gaussian encoder, each [rows, feature_dim].
#[derive(Clone, Debug)]
pub struct Posterior {
    /// The means.
    pub mu: Tensor,
    /// The standard deviations.
    pub std: Tensor,
}

/// [`Features`], with intermediate values for the backward pass.
pub struct Encoded {
    /// The features.
    pub features: Features,
    output: Tensor,
    noise: Option<Tensor>,
    trace: Trace,
}

/// What happens to features between encoder and receiver, as far as gradients pass back through it.
#[derive(Clone, Copy, Default)]
pub struct Way<'a> {
    /// The amplified features that were sent, if they differ from the encoder's.
    pub amplified: Option<&'a Amplified>,
    /// The received features, if the objective uses their rate.
    pub observed: Option<&'a Observed>,
}

/// A rate in the encoder's objective.
#[derive(Clone, Copy, Debug)]
pub struct RateTerm<'a> {
    /// The estimator.
    pub estimator: RateEstimator,
    /// The row counts of the groups, each with its own rate.
    pub groups: &'a [usize],
    /// The weight of one nat of each group: beta times the scale of the objective, 0 for an unused group.
    pub weights: &'a [f64],
    /// None if rows are ordered by group and all are paid for.
    pub rows: Option<RateRows<'a>>,
}

/// Rows that are not ordered by group, or not all paid for.
#[derive(Clone, Copy, Debug)]
pub struct RateRows<'a> {
    /// The rows' indices, group by group.
    pub order: &'a [u32],
    /// In that order: whether a row adds to its group's rate; none: all do. Other rows are components of the mixture
    /// only.
    pub paid: Option<&'a [bool]>,
}

impl EncoderKind {
    /// Network outputs needed for a feature of `feature_dim` values.
    pub fn outputs(self, feature_dim: usize) -> usize {
        match self {
            EncoderKind::Gaussian => 2 * feature_dim,
            EncoderKind::Outputs { each } => each * feature_dim,
            EncoderKind::Deterministic | EncoderKind::Quantised { .. } => feature_dim,
        }
    }
}

impl Encoder {
    /// An encoder that makes features of a network's outputs.
    ///
    /// # Errors
    /// If the number of the network's outputs is not [`EncoderKind::outputs`].
    pub fn new(network: Network, feature_dim: usize, kind: EncoderKind) -> Result<Self> {
        let (got, expected) = (network.outputs(), kind.outputs(feature_dim));
        if got != expected {
            return Err(Error::Outputs { name: network.name().to_owned(), got, expected });
        }
        Ok(Encoder { network, feature_dim, kind })
    }

    /// In evaluation: from x (rows of all inputs) to features; a Gaussian encoder takes standard normal noise [rows,
    /// feature_dim].
    ///
    /// # Errors
    ///
    /// If shapes do not fit, or a Gaussian encoder gets no noise.
    pub fn infer(&self, x: Input, noise: Option<&Tensor>) -> Result<Features> {
        self.features(&self.network.infer_from(x)?, noise)
    }

    /// In training: the same, with intermediate values for [`Encoder::backward`]. `blocks` and `rows`: see
    /// [`Network::forward`].
    ///
    /// # Errors
    ///
    /// As [`Encoder::infer`]; also those of [`Network::forward`].
    pub fn encode(
        &self,
        x: Input,
        noise: Option<&Tensor>,
        blocks: &[usize],
        rows: Option<RowAddresses<'_>>,
    ) -> Result<Encoded> {
        let (output, trace) = self.network.forward(x, blocks, rows)?;
        let features = self.features(&output, noise)?;
        Ok(Encoded { features, output, noise: noise.map(Tensor::contiguous).transpose()?, trace })
    }

    fn features(&self, output: &Tensor, noise: Option<&Tensor>) -> Result<Features> {
        match (self.kind, noise) {
            (EncoderKind::Gaussian, Some(noise)) => {
                let packed = gaussian::sample(output, &noise.contiguous()?)?;
                let posterior = Some(Posterior { mu: packed.get(1)?, std: packed.get(2)? });
                Ok(Features { z: packed.get(0)?, posterior })
            }
            (EncoderKind::Gaussian, None) => Err(Error::Noise { name: self.network.name().to_owned() }),
            (EncoderKind::Deterministic | EncoderKind::Outputs { .. }, _) => {
                Ok(Features { z: output.clone(), posterior: None })
            }
            (EncoderKind::Quantised { bits }, _) => {
                Ok(Features { z: quantise::quantise(output, bits)?, posterior: None })
            }
        }
    }

    /// Adds the network's gradients, given the objective's gradient with respect to z, [rows, feature_dim], from the
    /// wire. `rate` adds d(sum over its groups of weight * rate), for a Gaussian encoder: other rates have no gradient.
    ///
    /// # Errors
    ///
    /// If shapes do not fit.
    pub fn backward(&mut self, encoded: &Encoded, dz: &Tensor, rate: Option<RateTerm<'_>>) -> Result<()> {
        self.backward_through(Way::default(), encoded, dz, rate)
    }

    /// The same for features that were amplified before sending: `dz` is with respect to the sent features, and the
    /// rate is that of the sent or of the received features.
    ///
    /// # Errors
    ///
    /// If shapes do not fit.
    pub fn backward_through(
        &mut self,
        way: Way<'_>,
        encoded: &Encoded,
        dz: &Tensor,
        rate: Option<RateTerm<'_>>,
    ) -> Result<()> {
        let upstream = self.gradient_of_outputs(way, encoded, dz, rate)?;
        self.network.backward(&encoded.trace, &upstream)
    }

    /// The same; also returns the gradients of the input's blocks that learn: see [`Network::backward_to_input`].
    ///
    /// # Errors
    ///
    /// If shapes do not fit.
    pub fn backward_to_input(
        &mut self,
        way: Way<'_>,
        encoded: &Encoded,
        dz: &Tensor,
        rate: Option<RateTerm<'_>>,
    ) -> Result<Vec<Tensor>> {
        let upstream = self.gradient_of_outputs(way, encoded, dz, rate)?;
        self.network.backward_to_input(&encoded.trace, &upstream)
    }

    /// The gradient with respect to the network's outputs.
    fn gradient_of_outputs(
        &self,
        way: Way<'_>,
        encoded: &Encoded,
        dz: &Tensor,
        rate: Option<RateTerm<'_>>,
    ) -> Result<Tensor> {
        let Encoded { features, output, noise, .. } = encoded;
        match (&features.posterior, noise, self.kind) {
            (Some(_), Some(noise), _) => {
                let packed = self.gradient_of_sample(way, features, dz, rate)?;
                Ok(gaussian::backward(&packed, output, noise)?)
            }
            (.., kind) => {
                let dz = match way.amplified {
                    Some(amplified) => amplified.pull_back(dz, None)?.get(0)?,
                    None => dz.clone(),
                };
                match kind {
                    EncoderKind::Quantised { .. } => Ok(quantise::backward(&dz.contiguous()?, output)?),
                    _ => Ok(dz),
                }
            }
        }
    }

    /// The same for a Gaussian encoder, given the total gradients with respect to z, mu and std as drawn, packed as [3,
    /// rows, feature_dim]; that of z is not yet propagated to mu and std. With `to_input`, returns what
    /// [`Encoder::backward_to_input`] does, else nothing.
    ///
    /// # Errors
    /// If shapes do not fit, or the encoder is deterministic.
    pub fn backward_packed(
        &mut self,
        encoded: &Encoded,
        packed: &Tensor,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let Encoded { output, noise: Some(noise), trace, .. } = encoded else {
            return Err(Error::Noise { name: self.network.name().to_owned() });
        };
        let upstream = gaussian::backward(packed, output, noise)?;
        if to_input {
            return self.network.backward_to_input(trace, &upstream);
        }
        self.network.backward(trace, &upstream)?;
        Ok(Vec::new())
    }

    /// The gradient with respect to z, mu and std as drawn, packed.
    fn gradient_of_sample(
        &self,
        way: Way<'_>,
        features: &Features,
        dz: &Tensor,
        rate: Option<RateTerm<'_>>,
    ) -> Result<Tensor> {
        let sent = way.amplified.map_or(features, |amplified| &amplified.features);
        let rated = way.observed.map_or(sent, |observed| &observed.features);
        let Some(posterior) = &rated.posterior else {
            return Err(Error::Noise { name: self.network.name().to_owned() });
        };
        let mut packed = self.rate_gradient(&rated.z, posterior, rate)?;
        if let Some(observed) = way.observed {
            packed = observed.pull_back(&packed)?;
        }
        match way.amplified {
            Some(amplified) => amplified.pull_back(dz, Some(&packed)),
            None => {
                add(&packed.get(0)?, &dz.contiguous()?)?;
                Ok(packed)
            }
        }
    }

    /// The rate's gradient with respect to z, mu and std, packed.
    fn rate_gradient(&self, z: &Tensor, posterior: &Posterior, rate: Option<RateTerm<'_>>) -> Result<Tensor> {
        let Posterior { mu, std } = posterior;
        Ok(match rate {
            Some(RateTerm { estimator, groups, weights, rows: None }) => {
                rate_gradient(estimator, z, mu, std, groups, weights, None)?
            }
            Some(RateTerm { estimator, groups, weights, rows: Some(RateRows { order, paid }) }) => {
                let (there, back) = (indices(order, z.device())?, indices(&places(order), z.device())?);
                let [z, mu, std] =
                    [z.index_select(&there, 0)?, mu.index_select(&there, 0)?, std.index_select(&there, 0)?];
                let packed = rate_gradient(estimator, &z, &mu, &std, groups, weights, paid)?;
                packed.index_select(&back, 1)?
            }
            None => Tensor::zeros((3, z.dim(0)?, self.feature_dim), z.dtype(), z.device())?,
        })
    }

    /// The number of values of a feature.
    pub fn feature_dim(&self) -> usize {
        self.feature_dim
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, for its optimizer step.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

fn indices(rows: &[u32], device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(rows, rows.len(), device)?)
}

/// The position of each row in an order.
fn places(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(&row, place)| places[row as usize] = place);
    places
}
