//! Code books: gradients against finite differences and the formula, the nearest vector, and indices as bits.

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::assign;
use pom2dib_dib::coding::{CodeBook, CodeError, CodeShape, CodeVectors, Decoder, Encoder};

use crate::support::{check_gradient, inner, normal, numbers, stream};

const SHAPE: CodeShape = CodeShape { d: 6, groups: 3, bits: 3 };
const COMMITMENT: f64 = 0.3;
const ROWS: usize = 12;
const BLOCKS: [usize; 2] = [8, 4];

fn book(dtype: DType) -> CodeBook {
    CodeBook::new("book", SHAPE, COMMITMENT, dtype, stream(1)).unwrap()
}

fn value(book: &CodeBook) -> Tensor {
    book.network().parameters().next().unwrap().value.clone()
}

fn gradient(book: &CodeBook) -> Tensor {
    book.network().parameters().next().unwrap().gradient.clone()
}

/// A weight for each row; one is 0.
fn weights(dtype: DType) -> Tensor {
    let weights: Vec<f64> = (0..ROWS).map(|row| 0.25 * (row % 5) as f64).collect();
    Tensor::from_vec(weights, (ROWS, 1), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Of all rows, weight times the squared distance of these means to the vectors with these indices.
fn distance(weights: &Tensor, mu: &Tensor, vectors: &Tensor, indices: &[u32]) -> f64 {
    let (weights, mu, vectors) = (numbers(weights), numbers(mu), numbers(vectors));
    let (d, width) = (SHAPE.d, SHAPE.width());
    let of = |(at, mean): (usize, &f64)| {
        let vector = indices[at / width] as usize;
        weights[at / d] * (mean - vectors[vector * width + at % width]).powi(2)
    };
    mu.iter().enumerate().map(of).sum()
}

/// The nearest of several vectors by trying all, in f64.
fn nearest_of_all(vectors: &[f64], means: &[f64], width: usize) -> Vec<u32> {
    let norm = |piece: &[f64], vector: &[f64]| -> f64 {
        piece.iter().zip(vector).map(|(one, other)| (one - other).powi(2)).sum()
    };
    let of = |piece: &[f64]| {
        let distances: Vec<f64> = vectors.chunks(width).map(|vector| norm(piece, vector)).collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        distances.iter().position(|distance| *distance == least).unwrap() as u32
    };
    means.chunks(width).map(of).collect()
}

/// sg lets no gradient through: vectors follow |sg(mu) - e|^2, means z and commitment |mu - sg(e)|^2.
#[test]
fn gradients_of_means_and_vectors_are_those_of_finite_differences() {
    let mut book = book(DType::F64);
    let mu = normal(2, &[ROWS, SHAPE.d], DType::F64);
    let (dz, weights) = (normal(3, &[ROWS, SHAPE.d], DType::F64), weights(DType::F64));
    let indices = nearest_of_all(&numbers(&value(&book)), &numbers(&mu), SHAPE.width());
    let to_mu = book.learn((&mu, &indices), &dz, &weights, &BLOCKS).unwrap();
    let distinct = indices.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!((3..=SHAPE.vectors()).contains(&distinct), "{distinct} vectors: the test has lost its point");
    let held = value(&book).force_contiguous().unwrap();
    let of_mu = || inner(&dz, &mu) + COMMITMENT * distance(&weights, &mu, &held, &indices);
    check_gradient("mu", &mu, &to_mu, of_mu);
    let vectors = value(&book);
    check_gradient("vectors", &vectors, &gradient(&book), || distance(&weights, &mu, &vectors, &indices));
}

#[test]
fn gradients_are_those_of_the_formula_and_none_for_a_vector_that_is_nearest_to_nothing() {
    let shape = CodeShape { d: 2, groups: 1, bits: 2 };
    let mut book = CodeBook::new("book", shape, 0.5, DType::F32, stream(1)).unwrap();
    let vectors = Tensor::new(&[[0_f32, 0.0], [4.0, 0.0], [0.0, 4.0], [9.0, 9.0]], &Device::Cpu).unwrap();
    assign(&value(&book), &vectors).unwrap();
    let mu = Tensor::new(&[[1_f32, 0.0], [3.0, 1.0], [-1.0, 1.0]], &Device::Cpu).unwrap();
    let dz = Tensor::new(&[[0.1_f32, 0.2], [0.3, 0.4], [0.5, 0.6]], &Device::Cpu).unwrap();
    let weights = Tensor::new(&[[1_f32], [2.0], [0.5]], &Device::Cpu).unwrap();
    let to_mu = book.learn((&mu, &[0, 1, 0]), &dz, &weights, &[3]).unwrap();
    // dz + 2 weight 0.5 (mu - e), with e the vectors 0, 1 and 0.
    let expected = [0.1 + 1.0, 0.2, 0.3 - 2.0, 0.4 + 2.0, 0.5 - 0.5, 0.6 + 0.5];
    let near = |got: Vec<f64>, expected: &[f64]| {
        got.len() == expected.len() && got.iter().zip(expected).all(|(got, of)| (got - of).abs() < 1e-6)
    };
    assert!(near(numbers(&to_mu), &expected), "{to_mu}");
    // The sum of 2 weight (e - mu) over the means that are nearest.
    let expected = [-2.0 + 1.0, -1.0, 4.0, -4.0, 0.0, 0.0, 0.0, 0.0];
    assert!(near(numbers(&gradient(&book)), &expected), "{}", gradient(&book));
    book.step(0.1).unwrap();
    let moved = numbers(&value(&book));
    assert_eq!(moved[4..], [0.0, 4.0, 9.0, 9.0], "no gradient and no decay: they stay");
    assert!(near(moved[..4].to_vec(), &[0.1, 0.1, 3.9, 0.1]), "{moved:?}");
}

#[test]
fn indices_that_do_not_fit_are_refused() {
    let mut book = book(DType::F32);
    let (mu, dz) = (normal(2, &[1, SHAPE.d], DType::F32), normal(3, &[1, SHAPE.d], DType::F32));
    let weights = Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap();
    book.learn((&mu, &[0, 7, 3]), &dz, &weights, &[1]).unwrap();
    book.learn((&mu, &[0, 8, 3]), &dz, &weights, &[1]).unwrap_err();
    book.learn((&mu, &[0, 7]), &dz, &weights, &[1]).unwrap_err();
}

#[test]
fn blocks_one_at_a_time_give_the_same_bits() {
    let mu = normal(2, &[ROWS, SHAPE.d], DType::F32);
    let (dz, weights) = (normal(3, &[ROWS, SHAPE.d], DType::F32), weights(DType::F32));
    let (mut whole, mut parts) = (book(DType::F32), book(DType::F32));
    let indices = nearest_of_all(&numbers(&value(&whole)), &numbers(&mu), SHAPE.width());
    let together = whole.learn((&mu, &indices), &dz, &weights, &BLOCKS).unwrap();
    let mut apart = Vec::new();
    for (start, rows) in [(0, 8), (8, 4)] {
        let cut = |of: &Tensor| of.narrow(0, start, rows).unwrap().contiguous().unwrap();
        let indices = &indices[start * SHAPE.groups..][..rows * SHAPE.groups];
        let part = parts.learn((&cut(&mu), indices), &cut(&dz), &cut(&weights), &[rows]);
        apart.extend(numbers(&part.unwrap()));
    }
    assert_eq!(numbers(&together), apart);
    assert_eq!(numbers(&gradient(&whole)), numbers(&gradient(&parts)));
}

#[test]
fn the_nearest_vector_is_chosen_and_of_several_as_near_the_lowest() {
    let book = book(DType::F32);
    let means = normal(5, &[50, SHAPE.d], DType::F32);
    let expected = nearest_of_all(&numbers(&value(&book)), &numbers(&means), SHAPE.width());
    let means: Vec<f32> = numbers(&means).iter().map(|mean| *mean as f32).collect();
    let vectors = book.vectors().unwrap();
    assert_eq!(vectors.nearest(&means), expected);
    assert_eq!(vectors.nearest(&vectors.look_up(&[5, 0, 7])), [5, 0, 7]);

    // Vectors 1 and 3 are equal; 0 and 2 are as far from 1.
    let shape = CodeShape { d: 2, groups: 2, bits: 2 };
    let bytes: Vec<u8> = [0.0_f32, 5.0, 2.0, 5.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let vectors = CodeVectors::from_bytes(&bytes, shape).unwrap();
    assert_eq!(vectors.nearest(&[5.0, 1.0, 7.0, 1.1]), [1, 0, 1, 2]);
}

#[test]
fn indices_of_any_bits_come_back_and_cost_as_many() {
    for bits in 1..=12 {
        let shape = CodeShape { d: 4, groups: 2, bits };
        let vectors = CodeBook::new("book", shape, 0.0, DType::F32, stream(bits.into())).unwrap();
        let vectors = vectors.vectors().unwrap();
        let vectors = CodeVectors::from_bytes(&vectors.to_bytes(), shape).unwrap();
        let mut draws = stream(100 + u64::from(bits));
        let last = shape.vectors() as u32 - 1;
        let mut indices: Vec<u32> = (0..398).map(|_| draws.below(shape.vectors() as u64) as u32).collect();
        indices.extend([0, last]);
        let mut encoder = Encoder::default();
        vectors.encode(&indices, &mut encoder);
        let stream = encoder.finish();
        let ideal = (400 * bits as usize).div_ceil(8);
        assert!((ideal..=ideal + 3).contains(&stream.len()), "{bits} bits: {} bytes", stream.len());
        let (mut decoder, mut values) = (Decoder::new(&stream).unwrap(), Vec::new());
        vectors.decode(200, &mut decoder, &mut values).unwrap();
        decoder.finish().unwrap();
        assert_eq!(values, vectors.look_up(&indices), "{bits} bits");
        // Any other index would be one too: what shows is that a stream ends early.
        let mut decoder = Decoder::new(&stream[..stream.len() - 1]).unwrap();
        assert_eq!(vectors.decode(200, &mut decoder, &mut Vec::new()), Err(CodeError::Ends), "{bits} bits");
    }
}

#[test]
fn damaged_code_books_are_refused() {
    let bytes = book(DType::F32).vectors().unwrap().to_bytes();
    let read = |bytes: &[u8]| CodeVectors::from_bytes(bytes, SHAPE).map(|vectors| vectors.to_bytes());
    assert_eq!(read(&bytes).unwrap(), bytes);
    assert_eq!(read(&bytes[..bytes.len() - 1]), Err(CodeError::Ends));
    assert_eq!(read(&[&bytes[..], &[0]].concat()), Err(CodeError::Left { bytes: 1 }));
    let mut infinite = bytes.clone();
    infinite[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert_eq!(read(&infinite), Err(CodeError::Damaged));
}
