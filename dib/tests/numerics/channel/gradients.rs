//! Gradients through power, gain, noise and equalisation against finite differences.

use candle_core::{DType, Tensor};
use pom2dib_dib::{
    Air, Amplified, Channel, Csi, Fading, FadingBlock, Features, Observed, Posterior, Power, PowerGroup,
    RateEstimator, Snr, rate, rate_gradient,
};

use super::{KNOWLEDGE, air, crossing, kinds};
use crate::support::{check_gradient, inner, normal, numbers};

const ROWS: usize = 6;
const GROUPS: [usize; 2] = [4, 2];

/// A way from z, mu and std to a number: what arrives times some weights, plus a rate.
struct Way {
    air: Air,
    groups: [PowerGroup; 2],
    weights: Tensor,
    /// None: no rate.
    rate: Option<RateAt>,
}

#[derive(Clone, Copy)]
enum RateAt {
    Sent,
    Received,
}

impl Way {
    fn new(air: Air, power: Option<Power>, peak: Option<f64>, rate: Option<RateAt>) -> Self {
        let groups = GROUPS.map(|rows| PowerGroup { rows, power, peak });
        Way { groups, weights: normal(4, &[ROWS, air.feature_dim], DType::F64), air, rate }
    }

    fn observed(&self, amplified: &Amplified) -> Observed {
        let groups = GROUPS.iter().zip(0..);
        let crossings = groups.map(|(&rows, tick)| (&self.air as &dyn Channel<f64>, crossing(0, tick), rows));
        Observed::new(&amplified.features, crossings).unwrap().unwrap()
    }

    /// Of features, the number.
    fn value(&self, features: &Features) -> f64 {
        let amplified = Amplified::new(features, &self.groups).unwrap();
        let mut arrived = numbers(&amplified.sent);
        let mut start = 0;
        for (tick, rows) in GROUPS.into_iter().enumerate() {
            let end = start + rows * self.air.feature_dim;
            self.air.send(&crossing(0, tick as u64), &mut arrived[start..end]).unwrap();
            start = end;
        }
        let value: f64 = arrived.iter().zip(numbers(&self.weights)).map(|(z, weight)| z * weight).sum();
        let rated = match self.rate {
            None => return value,
            Some(RateAt::Sent) => amplified.features,
            Some(RateAt::Received) => self.observed(&amplified).features,
        };
        let Posterior { mu, std } = rated.posterior.as_ref().unwrap();
        value + rate(RateEstimator::PerDimension, &rated.z, mu, std, &GROUPS).unwrap().iter().sum::<f64>()
    }

    /// Its gradient with respect to z, mu and std, as a receiver and a transmitter compute it together.
    fn gradient(&self, features: &Features) -> Tensor {
        let amplified = Amplified::new(features, &self.groups).unwrap();
        let mut back = numbers(&self.weights);
        let mut start = 0;
        for (tick, rows) in GROUPS.into_iter().enumerate() {
            let end = start + rows * self.air.feature_dim;
            self.air.pull_back(&crossing(0, tick as u64), &[], &mut back[start..end]).unwrap();
            start = end;
        }
        let back = Tensor::from_vec(back, self.weights.dims(), self.weights.device()).unwrap();
        let of = |features: &Features| {
            let Posterior { mu, std } = features.posterior.as_ref().unwrap();
            let (z, mu, std) =
                rate_gradient(RateEstimator::PerDimension, &features.z, mu, std, &GROUPS).unwrap();
            Tensor::stack(&[z, mu, std], 0).unwrap()
        };
        let rate = match self.rate {
            None => None,
            Some(RateAt::Sent) => Some(of(&amplified.features)),
            Some(RateAt::Received) => {
                let observed = self.observed(&amplified);
                Some(observed.pull_back(&of(&observed.features)).unwrap())
            }
        };
        amplified.pull_back(&back, rate.as_ref()).unwrap()
    }

    /// Compares the two in z, mu and std.
    fn check(&self, what: &str) {
        let shape = [ROWS, self.air.feature_dim];
        let mu = normal(1, &shape, DType::F64);
        let std = (normal(2, &shape, DType::F64) * 0.3).unwrap().exp().unwrap();
        let z = (&mu + (&std * normal(3, &shape, DType::F64)).unwrap()).unwrap();
        let features =
            Features { z: z.clone(), posterior: Some(Posterior { mu: mu.clone(), std: std.clone() }) };
        let gradient = self.gradient(&features);
        for (number, (name, tensor)) in [("z", &z), ("mu", &mu), ("std", &std)].into_iter().enumerate() {
            let gradient = gradient.get(number).unwrap();
            // One value alone, sent with its realised power, is a sign.
            if inner(&gradient, &gradient) < 1e-24 {
                // Where nothing of it arrives, it must not matter either.
                let (before, ones) = (self.value(&features), tensor.ones_like().unwrap());
                kernels::elementwise::add(tensor, &ones).unwrap();
                let moved = self.value(&features) - before;
                assert!(moved.abs() < 1e-12 || self.air.feature_dim == 1, "{what}, {name}: {moved}");
                kernels::elementwise::add(tensor, &ones.neg().unwrap()).unwrap();
                continue;
            }
            check_gradient(&format!("{what}, {name}"), tensor, &gradient, || self.value(&features));
        }
    }
}

const POWERS: [Option<Power>; 5] =
    [None, Some(Power::Sample), Some(Power::Entry), Some(Power::Realised), Some(Power::Average(2.5))];

/// A link, with noise where it has any.
fn link(fading: Fading, csi: Csi) -> Air {
    let noiseless = matches!(fading, Fading::Erasure { .. });
    air(fading, (!noiseless).then_some(Snr::Range(0.0, 10.0)), csi)
}

#[test]
fn they_hold_through_every_kind_power_and_knowledge() {
    for fading in kinds() {
        for power in POWERS {
            for csi in KNOWLEDGE {
                Way::new(link(fading, csi), power, None, None)
                    .check(&format!("{fading:?} {power:?} {csi:?}"));
            }
        }
    }
}

#[test]
fn they_hold_with_peaks_blocks_and_odd_features() {
    for power in POWERS {
        for block in [FadingBlock::Round, FadingBlock::Sample] {
            for feature_dim in [4, 5, 1] {
                let air = Air { block, feature_dim, ..link(Fading::Rayleigh, KNOWLEDGE[2]) };
                let what = format!("{power:?} {block:?} {feature_dim}");
                Way::new(air, power, Some(1.1), None).check(&what);
            }
        }
    }
}

#[test]
fn they_hold_through_the_rates_of_what_is_sent_and_of_what_arrives() {
    for fading in kinds() {
        for power in POWERS {
            for rate in [RateAt::Sent, RateAt::Received] {
                let way = Way::new(link(fading, KNOWLEDGE[0]), power, None, Some(rate));
                way.check(&format!("{fading:?} {power:?}"));
            }
        }
    }
}

#[test]
fn f32_agrees_with_f64() {
    for fading in kinds() {
        for csi in KNOWLEDGE {
            let air = link(fading, csi);
            let exact: Vec<f64> = numbers(&normal(5, &[3, 4], DType::F64));
            let mut narrow: Vec<f32> = exact.iter().map(|value| *value as f32).collect();
            let mut wide: Vec<f64> = narrow.iter().map(|value| f64::from(*value)).collect();
            air.send(&crossing(0, 1), &mut narrow).unwrap();
            air.send(&crossing(0, 1), &mut wide).unwrap();
            assert_eq!(narrow, wide.iter().map(|value| *value as f32).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_rate_of_what_arrives_is_less_than_that_of_what_is_sent_and_falls_with_the_noise() {
    const WIDE: usize = 40;
    let mu = (normal(1, &[WIDE, 4], DType::F64) * 4.0).unwrap();
    let std = mu.ones_like().unwrap().affine(0.1, 0.0).unwrap();
    let z = (&mu + (&std * normal(3, &[WIDE, 4], DType::F64)).unwrap()).unwrap();
    let features = Features { z, posterior: Some(Posterior { mu, std }) };
    let group = PowerGroup { rows: WIDE, power: Some(Power::Entry), peak: None };
    let amplified = Amplified::new(&features, &[group]).unwrap();
    let of = |features: &Features| {
        let Posterior { mu, std } = features.posterior.as_ref().unwrap();
        rate(RateEstimator::PerDimension, &features.z, mu, std, &[WIDE]).unwrap()[0]
    };
    let arrived = |snr_db: f64| {
        let air = air(Fading::Rayleigh, Some(Snr::Fixed(snr_db)), KNOWLEDGE[1]);
        let crossing = std::iter::once((&air as &dyn Channel<f64>, crossing(0, 0), WIDE));
        of(&Observed::new(&amplified.features, crossing).unwrap().unwrap().features)
    };
    let rates: Vec<f64> = [60.0, 20.0, 10.0, 0.0, -10.0].map(arrived).to_vec();
    assert!((of(&features) - of(&amplified.features)).abs() < 1e-9, "a common scale changes no rate");
    assert!((rates[0] - of(&amplified.features)).abs() < 0.05 * rates[0], "{rates:?}");
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");
}
