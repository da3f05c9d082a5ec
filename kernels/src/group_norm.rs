//! Group normalisation: over all positions of an image and the channels of a group.
//!
//! With mean m and variance v of an image's group: n = (x - m) / sqrt(v + epsilon), output = n * gain + bias, where
//! every channel has a gain and a bias: the rows of `affine`, [2, channels]. The layout of images is that of
//! [`convolution`](crate::convolution), and epsilon that of [`layer_norm`](crate::layer_norm). Sums run over the
//! positions first, channel by channel, then over the channels.

use candle_core::{Layout, Result, Tensor, bail};

use crate::Real;
use crate::access::{for_dtype, read, write};
use crate::lanes::vectorise;
use crate::layer_norm::EPSILON;
use crate::operation::{Apply2, Cpu, CpuMut, Made, Operation, Update3};
use crate::threads::for_rows;

/// The normalised, scaled and shifted images: x [images, places x channels], affine [2, channels].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn group_norm(x: &Tensor, affine: &Tensor, groups: usize) -> Result<Tensor> {
    x.apply_op2_no_bwd(affine, &Operation(Forward { groups }))
}

/// affine_gradient += the gradient with respect to gain and bias, whose sum over the images is computed separately
/// first.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn accumulate_affine_gradient(
    affine_gradient: &Tensor,
    x: &Tensor,
    upstream: &Tensor,
    groups: usize,
) -> Result<()> {
    affine_gradient.inplace_op3(x, upstream, &Operation(AffineGradient { groups }))
}

/// Replaces the gradient with respect to the output by that with respect to x.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn group_norm_backward(gradient: &Tensor, x: &Tensor, affine: &Tensor, groups: usize) -> Result<()> {
    gradient.inplace_op3(x, affine, &Operation(Backward { groups }))
}

/// How an image's channels form groups.
#[derive(Clone, Copy)]
struct Sizes {
    groups: usize,
    channels: usize,
    places: usize,
}

impl Sizes {
    fn new(name: &str, groups: usize, x: &Layout, affine: &Layout) -> Result<Self> {
        let ((_, size), (two, channels)) = (x.shape().dims2()?, affine.shape().dims2()?);
        let fits = two == 2
            && size > 0
            && channels > 0
            && size.is_multiple_of(channels)
            && groups > 0
            && channels.is_multiple_of(groups);
        if !fits {
            bail!("{name}: {size} values do not fit {:?} in {groups} groups", affine.shape());
        }
        Ok(Sizes { groups, channels, places: size / channels })
    }

    fn size(&self) -> usize {
        self.places * self.channels
    }

    /// The number of values in a group.
    fn count<T: Real>(&self) -> T {
        T::from_f64((self.size() / self.groups) as f64)
    }

    /// Replaces every channel's sum by that of its group.
    #[inline(always)]
    fn share_out<T: Real>(&self, sums: &mut [T]) {
        for group in sums.chunks_exact_mut(self.channels / self.groups) {
            let total = group.iter().fold(T::ZERO, |total, &sum| total + sum);
            group.fill(total);
        }
    }
}

/// Working memory of a thread: a few numbers for each channel.
struct Scratch<T> {
    mean: Vec<T>,
    inverse: Vec<T>,
    plain: Vec<T>,
    projected: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new(channels: usize) -> Self {
        let [mean, inverse, plain, projected] = [(); 4].map(|()| vec![T::ZERO; channels]);
        Scratch { mean, inverse, plain, projected }
    }

    /// Mean and inverse standard deviation of every channel's group.
    #[inline(always)]
    fn measure(&mut self, sizes: Sizes, x: &[T]) {
        let Scratch { mean, inverse, .. } = self;
        mean.fill(T::ZERO);
        for place in x.chunks_exact(sizes.channels) {
            mean.iter_mut().zip(place).for_each(|(sum, &x)| *sum += x);
        }
        sizes.share_out(mean);
        mean.iter_mut().for_each(|sum| *sum /= sizes.count());
        inverse.fill(T::ZERO);
        for place in x.chunks_exact(sizes.channels) {
            for ((sum, &x), &mean) in inverse.iter_mut().zip(place).zip(&*mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        sizes.share_out(inverse);
        for sum in inverse {
            *sum = T::ONE / (*sum / sizes.count() + T::from_f64(EPSILON)).sqrt();
        }
    }

    #[inline(always)]
    fn normalise(&mut self, sizes: Sizes, x: &[T], affine: &[T], output: &mut [T]) {
        self.measure(sizes, x);
        let (gain, bias) = affine.split_at(sizes.channels);
        for (place, output) in x.chunks_exact(sizes.channels).zip(output.chunks_exact_mut(sizes.channels)) {
            let of_channel = self.mean.iter().zip(&self.inverse).zip(gain.iter().zip(bias));
            for ((output, &x), ((&mean, &inverse), (&gain, &bias))) in
                output.iter_mut().zip(place).zip(of_channel)
            {
                *output = (x - mean) * inverse * gain + bias;
            }
        }
    }

    /// The sums over an image's positions, channel by channel, of upstream (`plain`) and of upstream times n
    /// (`projected`).
    #[inline(always)]
    fn project(&mut self, sizes: Sizes, x: &[T], upstream: &[T]) {
        self.measure(sizes, x);
        let Scratch { mean, inverse, plain, projected } = self;
        plain.fill(T::ZERO);
        projected.fill(T::ZERO);
        for (place, upstream) in x.chunks_exact(sizes.channels).zip(upstream.chunks_exact(sizes.channels)) {
            let statistics = mean.iter().zip(&*inverse);
            let sums = plain.iter_mut().zip(projected.iter_mut());
            for (((&x, &up), (&mean, &inverse)), (plain, projected)) in
                place.iter().zip(upstream).zip(statistics).zip(sums)
            {
                *plain += up;
                *projected += up * ((x - mean) * inverse);
            }
        }
    }

    /// With g = upstream * gain: (g - mean(g) - n mean(g n)) / std, in place of upstream.
    #[inline(always)]
    fn back(&mut self, sizes: Sizes, x: &[T], gain: &[T], gradient: &mut [T]) {
        self.project(sizes, x, gradient);
        for sums in [&mut self.plain, &mut self.projected] {
            sums.iter_mut().zip(gain).for_each(|(sum, &gain)| *sum *= gain);
            sizes.share_out(sums);
            sums.iter_mut().for_each(|sum| *sum /= sizes.count());
        }
        let Scratch { mean, inverse, plain, projected } = self;
        for (place, gradient) in x.chunks_exact(sizes.channels).zip(gradient.chunks_exact_mut(sizes.channels))
        {
            let statistics = mean.iter().zip(&*inverse).zip(plain.iter().zip(&*projected));
            for (((gradient, &x), &gain), ((&mean, &inverse), (&plain, &projected))) in
                gradient.iter_mut().zip(place).zip(gain).zip(statistics)
            {
                *gradient = (*gradient * gain - plain - (x - mean) * inverse * projected) * inverse;
            }
        }
    }
}

struct Forward {
    groups: usize,
}

impl Apply2 for Forward {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn on_cpu(&self, (x, x_layout): Cpu<'_>, (affine, affine_layout): Cpu<'_>) -> Result<Made> {
        let sizes = Sizes::new(self.name(), self.groups, x_layout, affine_layout)?;
        for_dtype!(x, self.name(), forward(sizes, (x, x_layout), (affine, affine_layout)))
    }
}

fn forward<T: Real>(sizes: Sizes, x: Cpu<'_>, affine: Cpu<'_>) -> Result<Made> {
    let shape = x.1.shape().clone();
    let (x, affine) = (read::<T>(x.0, x.1)?, read::<T>(affine.0, affine.1)?);
    let mut output = vec![T::ZERO; x.len()];
    let size = sizes.size();
    for_rows(&mut output, size, |first, output| {
        let mut scratch = Scratch::new(sizes.channels);
        for (x, output) in x[first * size..].chunks_exact(size).zip(output.chunks_exact_mut(size)) {
            vectorise(
                #[inline(always)]
                || scratch.normalise(sizes, x, affine, output),
            );
        }
    });
    Ok((T::to_cpu_storage_owned(output), shape))
}

struct Backward {
    groups: usize,
}

impl Update3 for Backward {
    fn name(&self) -> &'static str {
        "group-norm-backward"
    }

    fn on_cpu(
        &self,
        (gradient, gradient_layout): CpuMut<'_>,
        (x, x_layout): Cpu<'_>,
        (affine, affine_layout): Cpu<'_>,
    ) -> Result<()> {
        let sizes = Sizes::new(self.name(), self.groups, x_layout, affine_layout)?;
        same_shape(self.name(), gradient_layout, x_layout)?;
        let operands = ((gradient, gradient_layout), (x, x_layout), (affine, affine_layout));
        for_dtype!(x, self.name(), backward(sizes, operands))
    }
}

fn same_shape(name: &str, one: &Layout, other: &Layout) -> Result<()> {
    if one.shape() != other.shape() {
        bail!("{name}: shapes {:?} and {:?} differ", one.shape(), other.shape());
    }
    Ok(())
}

fn backward<T: Real>(sizes: Sizes, (gradient, x, affine): (CpuMut<'_>, Cpu<'_>, Cpu<'_>)) -> Result<()> {
    let gradient = write::<T>(gradient.0, gradient.1)?;
    let (x, affine) = (read::<T>(x.0, x.1)?, read::<T>(affine.0, affine.1)?);
    let (gain, size) = (&affine[..sizes.channels], sizes.size());
    for_rows(gradient, size, |first, gradient| {
        let mut scratch = Scratch::new(sizes.channels);
        for (x, gradient) in x[first * size..].chunks_exact(size).zip(gradient.chunks_exact_mut(size)) {
            vectorise(
                #[inline(always)]
                || scratch.back(sizes, x, gain, gradient),
            );
        }
    });
    Ok(())
}

struct AffineGradient {
    groups: usize,
}

impl Update3 for AffineGradient {
    fn name(&self) -> &'static str {
        "group-norm-affine-gradient"
    }

    fn on_cpu(
        &self,
        (sums, sums_layout): CpuMut<'_>,
        (x, x_layout): Cpu<'_>,
        (upstream, upstream_layout): Cpu<'_>,
    ) -> Result<()> {
        let sizes = Sizes::new(self.name(), self.groups, x_layout, sums_layout)?;
        same_shape(self.name(), upstream_layout, x_layout)?;
        let operands = ((sums, sums_layout), (x, x_layout), (upstream, upstream_layout));
        for_dtype!(x, self.name(), affine_gradient(sizes, operands))
    }
}

fn affine_gradient<T: Real>(sizes: Sizes, (sums, x, upstream): (CpuMut<'_>, Cpu<'_>, Cpu<'_>)) -> Result<()> {
    let sums = write::<T>(sums.0, sums.1)?;
    let (x, upstream) = (read::<T>(x.0, x.1)?, read::<T>(upstream.0, upstream.1)?);
    let (size, channels) = (sizes.size(), sizes.channels);
    let mut of_image = vec![T::ZERO; x.len() / size * 2 * channels];
    for_rows(&mut of_image, 2 * channels, |first, of_image| {
        let mut scratch = Scratch::new(channels);
        let images = x[first * size..].chunks_exact(size).zip(upstream[first * size..].chunks_exact(size));
        for ((x, upstream), sums) in images.zip(of_image.chunks_exact_mut(2 * channels)) {
            vectorise(
                #[inline(always)]
                || scratch.project(sizes, x, upstream),
            );
            sums[..channels].copy_from_slice(&scratch.projected);
            sums[channels..].copy_from_slice(&scratch.plain);
        }
    });
    let mut block = vec![T::ZERO; 2 * channels];
    for image in of_image.chunks_exact(2 * channels) {
        block.iter_mut().zip(image).for_each(|(sum, &value)| *sum += value);
    }
    sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::product::tests::random;

    #[test]
    fn every_group_has_mean_zero_and_variance_one_before_gain_and_bias() {
        let (places, channels, groups) = (15, 6, 3);
        let x =
            Tensor::from_vec(random::<f64>(1, 2 * places * channels), (2, places * channels), &Device::Cpu);
        let x = x.unwrap().affine(3.0, 2.0).unwrap();
        let gain_and_bias = random::<f64>(2, 2 * channels);
        let affine = Tensor::from_vec(gain_and_bias.clone(), (2, channels), &Device::Cpu).unwrap();
        let output = group_norm(&x, &affine, groups).unwrap().to_vec2::<f64>().unwrap();
        for image in output {
            for group in 0..groups {
                let values: Vec<f64> = (0..places)
                    .flat_map(|place| (0..2).map(move |channel| (place, 2 * group + channel)))
                    .map(|(place, channel)| {
                        (image[place * channels + channel] - gain_and_bias[channels + channel])
                            / gain_and_bias[channel]
                    })
                    .collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
                assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
            }
        }
    }

    /// With one position, the channels of one group are a row of a layer normalisation.
    #[test]
    fn one_group_of_one_place_is_a_layer_normalisation() {
        let tensor = |number, shape: [usize; 2]| {
            Tensor::from_vec(random::<f64>(number, shape[0] * shape[1]), &shape, &Device::Cpu).unwrap()
        };
        let (x, affine, upstream) = (tensor(1, [4, 7]), tensor(2, [2, 7]), tensor(3, [4, 7]));
        let near = |one: &Tensor, other: &Tensor| {
            let distance = (one - other).unwrap().abs().unwrap().max_all().unwrap();
            assert!(distance.to_scalar::<f64>().unwrap() < 1e-12);
        };
        near(&group_norm(&x, &affine, 1).unwrap(), &crate::layer_norm::layer_norm(&x, &affine).unwrap());
        let [one, other] = [(); 2].map(|()| upstream.force_contiguous().unwrap());
        group_norm_backward(&one, &x, &affine, 1).unwrap();
        crate::layer_norm::backward_alone(&other, &x, &affine).unwrap();
        near(&one, &other);
        let [one, other] = [(); 2].map(|()| affine.force_contiguous().unwrap());
        accumulate_affine_gradient(&one, &x, &upstream, 1).unwrap();
        crate::layer_norm::accumulate_affine_gradient(&other, &x, &upstream).unwrap();
        near(&one, &other);
        assert!(group_norm(&x, &affine, 2).is_err());
        assert!(group_norm_backward(&affine, &x, &affine, 1).is_err());
    }
}
