//! Upper limits of large-sample joint rates, for any features: with N rows, an estimate can only identify the row, and
//! for rows that share a recording only the recording.

use scenario::JointRateRows;

use super::{
    bound::Labels,
    results::{Group, Run},
};
use crate::{records::figures::named, statistics::Mean};

/// The mean upper limit of a group's joint rates, in nats; none without estimates, or if it is unknown for some run.
/// That of older records follows from the last selection of training: none where the selection of the test has shown
/// more.
pub(super) fn ceiling(group: &Group, labels: Option<&Labels>) -> Option<f64> {
    let estimated = group.runs.iter().filter(|run| named(&run.figures, "joint_rate").is_some());
    let own: Vec<f64> = estimated.map(|run| of_run(run, labels)).collect::<Option<_>>()?;
    let ceiling = Mean::of(&own)?.mean;
    // An estimate at its ceiling may lie above it by rounding.
    (group.mean("joint_rate")?.mean <= ceiling + 1e-3).then_some(ceiling)
}

/// Whether a group's joint rate is within 5 % of that limit, so that it carries no information about the features: by
/// the runs for which both are known.
pub(super) fn is_capped(group: &Group, labels: Option<&Labels>) -> bool {
    let both = |run: &Run| Some((named(&run.figures, "joint_rate")?, of_run(run, labels)?));
    let (rates, ceilings): (Vec<f64>, Vec<f64>) = group.runs.iter().filter_map(both).unzip();
    let means = Mean::of(&rates).zip(Mean::of(&ceilings));
    means.is_some_and(|(rate, ceiling)| coordinator::at_ceiling(rate.mean, ceiling.mean))
}

/// As reported; for records of older programs, from the selection at the end of training and the recordings of the test
/// rows.
fn of_run(run: &Run, labels: Option<&Labels>) -> Option<f64> {
    if let Some(known) = named(&run.figures, "joint_ceiling") {
        return Some(known);
    }
    let is_older = run.recordings.is_none();
    let is_estimated = ["per-dimension", "joint"].contains(&run.rate_estimator.as_str());
    if !is_older || !is_estimated || run.scenario.evaluation.joint_rate_rows == JointRateRows::Train {
        return None;
    }
    let rows = usize::try_from(run.joint_rate_samples).ok()?;
    let clips = labels?.recordings.get(..rows)?;
    let shares = run.granted.last()?;
    let with_clips = ["handwritten", "digits"].contains(&run.scenario.data.source.as_str());
    let of_modality = |modality: &String| match with_clips && modality == "mel" {
        true => super::bound::entropy_of(clips.iter()),
        false => (rows as f64).ln(),
    };
    let of_receiver: Vec<f64> =
        run.scenario.transmitter.iter().flat_map(|own| own.modalities.iter().map(of_modality)).collect();
    Some(shares.iter().zip(of_receiver.iter().cycle()).map(|(share, ceiling)| share * ceiling).sum())
}

#[cfg(test)]
mod tests {
    use super::{super::results::tests::group, *};

    /// A record of an older program: the built-in scenario's 27 entries, each granted.
    fn older(joint: f64) -> (Group, Labels) {
        let mut group = group("tadib", &[-0.1]);
        let run = &mut group.runs[0];
        run.granted = vec![vec![1.0; 27]];
        run.joint_rate_samples = 2000;
        run.figures.retain(|(name, _)| !name.starts_with("joint"));
        run.figures.push(("joint_rate".into(), joint));
        // 300 clips in turn.
        let labels = Labels {
            tasks: Vec::new(),
            together: 0.0,
            combinations: Default::default(),
            recordings: (0..4000).map(|at| at % 300).collect(),
        };
        (group, labels)
    }

    #[test]
    fn an_older_record_is_capped_by_the_rows_that_share_a_clip() {
        let (group, labels) = older(193.7);
        // 21 entries whose rows are all different, 6 of recordings, used 6 or 7 times each.
        let expected =
            21.0 * 2000_f64.ln() + 6.0 * super::super::bound::entropy_of((0..2000).map(|at| at % 300));
        assert!((ceiling(&group, Some(&labels)).unwrap() - expected).abs() < 1e-9);
        assert!(is_capped(&group, Some(&labels)) && !is_capped(&group, None));
        let (group, labels) = older(expected + 1.0);
        assert_eq!(ceiling(&group, Some(&labels)), None, "the test's selection was another");
        let (group, labels) = older(183.0);
        assert!(!is_capped(&group, Some(&labels)));
    }

    #[test]
    fn where_it_is_not_known_of_every_run_those_of_which_it_is_tell() {
        let (mut group, labels) = older(193.7);
        let mut without = group.runs[0].clone();
        without.granted = Vec::new();
        group.runs.push(without);
        assert!(is_capped(&group, Some(&labels)) && ceiling(&group, Some(&labels)).is_none());
    }

    #[test]
    fn what_a_run_says_itself_goes_first_and_what_is_no_estimate_has_none() {
        let (mut group, labels) = older(10.0);
        group.runs[0].figures.push(("joint_ceiling".into(), 10.2));
        assert_eq!(ceiling(&group, Some(&labels)), Some(10.2));
        assert!(is_capped(&group, None));
        let (mut group, labels) = older(449.2);
        group.runs[0].rate_estimator = "bits".into();
        assert_eq!(ceiling(&group, Some(&labels)), None);
    }
}
