//! Gradients that are rounded on their way back: what is sent is what an independent rounding makes of the oracle's
//! gradients, and transmitters learn from exactly that.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use proto::v1::{ElementType, Gradients as Message};
use randomness::{Purpose, Stream};

use crate::oracle::{Oracle, selection::Selection};
use crate::played_round::{PlayedRound, Start, on_one_thread, tensors};
use crate::reports::{assert_close, assert_figures};
use crate::support::local_network::{Message as Letter, Setup};
use crate::{THREE_BY_TWO, TIGHTLY_CAPPED, TOLERANCE, TWO_BY_TWO, assert_gradients, toy};

/// By [k, t, m, tick], row by row.
type Gradients = HashMap<[usize; 4], Vec<f64>>;

#[test]
fn of_gradients_in_a_few_bits() {
    for coding in ["bf16", "int8"] {
        let coding = format!("train.gradient_coding={coding}");
        agrees(&toy(TWO_BY_TWO, &[&coding, "train.beta=0.5"]));
        agrees(&toy(THREE_BY_TWO, &[&coding]));
        agrees(&toy(TIGHTLY_CAPPED, &[&coding, "train.coding=dithered", "train.rate_estimator=prior"]));
    }
}

fn agrees(setup: &Setup) {
    on_one_thread(|| {
        let played = PlayedRound::play(setup, Start::Unsettled);
        let oracle = Oracle::new(setup, played.round, &played.before).unwrap();
        let selection = oracle.select(played.granted(setup)).unwrap();
        let exact = exact(&oracle, &selection);
        let mut owed = owed(setup, &played.before);
        let rounded = rounded(setup, &played, &selection, &exact, &mut owed);
        assert_sent(setup, &played, &selection, &rounded);
        let after = tensors(&played.network.snapshots[&(played.round + 1)]);
        let found = self::owed(setup, &after);
        found
            .concat()
            .into_iter()
            .zip(owed.concat())
            .for_each(|(found, owed)| assert_close("owed", found, owed));

        let round = oracle.round(&selection).unwrap();
        assert_figures(&played, &round);
        let mut objective = (&round.objective + &round.score).unwrap();
        for (key @ &[k, t, m, tick], rounded) in &rounded {
            let z = oracle.encode(k, t, m, tick).unwrap().z;
            let added: Vec<f64> =
                rounded.iter().zip(&exact[key]).map(|(rounded, exact)| rounded - exact).collect();
            assert!(
                added.iter().any(|added| *added != 0.0),
                "nothing is rounded: the test has lost its point"
            );
            let added = Tensor::from_vec(added, z.shape(), &Device::Cpu).unwrap();
            objective = (objective + (z * added).unwrap().sum_all().unwrap()).unwrap();
        }
        assert_gradients(&played, &oracle, &selection, &objective.backward().unwrap(), |_| TOLERANCE);
    });
}

/// The gradients of the objectives with respect to what receivers decode.
fn exact(oracle: &Oracle<'_>, selection: &Selection) -> Gradients {
    oracle.decoded.replace(Some(HashMap::new()));
    let gradients = oracle.round(selection).unwrap().objective.backward().unwrap();
    let variables = oracle.decoded.replace(None).unwrap();
    let of = |variable: &Tensor| gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    variables.into_iter().map(|(key, variable)| (key, of(variable.as_tensor()))).collect()
}

/// What every receiver owes of each entry in (k, m) order, d values each.
fn owed(setup: &Setup, tensors: &HashMap<String, Tensor>) -> Vec<Vec<f64>> {
    let of =
        |t: usize| tensors[&format!("receiver{t}/gradients/owed")].flatten_all().unwrap().to_vec1::<f32>();
    let values = |t: usize| of(t).unwrap().into_iter().map(f64::from).collect();
    (0..setup.scenario.receivers()).map(values).collect()
}

/// Rounds the exact gradients, each with its entry's share of what is owed, tick by tick and entry by entry.
fn rounded(
    setup: &Setup,
    played: &PlayedRound,
    selection: &Selection,
    exact: &Gradients,
    owed: &mut [Vec<f64>],
) -> Gradients {
    let train = &setup.scenario.train;
    let (d, samples) = (setup.scenario.network.feature_dim, train.samples_per_tick);
    let mut rounded = Gradients::new();
    for (t, ticks) in selection.granted.iter().enumerate() {
        for (tick, entries) in ticks.iter().enumerate() {
            for &(k, m) in entries {
                let entry: usize = (0..k).map(|k| setup.scenario.modalities(k)).sum::<usize>() + m;
                let owed = &mut owed[t][entry * d..(entry + 1) * d];
                let key = [k, t, m, tick];
                let share = |(at, value): (usize, &f64)| value + owed[at % d] / samples as f64;
                let whole: Vec<f64> = exact[&key].iter().enumerate().map(share).collect();
                let moment = played.round * train.ticks_per_round as u64 + tick as u64;
                let address = [k as u64, t as u64, m as u64];
                let stream = setup.seed.stream(Purpose::GradientRounding, &address, moment);
                let sent = match train.gradient_coding {
                    scenario::GradientCoding::Bf16 => halves(&whole, stream),
                    _ => integers(&whole, stream),
                };
                owed.fill(0.0);
                whole
                    .iter()
                    .zip(&sent)
                    .enumerate()
                    .for_each(|(at, (whole, sent))| owed[at % d] += whole - sent);
                rounded.insert(key, sent);
            }
        }
    }
    rounded
}

/// Numbers of 8 binary digits: the next one down or up.
fn halves(values: &[f64], mut stream: Stream) -> Vec<f64> {
    let half = |value: &f64| {
        let unit = 2_f64.powi(value.abs().log2().floor() as i32 - 7);
        let (whole, rest) = ((value.abs() / unit).floor(), (value.abs() / unit).fract());
        let goes_up = stream.below(65_536) as f64 >= 65_536.0 * (1.0 - rest);
        value.signum() * unit * (whole + f64::from(u8::from(goes_up)))
    };
    values.iter().map(half).collect()
}

/// Multiples of a 127th of the largest.
fn integers(values: &[f64], mut stream: Stream) -> Vec<f64> {
    let scale = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs())) / 127.0;
    values.iter().map(|value| scale * (value / scale + stream.uniform()).floor()).collect()
}

/// What the turns bring, decoded without the program, is that.
fn assert_sent(setup: &Setup, played: &PlayedRound, selection: &Selection, rounded: &Gradients) {
    let size = setup.scenario.train.samples_per_tick * setup.scenario.network.feature_dim;
    let mut seen = 0;
    for letter in &played.network.letters {
        let Letter::Turn(turn) = &letter.message else { continue };
        let Some(gradients) = &turn.gradients else { continue };
        let values = values(gradients);
        let ticks = selection.granted[letter.t].iter().enumerate();
        let keys = ticks.flat_map(|(tick, entries)| {
            entries.iter().filter(|(k, _)| *k == letter.k).map(move |&(k, m)| [k, letter.t, m, tick])
        });
        let keys: Vec<[usize; 4]> = keys.collect();
        assert_eq!(values.len(), keys.len() * size);
        for (key, values) in keys.iter().zip(values.chunks_exact(size)) {
            seen += 1;
            let largest = rounded[key].iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            for (value, expected) in values.iter().zip(&rounded[key]) {
                assert!((value - expected).abs() < 1e-5 * largest, "{key:?}: {value} sent for {expected}");
            }
        }
    }
    assert_eq!(seen, rounded.len());
}

fn values(gradients: &Message) -> Vec<f64> {
    let tensor = gradients.z.as_ref().unwrap();
    if tensor.element() == ElementType::Bf16 {
        let half = |bytes: &[u8]| f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16);
        return tensor.data.chunks(2).map(|bytes| f64::from(half(bytes))).collect();
    }
    let scales: Vec<f32> =
        tensor.scales.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let each = tensor.data.len() / scales.len().max(1);
    let value = |(at, byte): (usize, &u8)| f64::from(scales[at / each]) * f64::from(*byte as i8);
    tensor.data.iter().enumerate().map(value).collect()
}
