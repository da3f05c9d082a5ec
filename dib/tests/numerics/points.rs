//! Point clouds: order and repetition of points do not matter, and of equal points only the first gets a gradient.

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::Network;

use crate::promises::network;
use crate::support::{check_gradient, distance, forward, inner, normal, numbers};

/// A network for clouds of `points` points with 3 channels, with 3 outputs.
fn points(points: usize, dtype: DType) -> Network {
    network(&crate::kinds::points(&[16, 33]), &[points, 3], dtype)
}

/// The points with these indices, of each cloud [rows, points * 3].
fn chosen(clouds: &Tensor, numbers: &[u32]) -> Tensor {
    let rows = clouds.dim(0).unwrap();
    let numbers = Tensor::new(numbers, &Device::Cpu).unwrap();
    let points = clouds.reshape((rows, (), 3)).unwrap().index_select(&numbers, 1).unwrap();
    points.reshape((rows, ())).unwrap().contiguous().unwrap()
}

#[test]
fn the_order_of_points_does_not_matter() {
    const ORDER: [u32; 6] = [4, 0, 5, 2, 1, 3];
    let mut network = points(6, DType::F32);
    let clouds = normal(2, &[7, 18], DType::F32);
    let upstream = normal(3, &[7, 3], DType::F32);
    let (straight, trace) = forward(&network, &clouds, &[3, 4]);
    let gradient = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
    let (permuted, trace) = forward(&network, &chosen(&clouds, &ORDER), &[3, 4]);
    let permuted_gradient = network.backward_to_input(&trace, &upstream).unwrap().remove(0);
    assert!(numbers(&straight) == numbers(&permuted));
    assert!(numbers(&chosen(&gradient, &ORDER)) == numbers(&permuted_gradient));
}

/// Points 0 to 2 twice: equivalent to a cloud of three points.
#[test]
fn of_equal_points_the_first_alone_learns() {
    let (mut once, mut twice) = (points(3, DType::F64), points(6, DType::F64));
    let clouds = normal(2, &[5, 9], DType::F64);
    let doubled = chosen(&clouds, &[0, 1, 2, 0, 1, 2]);
    let upstream = normal(3, &[5, 3], DType::F64);

    let (expected, trace) = forward(&once, &clouds, &[2, 3]);
    let expected_gradient = once.backward_to_input(&trace, &upstream).unwrap().remove(0);
    let (output, trace) = forward(&twice, &doubled, &[2, 3]);
    let gradient = twice.backward_to_input(&trace, &upstream).unwrap().remove(0);

    assert!(numbers(&output) == numbers(&expected));
    assert!(numbers(&chosen(&gradient, &[0, 1, 2])) == numbers(&expected_gradient));
    assert!(numbers(&chosen(&gradient, &[3, 4, 5])).iter().all(|&number| number == 0.0));
    for (once, twice) in once.parameters().zip(twice.parameters()) {
        assert!(distance(&twice.gradient, &once.gradient) < 1e-12, "{}", once.name);
    }
    // A change of parameters moves equal points equally, so that ties do not spoil the quotient.
    let cost = || inner(&forward(&twice, &doubled, &[2, 3]).0, &upstream);
    for parameter in twice.parameters() {
        check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
}

#[test]
fn the_output_is_that_of_a_plain_loop() {
    let network = points(6, DType::F64);
    let clouds = normal(2, &[4, 18], DType::F64);
    let value = |name: &str| {
        let parameter =
            network.parameters().find(|parameter| parameter.name == format!("net/{name}")).unwrap();
        parameter.value.clone()
    };
    let linear = |x: &[f64], layer: &str| -> Vec<f64> {
        let weight = value(&format!("{layer}.w")).to_vec2::<f64>().unwrap();
        let mut sums = numbers(&value(&format!("{layer}.b")));
        for (x, line) in x.iter().zip(&weight) {
            sums.iter_mut().zip(line).for_each(|(sum, weight)| *sum += x * weight);
        }
        sums
    };
    let relu = |values: Vec<f64>| -> Vec<f64> { values.into_iter().map(|value| value.max(0.0)).collect() };
    let mut expected = Vec::new();
    for cloud in clouds.to_vec2::<f64>().unwrap() {
        let mut largest = vec![f64::NEG_INFINITY; 33];
        for point in cloud.chunks(3) {
            let features = relu(linear(&relu(linear(point, "point1")), "point2"));
            largest.iter_mut().zip(features).for_each(|(largest, feature)| *largest = largest.max(feature));
        }
        expected.extend(linear(&largest, "output"));
    }
    let expected = Tensor::from_vec(expected, (4, 3), &Device::Cpu).unwrap();
    assert!(distance(&network.infer(&clouds).unwrap(), &expected) < 1e-13);
}
