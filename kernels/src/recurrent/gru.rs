//! One step of one row of a gated recurrent unit, in passes that vectorise.

use super::{combine, combine_2, combine_3, sigmoid_all, tanh_all};
use crate::Real;

/// Stored for each step: r, z, n, the state's part of n, and the new state.
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
    let (gates, rest) = now.split_at_mut(2 * width);
    let (n, rest) = rest.split_at_mut(width);
    let (part, state) = rest.split_at_mut(width);
    combine_2(gates, from_input, from_state, |_, a, s| a + s);
    sigmoid_all(gates);
    let (r, z) = gates.split_at(width);

    part.copy_from_slice(&from_state[2 * width..]);
    combine_3(n, &from_input[2 * width..], r, part, |_, a, r, s| a + r * s);
    tanh_all(n);

    combine_2(state, z, n, |_, z, n| (T::ONE - z) * n);
    if let Some(before) = before {
        combine_2(state, z, &before[4 * width..5 * width], |state, z, before| state + z * before);
    }
}

/// The gradients with respect to the contributions of the input (`at_input`) and the state (`at_state`) to the gates.
/// `state` is the gradient with respect to the new state from later steps, and becomes that with respect to the
/// previous state, except for its path through the weights.
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
    let (dr, rest) = at_input.split_at_mut(width);
    let (dz, dn) = rest.split_at_mut(width);
    combine(state, upstream, |state, upstream| state + upstream);

    combine(dz, n, |_, n| -n);
    if let Some(before) = before {
        combine(dz, &before[4 * width..5 * width], |dz, before| dz + before);
    }
    combine_2(dz, state, z, |dz, state, z| state * dz * (z * (T::ONE - z)));
    combine_3(dn, state, z, n, |_, state, z, n| state * (T::ONE - z) * (T::ONE - n * n));
    combine_3(dr, dn, part, r, |_, dn, part, r| dn * part * (r * (T::ONE - r)));
    combine(state, z, |state, z| state * z);

    at_state.copy_from_slice(at_input);
    combine(&mut at_state[2 * width..], r, |dn, r| dn * r);
}
