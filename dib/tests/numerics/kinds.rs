//! Common tests of the kinds for points, time steps and patches: the contract of all modules, block inputs, and error
//! lines about shapes that do not fit.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::{Architecture, Block, Input, Network, Segment};

use crate::attention::attention;
use crate::promises::{keeps_its_promises, network};
use crate::support::{distance, forward, normal, numbers};

pub(crate) fn points(hidden: &[usize]) -> Architecture {
    Architecture::Points { hidden: hidden.to_vec() }
}

pub(crate) fn gru(hidden: usize, layers: usize) -> Architecture {
    Architecture::Gru { hidden, layers }
}

pub(crate) fn lstm(hidden: usize, layers: usize) -> Architecture {
    Architecture::Lstm { hidden, layers }
}

#[test]
fn points_keep_their_promises() {
    keeps_its_promises(&points(&[7, 9]), &[5, 3]);
    keeps_its_promises(&points(&[3]), &[1, 2]);
    keeps_its_promises(&points(&[33, 70]), &[40, 3]);
}

#[test]
fn feature_wise_modulation_keeps_its_promises() {
    keeps_its_promises(&Architecture::Film { values: 5 }, &[7]);
    keeps_its_promises(&Architecture::Film { values: 1 }, &[2]);
    keeps_its_promises(&Architecture::Film { values: 70 }, &[110]);
    for (values, axes) in [(7, &[7][..]), (8, &[7]), (0, &[7]), (2, &[3, 2])] {
        assert!(Architecture::Film { values }.build(axes, 3).is_err(), "{values} of {axes:?}");
    }
}

#[test]
fn gated_recurrent_units_keep_their_promises() {
    keeps_its_promises(&gru(7, 1), &[5, 3]);
    keeps_its_promises(&gru(5, 3), &[3, 2]);
    keeps_its_promises(&gru(65, 2), &[12, 30]);
}

#[test]
fn long_short_term_memory_keeps_its_promises() {
    keeps_its_promises(&lstm(7, 1), &[5, 3]);
    keeps_its_promises(&lstm(5, 3), &[3, 2]);
    keeps_its_promises(&lstm(65, 2), &[12, 30]);
}

/// All kinds, with shapes of samples.
fn small() -> Vec<(Architecture, Vec<usize>)> {
    vec![
        (points(&[7, 9]), vec![5, 3]),
        (gru(7, 1), vec![5, 3]),
        (gru(3, 2), vec![1, 4]),
        (lstm(7, 1), vec![5, 3]),
        (lstm(3, 2), vec![1, 4]),
        (attention(1, 2, 6, [1, 1]), vec![4, 3]),
        (attention(1, 2, 6, [2, 3]), vec![2, 4, 3]),
    ]
}

/// The output, and the gradients with respect to input and parameters, in gradient blocks of 4 and 2 rows.
fn pass(network: &mut Network, input: Input, upstream: &Tensor) -> (Tensor, Tensor, Vec<Vec<f64>>) {
    let (output, trace) = network.forward(input, &[4, 2], None).unwrap();
    let mut to_input = network.backward_to_input(&trace, upstream).unwrap();
    assert_eq!(to_input.len(), 1);
    let gradients = network.parameters().map(|parameter| numbers(&parameter.gradient)).collect();
    (output, to_input.remove(0), gradients)
}

/// Six rows: one column repeats two values; the others have a value for each row, and learn.
#[test]
fn an_input_of_blocks_stands_for_a_dense_one() {
    for (architecture, shape) in small() {
        let inputs: usize = shape.iter().product();
        let own = normal(2, &[6, inputs - 1], DType::F64);
        let repeated = normal(3, &[2, 1], DType::F64);
        let column = [[numbers(&repeated)[0]; 4].as_slice(), &[numbers(&repeated)[1]; 2]].concat();
        let column = Tensor::from_vec(column, (6, 1), &Device::Cpu).unwrap();
        let dense = Tensor::cat(&[&column, &own], 1).unwrap().contiguous().unwrap();
        let segments = vec![
            Segment { source: 0, target: 0, rows: 4, repeat: true },
            Segment { source: 1, target: 4, rows: 2, repeat: true },
        ];
        let blocks = vec![
            Block { values: repeated, column: 0, segments, learns: false },
            Block::whole(own, 1, true).unwrap(),
        ];
        let upstream = normal(4, &[6, 3], DType::F64);
        let dense = pass(&mut network(&architecture, &shape, DType::F64), Input::Dense(dense), &upstream);
        let blocks = Input::Blocks { rows: 6, blocks };
        let blocks = pass(&mut network(&architecture, &shape, DType::F64), blocks, &upstream);
        assert!(numbers(&dense.0) == numbers(&blocks.0), "{architecture:?}");
        let of_block = dense.1.narrow(1, 1, inputs - 1).unwrap();
        assert!(distance(&blocks.1, &of_block) == 0.0, "{architecture:?}");
        assert!(dense.2 == blocks.2, "{architecture:?}");
    }
}

/// At a sequence's only step the state is 0, so that its weights do not change.
#[test]
fn one_step_is_enough() {
    for architecture in [gru(3, 1), lstm(3, 1)] {
        let mut network = network(&architecture, &[1, 4], DType::F64);
        let x = normal(2, &[5, 4], DType::F64);
        let (output, trace) = forward(&network, &x, &[2, 3]);
        network.backward(&trace, &output.ones_like().unwrap()).unwrap();
        for parameter in network.parameters() {
            let is_zero = numbers(&parameter.gradient).iter().all(|&gradient| gradient == 0.0);
            assert_eq!(is_zero, parameter.name.ends_with("state.w"), "{}", parameter.name);
        }
    }
}

#[test]
fn what_does_not_fit_is_said_in_one_line() {
    let cases: [(Architecture, &[usize], &str); 12] = [
        (points(&[7]), &[12], "points got 12 and wants points x channels"),
        (points(&[7]), &[3, 4, 5], "points got 3 x 4 x 5 and wants points x channels"),
        (points(&[]), &[3, 4], "points wants at least one size in hidden, and no size of 0"),
        (points(&[7, 0]), &[3, 4], "points wants at least one size in hidden, and no size of 0"),
        (points(&[7]), &[0, 4], "points got 0 x 4 and wants sizes of at least 1"),
        (
            points(&[usize::MAX]),
            &[3, 4],
            "layer point1 (linear and relu) got 3 x 4 and wants smaller sizes: a sample, or what a network learns, may have 2^31 numbers at most",
        ),
        (gru(7, 1), &[12], "gru got 12 and wants time steps x channels"),
        (lstm(7, 1), &[1, 28, 28], "lstm got 1 x 28 x 28 and wants time steps x channels"),
        (gru(0, 1), &[5, 3], "gru wants a state of at least 1 number in hidden, and 1 to 64 layers"),
        (lstm(7, 0), &[5, 3], "lstm wants a state of at least 1 number in hidden, and 1 to 64 layers"),
        (gru(7, usize::MAX), &[5, 3], "gru wants a state of at least 1 number in hidden, and 1 to 64 layers"),
        (lstm(usize::MAX, 1), &[5, 3], "lstm got 5 x 3 and wants a smaller state in hidden"),
    ];
    for (architecture, shape, line) in cases {
        assert_eq!(architecture.build(shape, 3).err().unwrap().to_string(), line);
    }
    assert_eq!(gru(7, 1).build(&[5, 3], 0).err().unwrap().to_string(), "gru wants at least 1 output");
}
