//! A coding as users write one, with two outputs a value, draws and a rate that learns: both ends find the same feature,
//! however it is cut, and its gradients are those of finite differences where it has no steps.

use candle_core::DType;
use pom2dib_dib::coding::{CodeError, Decoder, Encoder};
use pom2dib_dib::{CodedRows, Coding, Phase, Result};
use randomness::Seed;

use crate::support::{normal, numbers};

const D: usize = 3;
const ROWS: usize = 4;

/// z = step round(mu / step + u) - step u, u uniform and known to both ends, with a step of 2^e, where e is the second
/// output, rounded. The step's exponent travels, and an integer for each value. A row's rate is ln(1 + mu^2) summed.
struct Dithered {
    seed: Seed,
}

impl Dithered {
    fn dithers(&self, rows: &CodedRows, row: usize) -> [f64; D] {
        let mut draws = rows.draws(self.seed, row);
        std::array::from_fn(|_| draws.uniform() - 0.5)
    }
}

/// Signed integers as unsigned ones: 0, -1, 1, -2, ...
fn unsigned(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn signed(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

impl Coding<f64> for Dithered {
    fn outputs(&self) -> usize {
        2
    }

    fn encode(&self, rows: &CodedRows, outputs: &[f64], symbols: &mut Encoder) -> Result<()> {
        for (row, outputs) in outputs.chunks_exact(2 * D).enumerate() {
            let (means, exponents) = outputs.split_at(D);
            for ((mean, exponent), dither) in means.iter().zip(exponents).zip(self.dithers(rows, row)) {
                let exponent = exponent.round();
                symbols.push_any(unsigned(exponent as i64));
                symbols.push_any(unsigned((mean / exponent.exp2() + dither).round() as i64));
            }
        }
        Ok(())
    }

    fn decode(
        &self,
        rows: &CodedRows,
        count: usize,
        symbols: &mut Decoder<'_>,
        z: &mut Vec<f64>,
    ) -> std::result::Result<(), CodeError> {
        for row in 0..count / D {
            for dither in self.dithers(rows, row) {
                let exponent = signed(symbols.any()?);
                if exponent.abs() > 20 {
                    return Err(CodeError::Damaged);
                }
                let integer = signed(symbols.any()?) as f64;
                z.push((exponent as f64).exp2() * (integer - dither));
            }
        }
        Ok(())
    }

    fn rates(&self, _: &CodedRows, outputs: &[f64]) -> Vec<f64> {
        let of_row = |outputs: &[f64]| outputs[..D].iter().map(|mean| (1.0 + mean * mean).ln()).sum::<f64>();
        outputs.chunks_exact(2 * D).map(of_row).collect()
    }

    fn pull_back(&self, _: &CodedRows, outputs: &[f64], gradient: &[f64], price: f64) -> Result<Vec<f64>> {
        let mut pulled = Vec::with_capacity(outputs.len());
        for (outputs, gradient) in outputs.chunks_exact(2 * D).zip(gradient.chunks_exact(D)) {
            let of = |(mean, dz): (&f64, &f64)| dz + price * 2.0 * mean / (1.0 + mean * mean);
            pulled.extend(outputs.iter().zip(gradient).map(of));
            pulled.extend([0.0; D]);
        }
        Ok(pulled)
    }
}

fn rows(first: usize) -> CodedRows {
    CodedRows { phase: Phase::Evaluate, transmitter: 1, receiver: 0, modality: 2, moment: 9, first }
}

fn outputs() -> Vec<f64> {
    numbers(&normal(1, &[ROWS, 2 * D], DType::F64)).iter().map(|output| 3.0 * output).collect()
}

fn decoded(coding: &Dithered, rows: &CodedRows, stream: &[u8], count: usize) -> Vec<f64> {
    let (mut symbols, mut z) = (Decoder::new(stream).unwrap(), Vec::new());
    coding.decode(rows, count, &mut symbols, &mut z).unwrap();
    symbols.finish().unwrap();
    z
}

#[test]
fn a_feature_comes_back_as_it_was_meant_however_its_rows_are_cut() {
    let (coding, outputs) = (Dithered { seed: Seed::from_number(1) }, outputs());
    let mut symbols = Encoder::default();
    coding.encode(&rows(0), &outputs, &mut symbols).unwrap();
    assert!(symbols.is_sound());
    let z = decoded(&coding, &rows(0), &symbols.clone().finish(), ROWS * D);
    for (z, outputs) in z.chunks_exact(D).zip(outputs.chunks_exact(2 * D)) {
        for at in 0..D {
            let step = outputs[D + at].round().exp2();
            assert!((z[at] - outputs[at]).abs() <= 0.5 * step + 1e-12, "{} for {}", z[at], outputs[at]);
        }
    }
    // A stream is cut elsewhere: the rows behind are the same, and those of another moment others.
    let mut behind = Encoder::default();
    coding.encode(&rows(1), &outputs[2 * D..], &mut behind).unwrap();
    assert_eq!(decoded(&coding, &rows(1), &behind.clone().finish(), (ROWS - 1) * D), z[D..]);
    let elsewhere = CodedRows { moment: 10, ..rows(0) };
    assert_ne!(decoded(&coding, &elsewhere, &symbols.clone().finish(), ROWS * D), z);
    // The symbols of several entries make one stream.
    let mut together = Encoder::default();
    together.extend(&symbols);
    together.extend(&behind);
    assert!((together.ideal_bits() - symbols.ideal_bits() - behind.ideal_bits()).abs() < 1e-9);
    let (stream, mut found) = (together.finish(), Vec::new());
    let mut symbols = Decoder::new(&stream).unwrap();
    coding.decode(&rows(0), ROWS * D, &mut symbols, &mut found).unwrap();
    coding.decode(&rows(1), (ROWS - 1) * D, &mut symbols, &mut found).unwrap();
    symbols.finish().unwrap();
    assert_eq!(found, [&z[..], &z[D..]].concat());
}

/// With the dither and what the integer rounds away held, z - mu does not depend on mu, and dz / dmu is 1.
#[test]
fn its_gradient_is_that_of_finite_differences_past_the_rounding() {
    const PRICE: f64 = 0.3;
    const STEP: f64 = 1e-6;
    let (coding, outputs) = (Dithered { seed: Seed::from_number(1) }, outputs());
    let dz = numbers(&normal(2, &[ROWS, D], DType::F64));
    let pulled = coding.pull_back(&rows(0), &outputs, &dz, PRICE).unwrap();
    let objective = |outputs: &[f64]| -> f64 {
        let means = outputs.chunks_exact(2 * D).flat_map(|outputs| &outputs[..D]);
        let of_z: f64 = means.zip(&dz).map(|(mean, dz)| mean * dz).sum();
        of_z + PRICE * coding.rates(&rows(0), outputs).iter().sum::<f64>()
    };
    for (at, expected) in pulled.iter().enumerate() {
        let moved = |by: f64| {
            let mut moved = outputs.clone();
            moved[at] += by;
            objective(&moved)
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!((slope - expected).abs() < 1e-7, "output {at}: {slope} and {expected}");
    }
}

/// A build with debug assertions refuses them in `push`.
#[cfg(not(debug_assertions))]
#[test]
fn symbols_without_a_share_are_noticed() {
    use pom2dib_dib::coding::{Share, TOTAL};

    for (start, count) in [(0, 0), (TOTAL, 1), (0, TOTAL + 1), (u32::MAX, 1)] {
        let mut symbols = Encoder::default();
        symbols.push(Share { start, count });
        assert!(!symbols.is_sound(), "{start} {count}");
    }
}
