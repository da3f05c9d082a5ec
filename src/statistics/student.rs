//! Means over seeds, with Student's t.

use serde::Serialize;

use super::{
    Interval, TAIL,
    beta::{crossing, incomplete_beta},
};

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    /// Half the width of the interval; none from a single value.
    pub(crate) half_width: Option<f64>,
    /// The number of values.
    pub(crate) n: usize,
}

impl Mean {
    /// The mean of independent values; none without values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let half_width = (n > 1).then(|| quantile(n - 1) * standard_error(values));
        Some(Mean { mean: mean(values), half_width, n })
    }

    /// A text such as "0.93 ± 0.02", with `digits` decimals.
    pub(crate) fn written(&self, digits: usize) -> String {
        match self.half_width {
            Some(half) => format!("{:.digits$} ± {half:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// Differences d_i, one for each seed, and the t distribution of their mean. There are two or more.
pub(crate) struct Paired<'a>(pub(crate) &'a [f64]);

impl Paired<'_> {
    /// The 95 % interval of their mean.
    pub(crate) fn interval(&self) -> Interval {
        let (middle, half) = (mean(self.0), quantile(self.0.len() - 1) * standard_error(self.0));
        Interval { low: middle - half, high: middle + half }
    }

    /// The p-value of their mean under a true mean of 0.
    pub(crate) fn above_0_by_chance(&self) -> f64 {
        let (middle, error) = (mean(self.0), standard_error(self.0));
        // Without any spread there is no doubt.
        match error {
            0.0 if middle > 0.0 => 0.0,
            0.0 => 1.0,
            error => upper_tail(middle / error, self.0.len() - 1),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean of two or more values.
fn standard_error(values: &[f64]) -> f64 {
    let (n, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// P(T > t) for one or more degrees of freedom.
fn upper_tail(t: f64, degrees: usize) -> f64 {
    let n = degrees as f64;
    let beyond = 0.5 * incomplete_beta(n / 2.0, 0.5, n / (n + t * t));
    if t >= 0.0 { beyond } else { 1.0 - beyond }
}

/// The 97.5 % quantile for one or more degrees of freedom.
fn quantile(degrees: usize) -> f64 {
    crossing(|t| -upper_tail(t, degrees), -TAIL, 0.0, 20.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let Interval { low, high } = Paired(&[1.0, 2.0, 3.0, 4.0, 5.0]).interval();
        assert!((low - 1.0368).abs() < 1e-3 && (high - 4.9632).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn one_value_has_no_interval_and_none_no_mean() {
        assert_eq!(Mean::of(&[2.5]), Some(Mean { mean: 2.5, half_width: None, n: 1 }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1, 12.7062),
            (2, 4.30265),
            (3, 3.18245),
            (4, 2.77645),
            (9, 2.26216),
            (30, 2.04227),
            (60, 2.00030),
            (1_000_000, 1.95997),
        ] {
            assert!((quantile(degrees) - expected).abs() < 1e-4, "{degrees}: {}", quantile(degrees));
        }
    }

    #[test]
    fn equal_differences_leave_no_doubt() {
        assert_eq!(Paired(&[0.5; 3]).interval(), Interval { low: 0.5, high: 0.5 });
        assert_eq!(Paired(&[0.5; 3]).above_0_by_chance(), 0.0);
        assert_eq!(Paired(&[0.0; 3]).above_0_by_chance(), 1.0);
    }

    proptest! {
        #[test]
        fn tails_have_their_closed_forms(t in -50.0_f64..50.0) {
            // The Cauchy distribution, and that with two degrees of freedom.
            let one = 0.5 - t.atan() / std::f64::consts::PI;
            prop_assert!((upper_tail(t, 1) - one).abs() < 1e-10);
            let two = 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
            prop_assert!((upper_tail(t, 2) - two).abs() < 1e-10);
        }

        #[test]
        fn chance_and_interval_say_the_same(values in proptest::collection::vec(-1.0_f64..1.2, 2..12)) {
            let paired = Paired(&values);
            prop_assume!((paired.above_0_by_chance() - TAIL).abs() > 1e-9);
            prop_assert_eq!(paired.interval().low > 0.0, paired.above_0_by_chance() < TAIL);
        }
    }
}
