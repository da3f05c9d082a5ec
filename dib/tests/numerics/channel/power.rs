//! Power: 1 a complex symbol, however it is kept.

use candle_core::{DType, Tensor};
use pom2dib_dib::{Amplified, Features, Posterior, Power, PowerGroup, channel_uses};

use crate::support::{normal, numbers};

const GROUP: usize = 20;

/// Gaussian features whose means and deviations differ from row to row.
fn features(rows: usize, width: usize, dtype: DType) -> Features {
    let mu = (normal(1, &[rows, width], DType::F64) * 3.0).unwrap();
    let std = (normal(2, &[rows, width], DType::F64) * 0.5).unwrap().exp().unwrap();
    let z = (&mu + (&std * normal(3, &[rows, width], DType::F64)).unwrap()).unwrap();
    let cast = |tensor: Tensor| tensor.to_dtype(dtype).unwrap();
    Features { z: cast(z), posterior: Some(Posterior { mu: cast(mu), std: cast(std) }) }
}

fn groups(rows: usize, power: Option<Power>, peak: Option<f64>) -> Vec<PowerGroup> {
    vec![PowerGroup { rows: GROUP, power, peak }; rows / GROUP]
}

/// The mean power of a complex symbol of what is sent.
fn sent_power(features: &Features, groups: &[PowerGroup]) -> f64 {
    let sent = Amplified::new(features, groups).unwrap().sent;
    let (rows, width) = sent.dims2().unwrap();
    let energy: f64 = numbers(&sent).iter().map(|value| value * value).sum();
    energy / (rows * channel_uses(width)) as f64
}

#[test]
fn every_sample_is_sent_with_its_realised_power() {
    for width in [24, 7, 1] {
        let features = features(400, width, DType::F32);
        for row in 0..400 {
            let groups = groups(400, Some(Power::Realised), None);
            let sent = Amplified::new(&features, &groups).unwrap().sent.get(row).unwrap();
            let energy: f64 = numbers(&sent).iter().map(|value| value * value).sum();
            assert!((energy / channel_uses(width) as f64 - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn the_power_of_ten_million_symbols_is_one() {
    // 20 values a row: 2 x 10^7 values, 10^7 symbols, in pieces.
    const ROWS: usize = 20_000;
    const PIECES: u64 = 50;
    let mut sums = [0.0; 2];
    for piece in 0..PIECES {
        let mu = (normal(10 + piece, &[ROWS, 20], DType::F32) * 3.0).unwrap();
        let std = (normal(100 + piece, &[ROWS, 20], DType::F32) * 0.5).unwrap().exp().unwrap();
        let noise = normal(200 + piece, &[ROWS, 20], DType::F32);
        let z = (&mu + (&std * noise).unwrap()).unwrap();
        let features = Features { z, posterior: Some(Posterior { mu, std }) };
        for (sum, power) in sums.iter_mut().zip([Power::Sample, Power::Entry]) {
            *sum += sent_power(&features, &groups(ROWS, Some(power), None)) / PIECES as f64;
        }
    }
    assert!(sums.iter().all(|power| (power - 1.0).abs() < 1e-3), "{sums:?}");
}

#[test]
fn a_constant_scale_is_that_of_the_mean() {
    let features = features(400, 24, DType::F64);
    let plain = sent_power(&features, &groups(400, None, None));
    let scaled = sent_power(&features, &groups(400, Some(Power::Average(plain)), None));
    assert!(plain > 5.0 && (scaled - 1.0).abs() < 1e-12, "{plain}, {scaled}");
}

#[test]
fn no_symbol_exceeds_its_peak_and_small_ones_stay_as_they_are() {
    let features = features(400, 23, DType::F64);
    let sent = |peak| {
        let groups = groups(400, Some(Power::Sample), peak);
        numbers(&Amplified::new(&features, &groups).unwrap().sent)
    };
    let (plain, limited) = (sent(None), sent(Some(1.5)));
    let mut cut = 0;
    for (plain, limited) in plain.chunks(23).zip(limited.chunks(23)) {
        for (plain, limited) in plain.chunks(2).zip(limited.chunks(2)) {
            let power = |symbol: &[f64]| symbol.iter().map(|value| value * value).sum::<f64>();
            if power(plain) <= 1.5 {
                assert_eq!(plain, limited);
                continue;
            }
            cut += 1;
            assert!((power(limited) - 1.5).abs() < 1e-12);
            assert!(plain.iter().zip(limited).all(|(plain, limited)| plain * limited >= 0.0));
        }
    }
    assert!(cut > 400, "{cut} symbols were cut off: the test has lost its point");
}

#[test]
fn what_is_not_normalised_is_not_touched() {
    let features = features(40, 24, DType::F32);
    let amplified = Amplified::new(&features, &groups(40, None, None)).unwrap();
    assert_eq!(numbers(&amplified.sent), numbers(&features.z));
    assert_eq!(numbers(&amplified.features.z), numbers(&features.z));
}

#[test]
fn the_scaled_posterior_is_that_of_what_is_sent() {
    let features = features(40, 24, DType::F64);
    for power in [Power::Sample, Power::Entry, Power::Average(3.0)] {
        let amplified = Amplified::new(&features, &groups(40, Some(power), None)).unwrap();
        let noise = |features: &Features| {
            let Posterior { mu, std } = features.posterior.as_ref().unwrap();
            numbers(&((&features.z - mu).unwrap() / std).unwrap())
        };
        assert_eq!(numbers(&amplified.sent), numbers(&amplified.features.z));
        let moved = noise(&features).into_iter().zip(noise(&amplified.features));
        assert!(moved.map(|(one, other)| (one - other).abs()).all(|moved| moved < 1e-9));
    }
}
