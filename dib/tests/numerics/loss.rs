//! Losses and their gradients.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{
    Labels, cross_entropy, cross_entropy_gradient, label_entropy, mean_squared_error,
    mean_squared_error_gradient,
};

use crate::support::{check_gradient, distance, normal, numbers};

const LABELS: [u32; 6] = [0, 3, 6, 1, 1, 2];

fn labels() -> Labels {
    Labels::new(&LABELS, 7, &Device::Cpu).unwrap()
}

fn values(losses: pom2dib_dib::Result<Tensor>) -> Vec<f64> {
    losses.unwrap().to_vec1().unwrap()
}

#[test]
fn cross_entropy_is_minus_the_log_of_the_softmax() {
    let logits = (normal(1, &[6, 7], DType::F64) * 3.0).unwrap();
    let expected = candle_nn::ops::log_softmax(&logits, 1).unwrap().to_vec2::<f64>().unwrap();
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let got = values(cross_entropy(&logits.to_dtype(dtype).unwrap(), &labels()));
        for ((got, row), label) in got.iter().zip(&expected).zip(LABELS) {
            assert!((got + row[label as usize]).abs() < tolerance);
        }
    }
    let huge = (logits * 1e6).unwrap().to_dtype(DType::F32).unwrap();
    assert!(values(cross_entropy(&huge, &labels())).iter().all(|value| value.is_finite()));
}

#[test]
fn gradients_equal_finite_differences() {
    let logits = normal(1, &[6, 7], DType::F64);
    let gradient = cross_entropy_gradient(&logits, &labels(), 0.25).unwrap();
    check_gradient("cross entropy", &logits, &gradient, || {
        0.25 * values(cross_entropy(&logits, &labels())).iter().sum::<f64>()
    });
    let single = cross_entropy_gradient(&logits.to_dtype(DType::F32).unwrap(), &labels(), 0.25).unwrap();
    assert!(distance(&single, &gradient) < 1e-6);
    let (prediction, target) = (normal(2, &[6, 5], DType::F64), normal(3, &[6, 5], DType::F64));
    let gradient = mean_squared_error_gradient(&prediction, &target, 0.25).unwrap();
    check_gradient("squared error", &prediction, &gradient, || {
        0.25 * values(mean_squared_error(&prediction, &target)).iter().sum::<f64>()
    });
}

#[test]
fn squared_errors_are_means_over_the_outputs() {
    let (prediction, target) = (normal(2, &[6, 5], DType::F32), normal(3, &[6, 5], DType::F32));
    let errors = numbers(&(&prediction - &target).unwrap());
    let expected = errors.chunks(5).map(|row| row.iter().map(|error| error * error).sum::<f64>() / 5.0);
    for (got, expected) in values(mean_squared_error(&prediction, &target)).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6);
    }
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let logits = normal(1, &[2, 3], DType::F32);
    assert!(Labels::new(&[0, 3], 3, &Device::Cpu).is_err());
    let labels = |labels: &[u32], classes| Labels::new(labels, classes, &Device::Cpu).unwrap();
    assert!(cross_entropy(&logits, &labels(&[0], 3)).is_err());
    assert!(cross_entropy(&logits, &labels(&[0, 3], 4)).is_err());
    assert!(mean_squared_error(&logits, &normal(1, &[3, 2], DType::F32)).is_err());
}

#[test]
fn the_entropy_of_labels_is_that_of_their_frequencies() {
    assert!((label_entropy(&[0, 1, 2, 3], 4) - 4f64.ln()).abs() < 1e-15);
    assert!((label_entropy(&[0, 0, 0, 1], 10) - 0.562_335_144_618_808).abs() < 1e-12);
    assert_eq!(label_entropy(&[5, 5, 5], 10), 0.0);
    assert_eq!(label_entropy(&[], 10), 0.0);
}
