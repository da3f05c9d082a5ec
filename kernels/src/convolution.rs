//! Convolutions: products of an image's patches, a line each, with the weights.
//!
//! Images are taken piece by piece, where a piece stays in the cache, and pieces are shared out over threads. Bits are
//! those of [`product`](crate::product) of the whole matrix of patches: every value of the output is a sum over a patch
//! in order, and a weight's gradient adds 512 places of the images at a time. The gradient with respect to the images
//! is a convolution itself, of what comes back: at strides above 1 one for each way in which places lie between the
//! patches.

use std::ops::Range;

use candle_core::{Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::Real;
use crate::access::{for_dtype, read, write};
use crate::lanes::{vectorise, vectorise_for};
use crate::operation::{Apply2, Apply3, Cpu, CpuMut, Made, Operation, Update3};
pub use crate::patches::Patches;
use crate::product::DEPTH;
use crate::seen::{Seen, Strips, accumulate_seen, multiply_seen};
use crate::sight::{Back, Sight};
use crate::threads::{for_pieces, threads};
use crate::transpose::transpose_into;

/// The convolution plus a bias, and the larger of that and 0 if it `rectifies`: x [images, size of an image], weight
/// [groups, values of a patch, outputs of a group], bias \[outputs\]; the result is [images, places x outputs]. The
/// channels of a group of `x` go to the outputs of the same group.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    patches: Patches,
    rectifies: bool,
) -> Result<Tensor> {
    x.apply_op3_no_bwd(weight, bias, &Operation(Forward { patches, rectifies }))
}

/// gradient += that of the weights, given that with respect to the result: gradient as the weights, upstream as the
/// result.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn accumulate_weight_gradient(
    gradient: &Tensor,
    x: &Tensor,
    upstream: &Tensor,
    patches: Patches,
) -> Result<()> {
    gradient.inplace_op3(x, upstream, &Operation(WeightGradient { patches }))
}

/// The gradient with respect to x, given that with respect to the result.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn input_gradient(upstream: &Tensor, weight: &Tensor, patches: Patches) -> Result<Tensor> {
    upstream.apply_op2_no_bwd(weight, &Operation(InputGradient { patches }))
}

/// How a convolution falls into products.
#[derive(Clone, Copy)]
struct Sizes {
    patches: Patches,
    images: usize,
    groups: usize,
    /// Values of a patch, of a group's channels.
    depth: usize,
    /// Outputs of a group.
    columns: usize,
    outputs: usize,
}

impl Sizes {
    /// Those of images, or what comes of them, with these weights. Images have `width` values.
    fn new(
        name: &str,
        patches: Patches,
        images: &Layout,
        weight: &Layout,
        width: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        patches.check(name)?;
        let ((images, got), (groups, depth, columns)) = (images.shape().dims2()?, weight.shape().dims3()?);
        let outputs = groups * columns;
        let fits = outputs > 0
            && patches.channels.is_multiple_of(groups)
            && depth == patches.depth(patches.channels / groups)
            && got == width(outputs);
        if !fits {
            bail!("{name}: weights {:?} do not fit {got} values and {patches:?}", weight.shape());
        }
        Ok(Sizes { patches, images, groups, depth, columns, outputs })
    }

    /// That of what comes out.
    fn shape(&self) -> Shape {
        Shape::from((self.images, self.patches.places() * self.outputs))
    }

    /// The channels of a group.
    fn channels(&self, group: usize) -> Range<usize> {
        let width = self.patches.channels / self.groups;
        group * width..(group + 1) * width
    }

    /// The weights of a group.
    fn weight<'a, T: Real>(&self, weight: &'a [T], group: usize) -> &'a [T] {
        let size = self.depth * self.columns;
        &weight[group * size..(group + 1) * size]
    }
}

struct Forward {
    patches: Patches,
    rectifies: bool,
}

impl Apply3 for Forward {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn on_cpu(
        &self,
        (x, x_layout): Cpu<'_>,
        (weight, weight_layout): Cpu<'_>,
        (bias, bias_layout): Cpu<'_>,
    ) -> Result<Made> {
        let sizes = Sizes::new(self.name(), self.patches, x_layout, weight_layout, |_| self.patches.size())?;
        if bias_layout.shape().dims() != [sizes.outputs] {
            bail!("{}: a bias of shape {:?} for {} outputs", self.name(), bias_layout.shape(), sizes.outputs);
        }
        let operands = ((x, x_layout), (weight, weight_layout), (bias, bias_layout));
        for_dtype!(x, self.name(), forward(sizes, self.rectifies, operands))
    }
}

fn forward<T: Real>(
    sizes: Sizes,
    rectifies: bool,
    (x, weight, bias): (Cpu<'_>, Cpu<'_>, Cpu<'_>),
) -> Result<Made> {
    let (x, weight, bias) =
        (read::<T>(x.0, x.1)?, read::<T>(weight.0, weight.1)?, read::<T>(bias.0, bias.1)?);
    Ok((T::to_cpu_storage_owned(convolution(sizes, rectifies, x, weight, bias)), sizes.shape()))
}

/// Places of images that are taken at a time: they stay in a core's second cache.
const PLACES: usize = 2048;

fn convolution<T: Real>(sizes: Sizes, rectifies: bool, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
    let Sizes { patches, images, groups, depth, columns, outputs } = sizes;
    let (places, sight) = (patches.places(), Sight::new(patches, groups));
    let of_group = |group| strips(sizes.weight(weight, group), columns, depth, columns);
    let weights: Vec<Strips<T>> = (0..groups).map(of_group).collect();
    let mut output = vec![T::ZERO; images * places * outputs];
    let piece = PLACES.div_ceil(places);
    for_pieces(&mut output, places * outputs, piece, |surrounded, first, output| {
        let count = output.len() / (places * outputs);
        sight.surround(&x[first * patches.size()..(first + count) * patches.size()], surrounded);
        let mut starts = Vec::new();
        for (group, weights) in weights.iter().enumerate() {
            sight.starts(0..count * places, group, &mut starts);
            let seen = Seen { sight: &sight, values: surrounded, starts: &starts };
            let own = group * columns..(group + 1) * columns;
            let output = &mut output[own.start..];
            vectorise(
                #[inline(always)]
                || multiply_seen(output, outputs, seen, weights, (&bias[own.clone()], rectifies)),
            );
        }
    });
    output
}

struct WeightGradient {
    patches: Patches,
}

impl Update3 for WeightGradient {
    fn name(&self) -> &'static str {
        "convolution-weight-gradient"
    }

    fn on_cpu(
        &self,
        (gradient, gradient_layout): CpuMut<'_>,
        (x, x_layout): Cpu<'_>,
        (upstream, upstream_layout): Cpu<'_>,
    ) -> Result<()> {
        let (name, patches) = (self.name(), self.patches);
        let sizes = Sizes::new(name, patches, x_layout, gradient_layout, |_| patches.size())?;
        if upstream_layout.shape().dims() != [sizes.images, patches.places() * sizes.outputs] {
            bail!("{name}: {:?} does not come of {:?}", upstream_layout.shape(), x_layout.shape());
        }
        let operands = ((gradient, gradient_layout), (x, x_layout), (upstream, upstream_layout));
        for_dtype!(x, name, weight_gradient(sizes, operands))
    }
}

fn weight_gradient<T: Real>(
    sizes: Sizes,
    (gradient, x, upstream): (CpuMut<'_>, Cpu<'_>, Cpu<'_>),
) -> Result<()> {
    let (x, upstream) = (read::<T>(x.0, x.1)?, read::<T>(upstream.0, upstream.1)?);
    let gradient = write::<T>(gradient.0, gradient.1)?;
    let Sizes { patches, images, groups, depth, columns, outputs } = sizes;
    let (places, sight) = (patches.places(), Sight::new(patches, groups));
    let total = images * places;
    let mut surrounded = Vec::new();
    sight.surround(x, &mut surrounded);
    let add = |gradient: &mut [T], first: usize, starts: &mut Vec<usize>| {
        let own = first..(first + DEPTH).min(total);
        let upstream = &upstream[first * outputs..own.end * outputs];
        for (group, gradient) in gradient.chunks_exact_mut(depth * columns).enumerate() {
            sight.starts(own.clone(), group, starts);
            let seen = Seen { sight: &sight, values: &surrounded, starts };
            let strips = strips(&upstream[group * columns..], outputs, own.len(), columns);
            vectorise(
                #[inline(always)]
                || accumulate_seen(gradient, seen, &strips),
            );
        }
    };
    let starts: Vec<usize> = (0..total).step_by(DEPTH).collect();
    let threads = threads();
    if threads == 1 || starts.len() == 1 {
        let mut memory = Vec::new();
        starts.into_iter().for_each(|start| add(gradient, start, &mut memory));
        return Ok(());
    }
    // Pieces by themselves, a few at a time, and then added in order: the sums of one thread.
    for starts in starts.chunks(4 * threads) {
        let of_piece = |memory: &mut Vec<usize>, &start: &usize| {
            let mut part = vec![T::ZERO; gradient.len()];
            add(&mut part, start, memory);
            part
        };
        let parts: Vec<Vec<T>> = starts.par_iter().map_init(Vec::new, of_piece).collect();
        for part in parts {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }
    Ok(())
}

struct InputGradient {
    patches: Patches,
}

impl Apply2 for InputGradient {
    fn name(&self) -> &'static str {
        "convolution-input-gradient"
    }

    fn on_cpu(&self, (upstream, upstream_layout): Cpu<'_>, (weight, weight_layout): Cpu<'_>) -> Result<Made> {
        let (name, patches) = (self.name(), self.patches);
        let width = |outputs: usize| patches.places() * outputs;
        let sizes = Sizes::new(name, patches, upstream_layout, weight_layout, width)?;
        for_dtype!(upstream, name, back(sizes, (upstream, upstream_layout), (weight, weight_layout)))
    }
}

fn back<T: Real>(sizes: Sizes, upstream: Cpu<'_>, weight: Cpu<'_>) -> Result<Made> {
    let (upstream, weight) = (read::<T>(upstream.0, upstream.1)?, read::<T>(weight.0, weight.1)?);
    let Sizes { patches, images, groups, outputs, .. } = sizes;
    let (size, places, channels) = (patches.size(), patches.places(), patches.channels);
    // Places that lie further behind are seen by no patch.
    let [down, across] = [0, 1].map(|axis| patches.stride[axis].min(patches.kernel[axis]));
    let shifts = (0..down).flat_map(|y| (0..across).map(move |x| [y, x]));
    let backs = shifts.filter_map(|shifts| Back::new(&patches, outputs, groups, shifts));
    let backs: Vec<(Back, Vec<Strips<T>>)> = backs
        .map(|back| {
            let weights = (0..groups).map(|group| turned(sizes, &back.taps, sizes.weight(weight, group)));
            let weights = weights.collect();
            (back, weights)
        })
        .collect();
    let zeros = vec![T::ZERO; channels];
    let mut gradient = vec![T::ZERO; images * size];
    for_pieces(&mut gradient, size, PLACES.div_ceil(places), |surrounded, first, gradient| {
        let count = gradient.len() / size;
        let upstream = &upstream[first * places * outputs..(first + count) * places * outputs];
        let (mut starts, mut made) = (Vec::new(), Vec::new());
        for (back, weights) in &backs {
            back.sight.surround(upstream, surrounded);
            made.resize(count * back.targets.len() * channels, T::ZERO);
            for (group, weights) in weights.iter().enumerate() {
                back.sight.starts(0..count * back.sight.places(), group, &mut starts);
                let seen = Seen { sight: &back.sight, values: surrounded, starts: &starts };
                let own = sizes.channels(group);
                let made = &mut made[own.start..];
                vectorise(
                    #[inline(always)]
                    || multiply_seen(made, channels, seen, weights, (&zeros[own.clone()], false)),
                );
            }
            let of_images = made.chunks_exact(back.targets.len() * channels);
            for (image, made) in gradient.chunks_exact_mut(size).zip(of_images) {
                for (&target, made) in back.targets.iter().zip(made.chunks_exact(channels)) {
                    image[target..target + channels].copy_from_slice(made);
                }
            }
        }
    });
    Ok((T::to_cpu_storage_owned(gradient), Shape::from((images, size))))
}

/// The weights of some taps of a group, with outputs and channels exchanged.
fn turned<T: Real>(sizes: Sizes, taps: &[usize], weight: &[T]) -> Strips<T> {
    let (channels, columns) = (sizes.patches.channels / sizes.groups, sizes.columns);
    let mut turned = Vec::with_capacity(taps.len() * columns * channels);
    for tap in taps {
        let own = &weight[tap * channels * columns..(tap + 1) * channels * columns];
        transpose_into(&mut turned, own, columns, columns, channels);
    }
    strips(&turned, channels, taps.len() * columns, channels)
}

/// The columns of lines, in strips.
fn strips<T: Real>(matrix: &[T], line: usize, lines: usize, columns: usize) -> Strips<T> {
    vectorise_for(
        #[inline(always)]
        |is_wide| Strips::of(matrix, line, lines, columns, is_wide),
    )
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::patches::tests::{ODD, gathered, scatter};
    use crate::product::tests::random;
    use crate::product::{Transpose, accumulate_product, product};

    fn tensor(number: u64, shape: &[usize]) -> Tensor {
        let values = random::<f32>(number, shape.iter().product());
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn bits(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The whole matrix of patches, of all channels.
    fn whole(x: &Tensor, patches: Patches) -> Tensor {
        let places = x.dim(0).unwrap() * patches.places();
        let depth = patches.depth(patches.channels);
        let lines = gathered(&patches, &bits(x), 0..places, &(0..patches.channels));
        Tensor::from_vec(lines, (places, depth), &Device::Cpu).unwrap()
    }

    /// But for the order of sums.
    fn near(got: &[f32], expected: &[f32]) -> bool {
        got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-4 * (1.0 + expected.abs()))
    }

    /// On 1, 2 and 4 threads.
    fn on_threads(check: impl Fn() + Sync) {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(&check);
        }
    }

    #[test]
    fn a_convolution_is_the_product_of_all_patches_bit_for_bit() {
        let large =
            Patches { height: 28, width: 28, channels: 3, kernel: [5, 5], stride: [1, 1], padding: [2, 2] };
        // Of more than 512 values a patch.
        let deep =
            Patches { height: 4, width: 5, channels: 120, kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        for (patches, images) in ODD.map(|odd| (odd, 3)).into_iter().chain([(large, 11), (deep, 2)]) {
            for outputs in [1, 5, 8, 24] {
                let depth = patches.depth(patches.channels);
                let x = tensor(1, &[images, patches.size()]);
                let weight = tensor(2, &[1, depth, outputs]);
                let bias = tensor(3, &[outputs]);
                let upstream = tensor(4, &[images, patches.places() * outputs]);
                let start = tensor(5, &[1, depth, outputs]);
                let lines = whole(&x, patches);
                let flat = weight.get(0).unwrap();
                let expected = product(&lines, &flat, Transpose::Neither).unwrap();
                crate::elementwise::add_bias_relu(&expected, &bias).unwrap();
                let by_place = upstream.reshape((images * patches.places(), outputs)).unwrap();
                let gradient = start.get(0).unwrap().force_contiguous().unwrap();
                accumulate_product(&gradient, &lines, &by_place, Transpose::Left).unwrap();
                let wanted = bits(&product(&by_place, &flat, Transpose::Right).unwrap());
                let mut back = vec![0f32; images * patches.size()];
                let all = 0..images * patches.places();
                scatter(&patches, &wanted, all, &(0..patches.channels), &mut back);
                let alone = bits(&input_gradient(&upstream, &weight, patches).unwrap());
                assert!(near(&alone, &back), "{patches:?}");
                on_threads(|| {
                    let got = convolve(&x, &weight, &bias, patches, true).unwrap();
                    assert_eq!(bits(&got), bits(&expected), "{patches:?}");
                    let sum = start.force_contiguous().unwrap();
                    accumulate_weight_gradient(&sum, &x, &upstream, patches).unwrap();
                    assert_eq!(bits(&sum), bits(&gradient), "{patches:?}");
                    let got = input_gradient(&upstream, &weight, patches).unwrap();
                    assert_eq!(bits(&got), alone, "{patches:?}");
                });
            }
        }
    }

    /// Groups are convolutions of their own, side by side.
    #[test]
    fn groups_are_convolutions_side_by_side() {
        let of = |channels: usize| Patches {
            height: 5,
            width: 6,
            channels,
            kernel: [3, 2],
            stride: [2, 1],
            padding: [1, 1],
        };
        let (patches, part) = (of(6), of(2));
        let (x, places) = (tensor(1, &[4, 5 * 6, 6]), patches.places());
        let (weight, bias) = (tensor(2, &[3, part.depth(2), 5]), tensor(3, &[15]));
        let upstream = tensor(4, &[4, places, 15]);
        let flat = |tensor: &Tensor| tensor.flatten_from(1).unwrap();
        let output = convolve(&flat(&x), &weight, &bias, patches, false).unwrap();
        let output = output.reshape((4, places, 15)).unwrap();
        let gradient = weight.zeros_like().unwrap();
        accumulate_weight_gradient(&gradient, &flat(&x), &flat(&upstream), patches).unwrap();
        let back = input_gradient(&flat(&upstream), &weight, patches).unwrap().reshape((4, 30, 6)).unwrap();
        for group in 0..3 {
            let own = |tensor: &Tensor, width: usize| {
                tensor.narrow(2, group * width, width).unwrap().contiguous().unwrap()
            };
            let weight = weight.narrow(0, group, 1).unwrap();
            let bias = bias.narrow(0, 5 * group, 5).unwrap();
            let alone = convolve(&flat(&own(&x, 2)), &weight, &bias, part, false).unwrap();
            assert_eq!(bits(&alone), bits(&own(&output, 5)));
            let sum = weight.zeros_like().unwrap();
            let upstream = flat(&own(&upstream, 5));
            accumulate_weight_gradient(&sum, &flat(&own(&x, 2)), &upstream, part).unwrap();
            assert_eq!(bits(&sum), bits(&gradient.narrow(0, group, 1).unwrap().contiguous().unwrap()));
            let alone = input_gradient(&upstream, &weight, part).unwrap();
            assert_eq!(bits(&alone), bits(&own(&back, 2)));
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let patches = ODD[0];
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let (x, weight, bias) = (zeros(&[2, 35]), zeros(&[1, 9, 4]), zeros(&[4]));
        assert!(convolve(&x, &weight, &bias, patches, false).is_ok());
        assert!(convolve(&zeros(&[2, 36]), &weight, &bias, patches, false).is_err());
        assert!(convolve(&x, &zeros(&[1, 8, 4]), &bias, patches, false).is_err());
        assert!(convolve(&x, &weight, &zeros(&[5]), patches, false).is_err());
        let large = Patches { kernel: [9, 9], ..patches };
        assert!(convolve(&x, &zeros(&[1, 81, 4]), &bias, large, false).is_err());
        assert!(input_gradient(&x, &weight, patches).is_err());
        assert!(accumulate_weight_gradient(&weight, &x, &x, patches).is_err());
    }
}
