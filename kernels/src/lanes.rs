//! Loops that vectorise: the instruction set is picked at run time, but the order of sums is fixed.

use pulp::{Arch, Simd, WithSimd};

use crate::Real;

/// Runs a closure compiled for the best instruction set of this machine. This only covers inlined code: mark the
/// closure, and every function with a loop that it calls, `#[inline(always)]`.
#[inline]
pub(crate) fn vectorise<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}

/// The same for work that is told whether a register holds 16 numbers of 32 bits.
#[inline]
pub(crate) fn vectorise_for<R>(work: impl FnMut(bool) -> R) -> R {
    Arch::new().dispatch(WorkFor(work))
}

struct WorkFor<F>(F);

impl<R, F: FnMut(bool) -> R> WithSimd for WorkFor<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)(S::F32_LANES >= 16)
    }
}

/// A closure of which more is asked than FnOnce: the compiler's shim from a borrowing closure to FnOnce is not inlined.
struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Number of parallel running sums: a multiple of every vector width, so that the bits do not depend on it.
pub(crate) const LANES: usize = 16;

/// The sum of `term(x)` over a slice.
#[inline(always)]
pub(crate) fn sum_of<T: Real>(values: &[T], term: impl Fn(T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    fold(lanes)
}

/// The sum of `term(x, y, z)` over three slices of one length.
#[inline(always)]
pub(crate) fn sum_of_three<T: Real>(xs: &[T], ys: &[T], zs: &[T], term: impl Fn(T, T, T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (xs, xs_rest) = xs.as_chunks::<LANES>();
    let (ys, ys_rest) = ys.as_chunks::<LANES>();
    let (zs, zs_rest) = zs.as_chunks::<LANES>();
    for ((xs, ys), zs) in xs.iter().zip(ys).zip(zs) {
        for (((lane, &x), &y), &z) in lanes.iter_mut().zip(xs).zip(ys).zip(zs) {
            *lane += term(x, y, z);
        }
    }
    for (((lane, &x), &y), &z) in lanes.iter_mut().zip(xs_rest).zip(ys_rest).zip(zs_rest) {
        *lane += term(x, y, z);
    }
    fold(lanes)
}

/// Numbers that a short loop takes at a time.
const SHORT: usize = 8;

/// target = `combine`(target, source), elementwise, of slices of one length: for the channels of a position, which are
/// so few that starting a longer loop would cost more than the loop.
#[inline(always)]
pub(crate) fn combine_short<T: Real>(target: &mut [T], source: &[T], combine: impl Fn(T, T) -> T) {
    let (targets, target) = target.as_chunks_mut::<SHORT>();
    let (sources, source) = source.as_chunks::<SHORT>();
    let mut number = 0;
    while number < targets.len() && number < sources.len() {
        let (mut chunk, other) = (targets[number], sources[number]);
        let mut lane = 0;
        while lane < SHORT {
            chunk[lane] = combine(chunk[lane], other[lane]);
            lane += 1;
        }
        targets[number] = chunk;
        number += 1;
    }
    let mut rest = 0;
    while rest < target.len() && rest < source.len() {
        target[rest] = combine(target[rest], source[rest]);
        rest += 1;
    }
}

/// The lanes summed as a tree.
#[inline(always)]
pub(crate) fn fold<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}
