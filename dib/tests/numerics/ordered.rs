//! A module that sees the axes of a row in another order.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::{Architecture, Block, Ordered, Segment};
use pom2dib_dib::{Input, Network};

use crate::support::{check_gradient, forward, inner, normal, numbers, stream};

/// Of 2 x 3 x 4 the axes 2, 0, 1, as six channels at four steps: (c, a, b) of (a, b, c).
fn networks(dtype: DType) -> [Network; 2] {
    let module = || Architecture::Gru { hidden: 5, layers: 1 }.build(&[4, 6], 3).unwrap();
    let ordered = Ordered::new(module(), vec![2, 3, 4], vec![2, 0, 1]);
    [module(), Box::new(ordered)]
        .map(|module| Network::new("net", module, stream(1), dtype, &Device::Cpu).unwrap())
}

fn turned(x: &Tensor) -> Tensor {
    let rows = x.dim(0).unwrap();
    let x = x.reshape((rows, 2, 3, 4)).unwrap().permute((0, 3, 1, 2)).unwrap();
    x.contiguous().unwrap().reshape((rows, 24)).unwrap()
}

#[test]
fn it_is_the_module_behind_a_change_of_axes() {
    let [mut plain, mut ordered] = networks(DType::F64);
    let (x, upstream) = (normal(2, &[5, 24], DType::F64), normal(3, &[5, 3], DType::F64));
    assert_eq!(numbers(&ordered.infer(&x).unwrap()), numbers(&plain.infer(&turned(&x)).unwrap()));
    let (_, trace) = forward(&ordered, &x, &[2, 3]);
    let gradient = ordered.backward_to_input(&trace, &upstream).unwrap().remove(0);
    let (_, trace) = forward(&plain, &turned(&x), &[2, 3]);
    let expected = plain.backward_to_input(&trace, &upstream).unwrap().remove(0);
    assert_eq!(numbers(&turned(&gradient)), numbers(&expected));
    check_gradient("input", &x, &gradient, || inner(&ordered.infer(&x).unwrap(), &upstream));
    for (ordered, plain) in ordered.parameters().zip(plain.parameters()) {
        assert_eq!(numbers(&ordered.gradient), numbers(&plain.gradient));
    }
}

#[test]
fn blocks_that_learn_have_their_gradients() {
    let [_, mut ordered] = networks(DType::F64);
    let (values, upstream) = (normal(2, &[2, 24], DType::F64), normal(3, &[3, 3], DType::F64));
    let segments = vec![
        Segment { source: 0, target: 0, rows: 2, repeat: false },
        Segment { source: 1, target: 2, rows: 1, repeat: false },
    ];
    let block = Block { values: values.clone(), column: 0, segments, learns: true };
    let input = || Input::Blocks { rows: 3, blocks: vec![block.clone()] };
    let (_, trace) = ordered.forward(input(), &[3], None).unwrap();
    let gradient = ordered.backward_to_input(&trace, &upstream).unwrap().remove(0);
    check_gradient("block", &values, &gradient, || inner(&ordered.infer_from(input()).unwrap(), &upstream));
}
