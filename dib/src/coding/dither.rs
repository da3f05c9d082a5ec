//! Subtractive dithering: q = round(mu / step + u), z = step (q - u), with u uniform over [`DITHERS`] values that both
//! ends draw. z - mu is then as good as uniform over a step and independent of mu (L. Schuchman, 1964; R. Zamir and M.
//! Feder, 1992), which makes of a quantiser a channel with noise of its own (E. Agustsson and L. Theis, 2020).

/// How many values a dither has: u = (j - 16) / 32 for j from 0.
pub const DITHERS: u8 = 32;
/// Steps lie from the inverse of this to this.
pub const MOST_STEP: f32 = 4096.0;

/// The integer that travels for a mean, made with the `dither`-th of [`DITHERS`]. One beyond an i32 becomes the
/// nearest.
pub fn quantise(mu: f32, step: f32, dither: u8) -> i32 {
    let u = (f64::from(dither) - 16.0) / f64::from(DITHERS);
    (f64::from(mu) / f64::from(step) + u).round() as i32
}

/// Restores z = step (q - u) from the integer q. The order of operations is fixed and each is rounded by itself, so
/// that sender and receiver agree to the bit.
pub fn restore(value: i32, step: f32, dither: u8) -> f32 {
    let in_32nds = i64::from(DITHERS) * i64::from(value) + 16 - i64::from(dither);
    (f64::from(step) * in_32nds as f64 / f64::from(DITHERS)) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_comes_back_within_half_a_step(mu in -1e4_f32..1e4, log_step in -5.0..5.0_f32, dither in 0..DITHERS) {
            let step = log_step.exp();
            let z = restore(quantise(mu, step, dither), step, dither);
            prop_assert!((z - mu).abs() <= 0.5 * step + 1e-3 * mu.abs().max(1.0) * f32::EPSILON.sqrt());
        }

        #[test]
        fn any_integer_stands_for_a_number(value in any::<i32>(), dither in 0..DITHERS) {
            for step in [1.0 / MOST_STEP, 1.0, MOST_STEP] {
                prop_assert!(restore(value, step, dither).is_finite());
            }
        }
    }

    #[test]
    fn what_is_restored_is_pinned() {
        let bits = [(3, 0.7_f32, 5), (-2, 1.0 / 3.0, 31), (i32::MAX, 0.1, 0), (0, 2.5, 16)]
            .map(|(value, step, dither)| restore(value, step, dither).to_bits());
        assert_eq!(bits, PINNED);
    }
    const PINNED: [u32; 4] = [0x4015_cccd, 0xbf52_aaab, 0x4d4c_cccd, 0];

    #[test]
    fn the_noise_does_not_tell_the_mean() {
        // For any mean, the mean square of z - mu over the dithers is that of a uniform step, step^2 / 12.
        for mu in [0.0_f32, 0.1, 0.37, 12.5] {
            let errors =
                (0..DITHERS).map(|dither| f64::from(restore(quantise(mu, 1.0, dither), 1.0, dither) - mu));
            let square = errors.map(|error| error * error).sum::<f64>() / f64::from(DITHERS);
            assert!((square - 1.0 / 12.0).abs() < 1e-3, "{mu}: {square}");
        }
    }
}
