//! What the other ticks of a round say that a tick costs, given the gains at both: a baseline for selections that see
//! the channel.

/// Weight of the squared slopes: gains are standardised, and a round has few ticks.
const RIDGE: f64 = 1.0;

/// An advantage of less weight than this is that of a tick with which no other can be compared.
const SMALLEST: f64 = 1e-9;

/// The advantage of each tick of a round: its cost less what a regression of the other ticks' costs on their gains says
/// for its own gains; 0 where it took no part. So it depends on the gains at a tick, but not on what was drawn there,
/// and (21) stays unbiased.
///
/// The regression is linear, with an intercept and slopes whose squares are weighed (ridge). What the fit to all ticks
/// leaves of a tick, divided by 1 minus its own share in that fit, is what the fit to all others leaves. `gains[n]` are
/// those at tick n, as many at every tick; without any, this is the mean over the other ticks.
///
/// ```
/// use pom2dib_dib::advantages_over_gains;
///
/// // Costs that the gain explains have no advantage left, but for what the weighed slope misses.
/// let gains: Vec<Vec<f64>> = (0..200).map(|n| vec![(n % 7) as f64 - 3.0]).collect();
/// let costs: Vec<f64> = gains.iter().map(|gain| 5.0 - 2.0 * gain[0]).collect();
/// let left = advantages_over_gains(&costs, &[true; 200], &gains);
/// assert!(left.iter().all(|advantage| advantage.abs() < 0.02));
/// ```
///
/// # Panics
/// If `costs`, `took_part` and `gains` differ in length.
pub fn advantages_over_gains(costs: &[f64], took_part: &[bool], gains: &[Vec<f64>]) -> Vec<f64> {
    assert_eq!(costs.len(), took_part.len(), "costs and parts of different rounds");
    assert_eq!(costs.len(), gains.len(), "costs and gains of different rounds");
    let taking: Vec<usize> = (0..costs.len()).filter(|&tick| took_part[tick]).collect();
    let mut advantages = vec![0.0; costs.len()];
    if taking.len() < 2 {
        return advantages;
    }
    let row = |tick: usize| -> Vec<f64> { std::iter::once(1.0).chain(gains[tick].iter().copied()).collect() };
    let rows: Vec<Vec<f64>> = taking.iter().map(|&tick| row(tick)).collect();
    let width = rows[0].len();
    // X'X with the ridge, and X'y.
    let mut moments = vec![vec![0.0; width]; width];
    let mut products = vec![0.0; width];
    for (row, &tick) in rows.iter().zip(&taking) {
        for i in 0..width {
            products[i] += row[i] * costs[tick];
            (0..width).for_each(|j| moments[i][j] += row[i] * row[j]);
        }
    }
    (1..width).for_each(|slope| moments[slope][slope] += RIDGE);
    let factor = cholesky(&moments);
    let fit = solve(&factor, &products);
    for (row, &tick) in rows.iter().zip(&taking) {
        let residual = costs[tick] - dot(row, &fit);
        let rest = 1.0 - dot(row, &solve(&factor, row));
        advantages[tick] = if rest > SMALLEST { residual / rest } else { 0.0 };
    }
    advantages
}

/// L of L L' for a symmetric positive matrix.
fn cholesky(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut lower = vec![vec![0.0; matrix.len()]; matrix.len()];
    for i in 0..matrix.len() {
        for j in 0..=i {
            let rest = matrix[i][j] - dot(&lower[i][..j], &lower[j][..j]);
            lower[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[j][j] };
        }
    }
    lower
}

/// x of L L' x = b.
fn solve(lower: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..x.len() {
        x[i] = (x[i] - dot(&lower[i][..i], &x[..i])) / lower[i][i];
    }
    for i in (0..x.len()).rev() {
        let later: f64 = (i + 1..x.len()).map(|j| lower[j][i] * x[j]).sum();
        x[i] = (x[i] - later) / lower[i][i];
    }
    x
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Baseline, advantages};

    /// Numbers that look like anything, from -1 to 1.
    fn number(at: usize) -> f64 {
        (at as f64 * 12.9898).sin()
    }

    #[test]
    fn without_gains_it_is_the_mean_over_the_other_ticks() {
        let costs: Vec<f64> = (0..9).map(number).collect();
        let took_part: Vec<bool> = (0..9).map(|tick| tick % 4 != 1).collect();
        let expected = advantages(Baseline::LeaveOneOut, &costs, &took_part, 0.0);
        let got = advantages_over_gains(&costs, &took_part, &vec![Vec::new(); 9]);
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        assert_eq!(advantages_over_gains(&[3.0, 4.0], &[false, true], &[vec![1.0], vec![2.0]]), [0.0, 0.0]);
    }

    /// The same by leaving each tick out and fitting the others: slopes by gradient descent on the weighed squares.
    fn left_out(costs: &[f64], gains: &[Vec<f64>], tick: usize) -> f64 {
        let others: Vec<usize> = (0..costs.len()).filter(|&other| other != tick).collect();
        let row = |at: usize| [1.0, gains[at][0], gains[at][1]];
        let mut fit = [0.0; 3];
        for _ in 0..200_000 {
            let mut gradient = [0.0, RIDGE * fit[1], RIDGE * fit[2]];
            for &at in &others {
                let error = dot(&row(at), &fit) - costs[at];
                row(at).iter().zip(&mut gradient).for_each(|(value, sum)| *sum += error * value);
            }
            fit.iter_mut().zip(gradient).for_each(|(value, of)| *value -= 0.02 * of);
        }
        costs[tick] - dot(&row(tick), &fit)
    }

    #[test]
    fn each_tick_is_predicted_by_a_fit_to_all_others() {
        let costs: Vec<f64> = (0..12).map(|tick| 3.0 + number(tick)).collect();
        let gains: Vec<Vec<f64>> =
            (0..12).map(|tick| vec![number(tick + 50), 2.0 * number(tick + 99)]).collect();
        let got = advantages_over_gains(&costs, &[true; 12], &gains);
        for (tick, got) in got.iter().enumerate() {
            let expected = left_out(&costs, &gains, tick);
            assert!((got - expected).abs() < 1e-9, "tick {tick}: {got} for {expected}");
        }
    }

    #[test]
    fn a_ticks_baseline_does_not_depend_on_its_own_cost() {
        let gains: Vec<Vec<f64>> = (0..8).map(|tick| vec![number(tick)]).collect();
        let baseline = |own: f64| {
            let mut costs: Vec<f64> = (0..8).map(|tick| number(tick + 20)).collect();
            costs[3] = own;
            own - advantages_over_gains(&costs, &[true; 8], &gains)[3]
        };
        assert!((baseline(-4.0) - baseline(9.0)).abs() < 1e-12);
    }
}
