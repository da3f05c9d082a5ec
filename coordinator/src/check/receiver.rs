//! Checks of a receiver's reports, of rounds and of passes.

use node::STRENGTH_STEPS;
use proto::{
    WireError, check_finite, check_length,
    v1::{Air, Confusion, Missing, ReceiverPass, ReceiverRound, Strengths},
};

use super::{at_most, check_probabilities, index, moment, rate_of_entry};

/// The metric top-1: the fraction of right answers.
pub(crate) const TOP1: &str = "top1";

/// Metrics of the kinds of tasks: top-1; mean squared error; for poses also the errors of joint positions.
const METRICS: [&[&str]; 3] = [&[TOP1], &["mse"], &["mse", "mpjpe", "pa-mpjpe"]];

/// Checks a receiver's report of the round that is due: `entries` counts of at most `ticks` ticks.
pub(crate) fn receiver_round(
    report: &ReceiverRound,
    due: u64,
    (entries, transmitters): (usize, usize),
    ticks: usize,
) -> Result<(), WireError> {
    moment("round", report.round, due)?;
    check_length("granted", "entries", report.granted.len(), entries)?;
    for &count in &report.granted {
        at_most("granted", "ticks", count, ticks)?;
    }
    if let Some(missing) = &report.missing {
        check_missing(missing, entries, ticks)?;
    }
    check_air(report.air.as_ref())?;
    check_entry_uses(&report.entry_uses, entries)?;
    report.links.iter().try_for_each(|air| check_air(Some(air)))?;
    if !report.links.is_empty() {
        check_length("links", "transmitters", report.links.len(), transmitters)?;
    }
    for of_links in [&report.link_bytes, &report.link_coded_bits] {
        if !of_links.is_empty() {
            check_length("the bytes of links", "transmitters", of_links.len(), transmitters)?;
        }
    }
    check_probabilities(&report.probabilities, transmitters)?;
    check_finite("weight", report.weight.as_slice())?;
    if report.weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
        return Err(WireError::Missing("weight from 0 to 1"));
    }
    let ReceiverRound { cross_entropy, objective, rate, log_likelihood, seconds, .. } = *report;
    check_finite("the report of a round", &[cross_entropy, objective, rate, log_likelihood, seconds])
}

/// Checks a report of channel use.
fn check_air(air: Option<&Air>) -> Result<(), WireError> {
    let Some(Air { uses, noisy_uses, snr, capacity, sent, received, plain_uses }) = air else {
        return Ok(());
    };
    check_finite("what was spent in the air", &[*uses, *noisy_uses, *snr, *capacity, *sent, *plain_uses])?;
    check_finite("the rate of what arrived", received.as_slice())?;
    match (0.0..=*uses).contains(noisy_uses) && *capacity >= 0.0 && *plain_uses >= 0.0 {
        true => Ok(()),
        false => Err(WireError::Missing("channel uses in their range")),
    }
}

/// Checks the channel uses of every entry; there are none where no entry can cross a channel.
fn check_entry_uses(uses: &[f64], entries: usize) -> Result<(), WireError> {
    if uses.is_empty() {
        return Ok(());
    }
    check_length("entry_uses", "entries", uses.len(), entries)?;
    check_finite("entry_uses", uses)?;
    match uses.iter().all(|uses| *uses >= 0.0) {
        true => Ok(()),
        false => Err(WireError::Missing("channel uses in their range")),
    }
}

/// Parts are no more than the whole.
fn check_strengths(strengths: Option<&Strengths>) -> Result<(), WireError> {
    let Some(Strengths { clear, strongest, links, granted }) = strengths else { return Ok(()) };
    check_length("links", "strengths", links.len(), STRENGTH_STEPS)?;
    check_length("granted", "strengths", granted.len(), STRENGTH_STEPS)?;
    match strongest <= clear && granted.iter().zip(links).all(|(granted, links)| granted <= links) {
        true => Ok(()),
        false => Err(WireError::Missing("counts of links that are part of all")),
    }
}

/// What a receiver went on without: `entries` counts of at most `most` each.
fn check_missing(missing: &Missing, entries: usize, most: usize) -> Result<(), WireError> {
    for counts in [&missing.lost, &missing.late] {
        check_length("missing", "entries", counts.len(), entries)?;
        for &count in counts {
            at_most("missing", "ticks", count, most)?;
        }
    }
    Ok(())
}

/// Checks receiver t's report of the evaluation pass that is due; `modalities[k]` is m(k).
pub(crate) fn receiver_pass(
    report: &ReceiverPass,
    due: u64,
    t: usize,
    modalities: &[usize],
) -> Result<(), WireError> {
    moment("pass", report.pass, due)?;
    if report.clusters.iter().all(|cluster| cluster.samples == 0) {
        return Err(WireError::Missing("test samples"));
    }
    if !METRICS.iter().any(|metrics| *metrics == report.metrics) {
        return Err(WireError::Missing("known metrics"));
    }
    for cluster in &report.clusters {
        check_finite("clusters", &[cluster.cross_entropy])?;
        check_finite("scores", &cluster.scores)?;
        check_length("scores", "metrics", cluster.scores.len(), report.metrics.len())?;
        for (metric, &score) in report.metrics.iter().zip(&cluster.scores) {
            let most = if metric == TOP1 { f64::from(cluster.samples) } else { f64::MAX };
            if !(0.0..=most).contains(&score) {
                return Err(WireError::Missing("score in its range"));
            }
        }
    }
    check_confusion(report)?;
    if let Some(missing) = &report.missing {
        check_missing(missing, modalities.iter().sum(), usize::MAX)?;
    }
    check_air(report.air.as_ref())?;
    check_entry_uses(&report.entry_uses, modalities.iter().sum())?;
    check_strengths(report.strengths.as_ref())?;
    let shares = if report.shares.is_empty() { 0 } else { report.entries.len() };
    check_length("shares", "entries", report.shares.len(), shares)?;
    if report.shares.iter().any(|share| !(*share > 0.0 && *share <= 1.0)) {
        return Err(WireError::Missing("shares from 0 to 1"));
    }
    for entry in &report.entries {
        moment("receiver", entry.receiver.into(), t as u64)?;
        rate_of_entry(entry, modalities)?;
    }
    Ok(())
}

/// Checks a confusion matrix: for a classification it counts the samples and right answers of the clusters; for other
/// tasks it is empty.
fn check_confusion(report: &ReceiverPass) -> Result<(), WireError> {
    let is_classification = report.metrics == [TOP1];
    if is_classification != (report.classes > 0) || (!is_classification && !report.confusion.is_empty()) {
        return Err(WireError::Missing("classes that fit its metrics"));
    }
    let (mut samples, mut right) = (0u64, 0u64);
    for cell in &report.confusion {
        index("label", cell.label, report.classes as usize)?;
        index("answer", cell.answer, report.classes as usize)?;
        samples = samples.saturating_add(cell.samples);
        right = right.saturating_add(if cell.label == cell.answer { cell.samples } else { 0 });
    }
    let is_ordered = report.confusion.is_sorted_by(|one, other| place(one) < place(other));
    if !is_ordered || report.confusion.iter().any(|cell| cell.samples == 0) {
        return Err(WireError::Missing("confusion in its order"));
    }
    let judged: u64 = report.clusters.iter().map(|cluster| u64::from(cluster.samples)).sum();
    let scored: f64 = report.clusters.iter().flat_map(|cluster| &cluster.scores).sum();
    if is_classification && (samples != judged || right as f64 != scored) {
        return Err(WireError::Missing("confusion of the samples that it judged"));
    }
    Ok(())
}

fn place(cell: &Confusion) -> (u32, u32) {
    (cell.label, cell.answer)
}

#[cfg(test)]
mod tests {
    use proto::v1::{Cluster, EntryRate};

    use super::*;

    fn round() -> ReceiverRound {
        ReceiverRound { round: 7, granted: vec![0, 3, 1], ..ReceiverRound::default() }
    }

    fn pass() -> ReceiverPass {
        let clusters = vec![Cluster { id: 4, samples: 10, scores: vec![10.0], cross_entropy: 2.0 }];
        let entries = vec![EntryRate { transmitter: 1, receiver: 2, modality: 1, rate: 0.5, ceiling: None }];
        let confusion = vec![confused(0, 0, 4), confused(1, 1, 6)];
        let (metrics, classes) = (vec![TOP1.into()], 2);
        ReceiverPass { pass: 1, clusters, entries, metrics, classes, confusion, ..ReceiverPass::default() }
    }

    fn confused(label: u32, answer: u32, samples: u64) -> Confusion {
        Confusion { label, answer, samples }
    }

    #[test]
    fn a_round_that_does_not_fit_is_refused_by_name() {
        let refused = |change: fn(&mut ReceiverRound)| {
            let mut report = round();
            change(&mut report);
            receiver_round(&report, 7, (3, 2), 3).unwrap_err().to_string()
        };
        receiver_round(&round(), 7, (3, 2), 3).unwrap();
        assert_eq!(refused(|report| report.round = 9), "the message is of round 9, expected 7");
        assert_eq!(refused(|report| report.weight = Some(1.5)), "the message has no weight from 0 to 1");
        assert!(refused(|report| report.weight = Some(f64::NAN)).contains("weight holds NaN"));
        assert_eq!(refused(|report| report.granted.clear()), "granted has 0 entries, expected 3");
        assert_eq!(
            refused(|report| report.links = vec![Air::default()]),
            "links has 1 transmitters, expected 2"
        );
        let more_noise = |report: &mut ReceiverRound| {
            report.links = vec![Air { uses: 1.0, noisy_uses: 2.0, ..Air::default() }, Air::default()];
        };
        assert!(refused(more_noise).contains("channel uses in their range"));
        assert_eq!(refused(|report| report.entry_uses = vec![1.0]), "entry_uses has 1 entries, expected 3");
        let negative = refused(|report| report.entry_uses = vec![1.0, 0.0, -1.0]);
        assert!(negative.contains("channel uses in their range"));
        assert_eq!(
            refused(|report| report.link_bytes = vec![1]),
            "the bytes of links has 1 transmitters, expected 2"
        );
        assert_eq!(
            refused(|report| report.probabilities = vec![1.0]),
            "probabilities has 1 items, expected 2"
        );
        let beyond = refused(|report| report.probabilities = vec![0.5, 1.5]);
        assert!(beyond.contains("probabilities in their range"));
        let missing = |lost: &[u32], late: &[u32]| Missing {
            lost: lost.into(),
            late: late.into(),
            ..Missing::default()
        };
        let refused_missing = |missing: Missing| {
            receiver_round(&ReceiverRound { missing: Some(missing), ..round() }, 7, (3, 2), 3)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refused_missing(missing(&[0; 3], &[0; 2])), "missing has 2 entries, expected 3");
        assert_eq!(refused_missing(missing(&[0, 4, 0], &[0; 3])), "missing has 4 ticks, expected 3");
        assert_eq!(refused(|report| report.granted[1] = 4), "granted has 4 ticks, expected 3");
        assert!(refused(|report| report.rate = f64::NAN).contains("holds NaN"));
    }

    #[test]
    fn a_pass_that_does_not_fit_is_refused_by_name() {
        let refused = |change: fn(&mut ReceiverPass)| {
            let mut report = pass();
            change(&mut report);
            receiver_pass(&report, 1, 2, &[3, 2]).unwrap_err().to_string()
        };
        receiver_pass(&pass(), 1, 2, &[3, 2]).unwrap();
        assert_eq!(refused(|report| report.pass = 0), "the message is of pass 0, expected 1");
        assert_eq!(refused(|report| report.clusters.clear()), "the message has no test samples");
        assert!(refused(|report| report.clusters[0].cross_entropy = f64::INFINITY).contains("holds inf"));
        for wrong in [11.0, -1.0] {
            let mut report = pass();
            report.clusters[0].scores[0] = wrong;
            let line = receiver_pass(&report, 1, 2, &[3, 2]).unwrap_err().to_string();
            assert_eq!(line, "the message has no score in its range");
        }
        assert!(refused(|report| report.clusters[0].scores[0] = f64::NAN).contains("scores holds NaN"));
        assert_eq!(refused(|report| report.clusters[0].scores.clear()), "scores has 0 metrics, expected 1");
        assert_eq!(refused(|report| report.metrics[0] = "luck".into()), "the message has no known metrics");
        assert_eq!(
            refused(|report| report.clusters[0].scores[0] = -1.0),
            "the message has no score in its range"
        );
        assert!(refused(|report| report.clusters[0].scores[0] = f64::NAN).contains("scores holds NaN"));
        assert_eq!(refused(|report| report.clusters[0].scores.clear()), "scores has 0 metrics, expected 1");
        assert_eq!(refused(|report| report.metrics[0] = "luck".into()), "the message has no known metrics");
        assert_eq!(refused(|report| report.metrics[0] = "mpjpe".into()), "the message has no known metrics");
        assert_eq!(
            refused(|report| report.entries[0].receiver = 0),
            "the message is of receiver 0, expected 2"
        );
        assert_eq!(
            refused(|report| report.entries[0].transmitter = 2),
            "transmitter names 2, but there are only 2"
        );
        assert_eq!(
            refused(|report| report.entries[0].modality = 2),
            "modality names 2, but there are only 2"
        );
    }

    #[test]
    fn a_confusion_matrix_that_does_not_fit_the_samples_is_refused() {
        let refused = |change: fn(&mut ReceiverPass)| {
            let mut report = pass();
            change(&mut report);
            receiver_pass(&report, 1, 2, &[3, 2]).unwrap_err().to_string()
        };
        let unordered = "the message has no confusion in its order";
        let other = "the message has no confusion of the samples that it judged";
        let unfit = "the message has no classes that fit its metrics";
        assert_eq!(refused(|report| report.confusion.reverse()), unordered);
        assert_eq!(refused(|report| report.confusion[0] = confused(1, 1, 4)), unordered);
        assert_eq!(
            refused(|report| report.confusion.push(confused(1, 2, 0))),
            "answer names 2, but there are only 2"
        );
        assert_eq!(refused(|report| report.confusion.insert(1, confused(0, 1, 0))), unordered);
        assert_eq!(refused(|report| report.confusion[1].label = 9), "label names 9, but there are only 2");
        assert_eq!(refused(|report| report.confusion.clear()), other);
        assert_eq!(refused(|report| report.confusion[0].samples = u64::MAX), other);
        // The number of samples is right, but fewer answers are right.
        assert_eq!(refused(|report| report.confusion[0].answer = 1), other);
        assert_eq!(refused(|report| report.classes = 0), unfit);
        assert_eq!(refused(|report| report.metrics[0] = "mse".into()), unfit);
    }
}
