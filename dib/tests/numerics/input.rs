//! A block input is equivalent to a dense one: the same outputs and gradients, with repeated and zero rows.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{Block, Input, Network, Segment};

use crate::support::{distance, network, normal, numbers};

const ROWS: usize = 12;
/// Gradient blocks; no segment straddles them.
const GRADIENT_BLOCKS: [usize; 2] = [5, 7];

fn segment(source: usize, target: usize, rows: usize, repeat: bool) -> Segment {
    Segment { source, target, rows, repeat }
}

/// Rows that occur at two positions, one row that occurs at many, values in every row, overlapping values, which add
/// up, and a gap.
fn blocks(inputs: usize, dtype: DType) -> Vec<Block> {
    let shared = vec![segment(0, 0, 2, false), segment(0, 2, 2, false), segment(2, 5, 3, false)];
    let repeated = vec![segment(1, 0, 4, true), segment(0, 5, 6, true)];
    let on_top = vec![segment(0, 1, 3, false), segment(1, 6, 2, false)];
    vec![
        Block { values: normal(2, &[5, 3], dtype), column: 0, segments: shared, learns: true },
        Block { values: normal(3, &[2, 4], dtype), column: inputs - 4, segments: repeated, learns: false },
        Block::whole(normal(4, &[ROWS, 2], dtype), 3, true).unwrap(),
        Block { values: normal(6, &[3, 3], dtype), column: 1, segments: on_top, learns: true },
    ]
}

/// The same input as one matrix.
fn dense(blocks: &[Block], inputs: usize) -> Tensor {
    let mut rows = vec![vec![0.0; inputs]; ROWS];
    for block in blocks {
        let values = block.values.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        for segment in &block.segments {
            for row in 0..segment.rows {
                let from = &values[segment.source + if segment.repeat { 0 } else { row }];
                let place = &mut rows[segment.target + row][block.column..block.column + from.len()];
                place.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    Tensor::new(rows, &Device::Cpu).unwrap().to_dtype(block_dtype(blocks)).unwrap()
}

fn block_dtype(blocks: &[Block]) -> DType {
    blocks[0].values.dtype()
}

/// The gradient of a block's rows, summed over their positions.
fn collected(block: &Block, gradient: &Tensor) -> Tensor {
    let gradient = gradient.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    let (rows, width) = block.values.dims2().unwrap();
    let mut sums = vec![vec![0.0; width]; rows];
    for segment in &block.segments {
        for row in 0..segment.rows {
            let sum = &mut sums[segment.source + if segment.repeat { 0 } else { row }];
            let place = &gradient[segment.target + row][block.column..block.column + width];
            sum.iter_mut().zip(place).for_each(|(sum, value)| *sum += value);
        }
    }
    Tensor::new(sums, &Device::Cpu).unwrap().to_dtype(block.values.dtype()).unwrap()
}

fn learnt(mut network: Network, input: Input, upstream: &Tensor) -> (Network, Tensor, Vec<Tensor>) {
    let (output, trace) = network.forward(input, &GRADIENT_BLOCKS, None).unwrap();
    let gradients = network.backward_to_input(&trace, upstream).unwrap();
    (network, output, gradients)
}

/// With 512 inputs, the input itself is the first block's shortcut.
#[test]
fn blocks_stand_for_one_matrix() {
    for (inputs, dtype, tolerance) in
        [(12, DType::F64, 1e-12), (12, DType::F32, 1e-5), (512, DType::F64, 1e-12), (512, DType::F32, 1e-5)]
    {
        let blocks = blocks(inputs, dtype);
        let upstream = normal(5, &[ROWS, 6], dtype);
        let matrix = Input::Dense(dense(&blocks, inputs));
        let (expected, expected_output, to_matrix) = learnt(network(inputs, 6, dtype), matrix, &upstream);
        let input = Input::Blocks { rows: ROWS, blocks: blocks.clone() };
        let (got, output, to_blocks) = learnt(network(inputs, 6, dtype), input, &upstream);

        assert!(distance(&output, &expected_output) < tolerance);
        for (got, expected) in got.parameters().zip(expected.parameters()) {
            let distance = distance(&got.gradient, &expected.gradient);
            assert!(distance < tolerance, "{} of {inputs} inputs in {dtype:?}: {distance}", got.name);
        }
        let learning: Vec<&Block> = blocks.iter().filter(|block| block.learns).collect();
        assert_eq!(to_blocks.len(), learning.len());
        for (block, gradient) in learning.into_iter().zip(&to_blocks) {
            let distance = distance(gradient, &collected(block, &to_matrix[0]));
            assert!(distance < tolerance, "column {}: {distance}", block.column);
        }
    }
}

/// The first gradient block's rows on their own, then the second's.
#[test]
fn blocks_give_the_same_bits_in_one_pass_and_in_two() {
    let (inputs, dtype) = (12, DType::F32);
    let whole = blocks(inputs, dtype);
    let upstream = normal(5, &[ROWS, 6], dtype);
    let (expected, output, _) =
        learnt(network(inputs, 6, dtype), Input::Blocks { rows: ROWS, blocks: whole.clone() }, &upstream);

    let mut parts = network(inputs, 6, dtype);
    let mut start = 0;
    for rows in GRADIENT_BLOCKS {
        let inside = |segment: &&Segment| (start..start + rows).contains(&segment.target);
        let cut = |block: &Block| {
            if block.segments.len() == 1 {
                return Block::whole(block.values.narrow(0, start, rows).unwrap(), block.column, true)
                    .unwrap();
            }
            let segments = block.segments.iter().filter(inside);
            let segments =
                segments.map(|segment| Segment { target: segment.target - start, ..*segment }).collect();
            Block { segments, ..block.clone() }
        };
        let blocks = whole.iter().map(cut).collect();
        let (part, trace) = parts.forward(Input::Blocks { rows, blocks }, &[rows], None).unwrap();
        assert!(numbers(&part) == numbers(&output.narrow(0, start, rows).unwrap()));
        parts.backward(&trace, &upstream.narrow(0, start, rows).unwrap()).unwrap();
        start += rows;
    }
    for (got, expected) in parts.parameters().zip(expected.parameters()) {
        assert!(numbers(&got.gradient) == numbers(&expected.gradient), "{}", got.name);
    }
}

#[test]
fn an_input_of_no_blocks_is_zero() {
    let upstream = normal(5, &[ROWS, 6], DType::F32);
    let zeros = Tensor::zeros((ROWS, 12), DType::F32, &Device::Cpu).unwrap();
    let (expected, output, _) = learnt(network(12, 6, DType::F32), Input::Dense(zeros), &upstream);
    let nothing = Input::Blocks { rows: ROWS, blocks: Vec::new() };
    let (got, same, to_blocks) = learnt(network(12, 6, DType::F32), nothing, &upstream);
    assert!(numbers(&output) == numbers(&same));
    assert!(to_blocks.is_empty());
    for (got, expected) in got.parameters().zip(expected.parameters()) {
        assert!(numbers(&got.gradient) == numbers(&expected.gradient), "{}", got.name);
    }
}
