//! The transformer encoder against plain loops over samples, patches, heads and units.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::Network;
use pom2dib_dib::nn::Architecture;

use crate::promises::{keeps_its_promises, network};
use crate::support::{distance, normal, numbers};

pub(crate) fn attention(blocks: usize, heads: usize, width: usize, patch: [usize; 2]) -> Architecture {
    Architecture::Attention { blocks, heads, width, patch }
}

#[test]
fn over_time_it_keeps_its_promises() {
    keeps_its_promises(&attention(1, 1, 5, [1, 1]), &[3, 2]);
    keeps_its_promises(&attention(2, 3, 9, [2, 1]), &[6, 5]);
    keeps_its_promises(&attention(1, 2, 6, [4, 4]), &[4, 1]);
    keeps_its_promises(&attention(1, 2, 34, [1, 1]), &[40, 3]);
}

#[test]
fn over_images_it_keeps_its_promises() {
    keeps_its_promises(&attention(2, 2, 6, [3, 2]), &[2, 9, 4]);
    keeps_its_promises(&attention(1, 4, 32, [1, 7]), &[1, 3, 7]);
}

type Rows = Vec<Vec<f64>>;

/// The parameters of a network by their names.
struct Named<'a>(&'a Network);

impl Named<'_> {
    fn rows(&self, name: &str) -> Rows {
        let name = format!("net/{name}");
        let value = self.0.parameters().find(|parameter| parameter.name == name).unwrap().value.clone();
        let rows = if value.rank() == 1 { value.unsqueeze(0).unwrap() } else { value };
        rows.to_dtype(DType::F64).unwrap().to_vec2().unwrap()
    }

    fn linear(&self, name: &str, x: &Rows) -> Rows {
        let (weight, bias) = (self.rows(&format!("{name}.w")), self.rows(&format!("{name}.b")).remove(0));
        let column = |x: &[f64], unit: usize| -> f64 {
            bias[unit] + x.iter().zip(&weight).map(|(x, line)| x * line[unit]).sum::<f64>()
        };
        x.iter().map(|x| (0..bias.len()).map(|unit| column(x, unit)).collect()).collect()
    }

    fn norm(&self, name: &str, x: &Rows) -> Rows {
        let affine = self.rows(&format!("{name}.affine"));
        let normalised = |x: &Vec<f64>| {
            let count = x.len() as f64;
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let scaled = x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
            scaled.zip(&affine[0]).zip(&affine[1]).map(|((x, gain), bias)| x * gain + bias).collect()
        };
        x.iter().map(normalised).collect()
    }
}

fn plus(left: &Rows, right: &Rows) -> Rows {
    let row = |(left, right): (&Vec<f64>, &Vec<f64>)| left.iter().zip(right).map(|(l, r)| l + r).collect();
    left.iter().zip(right).map(row).collect()
}

/// The output at every position: weighted values of all positions, by its query and their keys.
fn said(qkv: &Rows, heads: usize, width: usize) -> Rows {
    let depth = width / heads;
    let mut out = vec![vec![0.0; width]; qkv.len()];
    for head in 0..heads {
        let part = |row: usize, part: usize| &qkv[row][part * width + head * depth..][..depth];
        for (place, out) in out.iter_mut().enumerate() {
            let score = |other: usize| -> f64 {
                let product: f64 = part(place, 0).iter().zip(part(other, 1)).map(|(q, k)| q * k).sum();
                (product / (depth as f64).sqrt()).exp()
            };
            let total: f64 = (0..qkv.len()).map(score).sum();
            for other in 0..qkv.len() {
                let share = score(other) / total;
                for (unit, value) in part(other, 2).iter().enumerate() {
                    out[head * depth + unit] += share * value;
                }
            }
        }
    }
    out
}

fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x / 2f64.sqrt())
}

/// The encoder's output for the patches of one sample.
fn encoded(network: &Network, patches: &Rows, [blocks, heads, width]: [usize; 3]) -> Vec<f64> {
    let named = Named(network);
    let mut x = plus(&named.linear("patch", patches), &named.rows("position"));
    for block in 1..=blocks {
        let name = |part: &str| format!("block{block}.{part}");
        let qkv = named.linear(&name("qkv"), &named.norm(&name("norm1"), &x));
        x = plus(&x, &named.linear(&name("out"), &said(&qkv, heads, width)));
        let wide = named.linear(&name("up"), &named.norm(&name("norm2"), &x));
        let bent = wide.into_iter().map(|row| row.into_iter().map(gelu).collect()).collect();
        x = plus(&x, &named.linear(&name("down"), &bent));
    }
    let normal = named.norm("norm", &x);
    let mean = |unit: usize| normal.iter().map(|row| row[unit]).sum::<f64>() / normal.len() as f64;
    named.linear("output", &vec![(0..width).map(mean).collect()]).remove(0)
}

fn agrees(architecture: &Architecture, shape: &[usize], sizes: [usize; 3], patches: impl Fn(&[f64]) -> Rows) {
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
        let network = network(architecture, shape, dtype);
        let samples = normal(2, &[5, shape.iter().product()], dtype);
        let rows = samples.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        let expected: Rows = rows.iter().map(|row| encoded(&network, &patches(row), sizes)).collect();
        let expected = Tensor::new(expected, &Device::Cpu).unwrap();
        let difference = distance(&network.infer(&samples).unwrap(), &expected);
        assert!(difference < tolerance, "{dtype:?}: {difference}");
    }
}

#[test]
fn over_time_the_output_is_that_of_plain_loops() {
    let steps = |sample: &[f64]| sample.chunks(2 * 3).map(<[f64]>::to_vec).collect();
    agrees(&attention(2, 3, 12, [2, 1]), &[8, 3], [2, 3, 12], steps);
}

/// A patch is stored line by line, with the channels of a position side by side.
#[test]
fn over_images_the_output_is_that_of_plain_loops() {
    const SHAPE: [usize; 3] = [2, 4, 9];
    let patches = |sample: &[f64]| {
        let at = |channel: usize, y: usize, x: usize| sample[(channel * 4 + y) * 9 + x];
        let patch = |down: usize, across: usize| {
            let places = (0..2).flat_map(|y| (0..3).map(move |x| (2 * down + y, 3 * across + x)));
            places.flat_map(|(y, x)| [at(0, y, x), at(1, y, x)]).collect()
        };
        (0..2).flat_map(|down| (0..3).map(move |across| (down, across))).map(|(d, a)| patch(d, a)).collect()
    };
    agrees(&attention(1, 2, 10, [2, 3]), &SHAPE, [1, 2, 10], patches);
}

/// Scores beyond the range of e^x still give valid weights.
#[test]
fn large_scores_are_shares() {
    let network = network(&attention(1, 1, 4, [1, 1]), &[6, 4], DType::F32);
    for parameter in network.parameters().filter(|parameter| parameter.name.ends_with("qkv.w")) {
        let large = (&parameter.value * 1e4).unwrap();
        kernels::elementwise::assign(&parameter.value, &large).unwrap();
    }
    let x = normal(2, &[3, 24], DType::F32);
    assert!(numbers(&network.infer(&x).unwrap()).iter().all(|output| output.is_finite()));
}

#[test]
fn what_does_not_fit_is_said_in_one_line() {
    let cases: [(Architecture, &[usize], &str); 8] = [
        (
            attention(1, 1, 4, [1, 1]),
            &[9],
            "attention got 9 and wants time steps x channels, or channels x height x width",
        ),
        (
            attention(1, 1, 4, [2, 1]),
            &[9, 3],
            "attention got 9 x 3 and wants patches that divide the steps, which 2 does not",
        ),
        (
            attention(1, 1, 4, [0, 1]),
            &[9, 3],
            "attention got 9 x 3 and wants patches that divide the steps, which 0 does not",
        ),
        (
            attention(1, 1, 4, [7, 5]),
            &[1, 28, 28],
            "attention got 1 x 28 x 28 and wants patches that divide height and width, which 7 x 5 do not",
        ),
        (
            attention(1, 3, 4, [1, 1]),
            &[9, 3],
            "attention wants heads that divide the width, which 3 and 4 do not",
        ),
        (
            attention(1, 0, 4, [1, 1]),
            &[9, 3],
            "attention wants heads that divide the width, which 0 and 4 do not",
        ),
        (attention(0, 1, 4, [1, 1]), &[9, 3], "attention wants 1 to 64 blocks"),
        (
            attention(1, 1, 1 << 62, [1, 1]),
            &[9, 3],
            "attention got 9 x 3 and wants a smaller width, or larger patches",
        ),
    ];
    for (architecture, shape, line) in cases {
        assert_eq!(architecture.build(shape, 3).err().unwrap().to_string(), line);
    }
}
