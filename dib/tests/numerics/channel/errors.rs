//! Uncoded symbol error rates, and what single symbols become.

use std::f64::consts::PI;

use pom2dib_dib::{Air, Channel, Csi, Equaliser, Fading, FadingBlock, Snr};

use super::{MULTIPATH, ZERO_FORCING, air, crossing};
use crate::support::stream;

const SYMBOLS: usize = 1_000_000;
const SNRS: [f64; 6] = [-3.0, 0.0, 4.0, 8.0, 12.0, 16.0];

/// Points of unit mean power: of BPSK on the real axis, else of a square.
fn points(order: usize) -> Vec<[f64; 2]> {
    if order == 2 {
        return vec![[-1.0, 0.0], [1.0, 0.0]];
    }
    let side = (order as f64).sqrt() as usize;
    let scale = (3.0 / (2.0 * (order as f64 - 1.0))).sqrt();
    let level = |at: usize| scale * (2.0 * at as f64 - (side as f64 - 1.0));
    (0..order).map(|at| [level(at % side), level(at / side)]).collect()
}

/// Q(x), by Craig's integral.
fn q(x: f64) -> f64 {
    const STEPS: usize = 2000;
    let at = |step: usize| {
        let angle = (step as f64 + 0.5) / STEPS as f64 * PI / 2.0;
        (-x * x / (2.0 * angle.sin().powi(2))).exp()
    };
    (0..STEPS).map(at).sum::<f64>() / (2.0 * STEPS as f64)
}

/// Proakis, Digital Communications: BPSK and square QAM over AWGN.
fn over_awgn(order: usize, snr: f64) -> f64 {
    if order == 2 {
        return q((2.0 * snr).sqrt());
    }
    let order = order as f64;
    let of_one_axis = 2.0 * (1.0 - 1.0 / order.sqrt()) * q((3.0 * snr / (order - 1.0)).sqrt());
    1.0 - (1.0 - of_one_axis).powi(2)
}

/// Simon and Alouini, Digital Communication over Fading Channels, (8.102) and (8.106), at mean SNR.
fn over_rayleigh(order: usize, snr: f64) -> f64 {
    if order == 2 {
        return 0.5 * (1.0 - (snr / (1.0 + snr)).sqrt());
    }
    let order = order as f64;
    let (share, ratio) = (1.0 - 1.0 / order.sqrt(), 1.5 * snr / (order - 1.0));
    let root = (ratio / (1.0 + ratio)).sqrt();
    2.0 * share * (1.0 - root) - share * share * (1.0 - 4.0 / PI * root * (1.0 / root).atan())
}

/// The measured share of wrong symbols, one a sample.
fn measured(order: usize, air: &Air) -> f64 {
    let points = points(order);
    let mut draws = stream(order as u64);
    let sent: Vec<usize> = (0..SYMBOLS).map(|_| draws.below(order as u64) as usize).collect();
    let mut values: Vec<f64> = sent.iter().flat_map(|&at| points[at]).collect();
    air.send(&crossing(order, 0), &mut values).unwrap();
    let far = |got: &[f64], point: [f64; 2]| (got[0] - point[0]).powi(2) + (got[1] - point[1]).powi(2);
    let nearest = |got: &[f64]| {
        let nearer = |one: &usize, other: &usize| far(got, points[*one]).total_cmp(&far(got, points[*other]));
        (0..order).min_by(nearer).unwrap()
    };
    let wrong = values.chunks(2).zip(&sent).filter(|(got, sent)| nearest(got) != **sent).count();
    wrong as f64 / SYMBOLS as f64
}

fn check(fading: Fading, expected: fn(usize, f64) -> f64) {
    for order in [2, 4, 16, 64] {
        for snr_db in SNRS {
            let snr = Some(Snr::Fixed(snr_db));
            let one = Air { feature_dim: 2, block: FadingBlock::Sample, ..air(fading, snr, ZERO_FORCING) };
            let (got, expected) = (measured(order, &one), expected(order, 10f64.powf(snr_db / 10.0)));
            let sigma = (expected * (1.0 - expected) / SYMBOLS as f64).sqrt();
            // Where hardly one error in all symbols is expected, none or a few are no news.
            let allowed = 4.0 * sigma + 4.0 / SYMBOLS as f64;
            assert!((got - expected).abs() < allowed, "{order} at {snr_db} dB: {got}, not {expected}");
        }
    }
}

#[test]
fn symbol_errors_over_awgn_are_those_of_the_closed_form() {
    check(Fading::None, over_awgn);
}

#[test]
fn symbol_errors_over_rayleigh_are_those_of_the_closed_form() {
    check(Fading::Rayleigh, over_rayleigh);
}

#[test]
fn equalisers_do_what_their_formulas_say() {
    let noiseless = |csi| air(Fading::Rayleigh, None, csi);
    let gain = noiseless(Csi::Unknown).gains(&crossing(0, 3), 0)[0];
    let power = gain[0] * gain[0] + gain[1] * gain[1];
    let arrived = |air: Air| {
        let mut values = [0.3, -0.7, 1.1, 0.2];
        air.send(&crossing(0, 3), &mut values).unwrap();
        values
    };
    let near = |got: [f64; 4], expected: [f64; 4]| {
        assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{got:?}");
    };
    let sent = [0.3, -0.7, 1.1, 0.2];
    near(arrived(noiseless(ZERO_FORCING)), sent);
    near(arrived(noiseless(Csi::Known(Equaliser::Mmse))), sent);
    near(arrived(noiseless(Csi::Known(Equaliser::Conjugate))), sent.map(|value| power * value));
    let [a, b] = gain;
    let turned = [a * 0.3 + b * 0.7, b * 0.3 - a * 0.7, a * 1.1 - b * 0.2, b * 1.1 + a * 0.2];
    near(arrived(noiseless(Csi::Unknown)), turned);
    // MMSE is zero-forcing, drawn towards nothing by N0.
    let noisy = |csi| air(Fading::Rayleigh, Some(Snr::Fixed(5.0)), csi);
    let noise = 10f64.powf(-0.5);
    let forced = arrived(noisy(ZERO_FORCING));
    near(arrived(noisy(Csi::Known(Equaliser::Mmse))), forced.map(|value| value * power / (power + noise)));
    near(arrived(noisy(Csi::Known(Equaliser::Conjugate))), forced.map(|value| value * power));
}

#[test]
fn mmse_is_the_linear_equaliser_with_the_least_error() {
    // Over many gains and sent symbols of power 1, any other factor does worse.
    const ROWS: usize = 100_000;
    let snr = Some(Snr::Fixed(3.0));
    let at = |csi| Air { feature_dim: 2, block: FadingBlock::Sample, ..air(Fading::Rayleigh, snr, csi) };
    let mut draws = stream(3);
    let sent: Vec<f64> = (0..2 * ROWS).map(|_| draws.normal() / 2f64.sqrt()).collect();
    let arrived = |csi| {
        let mut values = sent.clone();
        at(csi).send(&crossing(0, 0), &mut values).unwrap();
        values
    };
    let error = |arrived: &[f64], factor: f64| {
        let squares = arrived.iter().zip(&sent).map(|(got, sent)| (factor * got - sent).powi(2));
        squares.sum::<f64>() / ROWS as f64
    };
    let mmse = arrived(Csi::Known(Equaliser::Mmse));
    let least = error(&mmse, 1.0);
    for factor in [0.8, 0.95, 1.05, 1.2] {
        assert!(error(&mmse, factor) > least);
    }
    assert!(error(&arrived(ZERO_FORCING), 1.0) > 2.0 * least);
    // E[N0 / (|h|^2 + N0)] over Exp(1).
    let noise = 10f64.powf(-0.3);
    let expected: f64 = (0..ROWS)
        .map(|row| {
            let u = (row as f64 + 0.5) / ROWS as f64;
            noise / (noise - u.ln())
        })
        .sum::<f64>()
        / ROWS as f64;
    assert!((least - expected).abs() < 4.0 * expected / (ROWS as f64).sqrt(), "{least}, not {expected}");
}

#[test]
fn every_symbol_meets_the_gain_of_its_subcarrier() {
    // Three symbols on two subcarriers: the third lies on the first one again.
    let air = Air { feature_dim: 6, ..air(MULTIPATH, None, Csi::Unknown) };
    let gains = air.gains(&crossing(0, 3), 0);
    let mut values = [1.0, 0.0, 0.0, 1.0, 2.0, 0.0];
    air.send(&crossing(0, 3), &mut values).unwrap();
    let ([a, b], [c, d]) = (gains[0], gains[1]);
    assert_eq!(values, [a, b, -d, c, 2.0 * a, 2.0 * b]);
}

#[test]
fn an_odd_value_has_nothing_beside_it() {
    let air = Air { feature_dim: 3, ..air(Fading::Rayleigh, None, ZERO_FORCING) };
    let mut values = [0.3, -0.7, 1.1, 0.5, 0.25, -2.0];
    air.send(&crossing(0, 3), &mut values).unwrap();
    let expected = [0.3, -0.7, 1.1, 0.5, 0.25, -2.0];
    assert!(values.iter().zip(expected).all(|(got, sent): (&f64, f64)| (got - sent).abs() < 1e-12));
}

#[test]
fn capacity_is_that_of_the_gains() {
    let snr_db = 7.0;
    let flat = air(Fading::None, Some(Snr::Fixed(snr_db)), ZERO_FORCING);
    let measure = Channel::<f64>::measure(&flat, &crossing(0, 0), 5).unwrap();
    assert_eq!(measure.snr_db, Some(snr_db));
    assert!((measure.capacity.unwrap() - (1.0 + 10f64.powf(0.7)).ln()).abs() < 1e-12);
    let faded =
        Air { block: FadingBlock::Sample, ..air(Fading::Rayleigh, Some(Snr::Fixed(snr_db)), ZERO_FORCING) };
    let got = Channel::<f64>::measure(&faded, &crossing(0, 0), 100_000).unwrap().capacity.unwrap();
    // E log(1 + g snr) over Exp(1), by the midpoints of equal shares of its probability.
    let at = |share: usize| (1.0 - 10f64.powf(0.7) * ((share as f64 + 0.5) / 1e5).ln()).ln();
    let expected = (0..100_000).map(at).sum::<f64>() / 1e5;
    assert!((got - expected).abs() < 0.01, "{got}, not {expected}");
    let carriers = air(MULTIPATH, Some(Snr::Fixed(snr_db)), ZERO_FORCING);
    let gains = carriers.gains(&crossing(0, 0), 0);
    let expected =
        gains.iter().map(|[re, im]| (1.0 + (re * re + im * im) * 10f64.powf(0.7)).ln()).sum::<f64>();
    let got = Channel::<f64>::measure(&carriers, &crossing(0, 0), 5).unwrap().capacity.unwrap();
    assert!((got - expected / 2.0).abs() < 1e-12 && gains.len() == 2 && gains[0] != gains[1], "{got}");
    let erased = air(Fading::Erasure { probability: 0.5 }, None, ZERO_FORCING);
    assert_eq!(Channel::<f64>::measure(&erased, &crossing(0, 0), 5).unwrap().capacity, None);
}
