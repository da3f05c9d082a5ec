use proto::v1::{Spent, TransmitterPass};
use serde::{Deserialize, Serialize};

/// Rates of a sample's features: of all entries, to all receivers together. docs/rates.md says which number bounds
/// which.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The estimate (17) in nats, as in `sum_rate`; beside a learned prior per dimension. None where features have no
    /// density.
    pub estimate_nats: Option<f64>,
    /// The rate against the learned priors, in nats; none without priors.
    pub prior_nats: Option<f64>,
    /// Bits of the entropy-coded streams; none where features travel as f32.
    pub coded_bits: Option<f64>,
    /// Bytes of the messages that carry features, with stamps, choices and rates, without the tables.
    pub message_bytes: f64,
    /// Bytes through the transmitters' sockets, both directions, with all framing and tables; none if they cannot be
    /// told from earlier ones.
    pub socket_bytes: Option<f64>,
}

impl Rates {
    /// Means over the test samples of all passes, from the transmitters' reports. `before` is the number of bytes
    /// through their sockets when the evaluation began. None if the reports hold no counts.
    pub(crate) fn of_passes<'a>(
        reports: impl Iterator<Item = &'a TransmitterPass> + Clone,
        before: u64,
    ) -> Option<Self> {
        let spent: Option<Vec<&Spent>> = reports.clone().map(|report| report.spent.as_ref()).collect();
        let spent = spent?;
        let passes = reports.clone().map(|report| report.pass + 1).max()?;
        let samples = spent.iter().map(|spent| spent.samples).max().filter(|samples| *samples > 0)?;
        let last = reports.filter(|report| report.pass + 1 == passes).map(|report| report.wire_bytes);
        let bytes = last.sum::<u64>().checked_sub(before);
        Some(Rates {
            socket_bytes: bytes.map(|bytes| bytes as f64 / (passes * samples) as f64),
            ..Rates::of(&spent, (passes * samples) as f64)
        })
    }

    /// Means over the `samples` of a training round. `prior` is the rate of all entries against the learned priors, in
    /// nats a sample.
    pub(crate) fn of_round(spent: &[&Spent], samples: usize, prior: f64, socket_bytes: u64) -> Self {
        let socket_bytes = Some(socket_bytes as f64 / samples as f64);
        Rates { prior_nats: Some(prior), socket_bytes, ..Rates::of(spent, samples as f64) }
    }

    fn of(spent: &[&Spent], samples: f64) -> Self {
        let sum = |of: fn(&Spent) -> Option<f64>| {
            let known: Vec<f64> = spent.iter().filter_map(|spent| of(spent)).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / samples)
        };
        let message_bytes = spent.iter().map(|spent| spent.message_bytes).sum::<u64>();
        Rates {
            estimate_nats: sum(|spent| spent.estimate),
            prior_nats: sum(|spent| spent.prior),
            coded_bits: sum(|spent| spent.coded_bits),
            message_bytes: message_bytes as f64 / samples,
            socket_bytes: None,
        }
    }

    /// Coded bits divided by the estimate in bits, and by the rate against the priors in bits.
    pub fn ratios(&self) -> [Option<f64>; 2] {
        let over = |nats: Option<f64>| Some(self.coded_bits? * std::f64::consts::LN_2 / nats?);
        [over(self.estimate_nats), over(self.prior_nats)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(pass: u64, wire_bytes: u64) -> TransmitterPass {
        let spent = Spent {
            estimate: Some(400.0),
            prior: Some(800.0),
            coded_bits: Some(1200.0),
            message_bytes: 300,
            table_bytes: 5000,
            samples: 100,
        };
        TransmitterPass { pass, wire_bytes, spent: Some(spent), ..TransmitterPass::default() }
    }

    #[test]
    fn a_test_samples_rates_are_those_of_all_transmitters_over_passes_and_samples() {
        let reports = [pass(0, 10_000), pass(0, 500), pass(1, 12_000), pass(1, 900)];
        let rates = Rates::of_passes(reports.iter(), 8_100).unwrap();
        assert_eq!(
            (rates.estimate_nats, rates.prior_nats, rates.coded_bits),
            (Some(8.0), Some(16.0), Some(24.0))
        );
        assert_eq!((rates.message_bytes, rates.socket_bytes), (6.0, Some(24.0)));
        assert!((rates.ratios()[0].unwrap() - 3.0 * std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(Rates::of_passes(reports.iter(), 20_000).unwrap().socket_bytes, None);
        assert_eq!(Rates::of_passes([TransmitterPass::default()].iter(), 0), None);
    }
}
