//! The Gaussian encoder of an entry: z = mu + softplus(raw - 5) * noise.

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::add;
use kernels::gaussian;
use kernels::rate::{RateEstimator, rate_gradient};
use randomness::Stream;

use crate::Result;
use crate::input::Input;
use crate::network::{Network, Trace};

/// A base network with 2 * feature_dim outputs: mu and raw, side by side.
pub struct Encoder {
    network: Network,
    feature_dim: usize,
}

/// What an encoder draws for its inputs, each [rows, feature_dim]: views of one tensor.
#[derive(Clone, Debug)]
pub struct Features {
    /// The features: mu + std * noise.
    pub z: Tensor,
    /// The means.
    pub mu: Tensor,
    /// The standard deviations.
    pub std: Tensor,
}

/// [`Features`], and what the backward pass needs.
pub struct Encoded {
    /// The features: mu + std * noise, [rows, feature_dim].
    pub z: Tensor,
    /// The means, [rows, feature_dim].
    pub mu: Tensor,
    /// The standard deviations, [rows, feature_dim].
    pub std: Tensor,
    output: Tensor,
    noise: Tensor,
    trace: Trace,
}

/// A rate that the encoder pays for.
#[derive(Clone, Copy, Debug)]
pub struct RateTerm<'a> {
    /// Which estimate.
    pub estimator: RateEstimator,
    /// The row counts of the groups, each with a rate of its own.
    pub groups: &'a [usize],
    /// What one nat of each group costs: beta times whatever scales the objective, 0 for a group that nobody used.
    pub weights: &'a [f64],
}

impl Encoder {
    /// A network as [`Network::new`] makes it.
    pub fn new(
        name: &str,
        inputs: usize,
        feature_dim: usize,
        stream: Stream,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        Ok(Encoder {
            network: Network::new(name, inputs, 2 * feature_dim, stream, dtype, device)?,
            feature_dim,
        })
    }

    /// x (rows of all inputs) and standard normal noise [rows, feature_dim] to features.
    pub fn infer(&self, x: Input, noise: &Tensor) -> Result<Features> {
        let (output, _) = self.network.forward_from(x)?;
        features(&output, &noise.contiguous()?)
    }

    /// The same, and what [`Encoder::backward`] needs.
    pub fn encode(&self, x: Input, noise: &Tensor) -> Result<Encoded> {
        let (output, trace) = self.network.forward_from(x)?;
        let noise = noise.contiguous()?;
        let Features { z, mu, std } = features(&output, &noise)?;
        Ok(Encoded { z, mu, std, output, noise, trace })
    }

    /// Adds the network's gradients, given that of the objective with respect to z, [rows, feature_dim], as it came
    /// over the wire. `rate` adds d(sum over its groups of weight * rate). `blocks`: see [`Network::backward`].
    pub fn backward(
        &mut self,
        encoded: &Encoded,
        dz: &Tensor,
        rate: Option<RateTerm<'_>>,
        blocks: &[usize],
    ) -> Result<()> {
        let Encoded { z, mu, std, output, noise, trace } = encoded;
        let packed = match rate {
            Some(RateTerm { estimator, groups, weights }) => {
                rate_gradient(estimator, z, mu, std, groups, weights)?
            }
            None => Tensor::zeros((3, z.dim(0)?, self.feature_dim), z.dtype(), z.device())?,
        };
        add(&packed.get(0)?, &dz.contiguous()?)?;
        let upstream = gaussian::backward(&packed, output, noise)?;
        self.network.backward(trace, &upstream, blocks)
    }

    /// How many values a feature has.
    pub fn feature_dim(&self) -> usize {
        self.feature_dim
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to step it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

fn features(output: &Tensor, noise: &Tensor) -> Result<Features> {
    let packed = gaussian::sample(output, noise)?;
    Ok(Features { z: packed.get(0)?, mu: packed.get(1)?, std: packed.get(2)? })
}
