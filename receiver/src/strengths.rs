//! How strong the links of a receiver were in a pass, and which of them it used.

use node::{CLEAR_DB, Context, STRENGTH_STEPS, strength_step};
use proto::v1::Strengths;

use crate::granted::Granted;

/// Counts groups of test samples by the strengths of the links at them.
pub(crate) struct StrengthCount {
    /// None where no link changes from tick to tick.
    counts: Option<Strengths>,
}

impl StrengthCount {
    pub(crate) fn new(context: &Context) -> Self {
        let t = context.index;
        let any = (0..context.scenario.transmitters()).any(|k| context.scenario.link_varies(k, t));
        let none = vec![0; STRENGTH_STEPS];
        let counts = Strengths { links: none.clone(), granted: none, ..Strengths::default() };
        StrengthCount { counts: any.then_some(counts) }
    }

    /// Adds what was requested and granted at the ticks of a piece, each of these groups of samples.
    pub(crate) fn add(
        &mut self,
        context: &Context,
        requested: &[Vec<bool>],
        granted: &Granted<'_>,
        groups: &[usize],
    ) {
        let Some(counts) = &mut self.counts else { return };
        for (tick, requested) in requested.iter().enumerate() {
            let granters = granted.granters(tick);
            for group in 0..groups.len() {
                let strengths = context.strengths_db(context.index, granted.time(tick, group));
                count(counts, &strengths, requested, &granters);
            }
        }
    }

    pub(crate) fn report(self) -> Option<Strengths> {
        self.counts
    }
}

/// Counts a group of samples: the strengths of all links in dB, who was requested, and who granted anything.
fn count(counts: &mut Strengths, strengths: &[Option<f64>], requested: &[bool], granters: &[bool]) {
    let mut known: Vec<(usize, f64)> =
        strengths.iter().enumerate().filter_map(|(k, strength)| Some((k, (*strength)?))).collect();
    for &(k, strength) in &known {
        counts.links[strength_step(strength)] += 1;
        counts.granted[strength_step(strength)] += u64::from(granters[k]);
    }
    known.sort_by(|one, other| other.1.total_cmp(&one.1));
    if let [(strongest, first), (_, second), ..] = known[..]
        && first - second > CLEAR_DB
    {
        counts.clear += 1;
        counts.strongest += u64::from(requested[strongest]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_strongest_link_can_be_missed() {
        let none = vec![0; STRENGTH_STEPS];
        let mut counts = Strengths { links: none.clone(), granted: none, ..Strengths::default() };
        let mut add = |strengths: [f64; 2], requested| {
            count(&mut counts, &strengths.map(Some), &[requested, !requested], &[requested, !requested]);
        };
        add([3.0, 0.0], true);
        add([3.0, 0.0], false);
        add([3.0, 2.5], false);
        add([-9.0, 5.0], false);
        assert_eq!((counts.clear, counts.strongest), (3, 2));
        assert_eq!(counts.links.iter().sum::<u64>(), 8);
        assert_eq!(counts.granted.iter().sum::<u64>(), 4);
        assert_eq!((counts.links[strength_step(3.0)], counts.granted[strength_step(3.0)]), (4, 2));
        // A link that does not change has no strength to be compared.
        count(&mut counts, &[Some(9.0), None], &[true, false], &[true, false]);
        assert_eq!(counts.clear, 3);
    }
}
