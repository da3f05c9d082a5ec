//! Features by a coding that a program adds: the same whatever the order, the parts and the restarts, and nothing that no
//! sender writes is read.

use std::sync::{Arc, Once};

use bytes::Bytes;
use dib::coding::{CodeError, Decoder, Encoder};
use dib::{CodedRows, Coding};
use node::WantedCoding;
use proto::v1::{Features, Tables};
use randomness::Seed;

use crate::coded_features::{coded, failure, of_letter, shorten};
use crate::refusals::{assert_blamed, lengthen};
use crate::rounds::{
    MODALITIES, RECEIVERS, ROUNDS, Stubborn, TRANSMITTERS, assert_same, evaluate, play, save, train,
};
use crate::setup_with;
use crate::support::local_network::{Node, Setup, Shuffled};

/// Values of a feature.
const D: usize = 4;
const STEP: f32 = 0.25;
/// The largest integer that is sent.
const MOST: i64 = 1 << 16;

/// Dithered values of the first outputs, whose rate is a function of the second ones.
struct Dithered {
    seed: Seed,
}

impl Dithered {
    fn dithers(&self, rows: &CodedRows, count: usize) -> Vec<f32> {
        let of_row = |row| {
            let mut draws = rows.draws(self.seed, row);
            (0..D).map(move |_| draws.uniform() as f32 - 0.5)
        };
        (0..count).flat_map(of_row).collect()
    }
}

impl Coding<f32> for Dithered {
    fn outputs(&self) -> usize {
        2
    }

    fn encode(&self, rows: &CodedRows, outputs: &[f32], symbols: &mut Encoder) -> dib::Result<()> {
        let means = outputs.chunks_exact(2 * D).flat_map(|outputs| &outputs[..D]);
        for (mean, dither) in means.zip(self.dithers(rows, outputs.len() / (2 * D))) {
            let integer = ((mean / STEP + dither).round() as i64).clamp(-MOST, MOST);
            symbols.push_digits(u64::from(integer < 0), 1);
            symbols.push_any(integer.unsigned_abs());
        }
        Ok(())
    }

    fn decode(
        &self,
        rows: &CodedRows,
        count: usize,
        symbols: &mut Decoder<'_>,
        z: &mut Vec<f32>,
    ) -> Result<(), CodeError> {
        for dither in self.dithers(rows, count / D) {
            let sign = if symbols.digits(1)? == 1 { -1.0 } else { 1.0 };
            let size = symbols.any()?;
            if size > MOST as u64 {
                return Err(CodeError::Damaged);
            }
            z.push(STEP * (sign * size as f32 - dither));
        }
        Ok(())
    }

    fn rates(&self, _: &CodedRows, outputs: &[f32]) -> Vec<f64> {
        let of_row =
            |outputs: &[f32]| outputs[D..].iter().map(|output| f64::from(output * output)).sum::<f64>();
        outputs.chunks_exact(2 * D).map(of_row).collect()
    }

    fn pull_back(
        &self,
        _: &CodedRows,
        outputs: &[f32],
        gradient: &[f32],
        price: f64,
    ) -> dib::Result<Vec<f32>> {
        let of_row = |(outputs, gradient): (&[f32], &[f32])| {
            let of_rate = outputs[D..].iter().map(|output| 2.0 * price as f32 * output);
            gradient.iter().copied().chain(of_rate).collect::<Vec<f32>>()
        };
        Ok(outputs.chunks_exact(2 * D).zip(gradient.chunks_exact(D)).flat_map(of_row).collect())
    }
}

fn with_own(more: &[&str]) -> Setup {
    static ADDED: Once = Once::new();
    ADDED.call_once(|| {
        let build = |wanted: &WantedCoding| {
            Ok::<_, String>(Arc::new(Dithered { seed: wanted.seed }) as Arc<dyn Coding<f32>>)
        };
        node::register_coding("dithered-by-hand", Arc::new(build)).unwrap();
    });
    setup_with(&[&["train.coding=dithered-by-hand"], more].concat())
}

#[test]
fn order_parts_and_a_new_start_in_between_change_no_bit() {
    let orders = [train(ROUNDS), save(ROUNDS)];
    let long = "train.ticks_per_round=13";
    let setup = with_own(&[long]);
    let expected = play(&setup, None, &orders, &mut Stubborn::First);
    for number in 0..2 {
        assert_same(&play(&setup, None, &orders, &mut Shuffled::new(number)), &expected);
    }
    let parts = with_own(&[long, "train.ticks_per_part=10"]);
    assert_same(&play(&parts, None, &orders, &mut Shuffled::new(2)), &expected);
    let before = play(&setup, None, &[train(4), save(4)], &mut Shuffled::new(3));
    let snapshot = Some(&before.snapshots[&4]);
    assert_same(&play(&setup, snapshot, &orders, &mut Shuffled::new(4)), &expected);
    let orders = [train(4), save(4), evaluate(), train(ROUNDS), save(ROUNDS)];
    let evaluated = play(&setup, None, &orders, &mut Shuffled::new(5));
    assert_same(&evaluated, &expected);
    assert_eq!(evaluated.snapshots[&ROUNDS].len(), TRANSMITTERS + RECEIVERS);
}

#[test]
fn what_a_nat_costs_reaches_the_outputs_that_the_rate_depends_on() {
    let mean_of = |beta: &str| {
        let setup = with_own(&["train.coding_lr=3e-3", beta]);
        let network = play(&setup, None, &[train(ROUNDS), save(ROUNDS)], &mut Shuffled::new(6));
        mean_rate(&network.letters)
    };
    let (free, dear) = (mean_of("train.beta=0"), mean_of("train.beta=1"));
    assert!(dear < 0.9 * free, "{dear} nats an entry at a price, {free} for nothing");
}

/// Of the entries of all training messages.
fn mean_rate(letters: &[crate::support::local_network::Letter]) -> f64 {
    let features = letters.iter().filter_map(of_letter);
    let rates: Vec<f64> = features.flat_map(|features| features.rates.iter().copied()).collect();
    assert!(!rates.is_empty(), "nothing was granted: the test has lost its point");
    rates.iter().sum::<f64>() / rates.len() as f64
}

#[test]
fn symbols_travel_and_nothing_else() {
    let network = play(&with_own(&[]), None, &[train(ROUNDS), evaluate()], &mut Shuffled::new(0));
    for letter in &network.letters {
        let Some(features) = of_letter(letter) else { continue };
        let entries = proto::granted(features, MODALITIES[letter.k]).len();
        let coded = features.coded.as_ref().unwrap();
        assert!(features.z.is_none() && features.tables.is_none());
        assert_eq!((coded.stream.is_empty(), coded.table, coded.rates.len()), (entries == 0, 0, 0));
        assert_eq!(features.rates.len(), entries);
    }
}

/// The damage to a message, and words of the resulting error.
type Damage = (fn(&mut Features), &'static str);

#[test]
fn what_no_sender_writes_is_refused_by_name() {
    let cases: [Damage; 8] = [
        (|features| features.coded = None, "no coded features"),
        (|features| features.z = Some(proto::v1::Tensor::default()), "z is there beside coded features"),
        (|features| coded(features).table = 1, "tells tables of a coding that has none"),
        (|features| features.tables = Some(Tables::default()), "tables to expect"),
        (|features| coded(features).rates.push(7), "tells rates beside features that are not dithered"),
        (|features| shorten(&mut coded(features).stream), "the stream of coded features ends before"),
        (|features| lengthen(&mut coded(features).stream), "the stream of coded features has 1 bytes after"),
        (|features| coded(features).stream = too_large(), "the stream of coded features is damaged"),
    ];
    for (corrupt, complaint) in cases {
        let failure = failure(&with_own(&[]), corrupt);
        let reader = failure.as_ref().map_or(Node::Receiver(0), |failure| failure.node);
        assert_blamed(failure, reader, "transmitter 1", complaint);
    }
}

/// A stream whose first value is larger than any that is sent.
fn too_large() -> Bytes {
    let mut symbols = Encoder::default();
    symbols.push_digits(0, 1);
    symbols.push_any(MOST as u64 + 1);
    symbols.finish().into()
}
