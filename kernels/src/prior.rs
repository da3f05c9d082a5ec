//! A learned prior: in every dimension a mixture of logistic distributions. Its log-density, or the log-probability of
//! an interval of given width, with all gradients.
//!
//! With y = (z - location) / scale and w = step / scale, the mass of z +- step/2 under one component is sigmoid(b) -
//! sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^-w) for b = y + w/2, a = y - w/2: a product, whose logarithm involves no
//! cancellation. As w goes to 0 it is the density times step, so that one loop computes both cases.

use candle_core::{Result, Tensor, bail};

use crate::lanes::vectorise;
use crate::{Numbers, Real, with_numbers};

/// Largest distance of a value from its location in scales; beyond it is clamped, since f32 has no digits left.
const FARTHEST: f64 = 1e6;
/// The largest logarithm of a width in scales: its exponential and the inverse are finite in f32.
const WIDEST: f64 = 60.0;

/// The parameters of a feature of d dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Mixture<'a> {
    /// Logits of the weights: their softmax over components, [components, d].
    pub logits: &'a Tensor,
    /// The components' locations, [components, d].
    pub locations: &'a Tensor,
    /// The logarithms of their scales, [components, d].
    pub log_scales: &'a Tensor,
    /// The logarithms of the intervals' widths, \[d\]; none: densities.
    pub log_step: Option<&'a Tensor>,
}

/// The gradient of a weighted sum of log-probabilities.
#[derive(Clone, Debug)]
pub struct MixtureGradient {
    /// With respect to z, [rows, d].
    pub z: Tensor,
    /// With respect to the logits, [components, d].
    pub logits: Tensor,
    /// To the locations, likewise.
    pub locations: Tensor,
    /// To the logarithms of the scales, likewise.
    pub log_scales: Tensor,
    /// To the logarithms of the widths with z held, \[d\]; zero for densities.
    pub log_step: Tensor,
}

/// In nats, for every value of z, [rows, d]: the log-probability of the interval of its dimension's width around it, or
/// without widths the log-density.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn log_probability(z: &Tensor, mixture: Mixture<'_>) -> Result<Tensor> {
    let shape = mixture.shape(z)?;
    let empty = Tensor::zeros(0, z.dtype(), z.device())?;
    let operands = mixture.operands(&[z], &empty);
    with_numbers(&operands, |numbers| match numbers[0] {
        Numbers::F32(z) => {
            tensor(log_probability_of(z, &numbers[1..], shape, Numbers::f32s), &[shape.rows, shape.d])
        }
        Numbers::F64(z) => {
            tensor(log_probability_of(z, &numbers[1..], shape, Numbers::f64s), &[shape.rows, shape.d])
        }
    })?
}

/// The gradient of the sum of the log-probabilities of z, each times its number in `upstream`, both [rows, d].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn gradient(z: &Tensor, upstream: &Tensor, mixture: Mixture<'_>) -> Result<MixtureGradient> {
    let shape = mixture.shape(z)?;
    if upstream.dims() != z.dims() {
        bail!("the prior of {:?} values was given a gradient of {:?}", z.dims(), upstream.dims());
    }
    let empty = Tensor::zeros(0, z.dtype(), z.device())?;
    let operands = mixture.operands(&[z, upstream], &empty);
    with_numbers(&operands, |numbers| match (numbers[0], numbers[1]) {
        (Numbers::F32(z), Numbers::F32(upstream)) => {
            gradient_of(z, upstream, &numbers[2..], shape, Numbers::f32s).tensors(shape)
        }
        (Numbers::F64(z), Numbers::F64(upstream)) => {
            gradient_of(z, upstream, &numbers[2..], shape, Numbers::f64s).tensors(shape)
        }
        _ => bail!("the prior was given numbers of two types"),
    })?
}

#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    components: usize,
    d: usize,
}

impl<'a> Mixture<'a> {
    fn shape(&self, z: &Tensor) -> Result<Sizes> {
        let (rows, d) = z.dims2()?;
        let components = self.logits.dims2()?.0;
        let fits =
            [self.logits, self.locations, self.log_scales].iter().all(|of| of.dims() == [components, d])
                && self.log_step.is_none_or(|step| step.dims() == [d])
                && components > 0
                && d > 0;
        if !fits {
            bail!("a prior of shape {:?} does not fit values of {:?}", self.logits.dims(), z.dims());
        }
        Ok(Sizes { rows, components, d })
    }

    /// `first`, followed by this mixture's four tensors; `empty` replaces missing widths.
    fn operands(&self, first: &[&'a Tensor], empty: &'a Tensor) -> Vec<&'a Tensor> {
        let own = [self.logits, self.locations, self.log_scales, self.log_step.unwrap_or(empty)];
        first.iter().copied().chain(own).collect()
    }
}

fn tensor<T: Real>(values: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu)
}

/// Values common to all rows, by component and dimension.
struct Prepared<T> {
    weights: Vec<T>,
    /// ln weight + ln (1 - e^-w), or - ln scale for densities.
    constants: Vec<T>,
    locations: Vec<T>,
    /// 1 / scale.
    inverses: Vec<T>,
    /// w / 2; 0 for densities.
    halves: Vec<T>,
    /// w / (e^w - 1), which goes to 1 as w goes to 0.
    shares: Vec<T>,
}

impl<T: Real> Prepared<T> {
    /// In f64, with libm: there are few of them, and all machines agree.
    fn new<'a>(
        parameters: &[Numbers<'a>],
        Sizes { components, d, .. }: Sizes,
        values: impl Fn(Numbers<'a>) -> &'a [T],
    ) -> Self {
        let [logits, locations, log_scales, log_step] = [0, 1, 2, 3].map(|at| values(parameters[at]));
        let mut prepared = Prepared {
            weights: Vec::with_capacity(components * d),
            constants: Vec::with_capacity(components * d),
            locations: locations.to_vec(),
            inverses: Vec::with_capacity(components * d),
            halves: Vec::with_capacity(components * d),
            shares: Vec::with_capacity(components * d),
        };
        for at in 0..components * d {
            let dimension = at % d;
            let own = |values: &[T]| {
                (0..components).map(|c| values[c * d + dimension].to_f64()).collect::<Vec<_>>()
            };
            let logits = own(logits);
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|logit| libm::exp(logit - most)).sum();
            let log_weight = logits[at / d] - most - libm::log(sum);
            let log_scale = log_scales[at].to_f64();
            let (constant, width, share) = match log_step.get(dimension) {
                None => (-log_scale, 0.0, 1.0),
                Some(log_step) => {
                    let width = libm::exp((log_step.to_f64() - log_scale).clamp(-WIDEST, WIDEST));
                    (ln_one_minus_exp(width), width, width / libm::expm1(width))
                }
            };
            prepared.weights.push(T::from_f64(libm::exp(log_weight)));
            prepared.constants.push(T::from_f64(log_weight + constant));
            prepared.inverses.push(T::from_f64(libm::exp(-log_scale)));
            prepared.halves.push(T::from_f64(width / 2.0));
            prepared.shares.push(T::from_f64(share));
        }
        prepared
    }
}

/// ln (1 - e^-w) for w > 0.
fn ln_one_minus_exp(w: f64) -> f64 {
    if w > std::f64::consts::LN_2 { libm::log1p(-libm::exp(-w)) } else { libm::log(-libm::expm1(-w)) }
}

/// ln(1 + e^x) and its derivative.
#[inline(always)]
fn softplus<T: Real>(x: T) -> (T, T) {
    let decay = T::magnitude_decay(x);
    let numerator = if x < T::ZERO { decay } else { T::ONE };
    (x.larger(T::ZERO) + decay.ln_1p(), numerator / (T::ONE + decay))
}

/// Distance of z from a location in scales, clamped.
#[inline(always)]
fn apart<T: Real>(z: T, location: T, inverse: T) -> T {
    let farthest = T::from_f64(FARTHEST);
    let y = ((z - location) * inverse).larger(-farthest);
    -(-y).larger(-farthest)
}

/// The log-probabilities of a row under each component, [components, d], and their log-sum in `sums`, \[d\].
#[inline(always)]
fn row<T: Real>(of: &Prepared<T>, z: &[T], terms: &mut [T], sums: &mut [T]) {
    let d = z.len();
    for (component, terms) in terms.chunks_exact_mut(d).enumerate() {
        let here = component * d..(component + 1) * d;
        let (constants, locations) = (&of.constants[here.clone()], &of.locations[here.clone()]);
        let (inverses, halves) = (&of.inverses[here.clone()], &of.halves[here]);
        for at in 0..d {
            let y = apart(z[at], locations[at], inverses[at]);
            let above = softplus(-(y + halves[at])).0;
            let below = softplus(y - halves[at]).0;
            terms[at] = constants[at] - above - below;
        }
    }
    sums.copy_from_slice(&terms[..d]);
    for terms in terms[d..].chunks_exact(d) {
        for at in 0..d {
            sums[at] = sums[at].larger(terms[at]);
        }
    }
    for at in 0..d {
        let most = sums[at];
        let mut sum = T::ZERO;
        for terms in terms.chunks_exact(d) {
            sum += (terms[at] - most).exp();
        }
        sums[at] = most + sum.ln();
    }
}

fn log_probability_of<'a, T: Real>(
    z: &[T],
    parameters: &[Numbers<'a>],
    sizes: Sizes,
    values: impl Fn(Numbers<'a>) -> &'a [T],
) -> Vec<T> {
    let of = Prepared::new(parameters, sizes, &values);
    let mut result = vec![T::ZERO; z.len()];
    let mut terms = vec![T::ZERO; sizes.components * sizes.d];
    vectorise(
        #[inline(always)]
        || {
            for (z, sums) in z.chunks_exact(sizes.d).zip(result.chunks_exact_mut(sizes.d)) {
                row(&of, z, &mut terms, sums);
            }
        },
    );
    result
}

/// The numbers of a [`MixtureGradient`].
struct Sums<T> {
    z: Vec<T>,
    logits: Vec<T>,
    locations: Vec<T>,
    log_scales: Vec<T>,
    log_step: Vec<T>,
}

impl<T: Real> Sums<T> {
    fn tensors(self, Sizes { rows, components, d }: Sizes) -> Result<MixtureGradient> {
        Ok(MixtureGradient {
            z: tensor(self.z, &[rows, d])?,
            logits: tensor(self.logits, &[components, d])?,
            locations: tensor(self.locations, &[components, d])?,
            log_scales: tensor(self.log_scales, &[components, d])?,
            log_step: tensor(self.log_step, &[d])?,
        })
    }
}

fn gradient_of<'a, T: Real>(
    z: &[T],
    upstream: &[T],
    parameters: &[Numbers<'a>],
    sizes: Sizes,
    values: impl Fn(Numbers<'a>) -> &'a [T],
) -> Sums<T> {
    let of = Prepared::new(parameters, sizes, &values);
    let Sizes { components, d, .. } = sizes;
    let zeros = |length: usize| vec![T::ZERO; length];
    let mut sums = Sums {
        z: zeros(z.len()),
        logits: zeros(components * d),
        locations: zeros(components * d),
        log_scales: zeros(components * d),
        log_step: zeros(d),
    };
    let (mut terms, mut masses) = (zeros(components * d), zeros(d));
    vectorise(
        #[inline(always)]
        || {
            let rows = z.chunks_exact(d).zip(upstream.chunks_exact(d)).zip(sums.z.chunks_exact_mut(d));
            for ((z, upstream), to_z) in rows {
                row(&of, z, &mut terms, &mut masses);
                for component in 0..components {
                    let here = component * d..(component + 1) * d;
                    let terms = &terms[here.clone()];
                    let (weights, locations) = (&of.weights[here.clone()], &of.locations[here.clone()]);
                    let (inverses, halves) = (&of.inverses[here.clone()], &of.halves[here.clone()]);
                    let shares = &of.shares[here.clone()];
                    let to_logits = &mut sums.logits[here.clone()];
                    let to_locations = &mut sums.locations[here.clone()];
                    let to_scales = &mut sums.log_scales[here];
                    for at in 0..d {
                        let y = apart(z[at], locations[at], inverses[at]);
                        // The derivatives of both softplus terms of the log-probability: sigmoids of the distances to
                        // the edges.
                        let above = softplus(-(y + halves[at])).1;
                        let below = softplus(y - halves[at]).1;
                        // The gradient of a log-sum weighs each component by its share of the mass.
                        let share = upstream[at] * (terms[at] - masses[at]).exp();
                        let along = share * (above - below) * inverses[at];
                        let wider = share * (halves[at] * (above + below) + shares[at]);
                        to_z[at] += along;
                        to_logits[at] += share - upstream[at] * weights[at];
                        to_locations[at] -= along;
                        to_scales[at] -= share * y * (above - below) + wider;
                        sums.log_step[at] += wider;
                    }
                }
            }
        },
    );
    // Densities have no widths: their gradient is 0.
    if values(parameters[3]).is_empty() {
        sums.log_step.fill(T::ZERO);
    }
    sums
}
