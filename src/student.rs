//! Means over seeds, with Student's t.

use serde::Serialize;

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The same quantile of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    /// Half the width of the interval; none from a single value.
    pub(crate) half_width: Option<f64>,
    /// Over how many values.
    pub(crate) n: usize,
}

impl Mean {
    /// Of independent values; none of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let half_width = (n > 1).then(|| quantile(n - 1) * (squares / (n - 1) as f64 / n as f64).sqrt());
        Some(Mean { mean, half_width, n })
    }

    /// "0.93 ± 0.02", with so many digits behind the point.
    pub(crate) fn written(&self, digits: usize) -> String {
        match self.half_width {
            Some(half) => format!("{:.digits$} ± {half:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// The 97.5 % quantile of Student's t for one or more degrees of freedom.
fn quantile(degrees: usize) -> f64 {
    match QUANTILES.get(degrees - 1) {
        Some(quantile) => *quantile,
        // The first two terms of its expansion about the normal quantile (Abramowitz and Stegun 26.7.5).
        None => {
            let (z, n) = (NORMAL, degrees as f64);
            z + (z.powi(3) + z) / (4.0 * n) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_over_five_seeds_is_the_textbooks() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        // s = sqrt(2.5), t = 2.776: 2.776 x 1.5811 / sqrt(5).
        assert!(
            (mean.mean - 3.0).abs() < 1e-12 && (mean.half_width.unwrap() - 1.963).abs() < 1e-3,
            "{mean:?}"
        );
        assert_eq!(mean.written(2), "3.00 ± 1.96");
    }

    #[test]
    fn one_value_has_no_interval_and_none_no_mean() {
        assert_eq!(Mean::of(&[2.5]), Some(Mean { mean: 2.5, half_width: None, n: 1 }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn the_quantile_goes_over_into_the_normal_one() {
        for (degrees, expected) in
            [(1, 12.706), (30, 2.042), (31, 2.0395), (60, 2.0003), (1_000_000, 1.95997)]
        {
            assert!((quantile(degrees) - expected).abs() < 2e-4, "{degrees}: {}", quantile(degrees));
        }
    }
}
