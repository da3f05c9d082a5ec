//! (17) one dimension at a time, eight dimensions in parallel.

use crate::Real;
use crate::rate::group::{Group, GroupGradient};

/// Dimensions in parallel.
const WIDTH: usize = 8;
type Lanes<T> = [T; WIDTH];

/// The sum over the dimensions of the one-dimensional rates of a group, in nats.
#[inline(always)]
pub(crate) fn value<T: Real>(group: Group<'_, T>) -> f64 {
    let mut panel = Panel::new(group.rows());
    let mut total = 0.0;
    for start in (0..group.width).step_by(WIDTH) {
        panel.load(group, start);
        let mut sums = [0.0; WIDTH];
        for row in 0..panel.rows() {
            let surplus = panel.mix(row);
            for (sum, surplus) in sums.iter_mut().zip(surplus) {
                *sum += surplus.to_f64();
            }
        }
        total += sums[..WIDTH.min(group.width - start)].iter().sum::<f64>();
    }
    let rows = group.rows() as f64;
    total / rows + group.width as f64 * libm::log(rows)
}

/// Every row's term: their mean is [`value`].
#[inline(always)]
pub(crate) fn values_of_rows<T: Real>(group: Group<'_, T>, values: &mut [f64]) {
    let mut panel = Panel::new(group.rows());
    values.fill(group.width as f64 * libm::log(group.rows() as f64));
    for start in (0..group.width).step_by(WIDTH) {
        panel.load(group, start);
        let columns = WIDTH.min(group.width - start);
        for (row, value) in values.iter_mut().enumerate() {
            let surplus = panel.mix(row);
            *value += surplus[..columns].iter().map(|surplus| surplus.to_f64()).sum::<f64>();
        }
    }
}

/// Writes `weight` times the gradient of [`value`], with only the terms of rows that are paid for.
#[inline(always)]
pub(crate) fn gradient<T: Real>(
    group: Group<'_, T>,
    target: &mut GroupGradient<'_, T>,
    weight: T,
    paid: Option<&[bool]>,
) {
    let mut panel = Panel::new(group.rows());
    let scale = weight / T::from_f64(group.rows() as f64);
    for start in (0..group.width).step_by(WIDTH) {
        panel.load(group, start);
        for row in (0..panel.rows()).filter(|&row| paid.is_none_or(|paid| paid[row])) {
            panel.mix(row);
            panel.differentiate(row);
        }
        let columns = start..(start + WIDTH).min(group.width);
        for row in 0..panel.rows() {
            let place = row * group.width + columns.start..row * group.width + columns.end;
            store(&mut target.z[place.clone()], panel.to_z[row], scale);
            store(&mut target.mu[place.clone()], panel.to_mu[row], scale);
            store(&mut target.std[place], panel.to_std[row], scale);
        }
    }
}

/// Eight dimensions of a group, by row, with working memory for the mixture of one row and for gradients.
struct Panel<T> {
    z: Vec<Lanes<T>>,
    mu: Vec<Lanes<T>>,
    /// 1 / std.
    inverse: Vec<Lanes<T>>,
    /// log std.
    log: Vec<Lanes<T>>,
    /// (z_i - mu_j) / std_j for every j.
    deviations: Vec<Lanes<T>>,
    /// exp of the exponent of component j minus the largest.
    shares: Vec<Lanes<T>>,
    /// 1 / sum of the shares.
    inverse_sum: Lanes<T>,
    to_z: Vec<Lanes<T>>,
    to_mu: Vec<Lanes<T>>,
    to_std: Vec<Lanes<T>>,
}

impl<T: Real> Panel<T> {
    fn new(rows: usize) -> Self {
        let room = || vec![[T::ZERO; WIDTH]; rows];
        Panel {
            z: room(),
            mu: room(),
            inverse: room(),
            log: room(),
            deviations: room(),
            shares: room(),
            inverse_sum: [T::ZERO; WIDTH],
            to_z: room(),
            to_mu: room(),
            to_std: room(),
        }
    }

    fn rows(&self) -> usize {
        self.z.len()
    }

    /// Loads dimensions from `start`; lanes past the last one are constant, so that they contribute 0.
    #[inline(always)]
    fn load(&mut self, group: Group<'_, T>, start: usize) {
        let columns = WIDTH.min(group.width - start);
        for row in 0..self.z.len() {
            let place = row * group.width + start..row * group.width + start + columns;
            self.z[row] = lanes(&group.z[place.clone()], T::ZERO);
            self.mu[row] = lanes(&group.mu[place.clone()], T::ZERO);
            self.log[row] = lanes(&group.std[place], T::ONE);
            self.to_mu[row] = [T::ZERO; WIDTH];
            self.to_std[row] = [T::ZERO; WIDTH];
        }
        let inverse = self.inverse.as_flattened_mut();
        for (inverse, log) in inverse.iter_mut().zip(self.log.as_flattened_mut()) {
            *inverse = T::ONE / *log;
            *log = log.ln();
        }
    }

    /// log p(z_i|x_i) - log sum_j p(z_i|x_j) of row i, and intermediate values for its derivatives.
    #[inline(always)]
    fn mix(&mut self, row: usize) -> Lanes<T> {
        let z = self.z[row];
        let mut highest = [T::LOWEST; WIDTH];
        let components = self.mu.iter().zip(&self.inverse).zip(&self.log);
        let places = self.deviations.iter_mut().zip(&mut self.shares);
        // By value, so that the compiler sees that nothing overlaps.
        for ((deviation, share), ((&mu, &inverse), &log)) in places.zip(components) {
            let values: Lanes<T> = each(|lane| (z[lane] - mu[lane]) * inverse[lane]);
            let exponents: Lanes<T> = each(|lane| -(T::HALF * values[lane] * values[lane]) - log[lane]);
            highest = each(|lane| exponents[lane].larger(highest[lane]));
            *deviation = values;
            *share = exponents;
        }
        let own = self.shares[row];
        for share in &mut self.shares {
            let exponents = *share;
            *share = each(|lane| exponents[lane] - highest[lane]);
        }
        T::exp_all(self.shares.as_flattened_mut());
        let mut sum = [T::ZERO; WIDTH];
        for share in &self.shares {
            for lane in 0..WIDTH {
                sum[lane] += share[lane];
            }
        }
        let mut surplus = [T::ZERO; WIDTH];
        for lane in 0..WIDTH {
            self.inverse_sum[lane] = T::ONE / sum[lane];
            surplus[lane] = own[lane] - highest[lane] - sum[lane].ln();
        }
        surplus
    }

    /// The derivatives of [`Panel::mix`] for row i: those of its own component minus the mixture's.
    #[inline(always)]
    fn differentiate(&mut self, row: usize) {
        let mut to_z = [T::ZERO; WIDTH];
        let parts = self.deviations.iter().zip(&self.shares).zip(&self.inverse);
        let targets = self.to_mu.iter_mut().zip(&mut self.to_std);
        let inverse_sum = self.inverse_sum;
        for (((&deviation, &share), &inverse), (to_mu, to_std)) in parts.zip(targets) {
            let scaled: Lanes<T> = each(|lane| share[lane] * inverse_sum[lane] * inverse[lane]);
            let pull: Lanes<T> = each(|lane| scaled[lane] * deviation[lane]);
            let (mu, std) = (*to_mu, *to_std);
            to_z = each(|lane| to_z[lane] + pull[lane]);
            *to_mu = each(|lane| mu[lane] - pull[lane]);
            *to_std = each(|lane| std[lane] - (pull[lane] * deviation[lane] - scaled[lane]));
        }
        let (deviation, inverse) = (self.deviations[row], self.inverse[row]);
        for lane in 0..WIDTH {
            let pull = deviation[lane] * inverse[lane];
            to_z[lane] -= pull;
            self.to_mu[row][lane] += pull;
            self.to_std[row][lane] += (deviation[lane] * deviation[lane] - T::ONE) * inverse[lane];
        }
        self.to_z[row] = to_z;
    }
}

/// A value for each lane.
#[inline(always)]
fn each<T: Real>(value: impl Fn(usize) -> T) -> Lanes<T> {
    let mut lanes = [T::ZERO; WIDTH];
    for (lane, place) in lanes.iter_mut().enumerate() {
        *place = value(lane);
    }
    lanes
}

#[inline(always)]
fn lanes<T: Real>(values: &[T], fill: T) -> Lanes<T> {
    match values.try_into() {
        Ok(whole) => whole,
        Err(_) => std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(fill)),
    }
}

#[inline(always)]
fn store<T: Real>(target: &mut [T], values: Lanes<T>, scale: T) {
    for (target, value) in target.iter_mut().zip(values) {
        *target = value * scale;
    }
}
