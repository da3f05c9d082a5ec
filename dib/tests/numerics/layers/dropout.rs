//! Dropout in training.

use candle_core::{DType, Tensor};
use pom2dib_dib::nn::Layer;
use pom2dib_dib::{Error, Input};

use crate::promises::{forward, keeps_its_promises, network, sequential};
use crate::support::{normal, numbers};

const DROPOUT: Layer = Layer::Dropout { rate: 0.3 };

#[test]
fn dropping_keeps_the_promises_of_a_module() {
    let layers = vec![DROPOUT, Layer::Linear { width: 6 }, Layer::Relu, Layer::Dropout { rate: 0.5 }];
    keeps_its_promises(&sequential(layers), &[7]);
    keeps_its_promises(&sequential(vec![DROPOUT, Layer::Flatten]), &[2, 3, 2]);
}

/// Wide enough that frequencies are close to their probability: for 40,000 values, within five standard errors.
#[test]
fn as_many_are_dropped_as_the_rate_says_and_the_mean_stays() {
    let network = network(&sequential(vec![DROPOUT]), &[200], DType::F64);
    let weight = network.parameters().next().unwrap().value.clone();
    let pick = Tensor::eye(200, DType::F64, &candle_core::Device::Cpu).unwrap().narrow(1, 0, 3).unwrap();
    kernels::elementwise::assign(&weight, &pick.contiguous().unwrap()).unwrap();
    let bias = network.parameters().nth(1).unwrap().value.clone();
    kernels::elementwise::clear(&bias).unwrap();
    let x = Tensor::ones((13_000, 200), DType::F64, &candle_core::Device::Cpu).unwrap();
    let values = numbers(&forward(&network, &x, 0, &[13_000]).0);
    assert!(values.iter().all(|&value| value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-12));
    let kept = values.iter().filter(|&&value| value > 0.0).count() as f64 / values.len() as f64;
    assert!((kept - 0.7).abs() < 5.0 * (0.21 / values.len() as f64).sqrt(), "{kept}");
    assert!(
        numbers(&network.infer(&x).unwrap()).iter().all(|&value| value == 1.0),
        "evaluation drops nothing"
    );
}

#[test]
fn every_layer_and_every_sample_has_draws_of_its_own() {
    let of = |layers: Vec<Layer>, first: usize| {
        let network = network(&sequential(layers), &[40], DType::F32);
        numbers(&forward(&network, &normal(2, &[4, 40], DType::F32), first, &[4]).0)
    };
    let nothing = Layer::Dropout { rate: 0.0 };
    assert!(of(vec![DROPOUT], 0) == of(vec![DROPOUT], 0));
    assert!(of(vec![DROPOUT], 0) != of(vec![DROPOUT], 1), "other samples");
    assert!(of(vec![DROPOUT, nothing.clone()], 0) != of(vec![nothing, DROPOUT], 0), "other layers");
}

#[test]
fn without_addresses_it_is_refused_and_so_is_a_rate_that_drops_all() {
    let network = network(&sequential(vec![DROPOUT]), &[4], DType::F32);
    let refused = network.forward(Input::Dense(normal(2, &[4, 4], DType::F32)), &[4], None).err();
    assert!(matches!(refused, Some(Error::Addresses { .. })), "{refused:?}");
    for rate in [1.0, -0.1, f64::NAN] {
        let misfit = sequential(vec![Layer::Dropout { rate }]).build(&[4], 3).err().unwrap();
        assert_eq!(misfit.to_string(), "layer 1 (dropout) got 4 and wants a rate from 0 up to, but not, 1");
    }
}
