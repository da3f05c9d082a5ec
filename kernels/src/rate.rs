//! The rate of an encoder, (17), over groups of consecutive rows.
//!
//! In a group of N rows: 1/N sum_i [ log p(z_i|x_i) - log( 1/N sum_j p(z_i|x_j) ) ], with p(.|x_j) the diagonal
//! Gaussian of mean mu_j and deviation std_j. Computed in logarithms; the constant of the density cancels.

pub(crate) mod group;

pub use group::RateEstimator;

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor, bail};

use self::group::{Group, GroupGradient};
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply3, Cpu, Made, Operation};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, MadeOnGpu};
use crate::{Real, rate_joint as joint, rate_per_dimension as per_dimension};

/// The rate of every group in nats, an f64 tensor \[groups\]: z, mu and std are [rows, d], the sizes in `groups` add up
/// to the rows.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn rates(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<Tensor> {
    z.apply_op3_no_bwd(mu, std, &Operation(Rate { estimator, groups, wanted: Wanted::Rates }))
}

/// Every row's term in its group's rate, in nats, an f64 tensor \[rows\]: log p(z_i|x_i) - log( 1/N sum_j p(z_i|x_j) ),
/// whose mean over the group is the rate.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn row_rates(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
) -> Result<Tensor> {
    z.apply_op3_no_bwd(mu, std, &Operation(Rate { estimator, groups, wanted: Wanted::RowRates }))
}

/// The gradient of the sum of the groups' rates, each times its weight, through z and every component of the mixture:
/// packed as [3, rows, d] with respect to z, mu and std. If only some rows are paid for, their terms alone are summed,
/// still divided by the number of all rows in the group; the other rows remain components of the mixture.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn rate_gradient(
    estimator: RateEstimator,
    z: &Tensor,
    mu: &Tensor,
    std: &Tensor,
    groups: &[usize],
    weights: &[f64],
    paid: Option<&[bool]>,
) -> Result<Tensor> {
    z.apply_op3_no_bwd(
        mu,
        std,
        &Operation(Rate { estimator, groups, wanted: Wanted::Gradient { weights, paid } }),
    )
}

struct Rate<'a> {
    estimator: RateEstimator,
    groups: &'a [usize],
    wanted: Wanted<'a>,
}

#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// One value for each group.
    Rates,
    /// One value for each row.
    RowRates,
    /// The gradient with one weight for each group, and the rows that are paid for, if not all are.
    Gradient { weights: &'a [f64], paid: Option<&'a [bool]> },
}

impl Apply3 for Rate<'_> {
    fn name(&self) -> &'static str {
        "rate"
    }

    fn on_cpu(
        &self,
        (z, z_layout): Cpu<'_>,
        (mu, mu_layout): Cpu<'_>,
        (std, std_layout): Cpu<'_>,
    ) -> Result<Made> {
        self.check(z_layout, mu_layout, std_layout)?;
        for_dtype!(z, "rate", run(self, (z, z_layout), (mu, mu_layout), (std, std_layout)))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (z, z_layout): Gpu<'_>,
        (mu, mu_layout): Gpu<'_>,
        (std, std_layout): Gpu<'_>,
    ) -> Result<MadeOnGpu> {
        use crate::cuda::rate::{gradients, row_values, values};

        self.check(z_layout, mu_layout, std_layout)?;
        let &Rate { estimator, groups, wanted } = self;
        let (of_z, mu, std) = ((z, z_layout), (mu, mu_layout), (std, std_layout));
        match wanted {
            Wanted::Rates => for_cuda_dtype!(z, "rate", values(estimator, of_z, mu, std, groups)),
            Wanted::RowRates => for_cuda_dtype!(z, "rate", row_values(estimator, of_z, mu, std, groups)),
            Wanted::Gradient { weights, paid } => {
                for_cuda_dtype!(z, "rate", gradients(estimator, (of_z, mu, std), groups, weights, paid))
            }
        }
    }
}

impl Rate<'_> {
    fn check(&self, z: &Layout, mu: &Layout, std: &Layout) -> Result<()> {
        let (rows, width) = z.shape().dims2()?;
        if z.shape() != mu.shape() || z.shape() != std.shape() || width == 0 {
            bail!("rate: shapes {:?}, {:?} and {:?} do not fit", z.shape(), mu.shape(), std.shape());
        }
        if self.groups.iter().sum::<usize>() != rows || self.groups.contains(&0) {
            bail!("rate: groups {:?} do not divide {rows} rows", self.groups);
        }
        let Wanted::Gradient { weights, paid } = self.wanted else { return Ok(()) };
        if weights.len() != self.groups.len() || paid.is_some_and(|paid| paid.len() != rows) {
            let (weights, groups) = (weights.len(), self.groups.len());
            bail!("rate: {weights} weights for {groups} groups, and {paid:?} of {rows} rows");
        }
        Ok(())
    }
}

fn run<T: Real>(op: &Rate<'_>, z: Cpu<'_>, mu: Cpu<'_>, std: Cpu<'_>) -> Result<Made> {
    let (rows, width) = z.1.shape().dims2()?;
    let all = Group { width, z: read(z.0, z.1)?, mu: read(mu.0, mu.1)?, std: read(std.0, std.1)? };
    Ok(match op.wanted {
        Wanted::Rates => (CpuStorage::F64(values::<T>(op, all)), Shape::from(op.groups.len())),
        Wanted::RowRates => (CpuStorage::F64(values_of_rows::<T>(op, all)), Shape::from(rows)),
        Wanted::Gradient { weights, paid } => {
            (T::to_cpu_storage_owned(gradients(op, all, weights, paid)), Shape::from((3, rows, width)))
        }
    })
}

fn values<T: Real>(op: &Rate<'_>, all: Group<'_, T>) -> Vec<f64> {
    let mut start = 0;
    let mut next = |&rows: &usize| {
        let group = all.part(start, rows);
        start += rows;
        vectorise(
            #[inline(always)]
            || match op.estimator {
                RateEstimator::PerDimension => per_dimension::value(group),
                RateEstimator::Joint => joint::value(group),
            },
        )
    };
    op.groups.iter().map(&mut next).collect()
}

fn values_of_rows<T: Real>(op: &Rate<'_>, all: Group<'_, T>) -> Vec<f64> {
    let mut values = vec![0.0; all.rows()];
    let mut start = 0;
    for &rows in op.groups {
        let (group, values) = (all.part(start, rows), &mut values[start..start + rows]);
        start += rows;
        vectorise(
            #[inline(always)]
            || match op.estimator {
                RateEstimator::PerDimension => per_dimension::values_of_rows(group, values),
                RateEstimator::Joint => joint::values_of_rows(group, values),
            },
        );
    }
    values
}

fn gradients<T: Real>(op: &Rate<'_>, all: Group<'_, T>, weights: &[f64], paid: Option<&[bool]>) -> Vec<T> {
    let size = all.z.len();
    let mut packed = vec![T::ZERO; 3 * size];
    let (z, moments) = packed.split_at_mut(size);
    let (mu, std) = moments.split_at_mut(size);
    let mut start = 0;
    for (&rows, &weight) in op.groups.iter().zip(weights) {
        let first = start;
        start += rows;
        // A group of weight 0 must not contribute NaN or infinity.
        if weight == 0.0 {
            continue;
        }
        let weight = T::from_f64(weight);
        let group = all.part(first, rows);
        let paid = paid.map(|paid| &paid[first..start]);
        let range = first * all.width..start * all.width;
        let mut target =
            GroupGradient { z: &mut z[range.clone()], mu: &mut mu[range.clone()], std: &mut std[range] };
        vectorise(
            #[inline(always)]
            || match op.estimator {
                RateEstimator::PerDimension => per_dimension::gradient(group, &mut target, weight, paid),
                RateEstimator::Joint => joint::gradient(group, &mut target, weight, paid),
            },
        );
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::tests::random;

    /// Checks that value and gradient have the same bits with this machine's best instructions and with the baseline's.
    fn same_bits<T: Real>(estimator: RateEstimator, rows: usize, width: usize) {
        let [z, mu, noise] = [1, 2, 3].map(|number| random::<T>(number, rows * width));
        let std: Vec<T> = noise.iter().map(|noise| (*noise * T::HALF).exp()).collect();
        let all = Group { width, z: &z, mu: &mu, std: &std };
        let op = Rate { estimator, groups: &[rows], wanted: Wanted::Rates };
        let mut plain: [Vec<T>; 3] = std::array::from_fn(|_| vec![T::ZERO; rows * width]);
        let [to_z, to_mu, to_std] = &mut plain;
        let mut target = GroupGradient { z: to_z, mu: to_mu, std: to_std };
        let value = match estimator {
            RateEstimator::PerDimension => {
                per_dimension::gradient(all, &mut target, T::HALF, None);
                per_dimension::value(all)
            }
            RateEstimator::Joint => {
                joint::gradient(all, &mut target, T::HALF, None);
                joint::value(all)
            }
        };
        assert_eq!(values(&op, all), [value]);
        assert!(gradients(&op, all, &[0.5], None) == plain.concat());
    }

    #[test]
    fn the_bits_do_not_depend_on_the_instruction_set() {
        for estimator in [RateEstimator::PerDimension, RateEstimator::Joint] {
            for (rows, width) in [(20, 24), (7, 3), (150, 10)] {
                same_bits::<f32>(estimator, rows, width);
                same_bits::<f64>(estimator, rows, width);
            }
        }
    }

    #[test]
    fn terms_of_rows_add_up_to_the_rate_and_its_gradient() {
        const ROWS: usize = 19;
        const WIDTH: usize = 10;
        let [z, mu, noise] = [1, 2, 3].map(|number| random::<f64>(number, ROWS * WIDTH));
        let std: Vec<f64> = noise.iter().map(|noise| (noise * 0.5).exp()).collect();
        let all = Group { width: WIDTH, z: &z, mu: &mu, std: &std };
        let groups = [7, 12];
        for estimator in [RateEstimator::PerDimension, RateEstimator::Joint] {
            let op = Rate { estimator, groups: &groups, wanted: Wanted::Rates };
            let rows = values_of_rows(&op, all);
            let means = [&rows[..7], &rows[7..]].map(|rows| rows.iter().sum::<f64>() / rows.len() as f64);
            for (mean, rate) in means.iter().zip(values(&op, all)) {
                assert!((mean - rate).abs() < 1e-12, "{mean}, of the group {rate}");
            }

            let weights = [0.5, 2.0];
            let whole = gradients(&op, all, &weights, None);
            let mut sum = vec![0.0; whole.len()];
            for row in 0..ROWS {
                let mut paid = [false; ROWS];
                paid[row] = true;
                let part = gradients(&op, all, &weights, Some(&paid));
                // A row's z occurs in its own term only.
                let others =
                    part[..ROWS * WIDTH].chunks(WIDTH).enumerate().filter(|(other, _)| *other != row);
                assert!(others.flat_map(|(_, to_z)| to_z).all(|to_z| *to_z == 0.0));
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            assert!(sum.iter().zip(&whole).all(|(sum, whole)| (sum - whole).abs() < 1e-12));
        }
    }
}
