//! Scores in which every class has the same weight, however common it is.

/// How often each class occurred, was answered, and was answered rightly.
pub(crate) struct ClassScores {
    there: Vec<u64>,
    answered: Vec<u64>,
    right: Vec<u64>,
}

impl ClassScores {
    /// Counts (label, answer, samples), both below `classes`.
    pub(crate) fn of(classes: usize, cells: impl Iterator<Item = (usize, usize, u64)>) -> Self {
        let zeros = || vec![0; classes];
        let mut scores = ClassScores { there: zeros(), answered: zeros(), right: zeros() };
        for (label, answer, samples) in cells {
            scores.there[label] += samples;
            scores.answered[answer] += samples;
            scores.right[label] += if label == answer { samples } else { 0 };
        }
        scores
    }

    /// The mean recall of the classes that occur.
    pub(crate) fn balanced_accuracy(&self) -> f64 {
        let there = (0..self.there.len()).filter(|&class| self.there[class] > 0);
        mean(there.map(|class| self.right[class] as f64 / self.there[class] as f64))
    }

    /// The mean F1, 2 right / (occurred + answered), of the classes that occur or were answered.
    pub(crate) fn macro_f1(&self) -> f64 {
        let both = |class: usize| self.there[class] + self.answered[class];
        let known = (0..self.there.len()).filter(|&class| both(class) > 0);
        mean(known.map(|class| 2.0 * self.right[class] as f64 / both(class) as f64))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's balanced_accuracy_score and f1_score(average="macro") of [0,0,0,0,1,1,2] and [0,0,0,1,1,0,3].
    #[test]
    fn classes_count_alike_however_common() {
        let cells = [(0, 0, 3), (0, 1, 1), (1, 1, 1), (1, 0, 1), (2, 3, 1)];
        let scores = ClassScores::of(5, cells.into_iter());
        assert!((scores.balanced_accuracy() - (0.75 + 0.5) / 3.0).abs() < 1e-15);
        assert!((scores.macro_f1() - (0.75 + 0.5) / 4.0).abs() < 1e-15);
    }
}
