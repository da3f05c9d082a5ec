//! How good N-CE can be at a rate, from the labels alone.

use data::{Needs, Split, Targets};
use randomness::Seed;
use scenario::Scenario;

/// The sum over the receivers of the entropies of their tasks' test labels, in nats: who is sent R nats in all cannot come
/// above N-CE = min(0, R - it), since each receiver is served by itself. None if a task is no classification.
pub(super) fn label_entropy(scenario: &Scenario) -> anyhow::Result<Option<f64>> {
    let source = node::data_source(scenario, None)?;
    let tasks: Vec<String> = scenario.receiver.iter().map(|receiver| receiver.task.clone()).collect();
    let data =
        data::open(&source, Seed::from_number(scenario.seed), &Needs { modalities: &[], tasks: &tasks })?;
    let entropy = |task: &String| match data.targets(task, Split::Test)? {
        Targets::Classes { labels, classes } => Some(entropy_of(&labels, classes)),
        Targets::Values { .. } => None,
    };
    Ok(tasks.iter().map(entropy).sum())
}

fn entropy_of(labels: &[u32], classes: usize) -> f64 {
    let mut counts = vec![0_usize; classes];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    let shares =
        counts.into_iter().filter(|count| *count > 0).map(|count| count as f64 / labels.len() as f64);
    -shares.map(|share| share * share.ln()).sum::<f64>()
}

/// The bound at a rate of R nats.
pub(super) fn bound(rate: f64, entropy: f64) -> f64 {
    (rate - entropy).min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entropy_of_labels_is_that_of_their_counts() {
        assert!((entropy_of(&[0, 1, 2, 3], 4) - 4_f64.ln()).abs() < 1e-12);
        assert_eq!(entropy_of(&[2, 2, 2], 4), 0.0);
        let expected = -(0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln());
        assert!((entropy_of(&[0, 1, 1, 1], 2) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_built_in_digits_have_about_that_of_equally_frequent_digits() {
        let scenario = coordinator::ScenarioArguments::default().resolve().unwrap();
        let entropy = label_entropy(&scenario).unwrap().unwrap();
        // ln 2 of parity, 0.5 ln 10 + 0.5 ln 2 of ring, ln 10 of digit.
        let equal = 1.5 * 2_f64.ln() + 1.5 * 10_f64.ln();
        assert!((entropy - equal).abs() < 0.02, "{entropy} beside {equal}");
        assert_eq!((bound(1.0, entropy), bound(100.0, entropy)), (1.0 - entropy, 0.0));
    }
}
