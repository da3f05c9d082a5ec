//! Comparisons of a sweep's groups, each of which has all points that differ in the seed alone.

use anyhow::{Context, bail};
use serde::Serialize;

use crate::{
    records::figures::named,
    statistics::{Interval, Paired, clopper_pearson},
};

/// A condition on a figure, by which a run counts as a success.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Success {
    figure: String,
    at_least: bool,
    bound: f64,
}

/// Successes among runs, with the 95 % interval of their share (Clopper-Pearson).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Rate {
    pub(crate) successes: usize,
    pub(crate) runs: usize,
    #[serde(flatten)]
    pub(crate) interval: Interval,
}

/// The mean difference of a figure over the seeds that two groups share, with its 95 % interval (Student's t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) seeds: usize,
    pub(crate) mean: f64,
    #[serde(flatten)]
    pub(crate) interval: Interval,
}

impl Success {
    /// Parses `FIGURE>=NUMBER` or `FIGURE<=NUMBER`.
    ///
    /// # Errors
    /// If it is none of these.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (figure, bound, at_least) = match (text.split_once(">="), text.split_once("<=")) {
            (Some((figure, bound)), None) => (figure, bound, true),
            (None, Some((figure, bound))) => (figure, bound, false),
            _ => bail!(
                "--success {text}: write a column of sweep.csv with a bound, for example digit.top1>=0.9"
            ),
        };
        let bound: f64 =
            bound.trim().parse().with_context(|| format!("--success {text}: the bound is a number"))?;
        Ok(Success { figure: figure.trim().into(), at_least, bound })
    }

    /// Its figure of a run: a column, or "worst.ce", the largest cross entropy of all tasks.
    pub(crate) fn value(&self, figures: &[(String, f64)]) -> Option<f64> {
        let of_all = || {
            let losses = figures.iter().filter(|(name, _)| name.ends_with(".ce")).map(|(_, loss)| *loss);
            losses.reduce(f64::max)
        };
        named(figures, &self.figure).or_else(|| (self.figure == "worst.ce").then(of_all).flatten())
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        if self.at_least { value >= self.bound } else { value <= self.bound }
    }
}

impl Rate {
    /// Of runs that succeeded or not; none without runs.
    pub(crate) fn of(outcomes: &[bool]) -> Option<Self> {
        let successes = outcomes.iter().filter(|outcome| **outcome).count();
        let interval = || clopper_pearson(successes, outcomes.len());
        (!outcomes.is_empty()).then(|| Rate { successes, runs: outcomes.len(), interval: interval() })
    }
}

impl Difference {
    /// Of values by seed: `other` less `base`. None with fewer than two seeds in common.
    pub(crate) fn of(base: &[(u64, f64)], other: &[(u64, f64)]) -> Option<Self> {
        let of_seed = |seed: u64| base.iter().find(|(known, _)| *known == seed).map(|(_, value)| *value);
        let differences: Vec<f64> =
            other.iter().filter_map(|(seed, value)| Some(value - of_seed(*seed)?)).collect();
        let seeds = differences.len();
        (seeds >= 2).then(|| Difference {
            seeds,
            mean: differences.iter().sum::<f64>() / seeds as f64,
            interval: Paired(&differences).interval(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_a_bound_on_a_figure() {
        let success = Success::parse("digit.top1 >= 0.9").unwrap();
        assert_eq!((success.holds(0.9), success.holds(0.89)), (true, false));
        let figures = [("parity.ce", 0.2), ("digit.top1", 0.95), ("digit.ce", 0.3)];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(success.value(&figures), Some(0.95));
        let worst = Success::parse("worst.ce<=0.25").unwrap();
        assert_eq!((worst.value(&figures), worst.value(&[])), (Some(0.3), None));
        assert_eq!(Success::parse("ring.ce<=1").unwrap().value(&figures), None);
        assert!(Success::parse("pose.mpjpe<=120").unwrap().holds(100.0));
        for wrong in ["digit.top1", "digit.top1>=high", "a>=1<=2"] {
            assert!(format!("{:#}", Success::parse(wrong).unwrap_err()).starts_with("--success "), "{wrong}");
        }
        let rate = Rate::of(&[true, true, false, true]).unwrap();
        assert_eq!((rate.successes, rate.runs), (3, 4));
        // The exact interval of 3 of 4.
        assert!((rate.interval.low - 0.1941).abs() < 1e-3 && (rate.interval.high - 0.9937).abs() < 1e-3);
        assert_eq!(Rate::of(&[]), None);
    }

    #[test]
    fn differences_are_over_the_seeds_in_common() {
        let base = [(1, 0.0), (2, 1.0), (3, 5.0)];
        let other = [(2, 2.0), (1, 3.0), (4, 9.0)];
        let difference = Difference::of(&base, &other).unwrap();
        assert_eq!((difference.seeds, difference.mean), (2, 2.0));
        // s = sqrt(2), t of one degree of freedom 12.706: 12.706 x 1.4142 / sqrt(2).
        assert!((difference.interval.high - 2.0 - 12.706).abs() < 1e-3, "{difference:?}");
        assert_eq!(Difference::of(&base, &other[2..]), None);
    }
}
