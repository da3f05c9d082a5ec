//! An observation: a row of the table.

use coordinator::{Missing, OnAir, Rates};
use scenario::Scenario;

/// An observation. What it is not of is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    at: At,
    quantity: String,
    receiver: Option<usize>,
    /// Transmitter k.
    transmitter: Option<usize>,
    /// Modality m, by its index at the transmitter.
    modality: Option<usize>,
    /// What else it is of: a phase of work, a class, a strength. Of an entry it is the modality's name.
    name: Option<String>,
    value: f64,
    interval: Option<[f64; 2]>,
}

/// Where in a run something was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct At {
    split: &'static str,
    round: u64,
    /// Of scores at an SNR of their own.
    snr_db: Option<f64>,
}

impl At {
    /// In a split (train, validation or test), behind so many rounds.
    pub(super) fn new(split: &'static str, round: u64) -> Self {
        At { split, round, snr_db: None }
    }

    /// The same with every channel at an SNR.
    pub(super) fn snr_db(self, snr_db: f64) -> Self {
        At { snr_db: Some(snr_db), ..self }
    }

    /// An observation of the whole network.
    pub(super) fn row(self, quantity: &str, value: f64) -> Row {
        Row {
            at: self,
            quantity: quantity.into(),
            receiver: None,
            transmitter: None,
            modality: None,
            name: None,
            value,
            interval: None,
        }
    }

    /// Those that are known of several.
    pub(super) fn known<'a>(
        self,
        values: impl IntoIterator<Item = (&'a str, Option<f64>)>,
    ) -> impl Iterator<Item = Row> {
        values.into_iter().filter_map(move |(quantity, value)| Some(self.row(quantity, value?)))
    }

    /// A value of each receiver.
    pub(super) fn of_receivers(self, quantity: &str, values: &[f64]) -> impl Iterator<Item = Row> {
        values.iter().enumerate().map(move |(t, value)| self.row(quantity, *value).of(t))
    }

    /// Values by receiver and transmitter; links without one are left out.
    pub(super) fn of_links(
        self,
        quantity: &str,
        values: impl Iterator<Item = Vec<Option<f64>>>,
    ) -> impl Iterator<Item = Row> {
        let of_receiver = move |(t, values): (usize, Vec<Option<f64>>)| {
            let link = |(k, value): (usize, Option<f64>)| Some(self.row(quantity, value?).of(t).sent_by(k));
            values.into_iter().enumerate().filter_map(link).collect::<Vec<_>>()
        };
        values.enumerate().flat_map(of_receiver)
    }

    /// Values by receiver and (k, m) in order, of a scenario's entries; entries without one are left out.
    pub(super) fn of_entries(
        self,
        quantity: &str,
        scenario: &Scenario,
        values: impl Iterator<Item = Vec<Option<f64>>>,
    ) -> impl Iterator<Item = Row> {
        let entries = entries(scenario);
        let of_receiver = move |(t, values): (usize, Vec<Option<f64>>)| {
            let entry = |(&(k, m), value): (&(usize, usize), Option<f64>)| {
                Some(self.row(quantity, value?).of(t).sent_by(k).entry(m))
            };
            entries.iter().zip(values).filter_map(entry).collect::<Vec<_>>()
        };
        values.enumerate().flat_map(of_receiver)
    }

    /// Channel use for a sample.
    pub(super) fn air(self, air: &OnAir) -> impl Iterator<Item = Row> {
        self.known([
            ("uses", Some(air.uses)),
            ("uses_ratio", air.uses_ratio),
            ("snr_db", air.snr_db),
            ("rate_sent", Some(air.rate_sent)),
            ("rate_received", air.rate_received),
            ("capacity", air.capacity),
        ])
    }

    /// What a sample's features cost.
    pub(super) fn rates(self, rates: &Rates) -> impl Iterator<Item = Row> {
        self.known([
            ("estimate_nats", rates.estimate_nats),
            ("prior_nats", rates.prior_nats),
            ("coded_bits", rates.coded_bits),
            ("message_bytes", Some(rates.message_bytes)),
            ("socket_bytes", rates.socket_bytes),
        ])
    }

    /// Entries that receivers went without.
    pub(super) fn missing(self, missing: &Missing) -> impl Iterator<Item = Row> {
        let counts = [
            ("entries_used", missing.used),
            ("entries_lost", missing.lost),
            ("entries_late", missing.late),
            ("messages_absent", missing.absent),
        ];
        self.known(counts.map(|(quantity, count)| (quantity, Some(count as f64))))
    }
}

impl Row {
    /// Of a receiver.
    pub(super) fn of(self, receiver: usize) -> Self {
        Row { receiver: Some(receiver), ..self }
    }

    /// From a transmitter.
    pub(super) fn sent_by(self, transmitter: usize) -> Self {
        Row { transmitter: Some(transmitter), ..self }
    }

    /// Of a modality of its transmitter.
    pub(super) fn entry(self, modality: usize) -> Self {
        Row { modality: Some(modality), ..self }
    }

    /// Of something with a name.
    pub(super) fn named(self, name: impl Into<String>) -> Self {
        Row { name: Some(name.into()), ..self }
    }

    /// With the ends of its 95 % interval, if it has one.
    pub(super) fn within(self, interval: Option<[f64; 2]>) -> Self {
        Row { interval, ..self }
    }

    /// Its cells from the split on, in the order of [`super::HEAD`].
    pub(super) fn cells(self, scenario: &Scenario) -> impl Iterator<Item = String> {
        let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
        let value = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let task =
            self.receiver.and_then(|t| Some(scenario.receiver.get(t)?.task.clone())).unwrap_or_default();
        let modality =
            self.transmitter.zip(self.modality).map(|(k, m)| scenario.transmitter[k].modalities[m].clone());
        let cells = [
            self.at.split.to_owned(),
            self.at.round.to_string(),
            self.quantity,
            number(self.receiver),
            task,
            number(self.transmitter),
            number(self.modality),
            self.name.or(modality).unwrap_or_default(),
            self.value.to_string(),
            value(self.interval.map(|[low, _]| low)),
            value(self.interval.map(|[_, high]| high)),
            value(self.at.snr_db),
        ];
        cells.into_iter()
    }
}

/// All (k, m), in order.
pub(super) fn entries(scenario: &Scenario) -> Vec<(usize, usize)> {
    let transmitters = scenario.transmitter.iter().enumerate();
    transmitters.flat_map(|(k, of)| (0..of.modalities.len()).map(move |m| (k, m))).collect()
}
