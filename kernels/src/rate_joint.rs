//! (17) with the density of the whole vector, sixteen components in parallel.

use crate::Real;
use crate::lanes::{LANES, fold};
use crate::rate::group::{Group, GroupGradient};

/// Panels of components that are processed together for all rows, so that they stay in the first-level cache.
const TILE: usize = 8;
type Lanes<T> = [T; LANES];

/// The rate of a group in nats. Memory grows linearly with the group.
#[inline(always)]
pub(crate) fn value<T: Real>(group: Group<'_, T>) -> f64 {
    let (own, sums) = densities(group);
    let rows = group.rows() as f64;
    let surplus: f64 = own.iter().zip(&sums).map(|(own, sum)| own - sum.ln()).sum();
    surplus / rows + libm::log(rows)
}

/// Every row's term: their mean is [`value`].
#[inline(always)]
pub(crate) fn values_of_rows<T: Real>(group: Group<'_, T>, values: &mut [f64]) {
    let (own, sums) = densities(group);
    let rows = libm::log(group.rows() as f64);
    for (value, (own, sum)) in values.iter_mut().zip(own.iter().zip(&sums)) {
        *value = own - sum.ln() + rows;
    }
}

/// For every row of a group, the log density under its own component and the sum of its densities under all.
#[inline(always)]
fn densities<T: Real>(group: Group<'_, T>) -> (Vec<f64>, Vec<LogSum>) {
    let mixture = Mixture::new(group);
    let rows = group.rows();
    let mut own = vec![0.0; rows];
    let mut sums = vec![LogSum::EMPTY; rows];
    let mut exponents = [[T::ZERO; LANES]; TILE];
    for start in (0..mixture.panels()).step_by(TILE) {
        let end = (start + TILE).min(mixture.panels());
        let exponents = &mut exponents[..end - start];
        for (row, z) in group.z.chunks_exact(group.width).enumerate() {
            mixture.exponents(z, start, exponents);
            if let Some(panel) = (row / LANES).checked_sub(start).and_then(|panel| exponents.get(panel)) {
                own[row] = panel[row % LANES].to_f64();
            }
            let (highest, sum) = exponentiate(exponents);
            sums[row].add(highest.to_f64(), sum.to_f64());
        }
    }
    (own, sums)
}

/// Writes `weight` times the gradient of [`value`], with only the terms of rows that are paid for.
#[inline(always)]
pub(crate) fn gradient<T: Real>(
    group: Group<'_, T>,
    target: &mut GroupGradient<'_, T>,
    weight: T,
    paid: Option<&[bool]>,
) {
    let mixture = Mixture::new(group);
    let width = group.width;
    let scale = weight / T::from_f64(group.rows() as f64);
    let inverse: Vec<T> = group.std.iter().map(|&std| T::ONE / std).collect();
    let mut exponents = vec![[T::ZERO; LANES]; mixture.panels()];
    for (row, z) in group.z.chunks_exact(width).enumerate() {
        if paid.is_some_and(|paid| !paid[row]) {
            continue;
        }
        mixture.exponents(z, 0, &mut exponents);
        let (_, sum) = exponentiate(&mut exponents);
        let to_z = &mut target.z[row * width..][..width];
        let components = group.mu.chunks_exact(width).zip(inverse.chunks_exact(width));
        let targets = target.mu.chunks_exact_mut(width).zip(target.std.chunks_exact_mut(width));
        for (other, ((mu, inverse), (to_mu, to_std))) in components.zip(targets).enumerate() {
            let share = exponents[other / LANES][other % LANES] / sum;
            let own = if other == row { T::ONE } else { T::ZERO };
            let weight = (own - share) * scale;
            for dimension in 0..width {
                let deviation = (z[dimension] - mu[dimension]) * inverse[dimension];
                let pull = weight * deviation * inverse[dimension];
                to_z[dimension] -= pull;
                to_mu[dimension] += pull;
                to_std[dimension] += weight * (deviation * deviation - T::ONE) * inverse[dimension];
            }
        }
    }
}

/// The components of a mixture in panels of sixteen, dimension by dimension.
struct Mixture<T> {
    width: usize,
    /// [panel][dimension]: mean and 1 / deviation.
    components: Vec<(Lanes<T>, Lanes<T>)>,
    /// \[panel\]: the sum of the logarithms of the deviations; infinite past the last component, whose density is 0.
    logs: Vec<Lanes<T>>,
}

impl<T: Real> Mixture<T> {
    #[inline(always)]
    fn new(group: Group<'_, T>) -> Self {
        let (width, panels) = (group.width, group.rows().div_ceil(LANES));
        let mut components = vec![([T::ZERO; LANES], [T::ZERO; LANES]); panels * width];
        let mut logs = vec![[-T::LOWEST; LANES]; panels];
        let rows = group.mu.chunks_exact(width).zip(group.std.chunks_exact(width));
        for (row, (mu, std)) in rows.enumerate() {
            let (panel, lane) = (row / LANES, row % LANES);
            let mut log = T::ZERO;
            for (dimension, (&mu, &std)) in mu.iter().zip(std).enumerate() {
                let (means, inverses) = &mut components[panel * width + dimension];
                means[lane] = mu;
                inverses[lane] = T::ONE / std;
                log += std.ln();
            }
            logs[panel][lane] = log;
        }
        Mixture { width, components, logs }
    }

    fn panels(&self) -> usize {
        self.logs.len()
    }

    /// The log density of z under the components of the panels from `start`, without its constant.
    #[inline(always)]
    fn exponents(&self, z: &[T], start: usize, out: &mut [Lanes<T>]) {
        let panels = self.components[start * self.width..].chunks_exact(self.width);
        for ((out, panel), logs) in out.iter_mut().zip(panels).zip(&self.logs[start..]) {
            let mut squares = [T::ZERO; LANES];
            for (&z, (mu, inverse)) in z.iter().zip(panel) {
                for lane in 0..LANES {
                    let deviation = (z - mu[lane]) * inverse[lane];
                    squares[lane] += deviation * deviation;
                }
            }
            for lane in 0..LANES {
                out[lane] = -(T::HALF * squares[lane]) - logs[lane];
            }
        }
    }
}

/// Replaces exponents by exp(exponent - largest); the largest, and the sum.
#[inline(always)]
fn exponentiate<T: Real>(exponents: &mut [Lanes<T>]) -> (T, T) {
    let mut lanes = [T::LOWEST; LANES];
    for panel in exponents.iter() {
        for lane in 0..LANES {
            lanes[lane] = panel[lane].larger(lanes[lane]);
        }
    }
    let highest = lanes.into_iter().fold(T::LOWEST, |highest, value| value.larger(highest));
    for exponent in exponents.as_flattened_mut() {
        *exponent = (*exponent - highest).exp();
    }
    let mut sums = [T::ZERO; LANES];
    for panel in exponents.iter() {
        for lane in 0..LANES {
            sums[lane] += panel[lane];
        }
    }
    (highest, fold(sums))
}

/// A sum of exponentials, stored as e^highest * sum.
#[derive(Clone, Copy)]
struct LogSum {
    highest: f64,
    sum: f64,
}

impl LogSum {
    const EMPTY: LogSum = LogSum { highest: f64::NEG_INFINITY, sum: 0.0 };

    fn add(&mut self, highest: f64, sum: f64) {
        if highest > self.highest {
            self.sum *= libm::exp(self.highest - highest);
            self.highest = highest;
        }
        self.sum += sum * libm::exp(highest - self.highest);
    }

    fn ln(self) -> f64 {
        self.highest + libm::log(self.sum)
    }
}
