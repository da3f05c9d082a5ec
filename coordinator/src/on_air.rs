use proto::v1::{Air, ReceiverRound};
use serde::{Deserialize, Serialize};

/// Channel use for a sample: of all entries over channels that are not ideal, to all receivers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnAir {
    /// Channel uses: complex symbols.
    pub uses: f64,
    /// Es/N0 at average fading power in dB, mean over the uses with noise; none without noise.
    pub snr_db: Option<f64>,
    /// Channel uses over those that the same entries would take if the values of each were sent by themselves; none
    /// where that is 1. Bits may take more or fewer, and entries that are heard together share theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_ratio: Option<f64>,
    /// Rate of the sent features, in nats, as in `sum_rate`.
    pub rate_sent: f64,
    /// Whether that is an estimate, of features before a channel scaled them as they were drawn or cut symbols off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rate_sent_is_estimate: bool,
    /// The same estimate for the received features, given the gains; none where it is not estimated.
    pub rate_received: Option<f64>,
    /// Sum over the uses of log(1 + |h|^2 Es/N0), in nats; none if some have no noise.
    pub capacity: Option<f64>,
}

impl OnAir {
    /// The sum of the receivers' reports, divided by `count`, the number of reports of each receiver; none without
    /// reports.
    pub(crate) fn of<'a>(
        reports: impl Iterator<Item = &'a Air>,
        count: u64,
        rate_sent_is_estimate: bool,
    ) -> Option<Self> {
        let reports: Vec<&Air> = reports.collect();
        if reports.is_empty() {
            return None;
        }
        let sum = |of: fn(&Air) -> f64| reports.iter().map(|report| of(report)).sum::<f64>();
        let (uses, noisy) = (sum(|air| air.uses), sum(|air| air.noisy_uses));
        let plain = sum(|air| air.plain_uses);
        let each = |sum: f64| sum / count as f64;
        // A receiver without a granted entry over a channel reports no uses.
        let spending = || reports.iter().filter(|report| report.uses > 0.0);
        let received = spending().all(|report| report.received.is_some());
        Some(OnAir {
            uses: each(uses),
            snr_db: (noisy > 0.0).then(|| sum(|air| air.snr) / noisy),
            uses_ratio: (plain > 0.0 && uses != plain).then(|| uses / plain),
            rate_sent: each(sum(|air| air.sent)),
            rate_sent_is_estimate,
            rate_received: received.then(|| each(sum(|air| air.received.unwrap_or(0.0)))),
            capacity: (noisy >= uses).then(|| each(sum(|air| air.capacity))),
        })
    }
}

/// By receiver and transmitter, the SNR in dB of a channel that never changes and has the capacity of what a round's
/// entries met,
/// |h|^2 Es/N0 if that was always the same; none for a link without noise or entries. Entries that are heard together count for the
/// first of their transmitters. None where no report has links.
pub(crate) fn link_snr_db(
    receivers: &[&ReceiverRound],
    transmitters: usize,
) -> Option<Vec<Vec<Option<f64>>>> {
    let snr = |air: &Air| {
        let snr_db = 10.0 * (air.capacity / air.noisy_uses).exp_m1().log10();
        // Three digits: it is looked at, and goes into every line.
        snr_db.is_finite().then(|| (snr_db * 1e3).round() / 1e3)
    };
    let of_receiver = |report: &&ReceiverRound| match report.links.is_empty() {
        true => vec![None; transmitters],
        false => report.links.iter().map(snr).collect(),
    };
    let any = receivers.iter().any(|report| !report.links.is_empty());
    any.then(|| receivers.iter().map(of_receiver).collect())
}

/// By receiver and (k, m), the uses of every entry for a sample of a round, where any entry can cross a channel.
pub(crate) fn entry_uses(receivers: &[&ReceiverRound], entries: usize) -> Option<Vec<Vec<f64>>> {
    let of_receiver = |report: &&ReceiverRound| match report.entry_uses.is_empty() {
        true => vec![0.0; entries],
        // Three digits, as of the links.
        false => report.entry_uses.iter().map(|uses| (uses * 1e3).round() / 1e3).collect(),
    };
    let any = receivers.iter().any(|report| !report.entry_uses.is_empty());
    any.then(|| receivers.iter().map(of_receiver).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_use_is_summed_over_receivers_and_unknown_values_are_left_out() {
        let one = Air {
            uses: 12.0,
            noisy_uses: 12.0,
            snr: 120.0,
            capacity: 24.0,
            sent: 9.0,
            received: Some(7.0),
            plain_uses: 12.0,
        };
        let other = Air {
            uses: 24.0,
            noisy_uses: 24.0,
            snr: 0.0,
            capacity: 6.0,
            sent: 3.0,
            received: Some(2.0),
            plain_uses: 24.0,
        };
        let both = OnAir::of([one, other].iter(), 1, false).unwrap();
        assert_eq!((both.uses, both.snr_db), (36.0, Some(120.0 / 36.0)));
        assert_eq!((both.uses_ratio, both.rate_sent_is_estimate), (None, false));
        let shared = Air { plain_uses: 60.0, ..other };
        let shared = OnAir::of([one, shared].iter(), 1, true).unwrap();
        assert_eq!((shared.uses_ratio, shared.rate_sent_is_estimate), (Some(0.5), true));
        assert_eq!((both.rate_sent, both.rate_received, both.capacity), (12.0, Some(9.0), Some(30.0)));
        let halves = OnAir::of([one, one].iter(), 2, false).unwrap();
        assert_eq!((halves.uses, halves.snr_db, halves.capacity), (12.0, Some(10.0), Some(24.0)));
        let nothing = Air::default();
        assert_eq!(OnAir::of([one, nothing].iter(), 1, false).unwrap().rate_received, Some(7.0));
        let unknown = Air { received: None, noisy_uses: 0.0, ..other };
        let mixed = OnAir::of([one, unknown].iter(), 1, false).unwrap();
        assert_eq!((mixed.rate_received, mixed.capacity, mixed.snr_db), (None, None, Some(10.0)));
        assert_eq!(OnAir::of(std::iter::empty(), 1, false), None);
    }

    #[test]
    fn a_receiver_without_channels_has_entries_without_uses() {
        let first = ReceiverRound { entry_uses: vec![12.0, 2.0 / 3.0], ..ReceiverRound::default() };
        let second = ReceiverRound::default();
        assert_eq!(entry_uses(&[&first, &second], 2), Some(vec![vec![12.0, 0.667], vec![0.0; 2]]));
        assert_eq!(entry_uses(&[&second], 2), None);
    }

    #[test]
    fn a_links_snr_is_that_of_the_same_capacity() {
        // Twelve uses at 10 dB, and as many, half at 0 and half at 20 dB; one link without entries; one receiver
        // without channels.
        let air = |capacity: f64| Air { uses: 12.0, noisy_uses: 12.0, capacity, ..Air::default() };
        let mixed = 6.0 * 2.0_f64.ln() + 6.0 * 101.0_f64.ln();
        let links = vec![air(12.0 * 11.0_f64.ln()), air(mixed), Air::default()];
        let (first, second) = (ReceiverRound { links, ..ReceiverRound::default() }, ReceiverRound::default());
        let by_hand = ((202.0_f64.sqrt() - 1.0).log10() * 1e4).round() / 1e3;
        let found = link_snr_db(&[&first, &second], 3).unwrap();
        assert_eq!(found, [vec![Some(10.0), Some(by_hand), None], vec![None; 3]]);
        assert_eq!(link_snr_db(&[&second], 3), None);
    }
}
