//! Several transmitters that send at once: what their signals add up to in the air.

use kernels::Real;

use super::{
    Air, Crossing, Measure,
    air::{read, times, write},
    channel_uses,
};

/// A multiple-access channel to one receiver. Transmitters that send in the same slot are heard together, y = sum over
/// k of h_k s_k + n, once for every symbol. In the place of the feature of transmitter k stands h_k* y / |h_k|^2: its
/// own symbols, and what the others and the noise add to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mac {
    /// The gains of all its links, and the noise, which they share.
    pub air: Air,
}

/// Where the draws of a slot are addressed: `modality` is the slot's number, and `transmitter` is nobody's.
fn of_slot(slot: &Crossing) -> Crossing {
    Crossing { transmitter: usize::MAX, ..*slot }
}

impl Mac {
    /// Replaces what the transmitters sent in a slot by what stands in their places: of each its index and [samples,
    /// feature_dim] values, in index order. `slot` has the slot's number in the place of a modality.
    pub fn send<T: Real>(&self, slot: &Crossing, features: &mut [(usize, &mut [T])]) {
        let width = self.air.feature_dim;
        let rows = features.first().map_or(0, |(_, values)| values.len() / width);
        let mut noise = self.air.noise_stream(&of_slot(slot));
        let power = self.air.noise_power(&of_slot(slot));
        let deviation = libm::sqrt(power / 2.0);
        for row in 0..rows {
            let ways = self.ways(slot, features.iter().map(|(k, _)| *k), row);
            for first in (0..width).step_by(2) {
                let symbol = row * width + first..row * width + (first + 2).min(width);
                let mut heard = [deviation * noise.normal(), deviation * noise.normal()];
                for ((_, values), (gain, _)) in features.iter().zip(&ways) {
                    let [re, im] = times(*gain, read(&values[symbol.clone()]));
                    heard = [heard[0] + re, heard[1] + im];
                }
                for ((_, values), (_, weight)) in features.iter_mut().zip(&ways) {
                    write(&mut values[symbol.clone()], times(*weight, heard));
                }
            }
        }
    }

    /// Replaces the gradients with respect to what stands in the places by those with respect to what was sent.
    pub fn pull_back<T: Real>(&self, slot: &Crossing, gradients: &mut [(usize, &mut [T])]) {
        let width = self.air.feature_dim;
        let rows = gradients.first().map_or(0, |(_, values)| values.len() / width);
        for row in 0..rows {
            let ways = self.ways(slot, gradients.iter().map(|(k, _)| *k), row);
            for first in (0..width).step_by(2) {
                let symbol = row * width + first..row * width + (first + 2).min(width);
                // The transpose of a multiplication with a complex number is that with its conjugate.
                let mut heard = [0.0; 2];
                for ((_, values), (_, [re, im])) in gradients.iter().zip(&ways) {
                    let [a, b] = times([*re, -im], read(&values[symbol.clone()]));
                    heard = [heard[0] + a, heard[1] + b];
                }
                for ((_, values), ([re, im], _)) in gradients.iter_mut().zip(&ways) {
                    write(&mut values[symbol.clone()], times([*re, -im], heard));
                }
            }
        }
    }

    /// The noise of a slot with the given number of rows, as bytes.
    pub fn audit_record(&self, slot: &Crossing, rows: usize) -> Vec<u8> {
        let mut noise = self.air.noise_stream(&of_slot(slot));
        let numbers = 2 * rows * channel_uses(self.air.feature_dim);
        (0..numbers).flat_map(|_| noise.normal().to_le_bytes()).collect()
    }

    /// SNR and capacity of a slot in which these transmitters send so many rows: log(1 + sum over k of |h_k|^2 Es/N0)
    /// of a use.
    pub fn measure(&self, slot: &Crossing, transmitters: &[usize], rows: usize) -> Measure {
        let power = self.air.noise_power(&of_slot(slot));
        let of_row = |row: usize| {
            let ways = self.ways(slot, transmitters.iter().copied(), row);
            let sum: f64 = ways.iter().map(|([re, im], _)| re * re + im * im).sum();
            libm::log1p(sum / power)
        };
        let capacity = (0..rows).map(of_row).sum::<f64>() / rows.max(1) as f64;
        Measure { snr_db: self.air.snr_db(&of_slot(slot)), capacity: Some(capacity) }
    }

    /// h and w of each transmitter's link for a row.
    fn ways(
        &self,
        slot: &Crossing,
        transmitters: impl Iterator<Item = usize>,
        row: usize,
    ) -> Vec<([f64; 2], [f64; 2])> {
        let way = |transmitter| {
            let gain = self.air.gains(&Crossing { transmitter, ..*slot }, row)[0];
            let power = gain[0] * gain[0] + gain[1] * gain[1];
            // As where zeros are forced: such a gain is never drawn in practice, but finite values must stay finite.
            let over = if power < f64::from(f32::MIN_POSITIVE) { 0.0 } else { 1.0 / power };
            (gain, [over * gain[0], -over * gain[1]])
        };
        transmitters.map(way).collect()
    }
}
