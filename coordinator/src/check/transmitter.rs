//! Checks of a transmitter's reports, of rounds and of passes.

use proto::{
    WireError, check_finite, check_length,
    v1::{Spent, TransmitterPass, TransmitterRound},
};

use super::{at_most, check_probabilities, index, moment, rate_of_entry};

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

#[cfg(test)]
mod tests {
    use proto::v1::EntryRate;

    use super::*;

    #[test]
    fn a_round_that_does_not_fit_is_refused_by_name() {
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
