//! Compares the machines' reports of a round with the oracle's results.

use proto::v1::report::Report;

use crate::{oracle::Round, played_round::PlayedRound, support::local_network::Node};

/// Tolerance for figures that the machines compute in f32.
const TOLERANCE: f64 = 1e-5;

/// Asserts that the machines' reports of the round equal the oracle's results.
pub(crate) fn assert_figures(played: &PlayedRound, round: &Round) {
    for (node, reports) in &played.network.reports {
        let log_likelihood = match (node, reports.as_slice()) {
            (Node::Receiver(t), [Report::ReceiverRound(report)]) => {
                assert_close("cross entropy", report.cross_entropy, round.receivers[*t].cross_entropy);
                assert_close("objective", report.objective, round.receivers[*t].objective);
                assert_close("rate", report.rate, round.receivers[*t].rate);
                report.log_likelihood
            }
            (Node::Transmitter(_), [Report::TransmitterRound(report)]) => report.log_likelihood,
            _ => panic!("{node:?} reported {reports:?} for one round"),
        };
        let expected = round.log_likelihoods.get(node).copied().unwrap_or(0.0);
        assert_close("log-likelihood", log_likelihood, expected);
    }
}

pub(crate) fn assert_close(what: &str, reported: f64, expected: f64) {
    let error = (reported - expected).abs() / expected.abs().max(1.0);
    assert!(error < TOLERANCE, "{what}: {reported}, where the oracle has {expected}");
}
