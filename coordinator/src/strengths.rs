use node::{FIRST_STRENGTH_DB, STRENGTH_STEP_DB};
use serde::{Deserialize, Serialize};

/// How strong the receivers' links were in an evaluation, |h|^2 Es/N0, and which of them were used: counted over the
/// groups of `samples_per_tick` test samples of all passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strengths {
    /// Groups at which one link of a receiver was stronger than its others by more than 1 dB.
    pub clear: u64,
    /// The share of those at which the receiver requested that link's transmitter; none without any.
    pub strongest_requested: Option<f64>,
    /// The least strength of the first step below, in dB. What is weaker is counted there, too.
    pub first_db: f64,
    /// How wide a step is, in dB.
    pub step_db: f64,
    /// Links by strength, in steps.
    pub links: Vec<u64>,
    /// Those of them over which anything was granted.
    pub granted: Vec<u64>,
}

impl Strengths {
    /// The sum of the receivers' reports; none without reports.
    pub(crate) fn of<'a>(reports: impl Iterator<Item = &'a proto::v1::Strengths>) -> Option<Self> {
        let (mut clear, mut strongest) = (0, 0);
        let (mut links, mut granted) = (Vec::new(), Vec::new());
        for report in reports {
            clear += report.clear;
            strongest += report.strongest;
            add(&mut links, &report.links);
            add(&mut granted, &report.granted);
        }
        (!links.is_empty()).then(|| Strengths {
            clear,
            strongest_requested: (clear > 0).then(|| strongest as f64 / clear as f64),
            first_db: FIRST_STRENGTH_DB,
            step_db: STRENGTH_STEP_DB,
            links,
            granted,
        })
    }
}

fn add(sums: &mut Vec<u64>, counts: &[u64]) {
    sums.resize(sums.len().max(counts.len()), 0);
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_added_up_and_without_any_there_is_nothing_to_say() {
        let one = proto::v1::Strengths { clear: 3, strongest: 2, links: vec![4, 2], granted: vec![1, 2] };
        let other = proto::v1::Strengths { clear: 1, strongest: 1, links: vec![0, 2], granted: vec![0, 1] };
        let both = Strengths::of([&one, &other].into_iter()).unwrap();
        assert_eq!((both.clear, both.strongest_requested), (4, Some(0.75)));
        assert_eq!((both.links, both.granted), (vec![4, 4], vec![1, 3]));
        assert_eq!(Strengths::of(std::iter::empty()), None);
    }
}
