//! What evaluations do to samples on purpose: sensors that lag behind, and blur.

/// The row that a sensor shows which lags behind by so many rows, of every row: an earlier one of the same recording,
/// and before there is any, its first. Rows side by side with the same number are a recording.
pub(crate) fn lagging(recordings: &[u32], by: usize) -> Vec<usize> {
    let mut first = 0;
    let shown = |(row, recording): (usize, &u32)| {
        if row > 0 && recordings[row - 1] != *recording {
            first = row;
        }
        row.saturating_sub(by).max(first)
    };
    recordings.iter().enumerate().map(shown).collect()
}

/// The weights of a Gaussian [`blur`], by distance in places. `deviation` is its standard deviation in places, above 0.
pub(crate) fn blur_weights(deviation: f64) -> Vec<f64> {
    // Beyond three deviations hardly anything is left.
    let reach = libm::ceil(3.0 * deviation) as usize;
    let weight = |distance: usize| {
        let deviations = distance as f64 / deviation;
        libm::exp(-0.5 * deviations * deviations)
    };
    (0..=reach).map(weight).collect()
}

/// Blurs a sample of these axes, outermost first, along those that are places: the only one; the first of places x
/// channels; the last two of channels x height x width. `weights` is by distance; near an end, the mean is over the
/// neighbours that exist.
pub(crate) fn blur(sample: &mut [f32], axes: &[usize], weights: &[f64]) {
    let places = match axes.len() {
        count @ (0 | 1) => 0..count,
        2 => 0..1,
        count => count - 2..count,
    };
    for axis in places {
        let inner: usize = axes[axis + 1..].iter().product();
        blur_along(sample, (axes[axis], inner), weights);
    }
}

/// Puts the weighted mean of its neighbours in the place of every value, along an axis of `length` places whose
/// neighbours are `inner` values apart; `weights` by distance.
fn blur_along(sample: &mut [f32], (length, inner): (usize, usize), weights: &[f64]) {
    for block in sample.chunks_exact_mut(length * inner) {
        for offset in 0..inner {
            let line: Vec<f64> =
                block[offset..].iter().step_by(inner).map(|&value| f64::from(value)).collect();
            for place in 0..length {
                let (first, end) = ((place + 1).saturating_sub(weights.len()), place + weights.len());
                let (mut sum, mut total) = (0.0, 0.0);
                for (other, value) in line.iter().enumerate().take(end).skip(first) {
                    let weight = weights[place.abs_diff(other)];
                    sum += weight * value;
                    total += weight;
                }
                block[offset + place * inner] = (sum / total) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lagging_sensor_shows_an_earlier_row_of_the_same_recording() {
        let recordings = [7, 7, 7, 7, 2, 2, 9, 2, 2];
        assert_eq!(lagging(&recordings, 0), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(lagging(&recordings, 2), [0, 0, 0, 1, 4, 4, 6, 7, 7]);
        assert_eq!(lagging(&recordings, 99), [0, 0, 0, 0, 4, 4, 6, 7, 7]);
        assert!(lagging(&[], 3).is_empty());
    }

    /// What a value of 1 at some place of zeros is spread to.
    fn spread(axes: &[usize], at: usize, deviation: f64) -> Vec<f32> {
        let mut sample = vec![0.0; axes.iter().product()];
        sample[at] = 1.0;
        blur(&mut sample, axes, &blur_weights(deviation));
        sample
    }

    #[test]
    fn blur_spreads_over_places_and_never_over_channels() {
        // Time steps x channels: only channel 1, and most to the next steps.
        let steps = spread(&[9, 2], 2 * 4 + 1, 1.0);
        assert!(steps.iter().step_by(2).all(|value| *value == 0.0));
        let of_channel: Vec<f32> = steps.into_iter().skip(1).step_by(2).collect();
        assert!(of_channel[4] > of_channel[3] && of_channel[3] > of_channel[2] && of_channel[1] > 0.0);
        // exp(-1/2) beside 1.
        assert!((of_channel[3] / of_channel[4] - 0.606_53).abs() < 1e-3, "{of_channel:?}");
        // Channels x height x width: a spot in the second of two, up to the corners around it.
        let image = spread(&[2, 5, 5], 25 + 12, 0.6);
        assert!(image[..25].iter().all(|value| *value == 0.0));
        assert!(image[25 + 6] > 0.0 && image[25 + 12] > image[25 + 11] && image[25 + 11] > image[25 + 6]);
        assert!((image[25 + 11] - image[25 + 7]).abs() < 1e-6, "{image:?}");
    }

    #[test]
    fn what_is_the_same_everywhere_stays_whatever_the_blur() {
        for (axes, deviation) in [(&[6][..], 0.01), (&[4, 3], 1.5), (&[1, 4, 7], 50.0), (&[2, 1, 3, 3], 2.0)]
        {
            let mut sample = vec![0.7; axes.iter().product()];
            blur(&mut sample, axes, &blur_weights(deviation));
            assert!(sample.iter().all(|value| (value - 0.7f32).abs() < 1e-6), "{axes:?}: {sample:?}");
        }
        // Hardly any blur is none.
        assert_eq!(spread(&[5], 2, 0.01), [0.0, 0.0, 1.0, 0.0, 0.0]);
    }
}
