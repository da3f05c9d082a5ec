//! AdamW against torch's formula, number by number.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{AdamW, Network};

use crate::support::{forward, network, norm, normal, numbers};

/// torch.optim.AdamW for one number.
struct Scalar {
    value: f64,
    first: f64,
    second: f64,
}

impl Scalar {
    fn step(&mut self, gradient: f64, adamw: &AdamW, step: i32) {
        self.value -= adamw.rate * adamw.decay * self.value;
        self.first = adamw.beta1 * self.first + (1.0 - adamw.beta1) * gradient;
        self.second = adamw.beta2 * self.second + (1.0 - adamw.beta2) * gradient * gradient;
        let first = self.first / (1.0 - adamw.beta1.powi(step));
        let second = self.second / (1.0 - adamw.beta2.powi(step));
        self.value -= adamw.rate * first / (second.sqrt() + adamw.epsilon);
    }
}

fn add_gradients(network: &mut Network, number: u64, dtype: DType) {
    let (_, trace) = forward(network, &normal(number, &[8, 5], dtype), &[8]);
    network.backward(&trace, &normal(number + 1, &[8, 3], dtype)).unwrap();
}

fn agrees(dtype: DType, tolerance: f64) {
    let adamw = AdamW { decay: 0.1, ..AdamW::new(1e-2) };
    let mut network = network(5, 3, dtype);
    let mut scalars: Vec<Vec<Scalar>> = network
        .parameters()
        .map(|parameter| numbers(&parameter.value))
        .map(|values| values.into_iter().map(|value| Scalar { value, first: 0.0, second: 0.0 }).collect())
        .collect();
    for step in 1..=5 {
        add_gradients(&mut network, 10 * step, dtype);
        for (parameter, scalars) in network.parameters().zip(&mut scalars) {
            for (scalar, gradient) in scalars.iter_mut().zip(numbers(&parameter.gradient)) {
                scalar.step(gradient, &adamw, step as i32);
            }
        }
        network.step(&adamw).unwrap();
    }
    for (parameter, scalars) in network.parameters().zip(&scalars) {
        let moments = numbers(&parameter.first_moment).into_iter().zip(numbers(&parameter.second_moment));
        for ((value, (first, second)), scalar) in
            numbers(&parameter.value).into_iter().zip(moments).zip(scalars)
        {
            assert!((value - scalar.value).abs() < tolerance, "{}", parameter.name);
            assert!((first - scalar.first).abs() < tolerance * (1.0 + scalar.first.abs()));
            assert!((second - scalar.second).abs() < tolerance * (1.0 + scalar.second.abs()));
        }
    }
}

#[test]
fn a_step_ends_the_accumulation_of_gradients() {
    let mut stepped = network(5, 3, DType::F32);
    add_gradients(&mut stepped, 1, DType::F32);
    stepped.step(&AdamW::new(1e-2)).unwrap();
    let mut fresh = network(5, 3, DType::F32);
    fresh.import(&stepped.export().unwrap().into_iter().collect()).unwrap();

    for network in [&mut stepped, &mut fresh] {
        add_gradients(network, 3, DType::F32);
    }
    for (stepped, fresh) in stepped.parameters().zip(fresh.parameters()) {
        assert!(numbers(&stepped.gradient) == numbers(&fresh.gradient), "{}", stepped.name);
    }
    // Without rows, a round's gradient is zero, not that of the previous round.
    stepped.step(&AdamW::new(1e-2)).unwrap();
    let nothing = |width: usize| Tensor::zeros((0, width), DType::F32, &Device::Cpu).unwrap();
    let (_, trace) = forward(&stepped, &nothing(5), &[]);
    stepped.backward(&trace, &nothing(3)).unwrap();
    assert!(stepped.parameters().all(|it| numbers(&it.gradient).iter().all(|&value| value == 0.0)));
}

#[test]
fn several_steps_equal_torch() {
    agrees(DType::F64, 1e-12);
    agrees(DType::F32, 1e-5);
}

#[test]
fn a_network_that_took_no_part_takes_no_step() {
    let mut network = network(5, 3, DType::F32);
    let values = |network: &Network| -> Vec<Vec<f64>> {
        network.parameters().map(|parameter| numbers(&parameter.value)).collect()
    };
    let before = values(&network);
    network.step(&AdamW::new(0.1)).unwrap();
    assert!(network.steps() == 0 && values(&network) == before);
    add_gradients(&mut network, 1, DType::F32);
    network.step(&AdamW::new(0.1)).unwrap();
    let after = values(&network);
    assert!(network.steps() == 1 && after != before);
    network.step(&AdamW::new(0.1)).unwrap();
    assert!(network.steps() == 1 && values(&network) == after);
}

#[test]
fn clipping_bounds_the_global_norm() {
    let mut network = network(5, 3, DType::F64);
    add_gradients(&mut network, 1, DType::F64);
    let total = |network: &Network| {
        network.parameters().map(|parameter| norm(&parameter.gradient).powi(2)).sum::<f64>().sqrt()
    };
    let before = total(&network);
    network.clip_gradients(2.0 * before).unwrap();
    assert_eq!(total(&network), before);
    network.clip_gradients(before / 4.0).unwrap();
    assert!((total(&network) / (before / 4.0) - 1.0).abs() < 1e-6);
}
