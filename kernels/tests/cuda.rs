//! Every operation on a GPU against the same one on the CPU.
//!
//! Without a GPU these tests say that they skip, and pass.
#![cfg(feature = "cuda")]

use candle_core::{DType, Device, Tensor};
use pom2dib_kernels::activation::{gelu, gelu_backward, relu, relu_backward};
use pom2dib_kernels::adamw::{AdamWStep, adamw};
use pom2dib_kernels::attention::{attend, attend_gradient};
use pom2dib_kernels::convolution::{Patches, accumulate_weight_gradient, convolve, input_gradient};
use pom2dib_kernels::elementwise::{
    accumulate_rows, add, add_bias, add_bias_relu, assign, clear, clip, mask_relu,
};
use pom2dib_kernels::group_norm::{self, group_norm, group_norm_backward};
use pom2dib_kernels::groups::{Summary, summarise, summarise_gradient};
use pom2dib_kernels::layer_norm::{
    accumulate_affine_gradient, backward_alone, backward_through_relu, layer_norm,
};
use pom2dib_kernels::loss::{
    Labels, cross_entropy, cross_entropy_gradient, mean_squared_error, mean_squared_error_gradient,
};
use pom2dib_kernels::pool::{max_pool, max_pool_gradient, mean_pool, mean_pool_gradient};
use pom2dib_kernels::product::{Transpose, accumulate_product, assign_product, product};
use pom2dib_kernels::rate::{RateEstimator, rate_gradient, rates, row_rates};
use pom2dib_kernels::recurrent::{Cell, states, unroll, unroll_gradient};
use pom2dib_kernels::segments::{Segment, collect, spread};
use pom2dib_kernels::transpose::transpose_each;
use pom2dib_kernels::{Upload, gaussian, open_cuda, quantise, with_numbers};
use randomness::{Purpose, Seed, Stream};

const DTYPES: [DType; 2] = [DType::F32, DType::F64];

/// The GPU; none where there is nothing to compare.
fn gpu() -> Option<Device> {
    match open_cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            let error = error.to_string();
            eprintln!("SKIPPED: no GPU: {}", error.lines().next().unwrap_or_default());
            None
        }
    }
}

fn normal(number: u64, shape: &[usize], dtype: DType) -> Tensor {
    let mut stream = stream(number);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn stream(number: u64) -> Stream {
    Seed::from_number(number).stream(Purpose::Test, &[], 0)
}

fn positive(number: u64, shape: &[usize], dtype: DType) -> Tensor {
    (normal(number, shape, dtype).abs().unwrap() + 0.05).unwrap()
}

/// Allowed difference of numbers, relative to the largest.
fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-11 } else { 3e-5 }
}

/// ||got - expected|| / ||expected|| in f64.
fn distance(got: &Tensor, expected: &Tensor) -> f64 {
    let numbers = |tensor: &Tensor| {
        let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let (got, expected) = (numbers(got), numbers(expected));
    assert_eq!(got.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(&expected).map(|(got, expected)| got - expected));
    error / norm(&mut expected.iter().copied()).max(1e-300)
}

/// Runs the same operation on both devices, with copies of the operands, and compares the results.
fn check(name: &str, operands: &[Tensor], run: impl Fn(&[Tensor]) -> Vec<Tensor>) {
    let Some(gpu) = gpu() else { return };
    let copies = |device: &Device| -> Vec<Tensor> {
        // A copy even where the device is the same: operations work in place.
        operands.iter().map(|tensor| (tensor * 1.0).unwrap().to_device(device).unwrap()).collect()
    };
    let dtype = operands[0].dtype();
    let (got, expected) = (run(&copies(&gpu)), run(&copies(&Device::Cpu)));
    for (number, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert_eq!(got.dims(), expected.dims(), "{name}");
        let distance = distance(got, expected);
        assert!(distance < tolerance(dtype), "{name} of {dtype:?}, result {number}: {distance}");
    }
}

#[test]
fn products() {
    for dtype in DTYPES {
        for (m, k, n) in [(400, 220, 512), (1, 24, 5), (37, 1, 3), (20, 700, 48)] {
            for transpose in [Transpose::Neither, Transpose::Left, Transpose::Right] {
                let a = if transpose == Transpose::Left { [k, m] } else { [m, k] };
                let b = if transpose == Transpose::Right { [n, k] } else { [k, n] };
                let operands = [normal(1, &a, dtype), normal(2, &b, dtype), normal(3, &[m, n], dtype)];
                check("product", &operands, |t| vec![product(&t[0], &t[1], transpose).unwrap()]);
                check("accumulated product", &operands, |t| {
                    accumulate_product(&t[2], &t[0], &t[1], transpose).unwrap();
                    vec![t[2].clone()]
                });
                check("assigned product", &operands, |t| {
                    assign_product(&t[2], &t[0], &t[1], transpose).unwrap();
                    vec![t[2].clone()]
                });
            }
        }
    }
}

#[test]
fn products_of_parts_of_a_tensor() {
    let operands = [normal(1, &[30, 8], DType::F32), normal(2, &[9, 8], DType::F32)];
    check("product of parts", &operands, |t| {
        let (a, b) = (t[0].narrow(0, 7, 11).unwrap(), t[1].narrow(0, 2, 5).unwrap());
        vec![product(&a, &b, Transpose::Right).unwrap()]
    });
}

#[test]
fn single_passes() {
    for dtype in DTYPES {
        for (rows, width) in [(400, 512), (3, 10), (33, 65)] {
            let operands = [
                normal(1, &[rows, width], dtype),
                normal(2, &[width], dtype),
                normal(3, &[rows, width], dtype),
            ];
            let with = |name: &str, run: &dyn Fn(&[Tensor])| {
                check(name, &operands, |t| {
                    run(t);
                    vec![t[0].clone(), t[1].clone()]
                });
            };
            with("bias", &|t| add_bias(&t[0], &t[1]).unwrap());
            with("bias and rectifier", &|t| add_bias_relu(&t[0], &t[1]).unwrap());
            with("mask", &|t| mask_relu(&t[0], &t[2]).unwrap());
            with("sum of rows", &|t| accumulate_rows(&t[1], &t[0]).unwrap());
            with("sum", &|t| add(&t[0], &t[2]).unwrap());
            with("assignment", &|t| assign(&t[0], &t[2]).unwrap());
            with("clip that bites", &|t| clip(&t[0], 1.5).unwrap());
            with("clip that does not", &|t| clip(&t[0], 1e6).unwrap());
            with("clear", &|t| {
                clear(&t[0]).unwrap();
                add(&t[0], &t[2]).unwrap();
            });
        }
    }
}

#[test]
fn nan_stays_nan() {
    let Some(gpu) = gpu() else { return };
    let x = Tensor::new(&[[1f32, f32::NAN]], &gpu).unwrap();
    add_bias_relu(&x, &Tensor::new(&[-2f32, 0.0], &gpu).unwrap()).unwrap();
    let got = x.to_vec2::<f32>().unwrap();
    assert!(got[0][0] == 0.0 && got[0][1].is_nan());
}

#[test]
fn steps_of_the_optimizer() {
    for dtype in DTYPES {
        let state = Tensor::cat(&[normal(1, &[3, 5000], dtype), positive(2, &[1, 5000], dtype)], 0).unwrap();
        let step =
            AdamWStep { keep: 0.999, beta1: 0.9, beta2: 0.999, rate: 1e-2, second_scale: 1.3, epsilon: 1e-8 };
        check("adamw", &[state], |t| {
            adamw(&t[0], step).unwrap();
            adamw(&t[0], step).unwrap();
            vec![t[0].clone()]
        });
    }
}

#[test]
fn heads_of_encoders() {
    for dtype in DTYPES {
        let operands = [
            (normal(1, &[40, 48], dtype) * 4.0).unwrap(),
            normal(2, &[40, 24], dtype),
            normal(3, &[3, 40, 24], dtype),
            normal(4, &[40, 48], dtype),
        ];
        check("gaussian", &operands, |t| {
            vec![gaussian::sample(&t[0], &t[1]).unwrap(), gaussian::backward(&t[2], &t[0], &t[1]).unwrap()]
        });
        check("quantised", &operands, |t| {
            vec![quantise::quantise(&t[0], 3).unwrap(), quantise::backward(&t[3], &t[0]).unwrap()]
        });
    }
}

#[test]
fn layer_normalisation() {
    for dtype in DTYPES {
        for (rows, width) in [(400, 512), (7, 256), (3, 10)] {
            let rectified = normal(1, &[rows, width], dtype).relu().unwrap();
            let operands = [
                rectified,
                normal(2, &[2, width], dtype),
                normal(3, &[rows, width], dtype),
                normal(4, &[2, width], dtype),
            ];
            check("layer norm", &operands, |t| {
                let output = layer_norm(&t[0], &t[1]).unwrap();
                accumulate_affine_gradient(&t[3], &t[0], &t[2]).unwrap();
                backward_through_relu(&t[2], &t[0], &t[1]).unwrap();
                vec![output, t[3].clone(), t[2].clone()]
            });
        }
    }
}

/// These have no kernels: they run on the host, views of a larger tensor included.
#[test]
fn recurrence_attention_and_groups() {
    for dtype in DTYPES {
        for (cell, gates) in [(Cell::Gru, 3), (Cell::Lstm, 4)] {
            let operands = [
                normal(1, &[7, 5, gates * 9], dtype),
                normal(2, &[9, gates * 9], dtype),
                normal(3, &[gates * 9], dtype),
                normal(4, &[7, 5, 9], dtype),
            ];
            check("unroll", &operands, |t| {
                let unrolled = unroll(cell, &t[0], &t[1], &t[2]).unwrap();
                let [at_input, at_state] = unroll_gradient(cell, &unrolled, &t[3], &t[1]).unwrap();
                vec![states(cell, &unrolled).unwrap(), at_input, at_state]
            });
        }
        check("attend", &[normal(1, &[12, 18], dtype), normal(2, &[12, 6], dtype)], |t| {
            vec![attend(&t[0], 4, 2).unwrap(), attend_gradient(&t[0], &t[1], 4, 2).unwrap()]
        });
        for summary in [Summary::Largest, Summary::Mean] {
            check("summarise", &[normal(1, &[12, 6], dtype), normal(2, &[3, 6], dtype)], |t| {
                let gradient = summarise_gradient(&t[0], &t[1], 4, summary).unwrap();
                vec![summarise(&t[0], 4, summary).unwrap(), gradient]
            });
        }
        let operands = [normal(1, &[12, 6], dtype), normal(2, &[2, 6], dtype), normal(3, &[3, 12, 6], dtype)];
        check("layer norm alone", &operands, |t| {
            backward_alone(&t[2].get(1).unwrap(), &t[0], &t[1]).unwrap();
            vec![t[2].clone()]
        });
    }
}

/// These have no kernels either.
#[test]
fn layers_of_images() {
    let patches =
        Patches { height: 5, width: 4, channels: 4, kernel: [3, 2], stride: [2, 1], padding: [1, 1] };
    let window = Patches { padding: [0, 0], ..patches };
    for dtype in DTYPES {
        let operands = [
            normal(1, &[3, patches.size()], dtype),
            normal(2, &[2, 12, 3], dtype),
            normal(3, &[6], dtype),
            normal(4, &[3, patches.places() * 6], dtype),
            normal(5, &[2, 2, 12, 3], dtype),
        ];
        check("convolution", &operands, |t| {
            let gradient = t[4].get(1).unwrap();
            accumulate_weight_gradient(&gradient, &t[0], &t[3], patches).unwrap();
            let output = convolve(&t[0], &t[1], &t[2], patches, true).unwrap();
            vec![output, t[4].clone(), input_gradient(&t[3], &t[1], patches).unwrap()]
        });
        let operands = [normal(1, &[3, window.size()], dtype), normal(2, &[3, window.places() * 4], dtype)];
        check("pools", &operands, |t| {
            let largest = max_pool(&t[0], window).unwrap();
            let at_largest = max_pool_gradient(&t[1], &t[0], &largest, window).unwrap();
            let mean = mean_pool(&t[0], window).unwrap();
            vec![largest, at_largest, mean, mean_pool_gradient(&t[1], window).unwrap()]
        });
        let operands = [normal(1, &[3, 20], dtype), normal(2, &[2, 4], dtype), normal(3, &[3, 20], dtype)];
        check("group norm", &operands, |t| {
            let output = group_norm(&t[0], &t[1], 2).unwrap();
            group_norm_backward(&t[2], &t[0], &t[1], 2).unwrap();
            group_norm::accumulate_affine_gradient(&t[1], &t[0], &t[2], 2).unwrap();
            vec![output, t[2].clone(), t[1].clone()]
        });
        check("activations", &[normal(1, &[3, 20], dtype), normal(2, &[3, 20], dtype)], |t| {
            let [straight, bent] = [relu(&t[0]).unwrap(), gelu(&t[0]).unwrap()];
            relu_backward(&t[1], &straight).unwrap();
            gelu_backward(&t[1], &t[0]).unwrap();
            let turned = transpose_each(&t[0].reshape((3, 4, 5)).unwrap()).unwrap();
            vec![straight, bent, t[1].clone(), turned]
        });
    }
}

#[test]
fn losses() {
    for dtype in DTYPES {
        let (rows, classes) = (431, 10);
        let labels: Vec<u32> = (0..rows as u32).map(|row| (row * 7) % classes as u32).collect();
        let operands =
            [(normal(1, &[rows, classes], dtype) * 5.0).unwrap(), normal(2, &[rows, classes], dtype)];
        check("cross entropy", &operands, |t| {
            let labels = Labels::new(&labels, classes, t[0].device()).unwrap();
            vec![
                cross_entropy(&t[0], &labels).unwrap(),
                cross_entropy_gradient(&t[0], &labels, 0.05).unwrap(),
            ]
        });
        check("squared error", &operands, |t| {
            vec![
                mean_squared_error(&t[0], &t[1]).unwrap(),
                mean_squared_error_gradient(&t[0], &t[1], 0.05).unwrap(),
            ]
        });
    }
}

#[test]
fn rates_and_their_gradients() {
    let uneven = [20, 1, 7, 12];
    // More groups than fit in a launch.
    let many = [3; 150];
    for dtype in DTYPES {
        for groups in [&uneven[..], &many[..]] {
            let rows = groups.iter().sum();
            let mu = normal(2, &[rows, 24], dtype);
            let std = positive(3, &[rows, 24], dtype);
            let z = (&mu + (&std * normal(1, &[rows, 24], dtype)).unwrap()).unwrap();
            let mut weights: Vec<f64> = (0..groups.len()).map(|group| 0.1 + group as f64).collect();
            weights[1] = 0.0;
            let paid: Vec<bool> = (0..rows).map(|row| row % 3 != 1).collect();
            for estimator in [RateEstimator::PerDimension, RateEstimator::Joint] {
                check(&format!("rate, {estimator:?}"), &[z.clone(), mu.clone(), std.clone()], |t| {
                    vec![
                        rates(estimator, &t[0], &t[1], &t[2], groups).unwrap(),
                        row_rates(estimator, &t[0], &t[1], &t[2], groups).unwrap(),
                        rate_gradient(estimator, &t[0], &t[1], &t[2], groups, &weights, None).unwrap(),
                        rate_gradient(estimator, &t[0], &t[1], &t[2], groups, &weights, Some(&paid)).unwrap(),
                    ]
                });
            }
        }
    }
}

#[test]
fn a_joint_rate_of_many_samples() {
    let (mu, std) = (normal(2, &[2000, 24], DType::F32), positive(3, &[2000, 24], DType::F32));
    let z = (&mu + (&std * normal(1, &[2000, 24], DType::F32)).unwrap()).unwrap();
    check("large joint rate", &[z, mu, std], |t| {
        vec![rates(RateEstimator::Joint, &t[0], &t[1], &t[2], &[2000]).unwrap()]
    });
}

#[test]
fn rows_in_several_places() {
    // More segments than fit in a launch, some of rows that occur at several positions.
    let segment = |number: usize| match number % 3 {
        0 => Segment { source: number % 40, target: 5 * number, rows: 4, repeat: true },
        1 => Segment { source: number % 36, target: 5 * number, rows: 5, repeat: false },
        _ => Segment { source: 0, target: 5 * number, rows: 3, repeat: false },
    };
    let segments: Vec<Segment> = (0..450).map(segment).collect();
    for dtype in DTYPES {
        for width in [24, 512] {
            let operands = [normal(1, &[2250, width], dtype), normal(2, &[41, width], dtype)];
            check("spread", &operands, |t| {
                spread(&t[0], &t[1], &segments).unwrap();
                vec![t[0].clone()]
            });
            check("collect", &operands, |t| {
                collect(&t[1], &t[0], &segments).unwrap();
                vec![t[1].clone()]
            });
        }
    }
}

#[test]
fn uploads_can_be_read_back() {
    let Some(gpu) = gpu() else { return };
    // Of several sizes, so that the staging memory grows and is reused.
    for size in [3, 50_000, 700, 0] {
        let mut upload = Upload::new();
        let ramp: Vec<f32> = (0..size).map(|value| value as f32).collect();
        upload.add(ramp.clone(), (size, 1));
        upload.add(vec![0.5; 6], (2, 3));
        let tensors = upload.send(&gpu).unwrap();
        let doubled = (tensors[1].to_dtype(DType::F64).unwrap() * 2.0).unwrap();
        let seen = with_numbers(&[&tensors[0], &doubled], |numbers| {
            (numbers[0].f32s().to_vec(), numbers[1].f64s().to_vec())
        });
        assert_eq!(seen.unwrap(), (ramp, vec![1.0; 6]));
    }
}

#[test]
fn nothing_at_all_is_computed_too() {
    let Some(gpu) = gpu() else { return };
    let mut upload = Upload::new();
    upload.add(Vec::new(), (0, 24));
    let empty = upload.send(&gpu).unwrap().remove(0);
    let weight = Tensor::ones((24, 8), DType::F32, &gpu).unwrap();
    let output = product(&empty, &weight, Transpose::Neither).unwrap();
    assert_eq!(output.dims(), [0, 8]);
    add_bias_relu(&output, &Tensor::ones(8, DType::F32, &gpu).unwrap()).unwrap();
    let normal = layer_norm(&output, &Tensor::ones((2, 8), DType::F32, &gpu).unwrap()).unwrap();
    assert_eq!(normal.to_vec2::<f32>().unwrap().len(), 0);
}
