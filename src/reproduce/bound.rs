//! Upper bounds of N-CE at a given rate, and at rate 0, from the labels alone.

use std::collections::BTreeMap;

use data::{Needs, Split, Targets};
use randomness::Seed;
use scenario::Scenario;

/// Entropies of the test labels of the receivers' tasks, in nats.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    /// Every receiver's task with the entropy H(Y_t) of its labels; none if it is not a classification.
    pub(super) tasks: Vec<(String, Option<f64>)>,
    /// The joint entropy of all labels: the rate needed if one message served all receivers.
    pub(super) together: f64,
    /// How often each combination of the tasks' labels occurs; nothing unless all are classifications.
    pub(super) combinations: BTreeMap<Vec<u32>, usize>,
    /// The recording of each test row.
    pub(super) recordings: Vec<u32>,
}

impl Labels {
    /// Reads the test labels of a scenario.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub(super) fn read(scenario: &Scenario) -> anyhow::Result<Self> {
        let names = scenario.tasks();
        let needs = Needs { modalities: &[], tasks: &names };
        let data = node::data_source(scenario, None)?.open(Seed::from_number(scenario.seed), &needs)?;
        let labels = |task: &String| match data.targets(task, Split::Test)? {
            Targets::Classes { labels, .. } => Some(labels),
            Targets::Values { .. } => None,
        };
        let all: Vec<Option<Vec<u32>>> = names.iter().map(labels).collect();
        let entropies = all.iter().map(|labels| labels.as_ref().map(|labels| entropy_of(labels.iter())));
        let tasks = names.into_iter().zip(entropies).collect();
        let known: Vec<&Vec<u32>> = all.iter().flatten().collect();
        let rows = known.first().map_or(0, |labels| labels.len());
        let row = |row: usize| known.iter().map(|labels| labels[row]).collect::<Vec<u32>>();
        let mut combinations = BTreeMap::new();
        if known.len() == all.len() {
            (0..rows).map(row).for_each(|labels| *combinations.entry(labels).or_insert(0) += 1);
        }
        let together = entropy_of((0..rows).map(row));
        Ok(Labels { tasks, together, combinations, recordings: data.clusters() })
    }

    /// The sum of H(Y_t): the cross entropy without transmission. None without labels.
    pub(super) fn sum(&self) -> Option<f64> {
        self.tasks.iter().map(|(_, entropy)| *entropy).fold(None, |sum, own| match own {
            Some(own) => Some(sum.unwrap_or(0.0) + own),
            None => sum,
        })
    }

    /// The same if every task is a classification: the bound needs that.
    pub(super) fn bounding(&self) -> Option<f64> {
        self.sum().filter(|_| self.tasks.iter().all(|(_, entropy)| entropy.is_some()))
    }

    /// The sum over receivers of min(0, R_t - H(Y_t)): an upper bound of N-CE if receiver t is sent R_t nats. None
    /// unless every task is a classification.
    pub(super) fn bound_of(&self, rates: &[f64]) -> Option<f64> {
        let own = self.tasks.iter().zip(rates).map(|((_, entropy), rate)| Some(bound(*rate, (*entropy)?)));
        own.sum()
    }
}

/// The entropy of the labels' frequencies, in nats.
pub(super) fn entropy_of<L: Ord>(labels: impl Iterator<Item = L>) -> f64 {
    entropy(labels.map(|label| (label, 1)))
}

/// The same of labels that were counted, possibly in parts.
pub(super) fn entropy<L: Ord>(counted: impl Iterator<Item = (L, usize)>) -> f64 {
    let (mut counts, mut all) = (BTreeMap::new(), 0_usize);
    for (label, count) in counted {
        *counts.entry(label).or_insert(0_usize) += count;
        all += count;
    }
    let shares = counts.into_values().map(|count| count as f64 / all as f64);
    -shares.map(|share| share * share.ln()).sum::<f64>() + 0.0
}

/// The bound at a rate of R nats for labels of this entropy.
pub(super) fn bound(rate: f64, entropy: f64) -> f64 {
    (rate - entropy).min(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_entropy_of_labels_is_that_of_their_counts() {
        let of = |labels: &[u32]| entropy_of(labels.iter());
        assert!((of(&[0, 1, 2, 3]) - 4_f64.ln()).abs() < 1e-12);
        assert_eq!(of(&[2, 2, 2]), 0.0);
        let expected = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
        assert!((of(&[0, 1, 1, 1]) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_built_in_digits_have_about_that_of_equally_frequent_digits() {
        let labels = Labels::read(&coordinator::ScenarioArguments::default().resolve().unwrap()).unwrap();
        // ln 2 for parity, 0.5 ln 10 + 0.5 ln 2 for ring, ln 10 for digit; parity and ring follow from the digit.
        let equal = 1.5 * 2_f64.ln() + 1.5 * 10_f64.ln();
        let sum = labels.sum().unwrap();
        assert!((sum - equal).abs() < 0.02, "{sum} beside {equal}");
        assert!((labels.together - 10_f64.ln()).abs() < 0.01, "{}", labels.together);
        assert_eq!(labels.combinations.len(), 10);
        assert_eq!(labels.bounding(), Some(sum));
        assert_eq!((bound(1.0, sum), bound(100.0, sum)), (1.0 - sum, 0.0));
    }

    #[test]
    fn values_have_no_entropy_and_with_them_there_is_no_bound() {
        let labels = Labels {
            tasks: vec![("pose".into(), None), ("action".into(), Some(3.0))],
            together: 3.0,
            combinations: BTreeMap::new(),
            recordings: Vec::new(),
        };
        assert_eq!((labels.sum(), labels.bounding(), labels.bound_of(&[1.0, 1.0])), (Some(3.0), None, None));
    }

    proptest! {
        #[test]
        fn by_receiver_the_bound_is_no_looser_and_the_best_split_meets_it(
            both in proptest::collection::vec((0.0_f64..4.0, 0.0_f64..8.0), 1..5)
        ) {
            let tasks: Vec<(String, Option<f64>)> = both.iter().map(|(own, _)| (String::new(), Some(*own))).collect();
            let labels = Labels { tasks, together: 0.0, combinations: BTreeMap::new(), recordings: Vec::new() };
            let rates: Vec<f64> = both.iter().map(|(_, rate)| *rate).collect();
            let (all, sum) = (rates.iter().sum::<f64>(), labels.sum().unwrap());
            prop_assert!(labels.bound_of(&rates).unwrap() <= bound(all, sum) + 1e-12);
            // Each label gets what it needs, while any rate is left.
            let mut rest = all;
            let split: Vec<f64> = both.iter().map(|(own, _)| { let part = own.min(rest); rest -= part; part }).collect();
            prop_assert!((labels.bound_of(&split).unwrap() - bound(all, sum)).abs() < 1e-9);
        }
    }
}
