//! Linear maps, ReLU, flattening; the paper's network with other sizes.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::{Architecture, Block, Layer, Network, ResidualMlp, Segment};
use pom2dib_dib::{Input, Module};

use crate::promises::{keeps_its_promises, network, sequential};
use crate::support::{distance, normal, numbers, stream};

const LINEAR: Layer = Layer::Linear { width: 5 };

#[test]
fn linear_maps_and_rectifiers_keep_their_promises() {
    keeps_its_promises(&sequential(vec![]), &[9]);
    keeps_its_promises(
        &sequential(vec![LINEAR, Layer::Relu, Layer::Linear { width: 300 }, Layer::Gelu]),
        &[9],
    );
    keeps_its_promises(&sequential(vec![Layer::Gelu, Layer::Relu, LINEAR, Layer::Relu, Layer::Relu]), &[9]);
}

#[test]
fn linear_maps_of_time_steps_keep_their_promises() {
    let layers = vec![LINEAR, Layer::Relu, Layer::Linear { width: 2 }, Layer::Gelu, Layer::Flatten];
    keeps_its_promises(&sequential(layers), &[7, 3]);
}

#[test]
fn images_that_are_made_flat_keep_their_promises() {
    keeps_its_promises(&sequential(vec![Layer::Gelu, Layer::Flatten, LINEAR]), &[2, 3, 5]);
    keeps_its_promises(&sequential(vec![Layer::Flatten]), &[1, 3, 5]);
}

/// Flattened values have the order of the sample.
#[test]
fn a_flattened_image_keeps_its_order() {
    let flat = network(&sequential(vec![Layer::Flatten, LINEAR]), &[2, 3, 5], DType::F32);
    let vector = network(&sequential(vec![LINEAR]), &[30], DType::F32);
    let x = normal(2, &[4, 30], DType::F32);
    for (flat, vector) in flat.parameters().zip(vector.parameters()) {
        kernels::elementwise::assign(&flat.value, &vector.value).unwrap();
    }
    assert_eq!(numbers(&flat.infer(&x).unwrap()), numbers(&vector.infer(&x).unwrap()));
}

/// A linear layer followed by ReLU is one operation: it computes the same as both.
#[test]
fn a_linear_layer_and_relu_equal_plain_code() {
    let network = network(&sequential(vec![LINEAR, Layer::Relu]), &[4], DType::F64);
    let x = normal(2, &[6, 4], DType::F64);
    let [w, b, output_w, output_b] =
        <[Tensor; 4]>::try_from(network.parameters().map(|p| p.value.clone()).collect::<Vec<_>>()).unwrap();
    let hidden = x.matmul(&w).unwrap().broadcast_add(&b).unwrap().relu().unwrap();
    let expected = hidden.matmul(&output_w).unwrap().broadcast_add(&output_b).unwrap();
    assert!(distance(&network.infer(&x).unwrap(), &expected) < 1e-14);
    let names: Vec<&str> = network.parameters().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["net/layer1.w", "net/layer1.b", "net/output.w", "net/output.b"]);
}

#[test]
fn the_papers_network_has_any_number_of_blocks() {
    for hidden in [vec![4], vec![6, 5], vec![5, 5, 7]] {
        keeps_its_promises(&Architecture::ResidualMlp { hidden }, &[3, 2]);
    }
}

/// The default is the network of the paper, bit for bit.
#[test]
fn the_default_is_the_papers_network() {
    let make =
        |module: Box<dyn Module>| Network::new("net", module, stream(1), DType::F32, &Device::Cpu).unwrap();
    let default = make(Architecture::default().build(&[31], 6).unwrap());
    let paper = make(Box::new(ResidualMlp::new(31, 6)));
    for (default, paper) in default.parameters().zip(paper.parameters()) {
        assert_eq!(default.name, paper.name);
        assert!(numbers(&default.value) == numbers(&paper.value), "{}", paper.name);
    }
    assert_eq!(default.module().products(), paper.module().products());
    let x = normal(2, &[9, 31], DType::F32);
    assert!(numbers(&default.infer(&x).unwrap()) == numbers(&paper.infer(&x).unwrap()));
}

/// Layers accept a block input, too, and return each block's gradient.
#[test]
fn an_input_of_blocks_is_made_dense() {
    let (one, other) = (normal(2, &[2, 3], DType::F64), normal(3, &[4, 1], DType::F64));
    let segments = vec![
        Segment { source: 1, target: 0, rows: 2, repeat: true },
        Segment { source: 0, target: 3, rows: 1, repeat: false },
    ];
    let learning = Block { values: one.clone(), column: 0, segments, learns: true };
    let input =
        Input::Blocks { rows: 4, blocks: vec![learning, Block::whole(other.clone(), 3, false).unwrap()] };
    let mut network = network(&sequential(vec![LINEAR, Layer::Gelu]), &[4], DType::F64);
    let upstream = normal(4, &[4, 3], DType::F64);
    let cost =
        |network: &Network| crate::support::inner(&network.infer_from(input.clone()).unwrap(), &upstream);
    let (_, trace) = network.forward(input.clone(), &[4], None).unwrap();
    let gradients = network.backward_to_input(&trace, &upstream).unwrap();
    assert_eq!(gradients.len(), 1);
    crate::support::check_gradient("block", &one, &gradients[0], || cost(&network));
}

#[test]
fn what_does_not_fit_is_said_in_one_line() {
    let linear = |width| Layer::Linear { width };
    let cases: [(&[usize], Vec<Layer>, &str); 9] = [
        (
            &[1, 28, 28],
            vec![linear(5)],
            "layer 1 (linear) got 1 x 28 x 28 and wants one width, or steps x channels",
        ),
        (&[8], vec![Layer::Relu, linear(0)], "layer 2 (linear) got 8 and wants a width of at least 1"),
        (
            &[8],
            vec![linear(usize::MAX)],
            "layer 1 (linear) got 8 and wants smaller sizes: a sample, or what a network learns, may have 2^31 numbers at most",
        ),
        (
            &[1 << 16, 1 << 14],
            vec![linear(1 << 16)],
            "layer 1 (linear) got 65536 x 16384 and wants smaller sizes: a sample, or what a network learns, may have 2^31 numbers at most",
        ),
        (
            &[8, 2],
            vec![linear(3)],
            "sequential got 8 x 3 at its end, and wants one width there: end with a layer such as flatten",
        ),
        (&[8, 0], vec![], "sequential got 8 x 0 and wants sizes of at least 1"),
        (
            &[usize::MAX, 8],
            vec![],
            "sequential got 18446744073709551615 x 8 and wants at most 2147483648 numbers",
        ),
        (&[2, 2, 2, 2], vec![], "sequential got 2 x 2 x 2 x 2 and wants samples of one to three axes"),
        (&[], vec![], "sequential wants samples of one to three axes"),
    ];
    for (shape, layers, expected) in cases {
        let misfit = sequential(layers).build(shape, 3).err().unwrap();
        assert_eq!(misfit.to_string(), expected);
    }
    let mlp = |hidden: &[usize]| {
        let architecture = Architecture::ResidualMlp { hidden: hidden.to_vec() };
        architecture.build(&[8], 3).err().unwrap().to_string()
    };
    assert_eq!(mlp(&[]), "residual-mlp wants at least one size in hidden, and no size of 0");
    assert_eq!(mlp(&[5, 0]), mlp(&[]));
    let large =
        "residual-mlp wants smaller sizes in hidden: what a network learns may have 2^31 numbers at most";
    assert_eq!(mlp(&[1 << 20]), large);
    assert_eq!(mlp(&[usize::MAX, 2]), large);
    assert_eq!(
        sequential(vec![]).build(&[8], 0).err().unwrap().to_string(),
        "sequential wants at least 1 output"
    );
}
