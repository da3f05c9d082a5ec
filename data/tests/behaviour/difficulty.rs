//! The built-in digits are neither trivial nor hopeless: a linear classifier over one modality is far above chance and
//! far from perfect, and two modalities together know more than each alone.

use crate::folders::{digits, opened};
use pom2dib_data::{Dataset, Split, Targets};

const TRAIN: usize = 5_000;
const TEST: usize = 2_000;

#[test]
fn one_modality_is_not_enough_and_two_are_better() {
    let digits = opened(&digits(), &["fft", "mel"]).unwrap();
    let image = accuracy(&*digits, &["fft"]);
    let audio = accuracy(&*digits, &["mel"]);
    let both = accuracy(&*digits, &["fft", "mel"]);
    println!("linear accuracy: image {image:.3}, audio {audio:.3}, both {both:.3}");
    assert!((0.5..0.9).contains(&image), "{image}");
    assert!((0.5..0.9).contains(&audio), "{audio}");
    assert!(both > image + 0.05 && both > audio + 0.05, "{both}");
}

/// Test accuracy of a ridge regression onto one-hot digits.
fn accuracy(dataset: &dyn Dataset, modalities: &[&str]) -> f64 {
    let rows = |split, count| -> Vec<Vec<f32>> {
        (0..count).map(|sample| row(dataset, modalities, split, sample)).collect()
    };
    let weights = ridge(&rows(Split::Train, TRAIN), &labels(dataset, Split::Train));
    let score = |row: &[f32], class: usize| -> f64 {
        row.iter().zip(&weights[class]).map(|(&value, weight)| f64::from(value) * weight).sum()
    };
    let best = |row: &[f32]| (0..10).max_by(|&one, &other| score(row, one).total_cmp(&score(row, other)));
    let rows = rows(Split::Test, TEST);
    let right = rows
        .iter()
        .zip(labels(dataset, Split::Test))
        .filter(|(row, label)| best(row) == Some(*label as usize));
    right.count() as f64 / TEST as f64
}

/// A sample's values, and a 1.
fn row(dataset: &dyn Dataset, modalities: &[&str], split: Split, sample: usize) -> Vec<f32> {
    let mut row = Vec::new();
    for modality in modalities {
        let start = row.len();
        row.resize(start + dataset.width(modality).unwrap(), 0.0);
        dataset.read(modality, split, sample, 0, &mut row[start..]).unwrap();
    }
    row.push(1.0);
    row
}

fn labels(dataset: &dyn Dataset, split: Split) -> Vec<u32> {
    match dataset.targets("digit", split) {
        Some(Targets::Classes { labels, .. }) => labels,
        other => panic!("{other:?}"),
    }
}

/// Solves (X'X + I) W = X'Y by Cholesky's decomposition; a column of W per digit.
fn ridge(rows: &[Vec<f32>], labels: &[u32]) -> Vec<Vec<f64>> {
    let width = rows[0].len();
    let mut gram = vec![vec![0f32; width]; width];
    let mut columns = vec![vec![0f64; width]; 10];
    for (row, &label) in rows.iter().zip(labels) {
        for (sum, &value) in columns[label as usize].iter_mut().zip(row) {
            *sum += f64::from(value);
        }
        for (line, &left) in row.iter().enumerate() {
            for (sum, right) in gram[line][..=line].iter_mut().zip(row) {
                *sum += left * right;
            }
        }
    }
    let factor = cholesky(&gram);
    columns.iter_mut().for_each(|column| solve(&factor, column));
    columns
}

/// Replaces b by the solution of L L' x = b.
fn solve(factor: &[Vec<f64>], column: &mut [f64]) {
    for line in 0..column.len() {
        let known: f64 = (0..line).map(|before| factor[line][before] * column[before]).sum();
        column[line] = (column[line] - known) / factor[line][line];
    }
    for line in (0..column.len()).rev() {
        let known: f64 = (line + 1..column.len()).map(|after| factor[after][line] * column[after]).sum();
        column[line] = (column[line] - known) / factor[line][line];
    }
}

/// The lower triangle L with L L' = G + I.
fn cholesky(gram: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let mut factor: Vec<Vec<f64>> = Vec::new();
    for (line, sums) in gram.iter().enumerate() {
        let mut row = vec![0.0; line + 1];
        for column in 0..=line {
            let above = if column < line { &factor[column][..] } else { &row.clone() };
            let known: f64 = row[..column].iter().zip(above).map(|(left, right)| left * right).sum();
            let value = f64::from(sums[column]) - known;
            row[column] = if column < line { value / factor[column][column] } else { (value + 1.0).sqrt() };
        }
        factor.push(row);
    }
    factor
}
