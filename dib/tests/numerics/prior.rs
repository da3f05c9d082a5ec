//! The learned prior: its gradients against finite differences in f64, its mass against a sum, and extreme values.

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::assign;
use pom2dib_dib::coding::{DITHERS, Prior, PriorKind, quantise, restore};

use crate::support::{check_gradient, inner, normal, numbers, shake, stream};

const D: usize = 5;
const ROWS: usize = 12;
const BLOCKS: [usize; 2] = [8, 4];

fn prior(kind: PriorKind, dtype: DType) -> Prior {
    let prior = Prior::new("prior", kind, D, dtype, stream(1)).unwrap();
    shake(prior.network());
    prior
}

fn parameter(prior: &Prior, name: &str) -> Tensor {
    let full = format!("prior/{name}");
    prior.network().parameters().find(|parameter| parameter.name == full).unwrap().value.clone()
}

fn gradient(prior: &Prior, name: &str) -> Tensor {
    let full = format!("prior/{name}");
    prior.network().parameters().find(|parameter| parameter.name == full).unwrap().gradient.clone()
}

#[test]
fn gradients_of_a_density_are_those_of_finite_differences() {
    let mut prior = prior(PriorKind::Density, DType::F64);
    let z = (normal(2, &[ROWS, D], DType::F64) * 2.0).unwrap();
    let (dz, dmass) = (normal(3, &[ROWS, D], DType::F64), normal(4, &[ROWS, D], DType::F64));
    let to_z = prior.learn(&z, None, &dz, &dmass, &BLOCKS).unwrap();
    let value = |prior: &Prior| inner(&dz, &z) + inner(&dmass, &prior.log_probability(&z).unwrap());
    check_gradient("z", &z, &to_z, || value(&prior));
    for name in ["logits", "locations", "log_scales"] {
        check_gradient(name, &parameter(&prior, name), &gradient(&prior, name), || value(&prior));
    }
}

/// With the noise held, z = mu + step noise: dz/dmu = 1, dz/dstep = (z - mu) / step.
#[test]
fn gradients_of_dithered_features_are_those_of_finite_differences() {
    let mut prior = prior(PriorKind::Dithered, DType::F64);
    let mu = (normal(2, &[ROWS, D], DType::F64) * 2.0).unwrap();
    let noise = (normal(5, &[ROWS, D], DType::F64) * 0.3).unwrap();
    let (dz, dmass) = (normal(3, &[ROWS, D], DType::F64), normal(4, &[ROWS, D], DType::F64));
    let log_step = parameter(&prior, "log_step");
    let sent = || (&mu + noise.broadcast_mul(&log_step.exp().unwrap()).unwrap()).unwrap();
    let to_mu = prior.learn(&sent(), Some(&noise), &dz, &dmass, &BLOCKS).unwrap();
    let value = |prior: &Prior| inner(&dz, &sent()) + inner(&dmass, &prior.log_probability(&sent()).unwrap());
    check_gradient("mu", &mu, &to_mu, || value(&prior));
    for name in ["logits", "locations", "log_scales", "log_step"] {
        check_gradient(name, &parameter(&prior, name), &gradient(&prior, name), || value(&prior));
    }
    assert!(numbers(&gradient(&prior, "held")).iter().all(|value| *value == 0.0));
}

#[test]
fn blocks_one_at_a_time_give_the_same_bits() {
    let z = normal(2, &[ROWS, D], DType::F32);
    let (dz, dmass) = (normal(3, &[ROWS, D], DType::F32), normal(4, &[ROWS, D], DType::F32));
    let noise = z.zeros_like().unwrap();
    let mut whole = prior(PriorKind::Dithered, DType::F32);
    let mut parts = prior(PriorKind::Dithered, DType::F32);
    let together = whole.learn(&z, Some(&noise), &dz, &dmass, &BLOCKS).unwrap();
    let mut apart = Vec::new();
    for (start, rows) in [(0, 8), (8, 4)] {
        let cut = |of: &Tensor| of.narrow(0, start, rows).unwrap().contiguous().unwrap();
        let to_z = parts.learn(&cut(&z), Some(&cut(&noise)), &cut(&dz), &cut(&dmass), &[rows]);
        apart.extend(numbers(&to_z.unwrap()));
    }
    assert_eq!(numbers(&together), apart);
    for name in ["logits", "locations", "log_scales", "log_step"] {
        assert_eq!(numbers(&gradient(&whole, name)), numbers(&gradient(&parts, name)), "{name}");
    }
}

/// Over all integers that a dithered feature can send, the masses add up to 1.
#[test]
fn masses_of_all_integers_add_up_to_one() {
    let prior = prior(PriorKind::Dithered, DType::F64);
    let steps: Vec<f32> =
        numbers(&parameter(&prior, "log_step")).iter().map(|log| log.exp() as f32).collect();
    for dither in 0..DITHERS {
        let rows = -60..60;
        // In f64, so that adjacent edges coincide exactly.
        let z = |q: i32| {
            steps
                .iter()
                .map(move |&step| f64::from(step) * (f64::from(q) - (f64::from(dither) - 16.0) / 32.0))
        };
        let values: Vec<f64> = rows.clone().flat_map(z).collect();
        let z = Tensor::from_vec(values, (rows.len(), D), &Device::Cpu).unwrap();
        let masses = prior.log_probability(&z).unwrap().exp().unwrap().sum(0).unwrap();
        // The steps are rounded to f32 here, but not in the prior.
        assert!(numbers(&masses).iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{masses}");
    }
}

#[test]
fn far_from_everything_all_numbers_are_finite() {
    for kind in [PriorKind::Density, PriorKind::Dithered] {
        for log in [-7.0_f32, 0.0, 7.0] {
            let mut prior = prior(kind, DType::F32);
            for parameter in prior.network().parameters().filter(|of| of.name.contains("log_s")) {
                let value = Tensor::full(log, parameter.value.shape(), &Device::Cpu).unwrap();
                assign(&parameter.value, &value).unwrap();
            }
            let far = [0.0, 1e-30, -1e4, 1e10, -1e30, f32::MAX, f32::MIN, 3.0];
            let values: Vec<f32> = far.iter().flat_map(|&value| [value; D]).collect();
            let z = Tensor::from_vec(values, (far.len(), D), &Device::Cpu).unwrap();
            let ones = z.ones_like().unwrap();
            let masses = numbers(&prior.log_probability(&z).unwrap());
            assert!(masses.iter().all(|mass| mass.is_finite()), "{kind:?} {log}: {masses:?}");
            let zeros = z.zeros_like().unwrap();
            let to_z = prior.learn(&z, None, &zeros, &ones, &[far.len()]).unwrap();
            assert!(numbers(&to_z).iter().all(|value| value.is_finite()), "{kind:?} {log}");
            for parameter in prior.network().parameters() {
                let gradient = numbers(&parameter.gradient);
                assert!(gradient.iter().all(|value| value.is_finite()), "{}: {gradient:?}", parameter.name);
            }
        }
    }
}

/// A prior learns that a feature is constant: its tables then cost next to nothing.
#[test]
fn a_prior_learns_the_distribution_of_sent_features() {
    let mut prior = Prior::new("prior", PriorKind::Dithered, 1, DType::F32, stream(1)).unwrap();
    let dithers: Vec<u8> = (0..64).map(|at| (at * 7 % 32) as u8).collect();
    let mut rates = Vec::new();
    for _ in 0..400 {
        prior.hold().unwrap();
        let step = prior.held_table().unwrap().step(0);
        let sent = |&dither: &u8| restore(quantise(0.3, step, dither), step, dither);
        let z: Vec<f32> = dithers.iter().map(sent).collect();
        let noise: Vec<f32> = z.iter().map(|z| (z - 0.3) / step).collect();
        let tensor = |values| Tensor::from_vec(values, (64, 1), &Device::Cpu).unwrap();
        let (z, noise) = (tensor(z), tensor(noise));
        let masses = prior.log_probability(&z).unwrap();
        rates.push(-numbers(&masses).iter().sum::<f64>() / 64.0);
        let dmass = (z.ones_like().unwrap() / -64.0).unwrap();
        // The step has no cost here; in training its value to the receiver keeps it from growing.
        prior.learn(&z, Some(&noise), &z.zeros_like().unwrap(), &dmass, &[64]).unwrap();
        prior.step(2e-2).unwrap();
    }
    assert!(rates[0] > 0.3 && rates[399] < 0.1 * rates[0], "{} to {}", rates[0], rates[399]);
}
