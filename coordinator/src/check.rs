//! Checks of nodes' reports before they are counted. Nodes of this build send valid reports only; a broken node must be
//! named and must not crash the coordinator.

use link::printable;
use node::STRENGTH_STEPS;
use proto::{
    WireError, check_finite, check_length,
    v1::{
        Air, Classes, Confusion, EntryRate, Failed, Missing, Ready, ReceiverPass, ReceiverRound, Spent,
        Strengths, TransmitterPass, TransmitterRound, report::Report,
    },
};
use scenario::Scenario;

/// The metric top-1: the fraction of right answers.
pub(crate) const TOP1: &str = "top1";

/// Metrics of the kinds of tasks: top-1; mean squared error; for poses also the errors of joint positions.
const METRICS: [&[&str]; 3] = [&[TOP1], &["mse"], &["mse", "mpjpe", "pa-mpjpe"]];

/// Upper limit on the classes of a task.
const MOST_CLASSES: usize = 1 << 16;

/// Upper limits on the notes of a node and on the bytes of each note.
const MOST_NOTES: usize = 20;
const LONGEST_NOTE: usize = 4000;

/// Upper limits on the libraries that a node names and on the bytes of each name.
const MOST_LIBRARIES: usize = 20;
const LONGEST_LIBRARY: usize = 200;

/// The longest name of a data file, in bytes.
const LONGEST_NAME: usize = 200;

/// Checks a report from the node of index `index` as the coordinator does before it counts it, with round or pass 0
/// due.
///
/// # Errors
///
/// [`WireError`] if the report does not fit the scenario.
pub fn check_report(scenario: &Scenario, index: usize, report: &Report) -> Result<(), WireError> {
    let modalities: Vec<usize> = (0..scenario.transmitters()).map(|k| scenario.modalities(k)).collect();
    let (entries, ticks) = (scenario.entries_per_receiver(), scenario.train.ticks_per_round);
    match report {
        Report::Ready(report) => ready(report),
        Report::ReceiverRound(report) => receiver_round(report, 0, (entries, scenario.transmitters()), ticks),
        Report::TransmitterRound(report) => {
            transmitter_round(report, 0, scenario.modalities(index), ticks, scenario.receivers())
        }
        Report::ReceiverPass(report) => receiver_pass(report, 0, index, &modalities),
        Report::TransmitterPass(report) => {
            transmitter_pass(report, 0, index, scenario.receivers(), &modalities)
        }
        _ => Ok(()),
    }
}

/// A report with printable text only: its text goes to the terminal, to other nodes and into the summary.
pub(crate) fn spelt_out(report: Report) -> Report {
    let all = |texts: Vec<String>| -> Vec<String> { texts.iter().map(|text| printable(text)).collect() };
    match report {
        Report::Failed(failed) => Report::Failed(Failed { message: printable(&failed.message), ..failed }),
        Report::Ready(ready) => Report::Ready(Ready {
            device: printable(&ready.device),
            notes: all(ready.notes),
            libraries: all(ready.libraries),
            classes: ready.classes.map(|classes| Classes { names: all(classes.names), ..classes }),
            ..ready
        }),
        other => other,
    }
}

/// Whether a text may be shown as it is.
fn is_printable(text: &str) -> bool {
    printable(text) == text
}

/// Checks a node's report that it is ready, sent before the start.
pub(crate) fn ready(report: &Ready) -> Result<(), WireError> {
    check_finite("label_entropy", &[report.label_entropy])?;
    for file in &report.files {
        // File names appear in messages to users.
        if file.name.is_empty() || file.name.len() > LONGEST_NAME || !is_printable(&file.name) {
            return Err(WireError::Missing("usable name of a data file"));
        }
        check_length("the digest of a data file", "bytes", file.sha256.len(), 32)?;
    }
    // Notes, libraries and names of classes are shown to users unchanged.
    let is_line = |note: &String| note.len() <= LONGEST_NOTE && is_printable(note);
    if report.notes.len() > MOST_NOTES || !report.notes.iter().all(is_line) {
        return Err(WireError::Missing("notes of a line each"));
    }
    let is_name = |name: &String| name.len() <= LONGEST_LIBRARY && is_printable(name);
    if report.libraries.len() > MOST_LIBRARIES || !report.libraries.iter().all(is_name) {
        return Err(WireError::Missing("names of libraries"));
    }
    report.classes.as_ref().map_or(Ok(()), classes)
}

fn classes(report: &Classes) -> Result<(), WireError> {
    check_length("test", "classes", report.test.len(), report.train.len())?;
    let (count, names) = (report.train.len(), report.names.len());
    if !(2..=MOST_CLASSES).contains(&count) || names > count {
        return Err(WireError::Missing("classes in their range"));
    }
    if !report.names.iter().all(|name| is_printable(name)) {
        return Err(WireError::Missing("names of classes that can be shown"));
    }
    // Sums of them must not overflow.
    let is_count = |count: &u64| *count <= u64::from(u32::MAX);
    match report.train.iter().chain(&report.test).all(is_count) {
        true => Ok(()),
        false => Err(WireError::Missing("counts of classes in their range")),
    }
}

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

/// Checks a transmitter's report of the round that is due.
pub(crate) fn transmitter_round(
    report: &TransmitterRound,
    due: u64,
    modalities: usize,
    ticks: usize,
    receivers: usize,
) -> Result<(), WireError> {
    moment("round", report.round, due)?;
    check_length("encoded", "modalities", report.encoded.len(), modalities)?;
    for &encoded in &report.encoded {
        at_most("a modality", "ticks", encoded, ticks)?;
    }
    at_most("a round", "requests", report.requested, ticks * receivers)?;
    spent(report.spent.as_ref())?;
    check_probabilities(&report.probabilities, modalities)?;
    check_finite("the report of a round", &[report.log_likelihood])
}

/// Checks the selection probabilities that a node reports, one for each item of its selector. A node without a selector
/// reports none.
fn check_probabilities(probabilities: &[f64], items: usize) -> Result<(), WireError> {
    if probabilities.is_empty() {
        return Ok(());
    }
    check_length("probabilities", "items", probabilities.len(), items)?;
    check_finite("probabilities", probabilities)?;
    // Sums of rounded numbers may exceed 1 a little.
    match probabilities.iter().all(|probability| (0.0..=1.001).contains(probability)) {
        true => Ok(()),
        false => Err(WireError::Missing("probabilities in their range")),
    }
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

/// Checks transmitter k's report of the evaluation pass that is due; `modalities[k]` is m(k).
pub(crate) fn transmitter_pass(
    report: &TransmitterPass,
    due: u64,
    k: usize,
    receivers: usize,
    modalities: &[usize],
) -> Result<(), WireError> {
    moment("pass", report.pass, due)?;
    for entry in &report.joint {
        moment("transmitter", entry.transmitter.into(), k as u64)?;
        index("receiver", entry.receiver, receivers)?;
        rate_of_entry(entry, modalities)?;
    }
    spent(report.spent.as_ref())
}

fn spent(spent: Option<&Spent>) -> Result<(), WireError> {
    let Some(spent) = spent else { return Ok(()) };
    let numbers: Vec<f64> = [spent.estimate, spent.prior, spent.coded_bits].into_iter().flatten().collect();
    check_finite("what features came to", &numbers)
}

fn rate_of_entry(entry: &EntryRate, modalities: &[usize]) -> Result<(), WireError> {
    index("transmitter", entry.transmitter, modalities.len())?;
    index("modality", entry.modality, modalities[entry.transmitter as usize])?;
    check_finite("rate", &[entry.rate])?;
    check_finite("ceiling", entry.ceiling.as_slice())
}

fn moment(what: &'static str, got: u64, expected: u64) -> Result<(), WireError> {
    if got == expected {
        return Ok(());
    }
    Err(WireError::Stamp { what, got: got.to_string(), expected: expected.to_string() })
}

fn index(what: &'static str, got: u32, bound: usize) -> Result<(), WireError> {
    let got = got as usize;
    if got < bound { Ok(()) } else { Err(WireError::Index { what, got, bound }) }
}

fn at_most(what: &'static str, unit: &'static str, got: u32, most: usize) -> Result<(), WireError> {
    let got = got as usize;
    if got <= most { Ok(()) } else { Err(WireError::Length { what, unit, got, expected: most }) }
}

#[cfg(test)]
mod tests {
    use proto::v1::Cluster;

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
    fn text_that_acts_on_a_terminal_or_hides_is_spelt_out_and_refused_as_it_is() {
        let good = Ready {
            notes: vec!["Größe 東京: 3 rows".into()],
            libraries: vec!["torch 2.1".into()],
            classes: Some(Classes { train: vec![1; 2], test: vec![1; 2], names: vec!["naïve".into()] }),
            ..Ready::default()
        };
        ready(&good).unwrap();
        assert_eq!(spelt_out(Report::Ready(good.clone())), Report::Ready(good.clone()));
        for vile in ["\u{1b}[2J", "a\u{202e}b", "\u{2066}", "ad\u{200b}min", "\u{feff}", "\u{2028}", "a\nb"] {
            let refused = |change: fn(&mut Ready) -> &mut Vec<String>, complaint: &str| {
                let mut report = good.clone();
                change(&mut report).push(vile.into());
                let line = ready(&report).unwrap_err().to_string();
                assert_eq!(line, format!("the message has no {complaint}"), "{vile:?}");
                let Report::Ready(spelt) = spelt_out(Report::Ready(report)) else { panic!("{vile:?}") };
                ready(&spelt).unwrap();
            };
            refused(|report| &mut report.notes, "notes of a line each");
            refused(|report| &mut report.libraries, "names of libraries");
            refused(
                |report| &mut report.classes.as_mut().expect("it has classes").names,
                "names of classes that can be shown",
            );
            let device = Ready { device: vile.into(), ..good.clone() };
            let Report::Ready(spelt) = spelt_out(Report::Ready(device)) else { panic!("{vile:?}") };
            assert!(is_printable(&spelt.device), "{vile:?}");
        }
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
        let report = TransmitterRound { round: 7, encoded: vec![3, 0], requested: 6, ..Default::default() };
        let refused = |change: fn(&mut TransmitterRound)| {
            let mut report = report.clone();
            change(&mut report);
            transmitter_round(&report, 7, 2, 3, 2).unwrap_err().to_string()
        };
        transmitter_round(&report, 7, 2, 3, 2).unwrap();
        assert_eq!(refused(|report| report.encoded.truncate(1)), "encoded has 1 modalities, expected 2");
        assert_eq!(refused(|report| report.encoded[0] = 4), "a modality has 4 ticks, expected 3");
        assert_eq!(refused(|report| report.requested = 7), "a round has 7 requests, expected 6");
        assert_eq!(refused(|report| report.round = 6), "the message is of round 6, expected 7");
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

    #[test]
    fn a_transmitters_pass_names_only_its_own_entries() {
        let entry = EntryRate { transmitter: 1, receiver: 2, modality: 1, rate: 0.5, ceiling: None };
        let check = |entry: EntryRate| {
            let report = TransmitterPass { joint: vec![entry], ..TransmitterPass::default() };
            transmitter_pass(&report, 0, 1, 3, &[3, 2]).map_err(|error| error.to_string())
        };
        assert_eq!(check(entry), Ok(()));
        assert!(check(EntryRate { transmitter: 0, ..entry }).unwrap_err().contains("of transmitter 0"));
        assert!(check(EntryRate { receiver: 3, ..entry }).unwrap_err().contains("receiver names 3"));
        assert!(check(EntryRate { rate: f64::NAN, ..entry }).unwrap_err().contains("rate holds NaN"));
        let ceiling = check(EntryRate { ceiling: Some(f64::INFINITY), ..entry });
        assert!(ceiling.unwrap_err().contains("ceiling holds inf"));
    }
}
