//! Convolutions and pools.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::Layer;

use crate::promises::{forward, keeps_its_promises, network, sequential};
use crate::support::{distance, normal, numbers};

fn conv2d(
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    groups: usize,
) -> Layer {
    Layer::Conv2d { channels, kernel, stride, padding, groups }
}

fn conv1d(channels: usize, kernel: usize, stride: usize, padding: usize, groups: usize) -> Layer {
    Layer::Conv1d { channels, kernel, stride, padding, groups }
}

#[test]
fn convolutions_of_images_keep_their_promises() {
    let image = [3, 7, 5];
    for convolution in [
        conv2d(4, [3, 3], [1, 1], [1, 1], 1),
        conv2d(5, [2, 3], [2, 3], [1, 0], 1),
        conv2d(6, [3, 2], [3, 2], [2, 1], 3),
        conv2d(3, [1, 1], [1, 1], [0, 0], 1),
        conv2d(2, [7, 5], [1, 1], [0, 0], 1),
    ] {
        keeps_its_promises(&sequential(vec![convolution.clone(), Layer::Flatten]), &image);
        keeps_its_promises(&sequential(vec![Layer::Gelu, convolution, Layer::Relu, Layer::Flatten]), &image);
    }
}

#[test]
fn convolutions_over_time_keep_their_promises() {
    for convolution in
        [conv1d(5, 3, 1, 1, 1), conv1d(6, 4, 3, 2, 2), conv1d(4, 1, 2, 0, 4), conv1d(20, 9, 1, 8, 1)]
    {
        let layers = vec![convolution, Layer::Relu, conv1d(2, 2, 2, 0, 1), Layer::Flatten];
        keeps_its_promises(&sequential(layers), &[11, 4]);
    }
}

#[test]
fn pools_keep_their_promises() {
    for (kernel, stride) in [([2, 2], [2, 2]), ([3, 2], [1, 2]), ([1, 4], [3, 3]), ([7, 5], [1, 1])] {
        for pool in [Layer::MaxPool { kernel, stride }, Layer::AvgPool { kernel, stride }] {
            let layers = vec![conv2d(3, [2, 2], [1, 1], [1, 1], 1), pool.clone(), Layer::Flatten];
            keeps_its_promises(&sequential(layers), &[2, 6, 4]);
            keeps_its_promises(&sequential(vec![pool, Layer::Flatten]), &[9, 5, 2].map(|axis| axis + 4));
        }
    }
    for pool in
        [Layer::MaxPool { kernel: [3, 1], stride: [2, 1] }, Layer::AvgPool { kernel: [3, 1], stride: [2, 1] }]
    {
        keeps_its_promises(&sequential(vec![pool.clone(), Layer::Flatten]), &[8, 3]);
        keeps_its_promises(&sequential(vec![Layer::Linear { width: 4 }, pool, Layer::GlobalMean]), &[8, 3]);
    }
}

#[test]
fn means_over_all_places_keep_their_promises() {
    keeps_its_promises(&sequential(vec![Layer::GlobalMean]), &[3, 5, 7]);
    keeps_its_promises(&sequential(vec![Layer::GlobalMean, Layer::Linear { width: 3 }]), &[5, 7]);
}

#[test]
fn a_small_network_for_images_keeps_its_promises() {
    let layers = vec![
        conv2d(4, [3, 3], [1, 1], [1, 1], 1),
        Layer::Relu,
        Layer::MaxPool { kernel: [2, 2], stride: [2, 2] },
        conv2d(6, [3, 3], [1, 1], [0, 0], 2),
        Layer::Relu,
        Layer::MaxPool { kernel: [2, 2], stride: [2, 2] },
        Layer::Flatten,
        Layer::Linear { width: 5 },
        Layer::Relu,
    ];
    keeps_its_promises(&sequential(layers), &[1, 13, 11]);
}

/// Weights in candle's order: [outputs, channels of a group, height, width].
fn as_candle_has_them(weight: &Tensor, kernel: [usize; 2]) -> Tensor {
    let (groups, depth, columns) = weight.dims3().unwrap();
    let channels = depth / kernel[0] / kernel[1];
    let weight = weight.reshape((groups, kernel[0], kernel[1], channels, columns)).unwrap();
    let weight = weight.permute([0, 4, 3, 1, 2]).unwrap().contiguous().unwrap();
    weight.reshape((groups * columns, channels, kernel[0], kernel[1])).unwrap()
}

/// Against candle's forward pass, which is independent code, channels first.
#[test]
fn a_convolution_is_candles() {
    for (kernel, step, padding, groups) in [([3, 3], 1, 1, 1), ([3, 2], 2, 1, 3), ([2, 5], 3, 0, 1)] {
        let layer = conv2d(6, kernel, [step, step], [padding, padding], groups);
        let network = network(&sequential(vec![layer, Layer::Flatten]), &[3, 9, 8], DType::F64);
        let values: Vec<Tensor> = network.parameters().map(|parameter| parameter.value.clone()).collect();
        let [w, b, output_w, output_b] = &values[..] else { panic!("{} parameters", values.len()) };
        let x = normal(2, &[5, 3, 9, 8], DType::F64);
        let weight = as_candle_has_them(w, kernel);
        let plain = x.conv2d(&weight, padding, step, 1, groups).unwrap();
        let plain = plain.broadcast_add(&b.reshape((1, 6, 1, 1)).unwrap()).unwrap().flatten_from(1).unwrap();
        let expected = plain.matmul(output_w).unwrap().broadcast_add(output_b).unwrap();
        let got = network.infer(&x.flatten_from(1).unwrap()).unwrap();
        assert!(distance(&got, &expected) < 1e-12, "{kernel:?}");
    }
}

/// Time is an image of one line.
#[test]
fn a_convolution_over_time_is_one_of_an_image_of_one_line() {
    let time = network(&sequential(vec![conv1d(4, 3, 2, 1, 1), Layer::Flatten]), &[9, 2], DType::F64);
    let image = sequential(vec![conv2d(4, [1, 3], [1, 2], [0, 1], 1), Layer::GlobalMean]);
    let image = network(&image, &[2, 1, 9], DType::F64);
    let x = normal(2, &[3, 9, 2], DType::F64);
    let turned = x.transpose(1, 2).unwrap().contiguous().unwrap().flatten_from(1).unwrap();
    let of = |network: &pom2dib_dib::Network, name: &str| {
        network.parameters().find(|parameter| parameter.name.ends_with(name)).unwrap().value.clone()
    };
    for name in ["layer1.w", "layer1.b"] {
        kernels::elementwise::assign(&of(&image, name), &of(&time, name)).unwrap();
    }
    // The mean over all positions, as part of the last layer of the other network.
    let share = of(&image, "output.w");
    let repeated = Tensor::cat(&[&(share / 5.0).unwrap(); 5], 0).unwrap();
    kernels::elementwise::assign(&of(&time, "output.w"), &repeated).unwrap();
    kernels::elementwise::assign(&of(&time, "output.b"), &of(&image, "output.b")).unwrap();
    let (time, image) = (time.infer(&x.flatten_from(1).unwrap()).unwrap(), image.infer(&turned).unwrap());
    assert!(distance(&time, &image) < 1e-13);
}

/// Of equal values of a window only the first, in the order of lines, gets the gradient.
#[test]
fn ties_of_a_pool_go_to_the_first() {
    let pool = Layer::MaxPool { kernel: [2, 2], stride: [2, 2] };
    let mut network = network(&sequential(vec![pool, Layer::Flatten]), &[2, 2, 3], DType::F64);
    let x = Tensor::ones((1, 12), DType::F64, &Device::Cpu).unwrap();
    let (output, trace) = forward(&network, &x, 0, &[1]);
    let gradient = network.backward_to_input(&trace, &output.ones_like().unwrap()).unwrap().remove(0);
    let gradient = numbers(&gradient);
    let held: Vec<usize> = (0..12).filter(|&place| gradient[place] != 0.0).collect();
    assert_eq!(held, [0, 6], "the first value of each channel");
}

#[test]
fn what_does_not_fit_an_image_is_said_in_one_line() {
    let pool = |kernel, stride| Layer::MaxPool { kernel, stride };
    let image: &[usize] = &[3, 7, 5];
    let cases: [(&[usize], Layer, &str); 17] = [
        (
            &[784],
            conv2d(4, [3, 3], [1, 1], [1, 1], 1),
            "(conv2d) got 784 and wants channels x height x width",
        ),
        (
            &[9, 4],
            conv2d(4, [3, 3], [1, 1], [1, 1], 1),
            "(conv2d) got 9 x 4 and wants channels x height x width",
        ),
        (image, conv1d(4, 3, 1, 1, 1), "(conv1d) got 3 x 7 x 5 and wants steps x channels"),
        (
            image,
            conv2d(4, [9, 9], [1, 1], [0, 1], 1),
            "(conv2d) got 3 x 7 x 5 and wants a kernel of at most 7 x 7, paddings included",
        ),
        (
            &[9, 4],
            conv1d(4, 12, 1, 1, 1),
            "(conv1d) got 9 x 4 and wants a kernel of at most 11, paddings included",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 1], [1, 1], 2),
            "(conv2d) got 3 x 7 x 5 and wants a number of groups that divides 3 channels and the 4 that come out",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 1], [1, 1], 3),
            "(conv2d) got 3 x 7 x 5 and wants a number of groups that divides 3 channels and the 4 that come out",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 1], [1, 1], 0),
            "(conv2d) got 3 x 7 x 5 and wants a number of groups that divides 3 channels and the 4 that come out",
        ),
        (
            image,
            conv2d(0, [3, 3], [1, 1], [1, 1], 1),
            "(conv2d) got 3 x 7 x 5 and wants at least 1 channel to come out",
        ),
        (
            image,
            conv2d(4, [0, 3], [1, 1], [0, 1], 1),
            "(conv2d) got 3 x 7 x 5 and wants kernels and strides of at least 1",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 0], [0, 1], 1),
            "(conv2d) got 3 x 7 x 5 and wants kernels and strides of at least 1",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 1], [0, 3], 1),
            "(conv2d) got 3 x 7 x 5 and wants a padding that is smaller than its kernel",
        ),
        (
            image,
            conv2d(4, [3, 3], [1, 1], [0, usize::MAX], 1),
            "(conv2d) got 3 x 7 x 5 and wants a padding that is smaller than its kernel",
        ),
        (
            image,
            conv2d(usize::MAX, [3, 3], [1, 1], [1, 1], 1),
            "(conv2d) got 3 x 7 x 5 and wants smaller sizes: a sample, or what a network learns, may have 2^31 numbers at most",
        ),
        (
            &[8],
            pool([2, 2], [2, 2]),
            "(max-pool) got 8 and wants channels x height x width, or steps x channels",
        ),
        (
            image,
            pool([2, 6], [2, 2]),
            "(max-pool) got 3 x 7 x 5 and wants a kernel of at most 7 x 5, paddings included",
        ),
        (
            &[8],
            Layer::GlobalMean,
            "(global-mean) got 8 and wants channels x height x width, or steps x channels",
        ),
    ];
    for (shape, layer, expected) in cases {
        let misfit = sequential(vec![layer, Layer::Flatten]).build(shape, 3).err().unwrap();
        assert_eq!(misfit.to_string(), format!("layer 1 {expected}"));
    }
}

#[test]
fn layers_are_described_with_their_output_shapes() {
    let layers = vec![
        conv2d(8, [3, 3], [1, 1], [1, 1], 1),
        Layer::Relu,
        Layer::MaxPool { kernel: [2, 2], stride: [2, 2] },
        Layer::Flatten,
    ];
    let lines: Vec<String> = sequential(layers)
        .describe(&[1, 28, 28], 10)
        .unwrap()
        .iter()
        .map(|line| {
            let output: Vec<String> = line.output.iter().map(usize::to_string).collect();
            format!(
                "{} {} {} {} {} {}",
                line.number,
                line.kind,
                output.join("x"),
                line.parameters,
                line.operations,
                line.kept
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "1 conv2d 3 x 3 8x28x28 80 112896 784",
            "2 relu 8x28x28 0 0 6272",
            "3 max-pool 2 x 2 8x14x14 0 0 7840",
            "4 flatten 1568 0 0 0",
            "output linear 10 15690 31360 1568",
        ]
    );
}
