//! What a transmitter does to a feature so that it keeps to its power: 1 for a complex symbol.

use candle_core::Tensor;

use super::{
    channel_uses,
    observed::{host, packed, pieces, tensor},
};
use crate::{Features, Posterior, Result};

/// How the power of a feature's symbols becomes 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Power {
    /// On average over the feature's own noise: a sample's scale is sqrt(uses / (|mu|^2 + |std|^2)). What is sent stays
    /// Gaussian.
    Sample,
    /// The same over all samples of a group, which share a scale.
    Entry,
    /// Of every sample as it is sent: its scale is sqrt(uses / |z|^2).
    Realised,
    /// A feature of this mean power a symbol: a constant scale, through which no gradient flows.
    Average(f64),
}

/// Consecutive rows that are sent alike: an entry's samples of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerGroup {
    /// Their number.
    pub rows: usize,
    /// None: they are sent as they are.
    pub power: Option<Power>,
    /// No symbol is sent with more power than this: what exceeds it keeps its phase.
    pub peak: Option<f64>,
}

/// Features within their power, and what is needed to pull gradients back to what they were.
pub struct Amplified {
    /// What the rate of what is sent is counted with. Where each sample is scaled as it was drawn, or symbols are cut
    /// off, what is sent has no such density: there it is the rate of the feature before that, an estimate.
    pub features: Features,
    /// What is sent, [rows, feature_dim].
    pub sent: Tensor,
    /// Of each group that is scaled by a mean, the sum of |mu|^2 + |std|^2 over its rows, from which that mean goes on;
    /// 0 of others.
    pub energies: Vec<f64>,
    /// z, and mu and std if there are any, as they were.
    before: Vec<Vec<f64>>,
    /// z as it is in `features`.
    scaled: Vec<f64>,
    scales: Vec<Scale>,
    groups: Vec<PowerGroup>,
    width: usize,
}

/// Of rows that share it.
#[derive(Clone, Copy)]
struct Scale {
    rows: usize,
    factor: f64,
    /// What it was found from, |mu|^2 + |std|^2; none if it is constant.
    energy: Option<f64>,
}

impl Amplified {
    /// Scales features group by group; the groups' rows add up to theirs.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn new(features: &Features, groups: &[PowerGroup]) -> Result<Self> {
        let width = features.z.dim(1)?;
        let before = host(features)?;
        // Without a posterior a feature is its own mean.
        let energetic = if before.len() == 1 { &before[..] } else { &before[1..] };
        let (mut scales, mut energies) = (Vec::new(), Vec::new());
        let mut start = 0;
        for group in groups {
            let energy = |rows: std::ops::Range<usize>| {
                let values = rows.start * width..rows.end * width;
                energetic.iter().map(|part| square(&part[values.clone()])).sum::<f64>()
            };
            scales.extend(group.scales(width, start, energy));
            let is_average = matches!(group.power, Some(Power::Average(_)));
            energies.push(if is_average { energy(start..start + group.rows) } else { 0.0 });
            start += group.rows;
        }
        let mut after = before.clone();
        let mut row = 0;
        for scale in &scales {
            let values = row * width..(row + scale.rows) * width;
            let of_scale = after.iter_mut().flat_map(|part| &mut part[values.clone()]);
            of_scale.for_each(|value| *value *= scale.factor);
            row += scale.rows;
        }
        let mut sent = after[0].clone();
        for (row, limit) in sent.chunks_exact_mut(width).zip(limits(groups)) {
            limit.apply(row);
        }
        let like = |values: &[f64]| tensor(values, &features.z);
        let posterior = match &after[1..] {
            [mu, std] => Some(Posterior { mu: like(mu)?, std: like(std)? }),
            _ => None,
        };
        Ok(Amplified {
            features: Features { z: like(&after[0])?, posterior },
            sent: like(&sent)?,
            energies,
            before,
            scaled: after.swap_remove(0),
            scales,
            groups: groups.to_vec(),
            width,
        })
    }

    /// The gradient with respect to the features as they were, packed as z, mu and std if they have the latter, else z
    /// alone: given that with respect to what is sent, and that of the rate, packed likewise, with respect to
    /// `features`.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn pull_back(&self, sent: &Tensor, rate: Option<&Tensor>) -> Result<Tensor> {
        let mut gradient = match rate {
            Some(rate) => pieces(rate)?,
            None => vec![vec![0.0; self.scaled.len()]; self.before.len()],
        };
        let mut of_sent = pieces(&sent.unsqueeze(0)?)?.swap_remove(0);
        let rows = of_sent.chunks_exact_mut(self.width).zip(self.scaled.chunks_exact(self.width));
        for ((gradient, row), limit) in rows.zip(limits(&self.groups)) {
            limit.pull_back(row, gradient);
        }
        gradient[0].iter_mut().zip(of_sent).for_each(|(sum, of_sent)| *sum += of_sent);
        let mut row = 0;
        for scale in &self.scales {
            let values = row * self.width..(row + scale.rows) * self.width;
            row += scale.rows;
            let parts = || gradient.iter().zip(&self.before);
            let along: f64 =
                parts().map(|(part, before)| dot(&part[values.clone()], &before[values.clone()])).sum();
            // d factor / d mu = -factor mu / energy, and so of std.
            let back = scale.energy.map_or(0.0, |energy| scale.factor * along / energy);
            let alone = self.before.len() == 1;
            for (number, (part, before)) in gradient.iter_mut().zip(&self.before).enumerate() {
                let back = if alone || number > 0 { back } else { 0.0 };
                for (gradient, before) in part[values.clone()].iter_mut().zip(&before[values.clone()]) {
                    *gradient = scale.factor * *gradient - back * before;
                }
            }
        }
        packed(&gradient, sent)
    }
}

impl PowerGroup {
    /// The scales of its rows, given the energy of some rows; they begin with row `start`.
    fn scales(
        &self,
        width: usize,
        start: usize,
        energy: impl Fn(std::ops::Range<usize>) -> f64,
    ) -> Vec<Scale> {
        let uses = channel_uses(width) as f64;
        let by_energy = |rows: std::ops::Range<usize>| match energy(rows.clone()) {
            // Nothing is sent: there is nothing to scale.
            energy if energy <= 0.0 => Scale { rows: rows.len(), factor: 1.0, energy: None },
            energy => {
                let factor = libm::sqrt(rows.len() as f64 * uses / energy);
                Scale { rows: rows.len(), factor, energy: Some(energy) }
            }
        };
        let constant = |factor| vec![Scale { rows: self.rows, factor, energy: None }];
        match self.power {
            None | Some(Power::Realised) => constant(1.0),
            Some(Power::Average(power)) if power > 0.0 => constant(1.0 / libm::sqrt(power)),
            Some(Power::Average(_)) => constant(1.0),
            Some(Power::Entry) => vec![by_energy(start..start + self.rows)],
            Some(Power::Sample) => (start..start + self.rows).map(|row| by_energy(row..row + 1)).collect(),
        }
    }
}

/// What is done to a row after its rate is counted.
#[derive(Clone, Copy)]
struct Limit {
    realised: bool,
    peak: Option<f64>,
}

/// That of every row.
fn limits(groups: &[PowerGroup]) -> impl Iterator<Item = Limit> {
    let limit =
        |group: &PowerGroup| Limit { realised: group.power == Some(Power::Realised), peak: group.peak };
    groups.iter().flat_map(move |group| std::iter::repeat_n(limit(group), group.rows))
}

impl Limit {
    /// What a row's values are multiplied with.
    fn factor(self, row: &[f64]) -> f64 {
        let energy = square(row);
        if self.realised && energy > 0.0 { libm::sqrt(channel_uses(row.len()) as f64 / energy) } else { 1.0 }
    }

    fn apply(self, row: &mut [f64]) {
        let factor = self.factor(row);
        row.iter_mut().for_each(|value| *value *= factor);
        let Some(peak) = self.peak else { return };
        for symbol in row.chunks_mut(2) {
            let power = square(symbol);
            if power > peak {
                let factor = libm::sqrt(peak / power);
                symbol.iter_mut().for_each(|value| *value *= factor);
            }
        }
    }

    /// From the gradient of what is sent of a row to that of the row as it was.
    fn pull_back(self, row: &[f64], gradient: &mut [f64]) {
        let factor = self.factor(row);
        if let Some(peak) = self.peak {
            for (symbol, gradient) in row.chunks(2).zip(gradient.chunks_mut(2)) {
                let power = factor * factor * square(symbol);
                if power > peak {
                    // Only what turns it counts: its size is what it is.
                    tangent(symbol, libm::sqrt(peak / power), gradient);
                }
            }
        }
        if self.realised && square(row) > 0.0 {
            tangent(row, factor, gradient);
        }
    }
}

/// The transpose of the derivative of v -> v size / |v|, where the factor is size / |v|.
fn tangent(values: &[f64], factor: f64, gradient: &mut [f64]) {
    let along = dot(values, gradient) / square(values);
    for (gradient, value) in gradient.iter_mut().zip(values) {
        *gradient = factor * (*gradient - along * value);
    }
}

fn square(values: &[f64]) -> f64 {
    dot(values, values)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
