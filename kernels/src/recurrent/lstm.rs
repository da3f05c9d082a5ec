//! One step of one row of long short-term memory.

use crate::Real;

/// What is kept of a step: i, f, g, o, the new memory, and the new state.
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
    let (a, s) = (quarters(from_input, width), quarters(from_state, width));
    let (gates, rest) = now.split_at_mut(4 * width);
    let [i, f, g, o] = quarters_mut(gates, width);
    let (memory, state) = rest.split_at_mut(width);
    let state = &mut state[..width];
    for lane in 0..width {
        i[lane] = T::sigmoid(a[0][lane] + s[0][lane]);
        f[lane] = T::sigmoid(a[1][lane] + s[1][lane]);
        g[lane] = T::tanh(a[2][lane] + s[2][lane]);
        o[lane] = T::sigmoid(a[3][lane] + s[3][lane]);
        memory[lane] = i[lane] * g[lane];
    }
    if let Some(before) = before {
        for ((memory, &f), &before) in memory.iter_mut().zip(&*f).zip(&before[4 * width..5 * width]) {
            *memory += f * before;
        }
    }
    for ((state, &o), &memory) in state.iter_mut().zip(&*o).zip(&*memory) {
        *state = o * T::tanh(memory);
    }
}

/// The gradient with respect to what input and state add to the gates. `state` is that with respect to the new state as later
/// steps have it, and becomes 0: all that the state before had to do with the step went through the weights. `memory` is that
/// with respect to the new memory, and becomes that with respect to the memory before.
#[inline(always)]
pub(super) fn backward<T: Real>(
    upstream: &[T],
    before: Option<&[T]>,
    now: &[T],
    (state, memory): (&mut [T], &mut [T]),
    at_gates: &mut [T],
    width: usize,
) {
    let (gates, rest) = now.split_at(4 * width);
    let [i, f, g, o] = quarters(gates, width);
    let new = &rest[..width];
    let before = before.map(|before| &before[4 * width..5 * width]);
    let [di, df, dg, dq] = quarters_mut(at_gates, width);
    let (upstream, state, memory) = (&upstream[..width], &mut state[..width], &mut memory[..width]);
    for lane in 0..width {
        let past = match before {
            Some(before) => before[lane],
            None => T::ZERO,
        };
        let (i, f, g, o) = (i[lane], f[lane], g[lane], o[lane]);
        let squashed = T::tanh(new[lane]);
        let gradient = upstream[lane] + state[lane];
        let at_memory = gradient * o * (T::ONE - squashed * squashed) + memory[lane];
        di[lane] = at_memory * g * (i * (T::ONE - i));
        df[lane] = at_memory * past * (f * (T::ONE - f));
        dg[lane] = at_memory * i * (T::ONE - g * g);
        dq[lane] = gradient * squashed * (o * (T::ONE - o));
        state[lane] = T::ZERO;
        memory[lane] = at_memory * f;
    }
}

#[inline(always)]
fn quarters<T>(values: &[T], width: usize) -> [&[T]; 4] {
    let (first, rest) = values.split_at(width);
    let (second, rest) = rest.split_at(width);
    let (third, fourth) = rest.split_at(width);
    [first, second, third, &fourth[..width]]
}

#[inline(always)]
fn quarters_mut<T>(values: &mut [T], width: usize) -> [&mut [T]; 4] {
    let (first, rest) = values.split_at_mut(width);
    let (second, rest) = rest.split_at_mut(width);
    let (third, fourth) = rest.split_at_mut(width);
    [first, second, third, &mut fourth[..width]]
}
