//! Normalisations, and residual layers.

use candle_core::{DType, Tensor};
use pom2dib_dib::nn::Layer;

use crate::promises::{keeps_its_promises, network, sequential};
use crate::support::{distance, normal};

fn conv2d(channels: usize, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Layer {
    Layer::Conv2d { channels, kernel, stride, padding, groups: 1 }
}

#[test]
fn normalisations_keep_their_promises() {
    keeps_its_promises(&sequential(vec![Layer::LayerNorm]), &[9]);
    keeps_its_promises(
        &sequential(vec![Layer::Linear { width: 5 }, Layer::LayerNorm, Layer::Flatten]),
        &[7, 3],
    );
    keeps_its_promises(&sequential(vec![Layer::LayerNorm, Layer::Relu, Layer::Flatten]), &[3, 5, 2]);
    for groups in [1, 2, 6] {
        let norm = Layer::GroupNorm { groups };
        keeps_its_promises(&sequential(vec![norm.clone(), Layer::Flatten]), &[6, 3, 5]);
        keeps_its_promises(&sequential(vec![norm, Layer::Gelu, Layer::Flatten]), &[5, 6]);
    }
    // More channels than groups: a bias before a normalisation of one channel would have no effect.
    let norm = Layer::GroupNorm { groups: 3 };
    let layers = vec![conv2d(6, [2, 2], [1, 1], [0, 0]), norm, Layer::Relu, Layer::GlobalMean];
    keeps_its_promises(&sequential(layers), &[1, 4, 5]);
}

#[test]
fn layers_around_layers_keep_their_promises() {
    let same = vec![conv2d(3, [3, 3], [1, 1], [1, 1]), Layer::Relu, conv2d(3, [3, 3], [1, 1], [1, 1])];
    keeps_its_promises(&sequential(vec![Layer::Residual(same), Layer::Relu, Layer::Flatten]), &[3, 5, 4]);
    // A change of channels and half the positions, and another residual inside.
    let inner = Layer::Residual(vec![Layer::Gelu, Layer::Dropout { rate: 0.3 }]);
    let smaller = vec![conv2d(6, [3, 3], [2, 2], [1, 1]), Layer::Relu, inner, Layer::GroupNorm { groups: 2 }];
    keeps_its_promises(&sequential(vec![Layer::Gelu, Layer::Residual(smaller), Layer::Flatten]), &[2, 7, 5]);
    let flat = vec![Layer::Linear { width: 8 }, Layer::Relu];
    keeps_its_promises(&sequential(vec![Layer::Residual(flat), Layer::LayerNorm]), &[5]);
    let steps = vec![Layer::Conv1d { channels: 4, kernel: 2, stride: 3, padding: 0, groups: 1 }];
    keeps_its_promises(&sequential(vec![Layer::Residual(steps), Layer::Flatten]), &[7, 3]);
    // First layers that overwrite their input, and last ones that store their output.
    for layers in [vec![Layer::Relu], vec![Layer::Gelu, Layer::Relu], vec![Layer::Dropout { rate: 0.5 }]] {
        keeps_its_promises(&sequential(vec![Layer::Residual(layers), Layer::Gelu]), &[9]);
    }
}

#[test]
fn a_residual_layer_adds_its_input() {
    let network =
        network(&sequential(vec![Layer::Residual(vec![Layer::Linear { width: 4 }])]), &[6], DType::F64);
    let values: Vec<Tensor> = network.parameters().map(|parameter| parameter.value.clone()).collect();
    let [w, b, shortcut, output_w, output_b] = &values[..] else { panic!("{} parameters", values.len()) };
    let x = normal(2, &[5, 6], DType::F64);
    let inside = x.matmul(w).unwrap().broadcast_add(b).unwrap();
    let sum = (inside + x.matmul(&shortcut.get(0).unwrap()).unwrap()).unwrap();
    let expected = sum.matmul(output_w).unwrap().broadcast_add(output_b).unwrap();
    assert!(distance(&network.infer(&x).unwrap(), &expected) < 1e-13);
    let names: Vec<&str> = network.parameters().map(|parameter| parameter.name.as_str()).collect();
    let expected =
        ["net/layer1.1.w", "net/layer1.1.b", "net/layer1.shortcut.w", "net/output.w", "net/output.b"];
    assert_eq!(names, expected);
}

#[test]
fn what_does_not_fit_around_or_inside_is_said_in_one_line() {
    let pool = Layer::MaxPool { kernel: [3, 5], stride: [1, 1] };
    let cases: [(Layer, &str); 6] = [
        (Layer::Residual(vec![]), "layer 1 (residual) got 4 x 7 x 5 and wants a list of at least one layer"),
        (
            Layer::Residual(vec![Layer::Flatten]),
            "layer 1 (residual) got 4 x 7 x 5 and wants a list that keeps the axes, or divides them, and its own makes 140",
        ),
        (
            Layer::Residual(vec![pool]),
            "layer 1 (residual) got 4 x 7 x 5 and wants a list that keeps the axes, or divides them, and its own makes 4 x 5 x 1",
        ),
        (
            Layer::Residual(vec![Layer::Relu, Layer::Residual(vec![Layer::Linear { width: 3 }])]),
            "layer 1.2.1 (linear) got 4 x 7 x 5 and wants one width, or steps x channels",
        ),
        (
            Layer::GroupNorm { groups: 3 },
            "layer 1 (group-norm) got 4 x 7 x 5 and wants a number of groups that divides 4 channels",
        ),
        (
            Layer::BatchNorm,
            "layer 1 (batch-norm) got 4 x 7 x 5 and wants samples that know of each other, and here each stands for \
             itself: take layer-norm or group-norm",
        ),
    ];
    for (layer, expected) in cases {
        let misfit = sequential(vec![layer, Layer::Flatten]).build(&[4, 7, 5], 3).err().unwrap();
        assert_eq!(misfit.to_string(), expected);
    }
}
