//! The base network's passes.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::{AdamW, Error, Input, Module, Network, ResidualMlp};

use crate::oracle::Oracle;
use crate::support::{check_gradient, distance, forward, inner, network, normal, numbers, stream, untrained};

#[test]
fn every_parameter_has_the_gradient_of_finite_differences() {
    let mut network = network(9, 5, DType::F64);
    let x = normal(2, &[12, 9], DType::F64);
    let weights = normal(3, &[12, 5], DType::F64);
    let (_, trace) = forward(&network, &x, &[7, 5]);
    network.backward(&trace, &weights).unwrap();
    for parameter in network.parameters() {
        check_gradient(&parameter.name, &parameter.value, &parameter.gradient, || {
            inner(&network.infer(&x).unwrap(), &weights)
        });
    }
    assert_eq!(network.parameters().count(), 14);
}

#[test]
fn the_input_has_the_gradient_of_finite_differences() {
    let mut network = network(9, 5, DType::F64);
    let x = normal(2, &[12, 9], DType::F64);
    let weights = normal(3, &[12, 5], DType::F64);
    let (_, trace) = forward(&network, &x, &[12]);
    let gradient = network.backward_to_input(&trace, &weights).unwrap().remove(0);
    check_gradient("input", &x, &gradient, || inner(&network.infer(&x).unwrap(), &weights));
}

#[test]
fn where_the_input_is_as_wide_as_the_first_block_it_is_its_own_shortcut() {
    let mut network = network(512, 2, DType::F64);
    assert!(network.parameters().all(|parameter| parameter.name != "net/block1.shortcut"));
    let x = normal(2, &[6, 512], DType::F64);
    let weights = normal(3, &[6, 2], DType::F64);
    let (_, trace) = forward(&network, &x, &[6]);
    let gradient = network.backward_to_input(&trace, &weights).unwrap().remove(0);
    check_gradient("input", &x, &gradient, || inner(&network.infer(&x).unwrap(), &weights));
}

#[test]
fn passes_equal_the_tape() {
    for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-5)] {
        let mut network = network(33, 10, dtype);
        let oracle = Oracle::of(&network);
        let x = normal(2, &[60, 33], dtype);
        let upstream = normal(3, &[60, 10], dtype);
        let x_variable = candle_core::Var::from_tensor(&x).unwrap();
        let expected = oracle.forward(&x_variable);
        let (output, trace) = forward(&network, &x, &[20, 20, 20]);
        assert!(distance(&output, &expected) < tolerance);
        assert!(numbers(&network.infer(&x).unwrap()) == numbers(&output));
        let gradients = (expected * &upstream).unwrap().sum_all().unwrap().backward().unwrap();
        let to_input = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
        assert!(distance(&to_input, gradients.get(&x_variable).unwrap()) < tolerance);
        for parameter in network.parameters() {
            let expected = gradients.get(oracle.variable(&parameter.name)).unwrap();
            let distance = distance(&parameter.gradient, expected);
            assert!(distance < tolerance, "{} in {dtype:?}: {distance}", parameter.name);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    for outputs in [1, 3, 48] {
        let network = network(31, outputs, DType::F32);
        let x = normal(2, &[400, 31], DType::F32);
        let whole = network.infer(&x).unwrap().to_vec2::<f32>().unwrap();
        for rows in [1, 2, 7, 40] {
            let start = 400 - rows;
            let part = network.infer(&x.narrow(0, start, rows).unwrap()).unwrap().to_vec2::<f32>().unwrap();
            assert!(part == whole[start..], "{rows} rows, {outputs} outputs");
        }
    }
}

#[test]
fn blocks_give_the_same_bits_in_one_pass_and_in_many() {
    let (x, upstream) = (normal(2, &[60, 31], DType::F32), normal(3, &[60, 6], DType::F32));
    let blocks = [20, 1, 2, 17, 20];
    let mut whole = network(31, 6, DType::F32);
    let (_, trace) = forward(&whole, &x, &blocks);
    whole.backward(&trace, &upstream).unwrap();
    let mut pieces = network(31, 6, DType::F32);
    let mut start = 0;
    for block in [vec![20, 1], vec![2], vec![17, 20]] {
        let rows = block.iter().sum();
        let (_, trace) = forward(&pieces, &x.narrow(0, start, rows).unwrap(), &block);
        pieces.backward(&trace, &upstream.narrow(0, start, rows).unwrap()).unwrap();
        start += rows;
    }
    let mut single = network(31, 6, DType::F32);
    let (_, trace) = forward(&single, &x, &[60]);
    single.backward(&trace, &upstream).unwrap();
    for ((whole, pieces), single) in whole.parameters().zip(pieces.parameters()).zip(single.parameters()) {
        assert!(numbers(&whole.gradient) == numbers(&pieces.gradient), "{}", whole.name);
        assert!(distance(&whole.gradient, &single.gradient) < 1e-5, "{}", whole.name);
    }
}

#[test]
fn blocks_that_do_not_divide_the_rows_are_refused() {
    let network = network(4, 2, DType::F32);
    let x = Input::Dense(normal(2, &[6, 4], DType::F32));
    let refused = network.forward(x, &[3, 2], None).err();
    assert!(matches!(refused, Some(Error::Blocks { blocks: 5, rows: 6, .. })), "{refused:?}");
}

#[test]
fn weights_are_xavier_uniform_and_belong_to_their_stream() {
    let make = |number| untrained(40, 8, number, DType::F32);
    let network = make(1);
    let mut drawn = 0;
    for (parameter, (same, other)) in network.parameters().zip(make(1).parameters().zip(make(2).parameters()))
    {
        let values = numbers(&parameter.value);
        assert!(values == numbers(&same.value));
        if parameter.name.contains(".b") {
            assert!(values.iter().all(|&value| value == 0.0));
        } else if parameter.name.ends_with(".affine") {
            let (gain, bias) = values.split_at(values.len() / 2);
            assert!(gain.iter().all(|&gain| gain == 1.0) && bias.iter().all(|&bias| bias == 0.0));
        } else {
            let bound = (6.0 / parameter.value.dims().iter().sum::<usize>() as f64).sqrt();
            let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
            assert!(values.iter().all(|value| value.abs() < bound));
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.1);
            assert!(values != numbers(&other.value));
            drawn += 1;
        }
    }
    assert_eq!(drawn, 7);
}

#[test]
fn a_saved_state_goes_on_where_it_was() {
    let (x, upstream) = (normal(2, &[30, 12], DType::F32), normal(3, &[30, 4], DType::F32));
    let train = |network: &mut Network, steps: usize| {
        for _ in 0..steps {
            let (_, trace) = forward(network, &x, &[30]);
            network.backward(&trace, &upstream).unwrap();
            network.step(&AdamW::new(1e-3)).unwrap();
        }
    };
    let mut straight = network(12, 4, DType::F32);
    train(&mut straight, 3);
    let saved: HashMap<String, Tensor> = straight.export().unwrap().into_iter().collect();
    train(&mut straight, 2);
    let mut resumed = untrained(12, 4, 9, DType::F32);
    train(&mut resumed, 1);
    resumed.import(&saved).unwrap();
    assert_eq!(resumed.steps(), 3);
    train(&mut resumed, 2);
    for ((name, straight), (_, resumed)) in straight.export().unwrap().iter().zip(&resumed.export().unwrap())
    {
        assert!(numbers(straight) == numbers(resumed), "{name}");
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_by_name_and_changes_nothing() {
    let mut network = network(3, 2, DType::F32);
    let good: HashMap<String, Tensor> = network.export().unwrap().into_iter().collect();
    let spoil = |name: &str, tensor: Option<Tensor>| {
        let mut tensors: HashMap<String, Tensor> =
            good.iter().map(|(name, tensor)| (name.clone(), tensor.zeros_like().unwrap())).collect();
        match tensor {
            Some(tensor) => tensors.insert(name.to_owned(), tensor),
            None => tensors.remove(name),
        };
        tensors
    };
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let name = "net/linear.b.v";
    for (tensor, problem) in [
        (None, "lacks"),
        (Some(zeros(&[3], DType::F32)), "[3], not [2]"),
        (Some(zeros(&[2], DType::F64)), "f64, not of f32"),
        (Some(Tensor::new(&[1f32, f32::NAN], &Device::Cpu).unwrap()), "not finite"),
    ] {
        let message = network.import(&spoil(name, tensor)).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(problem), "{message}");
    }
    let message = network.import(&spoil("net.steps", Some(zeros(&[1], DType::F32)))).unwrap_err().to_string();
    assert!(message.contains("net.steps"), "{message}");
    for (name, tensor) in network.export().unwrap() {
        assert!(numbers(&tensor) == numbers(&good[&name]), "{name}");
    }
}

#[test]
fn a_frozen_network_stays_as_it_is_and_passes_gradients_on() {
    let (x, upstream) = (normal(2, &[12, 9], DType::F64), normal(3, &[12, 5], DType::F64));
    let gradient = |network: &mut Network| {
        let (_, trace) = forward(network, &x, &[7, 5]);
        assert!(network.backward(&trace, &upstream).is_ok());
        let gradient = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
        network.clip_gradients(1.0).unwrap();
        network.step(&AdamW::new(1e-2)).unwrap();
        numbers(&gradient)
    };
    let state = |network: &Network| {
        let tensors = network.export().unwrap().into_iter();
        tensors
            .map(|(name, tensor)| (name, numbers(&tensor.to_dtype(DType::F64).unwrap())))
            .collect::<Vec<_>>()
    };
    let mut frozen = network(9, 5, DType::F64);
    let mut learning = network(9, 5, DType::F64);
    frozen.freeze();
    let before = state(&frozen);
    assert_eq!(gradient(&mut frozen), gradient(&mut learning));
    gradient(&mut frozen);
    assert_eq!(state(&frozen), before);
    assert_ne!(state(&learning), before);
    assert_eq!((frozen.steps(), learning.steps()), (0, 1));
}

#[test]
fn what_a_network_is_to_begin_with_is_its_own_then() {
    let (mut network, other) = (network(9, 5, DType::F64), untrained(9, 5, 7, DType::F64));
    let values: Vec<Tensor> = other.parameters().map(|parameter| parameter.value.clone()).collect();
    network.begin_with(&values).unwrap();
    let x = normal(2, &[12, 9], DType::F64);
    assert_eq!(numbers(&network.infer(&x).unwrap()), numbers(&other.infer(&x).unwrap()));
    assert!(network.begin_with(&values[1..]).is_err());
    let swapped: Vec<Tensor> = values.into_iter().rev().collect();
    assert!(network.begin_with(&swapped).is_err());
}

#[test]
fn a_network_without_inputs_is_refused() {
    let module = Box::new(ResidualMlp::new(0, 2));
    let refused = Network::new("net", module, stream(1), DType::F32, &Device::Cpu).err();
    assert!(matches!(refused, Some(Error::Shape { inputs: 0, outputs: 2, .. })), "{refused:?}");
}

/// 220 -> 512 -> 256 -> 48, counted manually: 0.827 million multiplications forward.
#[test]
fn a_step_needs_the_operations_that_its_layers_need() {
    let module = ResidualMlp::new(220, 48);
    let of_input = 220 * 512 * 2;
    let others = 512 * 512 + 512 * 256 * 2 + 256 * 256 + 256 * 48;
    assert_eq!(module.operations(1.0, 1.0, true), (6 * (of_input + others)) as f64);
    assert_eq!(module.operations(1.0, 1.0, false), (4 * of_input + 6 * others) as f64);
    // Seven rows, of which only three inputs are neither repeated nor zero.
    assert_eq!(module.operations(7.0, 3.0, true), (6 * (3 * of_input + 7 * others)) as f64);
    // Without a map in the shortcut there is one product with the input.
    assert_eq!(ResidualMlp::new(512, 48).operations(0.0, 1.0, true), (6 * 512 * 512) as f64);
}

#[test]
fn nan_does_not_go_unnoticed() {
    let network = network(4, 2, DType::F32);
    let x = Tensor::new(&[[1f32, f32::NAN, 0.0, 2.0], [1.0, 1.0, 0.0, 2.0]], &Device::Cpu).unwrap();
    let output = numbers(&network.infer(&x).unwrap());
    assert!(
        output[..2].iter().all(|value| value.is_nan()) && output[2..].iter().all(|value| value.is_finite())
    );
}
