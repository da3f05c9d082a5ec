//! One step of one row of long short-term memory, in passes that vectorise.

use super::{combine, combine_2, combine_3, sigmoid_all, tanh_all};
use crate::Real;

/// Stored for each step: i, f, g, o, the new memory, and the new state.
pub(super) const KEPT: usize = 6;

/// The step that follows a state and a memory (none: 0). Sizes: four gates, four gates, and [`KEPT`] vectors.
#[inline(always)]
pub(super) fn forward<T: Real>(
    from_input: &[T],
    from_state: &[T],
    before: Option<&[T]>,
    now: &mut [T],
    width: usize,
) {
    let (gates, rest) = now.split_at_mut(4 * width);
    let (memory, state) = rest.split_at_mut(width);
    combine_2(gates, from_input, from_state, |_, a, s| a + s);
    sigmoid_all(&mut gates[..2 * width]);
    tanh_all(&mut gates[2 * width..3 * width]);
    sigmoid_all(&mut gates[3 * width..]);
    let [i, f, g, o] = quarters(gates, width);

    combine_2(memory, i, g, |_, i, g| i * g);
    if let Some(before) = before {
        combine_2(memory, f, &before[4 * width..5 * width], |memory, f, before| memory + f * before);
    }
    state.copy_from_slice(memory);
    tanh_all(state);
    combine(state, o, |state, o| o * state);
}

/// The gradient with respect to the contributions of input and state to the gates. `state` is the gradient with respect
/// to the new state from later steps, and becomes 0: the previous state acts only through the weights. `memory` is that
/// with respect to the new memory, and becomes that with respect to the previous memory.
#[inline(always)]
pub(super) fn backward<T: Real>(
    upstream: &[T],
    before: Option<&[T]>,
    now: &[T],
    (state, memory): (&mut [T], &mut [T]),
    at_gates: &mut [T],
    width: usize,
) {
    let [i, f, g, o] = quarters(&now[..4 * width], width);
    let (di, rest) = at_gates.split_at_mut(width);
    let (df, rest) = rest.split_at_mut(width);
    let (dg, squashed) = rest.split_at_mut(width);
    combine(state, upstream, |state, upstream| state + upstream);
    // The last gate's gradient is stored last, so its memory can hold tanh(c') until then.
    squashed.copy_from_slice(&now[4 * width..5 * width]);
    tanh_all(squashed);
    let of_tanh = |memory, state, o, squashed: T| memory + state * o * (T::ONE - squashed * squashed);
    combine_3(memory, state, o, squashed, of_tanh);

    combine_3(di, memory, g, i, |_, memory, g, i| memory * g * (i * (T::ONE - i)));
    match before {
        Some(before) => {
            let before = &before[4 * width..5 * width];
            combine_3(df, memory, before, f, |_, memory, before, f| memory * before * (f * (T::ONE - f)));
        }
        None => df.fill(T::ZERO),
    }
    combine_3(dg, memory, i, g, |_, memory, i, g| memory * i * (T::ONE - g * g));
    combine_2(squashed, state, o, |squashed, state, o| state * squashed * (o * (T::ONE - o)));
    combine(memory, f, |memory, f| memory * f);
    state.fill(T::ZERO);
}

#[inline(always)]
fn quarters<T>(values: &[T], width: usize) -> [&[T]; 4] {
    let (first, rest) = values.split_at(width);
    let (second, rest) = rest.split_at(width);
    let (third, fourth) = rest.split_at(width);
    [first, second, third, &fourth[..width]]
}
