//! The Gaussian encoder's gradients.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{Encoder, EncoderKind, Error, Features, Input, Posterior, RateEstimator, RateTerm, rate};

use crate::support::{check_gradient, distance, inner, normal, numbers, shake, untrained};

const GROUPS: [usize; 3] = [5, 1, 8];
/// Weights of the groups; an unused group has weight 0.
const WEIGHTS: [f64; 3] = [0.0, 0.3, 0.7];

/// An encoder with random biases and gains.
fn encoder(dtype: DType) -> Encoder {
    let encoder = shaken(EncoderKind::Gaussian, dtype);
    // Standard deviations near 1: near the untrained 0.007 a rate is too steep for difference quotients.
    let find = |name: &str| encoder.network().parameters().find(|parameter| parameter.name == name).unwrap();
    let raw = find("net/linear.b").value.narrow(0, 5, 5).unwrap();
    kernels::elementwise::assign(&raw, &(raw.ones_like().unwrap() * 5.0).unwrap()).unwrap();
    let weight = &find("net/linear.w").value;
    kernels::elementwise::assign(weight, &(weight * 0.2).unwrap()).unwrap();
    encoder
}

/// An encoder whose biases and gains are as random as its weights.
fn shaken(kind: EncoderKind, dtype: DType) -> Encoder {
    let encoder = Encoder::new(untrained(6, kind.outputs(5), 1, dtype), 5, kind).unwrap();
    shake(encoder.network());
    encoder
}

#[test]
fn every_parameter_has_the_gradient_of_finite_differences() {
    let (x, noise) = (normal(2, &[14, 6], DType::F64), normal(3, &[14, 5], DType::F64));
    let dz = normal(4, &[14, 5], DType::F64);
    for estimator in [None, Some(RateEstimator::PerDimension), Some(RateEstimator::Joint)] {
        let mut encoder = encoder(DType::F64);
        let encoded = encoder.encode(dense(&x), Some(&noise), &[7, 7], None).unwrap();
        let term =
            estimator.map(|estimator| RateTerm { estimator, groups: &GROUPS, weights: &WEIGHTS, rows: None });
        encoder.backward(&encoded, &dz, term).unwrap();
        let cost = || {
            let features = encoder.infer(dense(&x), Some(&noise)).unwrap();
            let rates = estimator.map(|estimator| {
                let Posterior { mu, std } = posterior(&features);
                let rates = rate(estimator, &features.z, mu, std, &GROUPS).unwrap();
                rates.iter().zip(WEIGHTS).map(|(rate, weight)| weight * rate).sum::<f64>()
            });
            inner(&features.z, &dz) + rates.unwrap_or(0.0)
        };
        for parameter in encoder.network().parameters() {
            check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
        }
    }
}

#[test]
fn f32_agrees_with_f64() {
    let (x, noise, dz) =
        (normal(2, &[14, 6], DType::F32), normal(3, &[14, 5], DType::F32), normal(4, &[14, 5], DType::F32));
    for estimator in [RateEstimator::PerDimension, RateEstimator::Joint] {
        let run = |dtype: DType| {
            let mut encoder = encoder(dtype);
            let cast = |tensor: &Tensor| tensor.to_dtype(dtype).unwrap();
            let encoded = encoder.encode(dense(&cast(&x)), Some(&cast(&noise)), &[14], None).unwrap();
            let term = RateTerm { estimator, groups: &GROUPS, weights: &WEIGHTS, rows: None };
            encoder.backward(&encoded, &cast(&dz), Some(term)).unwrap();
            (encoded, encoder)
        };
        let ((single, single_encoder), (double, double_encoder)) = (run(DType::F32), run(DType::F64));
        let (single, double) = (&single.features, &double.features);
        assert!(distance(&single.z, &double.z) < 1e-5);
        assert!(distance(&posterior(single).std, &posterior(double).std) < 1e-5);
        let parameters = single_encoder.network().parameters().zip(double_encoder.network().parameters());
        for (single, double) in parameters {
            let distance = distance(&single.gradient, &double.gradient);
            assert!(distance < 1e-3, "{}: {distance}", single.name);
        }
    }
}

#[test]
fn a_feature_is_its_mean_plus_noise_times_its_deviation() {
    let (x, noise) = (normal(2, &[14, 6], DType::F32), normal(3, &[14, 5], DType::F32));
    let encoder = encoder(DType::F32);
    let features = encoder.infer(dense(&x), Some(&noise)).unwrap();
    let Posterior { mu, std } = posterior(&features);
    let output = encoder.network().infer(&x).unwrap();
    assert!(numbers(mu) == numbers(&output.narrow(1, 0, 5).unwrap()));
    let raw = numbers(&output.narrow(1, 5, 5).unwrap());
    for (std, raw) in numbers(std).iter().zip(raw) {
        assert!((std / (raw - 5.0).exp().ln_1p() - 1.0).abs() < 1e-5);
    }
    let expected = (mu + (std * &noise).unwrap()).unwrap();
    assert!(distance(&features.z, &expected) < 1e-6);
    let encoded = encoder.encode(dense(&x), Some(&noise), &[14], None).unwrap();
    assert!(numbers(&encoded.features.z) == numbers(&features.z));
}

#[test]
fn nothing_to_encode_is_no_error() {
    let mut encoder = encoder(DType::F32);
    let none = |width: usize| Tensor::zeros((0, width), DType::F32, &Device::Cpu).unwrap();
    let encoded = encoder.encode(dense(&none(6)), Some(&none(5)), &[], None).unwrap();
    let term = RateTerm { estimator: RateEstimator::PerDimension, groups: &[], weights: &[], rows: None };
    encoder.backward(&encoded, &none(5), Some(term)).unwrap();
    assert_eq!(encoded.features.z.dims(), [0, 5]);
}

#[test]
fn a_deterministic_encoder_sends_its_outputs_and_takes_their_gradient() {
    let (x, dz) = (normal(2, &[14, 6], DType::F64), normal(4, &[14, 5], DType::F64));
    let mut encoder = shaken(EncoderKind::Deterministic, DType::F64);
    let encoded = encoder.encode(dense(&x), None, &[14], None).unwrap();
    assert!(numbers(&encoded.features.z) == numbers(&encoder.network().infer(&x).unwrap()));
    encoder.backward(&encoded, &dz, None).unwrap();
    let cost = || inner(&encoder.infer(dense(&x), None).unwrap().z, &dz);
    for parameter in encoder.network().parameters() {
        check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
}

#[test]
fn an_encoder_of_outputs_gives_as_many_as_are_asked_for_and_takes_their_gradient() {
    let x = normal(2, &[14, 6], DType::F64);
    for each in [1, 2] {
        let mut encoder = shaken(EncoderKind::Outputs { each }, DType::F64);
        let encoded = encoder.encode(dense(&x), None, &[14], None).unwrap();
        assert_eq!(encoded.features.z.dims(), [14, 5 * each]);
        assert!(encoded.features.posterior.is_none());
        let gradient = normal(4, &[14, 5 * each], DType::F64);
        encoder.backward(&encoded, &gradient, None).unwrap();
        let cost = || inner(&encoder.infer(dense(&x), None).unwrap().z, &gradient);
        for parameter in encoder.network().parameters() {
            check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
        }
    }
}

#[test]
fn a_quantised_feature_is_a_level_near_the_sigmoid_whose_gradient_it_takes() {
    let (x, dz) = (normal(2, &[14, 6], DType::F64), normal(4, &[14, 5], DType::F64));
    for bits in [1, 3] {
        let mut encoder = shaken(EncoderKind::Quantised { bits }, DType::F64);
        let encoded = encoder.encode(dense(&x), None, &[14], None).unwrap();
        let sigmoid = |encoder: &Encoder| {
            let output = encoder.network().infer(&x).unwrap();
            ((output.neg().unwrap().exp().unwrap() + 1.0).unwrap()).recip().unwrap()
        };
        let top = f64::from((1 << bits) - 1);
        for (z, sigmoid) in numbers(&encoded.features.z).iter().zip(numbers(&sigmoid(&encoder))) {
            assert!((z * top - (z * top).round()).abs() < 1e-12 && (0.0..=1.0).contains(z), "{z}");
            assert!((z - sigmoid).abs() <= 0.5 / top + 1e-12, "{z} for {sigmoid}");
        }
        encoder.backward(&encoded, &dz, None).unwrap();
        let gradients: Vec<_> =
            encoder.network().parameters().map(|it| it.gradient.copy().unwrap()).collect();
        for (parameter, gradient) in encoder.network().parameters().zip(gradients) {
            check_gradient(&parameter.name, &parameter.value, &gradient, || inner(&sigmoid(&encoder), &dz));
        }
    }
}

#[test]
fn a_gaussian_encoder_without_noise_is_refused() {
    let encoder = encoder(DType::F32);
    let refused = encoder.infer(dense(&normal(2, &[14, 6], DType::F32)), None).unwrap_err();
    assert!(refused.to_string().contains("needs noise"), "{refused}");
}

#[test]
fn a_network_of_another_width_is_refused() {
    let refused = Encoder::new(untrained(6, 5, 1, DType::F32), 5, EncoderKind::Gaussian).err();
    assert!(matches!(refused, Some(Error::Outputs { got: 5, expected: 10, .. })), "{refused:?}");
}

fn posterior(features: &Features) -> &Posterior {
    features.posterior.as_ref().expect("a Gaussian encoder has one")
}

fn dense(x: &Tensor) -> Input {
    Input::Dense(x.clone())
}
