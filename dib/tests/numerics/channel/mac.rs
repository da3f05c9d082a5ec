//! What is heard together: the sum that it is, and its gradient.

use pom2dib_dib::{Air, Crossing, Csi, Fading, FadingBlock, GainTrace, Mac, Snr};

use super::{air, crossing};
use crate::support::{normal, numbers};

const ROWS: usize = 3;

fn mac(block: FadingBlock, snr_db: f64) -> Mac {
    Mac { air: Air { block, ..air(Fading::Rayleigh, Some(Snr::Fixed(snr_db)), Csi::Unknown) } }
}

/// Values of so many transmitters, of `ROWS` rows of four.
fn values(number: u64, transmitters: usize) -> Vec<Vec<f64>> {
    let of = |k: u64| numbers(&normal(100 * number + k, &[ROWS, 4], candle_core::DType::F64));
    (0..transmitters as u64).map(of).collect()
}

fn sent(mac: &Mac, slot: &Crossing, of: &[Vec<f64>], ks: &[usize]) -> Vec<Vec<f64>> {
    let mut all = of.to_vec();
    let mut together: Vec<(usize, &mut [f64])> =
        ks.iter().copied().zip(all.iter_mut().map(Vec::as_mut_slice)).collect();
    mac.send(slot, &mut together);
    all
}

#[test]
fn in_each_place_stands_the_own_symbol_with_what_others_and_the_noise_add() {
    let mac = mac(FadingBlock::Sample, 7.0);
    let slot = crossing(1, 9);
    let (ks, symbols) = ([0, 2, 3], values(1, 3));
    let arrived = sent(&mac, &slot, &symbols, &ks);
    // Of nothing, what is heard is the noise, turned back by each gain.
    let silence = sent(&mac, &slot, &vec![vec![0.0; 4 * ROWS]; 3], &ks);
    for row in 0..ROWS {
        let gain = |k: usize| mac.air.gains(&Crossing { transmitter: k, ..slot }, row)[0];
        for first in [4 * row, 4 * row + 2] {
            let times = |[a, b]: [f64; 2], [c, d]: [f64; 2]| [a * c - b * d, a * d + b * c];
            let over = |[a, b]: [f64; 2], [c, d]: [f64; 2]| {
                let power = c * c + d * d;
                times([a, b], [c / power, -d / power])
            };
            for (own, &k) in ks.iter().enumerate() {
                let mut expected = [silence[own][first], silence[own][first + 1]];
                for (other, &sender) in ks.iter().enumerate() {
                    let heard = times(gain(sender), [symbols[other][first], symbols[other][first + 1]]);
                    let [re, im] = over(heard, gain(k));
                    expected = [expected[0] + re, expected[1] + im];
                }
                let error = (arrived[own][first] - expected[0])
                    .abs()
                    .max((arrived[own][first + 1] - expected[1]).abs());
                assert!(error < 1e-10, "row {row}, place {own}: {error}");
            }
        }
    }
}

#[test]
fn a_slot_has_one_noise_of_its_power_whoever_sends() {
    let mac = mac(FadingBlock::Tick, 3.0);
    let noise = |slot: &Crossing, ks: &[usize]| {
        let silence = sent(&mac, slot, &vec![vec![0.0; 4 * ROWS]; ks.len()], ks);
        let [re, im] = mac.air.gains(&Crossing { transmitter: ks[0], ..*slot }, 0)[0];
        // h h* y / |h|^2 is y again.
        let symbols = silence[0]
            .chunks(2)
            .flat_map(|symbol| [re * symbol[0] - im * symbol[1], re * symbol[1] + im * symbol[0]]);
        symbols.collect::<Vec<f64>>()
    };
    for (one, other) in noise(&crossing(0, 5), &[0, 1]).iter().zip(noise(&crossing(0, 5), &[2])) {
        assert!((one - other).abs() < 1e-12);
    }
    assert!((noise(&crossing(0, 5), &[0])[0] - noise(&crossing(1, 5), &[0])[0]).abs() > 1e-6);
    let all: Vec<f64> = (0..2000).flat_map(|tick| noise(&crossing(0, tick), &[1])).collect();
    let power = 2.0 * all.iter().map(|value| value * value).sum::<f64>() / all.len() as f64;
    let expected = 10f64.powf(-0.3);
    // Squares of normals have a variance of twice their mean's square: four deviations.
    assert!((power / expected - 1.0).abs() < 4.0 * (2.0 / all.len() as f64).sqrt(), "{power} {expected}");
}

#[test]
fn gradients_go_back_through_the_sum_as_finite_differences_do() {
    const STEP: f64 = 1e-5;
    for block in [FadingBlock::Tick, FadingBlock::Sample] {
        let mac = mac(block, 10.0);
        let (slot, ks) = (crossing(2, 4), [0, 1, 3]);
        let (point, weights) = (values(2, 3), values(3, 3));
        let value = |of: &[Vec<f64>]| -> f64 {
            let arrived = sent(&mac, &slot, of, &ks);
            arrived.iter().flatten().zip(weights.iter().flatten()).map(|(z, weight)| z * weight).sum()
        };
        let mut gradient = weights.clone();
        let mut together: Vec<(usize, &mut [f64])> =
            ks.iter().copied().zip(gradient.iter_mut().map(Vec::as_mut_slice)).collect();
        mac.pull_back(&slot, &mut together);
        for k in 0..3 {
            for at in 0..4 * ROWS {
                let moved = |step: f64| {
                    let mut point = point.clone();
                    point[k][at] += step;
                    value(&point)
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let error = (difference - gradient[k][at]).abs();
                assert!(error < 1e-7 * difference.abs().max(1.0), "{block:?} {k} {at}: {error}");
            }
        }
    }
}

#[test]
fn what_a_slot_can_carry_is_that_of_all_powers_together() {
    let mac = mac(FadingBlock::Tick, 6.0);
    let slot = crossing(0, 8);
    let powers = [0, 1].map(|k| {
        let [re, im] = mac.air.gains(&Crossing { transmitter: k, ..slot }, 0)[0];
        re * re + im * im
    });
    let measure = mac.measure(&slot, &[0, 1], 5);
    let expected = (1.0 + (powers[0] + powers[1]) * 10f64.powf(0.6)).ln();
    assert!((measure.capacity.unwrap() - expected).abs() < 1e-12);
    assert_eq!(measure.snr_db, Some(6.0));
}

#[test]
fn a_trace_is_met_at_its_times() {
    use pom2dib_dib::Channel;

    let gains: Vec<[f64; 2]> = (0..3 * 2 * 3).map(|at| [f64::from(at), -1.0]).collect();
    let trace: &'static GainTrace = Box::leak(Box::new(GainTrace::new(&[3, 2, 3], gains, (2, 3)).unwrap()));
    let air = air(Fading::Trace(trace), None, Csi::Unknown);
    // Transmitter 1, receiver 2 at time 4, which is time 1 again.
    let mut symbol = [1.0, 0.0, 0.0, 1.0];
    air.send(&crossing(0, 4), &mut symbol).unwrap();
    assert_eq!(symbol, [11.0, -1.0, 1.0, 11.0]);
    let round = Air { block: FadingBlock::Round, ..air };
    assert_eq!(round.gains(&crossing(0, 47), 0), [[17.0, -1.0]]);
}

#[test]
fn what_is_verified_of_a_slot_is_the_noise_that_is_heard() {
    let mac = Mac { air: air(Fading::None, Some(Snr::Fixed(0.0)), Csi::Unknown) };
    let (mut heard, slot) = ([0.0_f64; 8], crossing(1, 6));
    mac.send(&slot, &mut [(0, heard.as_mut_slice())]);
    let bytes: Vec<u8> = heard.iter().flat_map(|value| (value * 2.0_f64.sqrt()).to_le_bytes()).collect();
    let of = |bytes: &[u8]| {
        bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect::<Vec<_>>()
    };
    let close = of(&mac.audit_record(&slot, 2))
        .iter()
        .zip(of(&bytes))
        .all(|(one, other)| (one - other).abs() < 1e-12);
    assert!(close);
    assert_ne!(mac.audit_record(&slot, 2), mac.audit_record(&crossing(2, 6), 2));
}
