//! Checks of nodes' reports before they are counted. Nodes of this build send valid reports only; a broken node must be
//! named and must not crash the coordinator.

mod readiness;
mod receiver;
mod transmitter;

use proto::{
    WireError, check_finite, check_length,
    v1::{EntryRate, report::Report},
};
use scenario::Scenario;

pub(crate) use self::{
    readiness::{ready, spelt_out},
    receiver::{TOP1, receiver_pass, receiver_round},
    transmitter::{transmitter_pass, transmitter_round},
};

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
