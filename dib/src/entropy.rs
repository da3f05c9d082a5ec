//! The differential entropy of features, by nearest neighbours (Kozachenko and Leonenko): the paper's rate of
//! deterministic encoders. It is not a mutual information: it depends on the features' scale, and may be negative.

use candle_core::Tensor;

use crate::Result;

/// k of the estimator: the neighbour whose distance is used.
pub const NEIGHBOUR: usize = 5;

/// Lower limit on distances: identical features have no density.
const NEAREST: f64 = 1e-10;

/// One entropy in nats for each group of consecutive rows: z is [rows, d], and the sizes in `groups` add up to the
/// rows. A group of at most [`NEIGHBOUR`] rows uses the farthest neighbour there is; a group of a single row has
/// entropy 0.
///
/// # Errors
///
/// If z is not a matrix of f32.
pub fn entropy(z: &Tensor, groups: &[usize]) -> Result<Vec<f64>> {
    let rows = terms(z, groups)?;
    let mean = |(constant, logarithms): &(f64, Vec<f64>)| {
        constant + z.dims()[1] as f64 * (logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64)
    };
    Ok(rows.iter().map(mean).collect())
}

/// Every row's term in the entropy of its group: the mean over the group is its [`entropy`].
///
/// # Errors
///
/// As [`entropy`].
pub fn row_entropies(z: &Tensor, groups: &[usize]) -> Result<Vec<f64>> {
    let width = z.dims2()?.1 as f64;
    let rows = terms(z, groups)?;
    let each = |(constant, logarithms): &(f64, Vec<f64>)| -> Vec<f64> {
        logarithms.iter().map(|logarithm| constant + width * logarithm).collect()
    };
    Ok(rows.iter().flat_map(each).collect())
}

/// For every group psi(N) - psi(k), and for each of its rows ln(2 x distance to the k-th neighbour), in the maximum
/// norm.
fn terms(z: &Tensor, groups: &[usize]) -> Result<Vec<(f64, Vec<f64>)>> {
    let (_, width) = z.dims2()?;
    let z = z.contiguous()?;
    let mut start = 0;
    let mut next = |rows: usize, z: &[f32]| {
        let group = &z[start * width..(start + rows) * width];
        start += rows;
        of_group(group, width)
    };
    Ok(kernels::with_values(&z, |z| groups.iter().map(|&rows| next(rows, z)).collect())?)
}

fn of_group(z: &[f32], width: usize) -> (f64, Vec<f64>) {
    let rows = z.len() / width;
    if rows < 2 {
        return (0.0, vec![0.0; rows]);
    }
    let neighbour = NEIGHBOUR.min(rows - 1);
    let logarithms = (0..rows).map(|row| libm::log(2.0 * distance(z, width, row, neighbour).max(NEAREST)));
    (digamma(rows) - digamma(neighbour), logarithms.collect())
}

/// The distance from a row to its k-th nearest other row.
fn distance(z: &[f32], width: usize, row: usize, neighbour: usize) -> f64 {
    let own = &z[row * width..(row + 1) * width];
    let mut distances: Vec<f32> = z
        .chunks_exact(width)
        .enumerate()
        .filter(|(other, _)| *other != row)
        .map(|(_, other)| own.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
        .collect();
    let (_, nearest, _) = distances.select_nth_unstable_by(neighbour - 1, f32::total_cmp);
    f64::from(*nearest)
}

/// psi of a positive integer: the previous harmonic number less Euler's constant.
fn digamma(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    (1..n).map(|i| 1.0 / i as f64).sum::<f64>() - EULER
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use randomness::{Purpose, Seed};

    use super::*;

    fn tensor(values: Vec<f32>, width: usize) -> Tensor {
        let rows = values.len() / width;
        Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    }

    fn normals(count: usize, scale: f32) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Seed::from_number(5).stream(Purpose::Test, &[], 0).fill_normal(&mut values);
        values.iter().map(|value| scale * value).collect()
    }

    #[test]
    fn of_gaussians_is_their_closed_form() {
        for (width, scale, tolerance) in [(1, 1.0, 0.05), (2, 0.5, 0.06), (3, 3.0, 0.1)] {
            let estimate = entropy(&tensor(normals(4000 * width, scale), width), &[4000]).unwrap()[0];
            let exact = width as f64
                * (0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E).ln() + f64::from(scale).ln());
            assert!((estimate - exact).abs() < tolerance, "{width}: {estimate}, exactly {exact}");
        }
    }

    #[test]
    fn of_a_uniform_cube_is_none() {
        let mut stream = Seed::from_number(6).stream(Purpose::Test, &[], 0);
        let values = (0..8000).map(|_| stream.uniform() as f32).collect();
        let estimate = entropy(&tensor(values, 2), &[4000]).unwrap()[0];
        assert!(estimate.abs() < 0.06, "{estimate}");
    }

    #[test]
    fn groups_count_by_themselves_and_scaling_adds_its_logarithm() {
        let values = normals(40 * 3, 1.0);
        let both = entropy(&tensor(values.clone(), 3), &[20, 20]).unwrap();
        let second = entropy(&tensor(values[60..].to_vec(), 3), &[20]).unwrap();
        assert_eq!(both[1], second[0]);
        let doubled =
            entropy(&tensor(values.iter().map(|value| 2.0 * value).collect(), 3), &[20, 20]).unwrap();
        assert!((doubled[0] - both[0] - 3.0 * 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn few_rows_and_equal_rows_give_finite_numbers() {
        assert_eq!(entropy(&tensor(vec![1.0, 2.0], 2), &[1]).unwrap(), [0.0]);
        let equal = entropy(&tensor(vec![1.0; 12], 2), &[2, 4]).unwrap();
        assert!(equal.iter().all(|entropy| entropy.is_finite()), "{equal:?}");
    }

    #[test]
    fn digamma_of_integers() {
        assert!((digamma(1) + 0.577_215_664_901_532_9).abs() < 1e-15);
        assert!((digamma(10) - 2.251_752_589_066_721).abs() < 1e-12);
    }
}
