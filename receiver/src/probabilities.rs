/// The index of the maximum, the first of several.
pub fn largest(logits: &[f32]) -> u32 {
    let first = (0..logits.len()).rev().max_by(|&one, &other| logits[one].total_cmp(&logits[other]));
    first.unwrap_or(0) as u32
}

/// Probabilities of logits.
pub fn probabilities(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let masses: Vec<f64> = logits.iter().map(|logit| libm::exp(f64::from(logit - most))).collect();
    let sum: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| (mass / sum) as f32).collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the reference is the standard library's exp")]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_the_first_of_the_largest_is_the_answer() {
        let probabilities = probabilities(&[1000.0, 1000.0, 998.0]);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{probabilities:?}");
        assert!((probabilities[0] / probabilities[2] - 2f32.exp()).abs() < 1e-3);
        assert_eq!(largest(&[-1.0, 3.0, 3.0, 2.0]), 1);
    }
}
