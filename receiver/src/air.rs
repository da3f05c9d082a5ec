use dib::{Channel, Crossing, Measure, channel_uses};
use node::Context;
use proto::v1::Air;

/// Adds up what entries spend in the air.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AirCount {
    /// Sums over samples.
    sums: Air,
    /// Whether the rate of something that arrived is not counted.
    unknown: bool,
}

impl AirCount {
    /// Adds some samples of an entry that cross a channel.
    pub(crate) fn cross(
        &mut self,
        channel: &dyn Channel<f32>,
        crossing: &Crossing,
        samples: usize,
        feature_dim: usize,
    ) {
        if let Some(measure) = channel.measure(crossing, samples) {
            self.count(measure, samples * channel_uses(feature_dim));
        }
    }

    /// Adds so many uses that met this.
    pub(crate) fn count(&mut self, measure: Measure, uses: usize) {
        let uses = uses as f64;
        self.sums.uses += uses;
        if let (Some(snr_db), Some(capacity)) = (measure.snr_db, measure.capacity) {
            self.sums.noisy_uses += uses;
            self.sums.snr += uses * snr_db;
            self.sums.capacity += uses * capacity;
        }
    }

    /// Adds the rates of an entry of so many samples that crosses a channel, in nats.
    pub(crate) fn rate(&mut self, samples: usize, sent: f64, received: Option<f64>) {
        self.sums.sent += samples as f64 * sent;
        match received {
            Some(received) => *self.sums.received.get_or_insert(0.0) += samples as f64 * received,
            None => self.unknown = true,
        }
    }

    /// Adds what another counted.
    pub(crate) fn add(&mut self, other: &AirCount) {
        let Air { uses, noisy_uses, snr, capacity, sent, received } = other.sums;
        self.sums.uses += uses;
        self.sums.noisy_uses += noisy_uses;
        self.sums.snr += snr;
        self.sums.capacity += capacity;
        self.sums.sent += sent;
        if let Some(received) = received {
            *self.sums.received.get_or_insert(0.0) += received;
        }
        self.unknown |= other.unknown;
    }

    /// A sample's share of all that was counted, for a report; none where nothing can cross a channel.
    pub(crate) fn report(&self, context: &Context, samples: usize) -> Option<Air> {
        let can = context.scenario.channels().any(|(_, t, _)| t == context.index);
        let of_each = |sum: f64| sum / samples as f64;
        let Air { uses, noisy_uses, snr, capacity, sent, received } = self.sums;
        can.then(|| Air {
            uses: of_each(uses),
            noisy_uses: of_each(noisy_uses),
            snr: of_each(snr),
            capacity: of_each(capacity),
            sent: of_each(sent),
            received: received.filter(|_| !self.unknown).map(of_each),
        })
    }
}
