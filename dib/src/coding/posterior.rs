//! p(z|x) beside a prior: its density where it is Gaussian, and (17) where it is uniform.

use crate::RateEstimator;

/// log p(z|x) of every row of d values in nats, where it is N(mu, std^2): all are [rows, d].
pub fn log_densities([z, mu, std]: [&[f32]; 3], d: usize) -> Vec<f64> {
    let constant = 0.5 * libm::log(2.0 * std::f64::consts::PI);
    let of_value = |at: usize| {
        let std = f64::from(std[at]);
        let noise = (f64::from(z[at]) - f64::from(mu[at])) / std;
        -0.5 * noise * noise - libm::log(std) - constant
    };
    (0..z.len() / d).map(|row| (row * d..(row + 1) * d).map(of_value).sum()).collect()
}

/// (17) of dithered features, whose noise is uniform over a step: one estimate in nats per group of consecutive rows of
/// d values, as [`rate`](crate::rate()) is for Gaussian noise. A density is 1 / step or nothing, so that a sample's
/// marginal is the share of its group's intervals, of `widths` around `means`, that its z lies in. z lies in its own.
pub fn uniform_rates(
    estimator: RateEstimator,
    [z, means, widths]: [&[f32]; 3],
    d: usize,
    groups: &[usize],
) -> Vec<f64> {
    let mut start = 0;
    let of_group = |&size: &usize| {
        let rows = start..start + size;
        start += size;
        let covers = |row: usize, other: usize, at: usize| {
            let far = f64::from(z[row * d + at]) - f64::from(means[other * d + at]);
            // A value on its interval's edge must not fall out of it by rounding.
            other == row || far.abs() <= 0.5 * f64::from(widths[other * d + at])
        };
        let log_share = |count: usize| libm::log(size as f64 / count as f64);
        let of_row = |row: usize| match estimator {
            RateEstimator::PerDimension => {
                let count = |at: usize| rows.clone().filter(|&other| covers(row, other, at)).count();
                (0..d).map(|at| log_share(count(at))).sum::<f64>()
            }
            RateEstimator::Joint => {
                let all = |other: &usize| (0..d).all(|at| covers(row, *other, at));
                log_share(rows.clone().filter(all).count())
            }
        };
        rows.clone().map(of_row).sum::<f64>() / size as f64
    };
    groups.iter().map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_is_that_of_a_gaussian() {
        let at_mean = log_densities([&[1.0, 3.0], &[1.0, 2.0], &[1.0, 0.5]], 2);
        let expected = -(2.0 * std::f64::consts::PI).ln() + 2_f64.ln() - 2.0;
        assert!((at_mean[0] - expected).abs() < 1e-12);
    }

    #[test]
    fn means_that_lie_apart_tell_which_sample_it_was() {
        let (means, widths) = ([0.0, 0.0, 10.0, 0.0], [1.0; 4]);
        let z = [0.2, -0.3, 9.7, 0.4];
        // Two rows of two values; the second dimension tells nothing.
        for estimator in [RateEstimator::PerDimension, RateEstimator::Joint] {
            let rates = uniform_rates(estimator, [&z, &means, &widths], 2, &[2]);
            assert!((rates[0] - 2_f64.ln()).abs() < 1e-12, "{estimator:?}: {rates:?}");
            assert_eq!(uniform_rates(estimator, [&z, &means, &widths], 2, &[1, 1]), [0.0, 0.0]);
        }
    }
}
