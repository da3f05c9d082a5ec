//! One step of one row of a gated recurrent unit.

use crate::Real;

/// What is kept of a step: r, z, n, the state's part of n, and the new state.
pub(super) const KEPT: usize = 5;

/// The step that follows a state (none: 0). Sizes: three gates, three gates, and [`KEPT`] vectors.
#[inline(always)]
pub(super) fn forward<T: Real>(
    from_input: &[T],
    from_state: &[T],
    before: Option<&[T]>,
    now: &mut [T],
    width: usize,
) {
    let (a, s) = (thirds(from_input, width), thirds(from_state, width));
    let (r, rest) = now.split_at_mut(width);
    let (z, rest) = rest.split_at_mut(width);
    let (n, rest) = rest.split_at_mut(width);
    let (part, state) = rest.split_at_mut(width);
    let state = &mut state[..width];
    for lane in 0..width {
        r[lane] = T::sigmoid(a[0][lane] + s[0][lane]);
        z[lane] = T::sigmoid(a[1][lane] + s[1][lane]);
        part[lane] = s[2][lane];
        n[lane] = T::tanh(a[2][lane] + r[lane] * s[2][lane]);
        state[lane] = (T::ONE - z[lane]) * n[lane];
    }
    if let Some(before) = before {
        for ((state, &z), &before) in state.iter_mut().zip(&*z).zip(&before[4 * width..5 * width]) {
            *state += z * before;
        }
    }
}

/// The gradients with respect to what the input (`at_input`) and the state (`at_state`) add to the gates. `state` is that with
/// respect to the new state as later steps have it, and becomes that with respect to the state before, but for its way through
/// the weights.
#[inline(always)]
pub(super) fn backward<T: Real>(
    upstream: &[T],
    before: Option<&[T]>,
    now: &[T],
    state: &mut [T],
    at_input: &mut [T],
    at_state: &mut [T],
    width: usize,
) {
    let (r, rest) = now.split_at(width);
    let (z, rest) = rest.split_at(width);
    let (n, rest) = rest.split_at(width);
    let part = &rest[..width];
    let before = before.map(|before| &before[4 * width..5 * width]);
    let ([dr, dz, dn], [sr, sz, sn]) = (thirds_mut(at_input, width), thirds_mut(at_state, width));
    let (upstream, state) = (&upstream[..width], &mut state[..width]);
    for lane in 0..width {
        let past = match before {
            Some(before) => before[lane],
            None => T::ZERO,
        };
        let (r, z, n) = (r[lane], z[lane], n[lane]);
        let gradient = upstream[lane] + state[lane];
        dz[lane] = gradient * (past - n) * (z * (T::ONE - z));
        dn[lane] = gradient * (T::ONE - z) * (T::ONE - n * n);
        dr[lane] = dn[lane] * part[lane] * (r * (T::ONE - r));
        (sr[lane], sz[lane], sn[lane]) = (dr[lane], dz[lane], dn[lane] * r);
        state[lane] = gradient * z;
    }
}

#[inline(always)]
fn thirds<T>(values: &[T], width: usize) -> [&[T]; 3] {
    let (first, rest) = values.split_at(width);
    let (second, third) = rest.split_at(width);
    [first, second, &third[..width]]
}

#[inline(always)]
fn thirds_mut<T>(values: &mut [T], width: usize) -> [&mut [T]; 3] {
    let (first, rest) = values.split_at_mut(width);
    let (second, third) = rest.split_at_mut(width);
    [first, second, &mut third[..width]]
}
