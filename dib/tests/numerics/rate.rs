//! The rate against brute force, closed forms and bounds.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{RateEstimator, joint_rate, rate, rate_gradient};

use crate::support::{check_gradient, normal, numbers, stream};

const BOTH: [RateEstimator; 2] = [RateEstimator::PerDimension, RateEstimator::Joint];

/// z, mu and std of encoders with some information, but not so much that the joint rate is nearly constant.
fn posteriors(rows: usize, width: usize, dtype: DType) -> [Tensor; 3] {
    let mu = (normal(2, &[rows, width], DType::F64) * 0.5).unwrap();
    let std = (normal(3, &[rows, width], DType::F64) * 0.2).unwrap().exp().unwrap();
    let z = (&mu + (&std * normal(4, &[rows, width], DType::F64)).unwrap()).unwrap();
    [z, mu, std].map(|tensor| tensor.to_dtype(dtype).unwrap())
}

/// (17), literally.
fn brute_force(z: &[Vec<f64>], mu: &[Vec<f64>], std: &[Vec<f64>]) -> f64 {
    let rows = z.len();
    let density = |i: usize, j: usize| -> f64 {
        let dimensions = z[i].iter().zip(&mu[j]).zip(&std[j]);
        dimensions.map(|((z, mu), std)| (-((z - mu) / std).powi(2) / 2.0).exp() / std).product()
    };
    let surplus = |i: usize| {
        let marginal = (0..rows).map(|j| density(i, j)).sum::<f64>() / rows as f64;
        (density(i, i) / marginal).ln()
    };
    (0..rows).map(surplus).sum::<f64>() / rows as f64
}

fn expected(estimator: RateEstimator, [z, mu, std]: &[Tensor; 3], groups: &[usize]) -> Vec<f64> {
    let rows = |tensor: &Tensor, start, rows| {
        tensor.narrow(0, start, rows).unwrap().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap()
    };
    let mut start = 0;
    let mut next = |&size: &usize| {
        let group = [z, mu, std].map(|tensor| rows(tensor, start, size));
        start += size;
        let column = |rows: &[Vec<f64>], column: usize| -> Vec<Vec<f64>> {
            rows.iter().map(|row| vec![row[column]]).collect()
        };
        match estimator {
            RateEstimator::Joint => brute_force(&group[0], &group[1], &group[2]),
            RateEstimator::PerDimension => (0..group[0][0].len())
                .map(|dimension| group.each_ref().map(|rows| column(rows, dimension)))
                .map(|[z, mu, std]| brute_force(&z, &mu, &std))
                .sum(),
        }
    };
    groups.iter().map(&mut next).collect()
}

#[test]
fn rates_equal_brute_force() {
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
        for (width, groups) in [(24, vec![20, 20, 7]), (3, vec![1, 2, 300]), (8, vec![17, 130])] {
            let all = posteriors(groups.iter().sum(), width, dtype);
            for estimator in BOTH {
                let got = rate(estimator, &all[0], &all[1], &all[2], &groups).unwrap();
                for (got, expected) in got.iter().zip(expected(estimator, &all, &groups)) {
                    assert!((got - expected).abs() < tolerance * (1.0 + expected.abs()), "{got} {expected}");
                }
            }
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let groups = [20, 1, 9];
    for width in [11, 24] {
        let all = posteriors(30, width, DType::F64);
        for estimator in BOTH {
            let (z, mu, std) = rate_gradient(estimator, &all[0], &all[1], &all[2], &groups).unwrap();
            for (name, (target, gradient)) in ["z", "mu", "std"].iter().zip(all.iter().zip([z, mu, std])) {
                check_gradient(name, target, &gradient, || {
                    rate(estimator, &all[0], &all[1], &all[2], &groups).unwrap().iter().sum()
                });
            }
        }
    }
}

#[test]
fn gradients_in_f32_agree_with_f64() {
    let groups = [20, 20, 3];
    let (single, double) = (posteriors(43, 24, DType::F32), posteriors(43, 24, DType::F64));
    for estimator in BOTH {
        let gradient = |[z, mu, std]: &[Tensor; 3]| rate_gradient(estimator, z, mu, std, &groups).unwrap();
        let (single, double) = (gradient(&single), gradient(&double));
        for (single, double) in [(single.0, double.0), (single.1, double.1), (single.2, double.2)] {
            assert!(crate::support::distance(&single, &double) < 1e-4);
        }
    }
}

/// x ~ N(0, 1) and z = x + s noise: I(X;Z) = ln(1 + 1/s^2) / 2 a dimension.
#[test]
fn large_samples_approach_the_closed_form() {
    let rows = 8000;
    for (deviation, width) in [(1.0, 1), (0.5, 2), (0.1, 1)] {
        let mut stream = stream(5);
        let mu: Vec<f64> = (0..rows * width).map(|_| stream.normal()).collect();
        let z: Vec<f64> = mu.iter().map(|mu| mu + deviation * stream.normal()).collect();
        let tensor = |values| {
            let tensor = Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap();
            tensor.to_dtype(DType::F32).unwrap()
        };
        let (z, mu, std) = (tensor(z), tensor(mu), tensor(vec![deviation; rows * width]));
        let exact = 0.5 * width as f64 * (1.0 + 1.0 / (deviation * deviation)).ln();
        let joint = joint_rate(&z, &mu, &std).unwrap();
        let split = rate(RateEstimator::PerDimension, &z, &mu, &std, &[rows]).unwrap()[0];
        assert!((joint - exact).abs() < 0.03, "joint {joint}, exactly {exact}");
        assert!((split - exact).abs() < 0.03, "per dimension {split}, exactly {exact}");
    }
}

#[test]
fn rates_keep_their_bounds() {
    let [_, mu, std] = posteriors(20, 24, DType::F32);
    // Nearly noiseless: every sample reveals its input.
    let std = (std * 1e-4).unwrap();
    let bound = 20f64.ln();
    let joint = rate(RateEstimator::Joint, &mu, &mu, &std, &[20]).unwrap()[0];
    let split = rate(RateEstimator::PerDimension, &mu, &mu, &std, &[20]).unwrap()[0];
    assert!((joint - bound).abs() < 1e-6, "{joint}");
    assert!(split <= 24.0 * bound + 1e-4 && split > 20.0 * bound, "{split}");
}

#[test]
fn an_encoder_that_ignores_its_input_sends_nothing() {
    let z = normal(1, &[40, 24], DType::F32);
    let (mu, std) = (z.zeros_like().unwrap(), z.ones_like().unwrap());
    for estimator in BOTH {
        for rate in rate(estimator, &z, &mu, &std, &[20, 20]).unwrap() {
            assert!(rate.abs() < 1e-5, "{rate}");
        }
    }
}

#[test]
fn one_sample_says_nothing_about_its_input() {
    let all = posteriors(2, 24, DType::F32);
    for estimator in BOTH {
        assert_eq!(rate(estimator, &all[0], &all[1], &all[2], &[1, 1]).unwrap(), [0.0, 0.0]);
    }
}

#[test]
fn a_group_does_not_depend_on_the_groups_beside_it() {
    let all = posteriors(45, 24, DType::F32);
    for estimator in BOTH {
        let whole = rate(estimator, &all[0], &all[1], &all[2], &[5, 20, 20]).unwrap();
        let last = all.each_ref().map(|tensor| tensor.narrow(0, 25, 20).unwrap());
        assert_eq!(rate(estimator, &last[0], &last[1], &last[2], &[20]).unwrap(), whole[2..]);
    }
}

#[test]
fn far_outliers_stay_finite() {
    let [z, mu, std] = posteriors(20, 24, DType::F32);
    let (z, mu) = ((z * 1e6).unwrap(), (mu * 1e6).unwrap());
    for estimator in BOTH {
        let rates = rate(estimator, &z, &mu, &std, &[20]).unwrap();
        assert!(rates[0].is_finite(), "{rates:?}");
        let (z, mu, std) = rate_gradient(estimator, &z, &mu, &std, &[20]).unwrap();
        assert!([z, mu, std].iter().flat_map(numbers).all(f64::is_finite));
    }
}

#[test]
fn groups_that_do_not_divide_the_rows_are_refused() {
    let all = posteriors(4, 2, DType::F32);
    for groups in [&[3][..], &[4, 0], &[5]] {
        assert!(rate(RateEstimator::Joint, &all[0], &all[1], &all[2], groups).is_err());
    }
}
