//! The speed of image layers: forward and backward pass of a small network over 200 images of 28 x 28, in operations of
//! its products a second, beside one plain product with as many operations.
//!
//! ```sh
//! cargo run --release -p pom2dib-dib --example small_cnn          # on one thread; or on the number in the first argument
//! ```

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use kernels::product::{Transpose, product};
use pom2dib_dib::nn::{Architecture, Input, Layer, Network};
use randomness::{Purpose, Seed};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const IMAGES: usize = 200;
const REPEATS: usize = 20;

fn main() -> Outcome {
    let threads = std::env::args().nth(1).map_or(Ok(1), |threads| threads.parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(measure)
}

fn measure() -> Outcome {
    let convolution =
        |channels| Layer::Conv2d { channels, kernel: [3, 3], stride: [1, 1], padding: [1, 1], groups: 1 };
    let pool = Layer::MaxPool { kernel: [2, 2], stride: [2, 2] };
    let layers =
        vec![convolution(8), Layer::Relu, pool.clone(), convolution(16), Layer::Relu, pool, Layer::Flatten];
    let architecture = Architecture::Sequential { layers };
    let stream = Seed::from_number(1).stream(Purpose::Test, &[], 0);
    let module = architecture.build(&[1, 28, 28], 64)?;
    let mut network = Network::new("cnn", module, stream, DType::F32, &Device::Cpu)?;
    let x = Tensor::rand(-1f32, 1f32, (IMAGES, 784), &Device::Cpu)?;
    let upstream = Tensor::rand(-1f32, 1f32, (IMAGES, 64), &Device::Cpu)?;
    let blocks = [20; IMAGES / 20];
    let (mut forward, mut both) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..REPEATS {
        let start = clock();
        let (_, trace) = network.forward(Input::Dense(x.clone()), &blocks, None)?;
        forward = forward.min(start.elapsed().as_secs_f64());
        network.backward(&trace, &upstream)?;
        both = both.min(start.elapsed().as_secs_f64());
    }
    let operations = network.module().operations(IMAGES as f64, IMAGES as f64, false);
    // A square product with about as many operations.
    let side = libm::cbrt(operations / 2.0).round() as usize;
    let square = Tensor::rand(-1f32, 1f32, (side, side), &Device::Cpu)?;
    let mut plain = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = clock();
        black_box(product(&square, &square, Transpose::Neither)?);
        plain = plain.min(start.elapsed().as_secs_f64());
    }
    let of_plain = 2.0 * (side as f64).powi(3);
    println!(
        "forward {:.2} ms, forward and backward {:.2} ms: {:.1} GFLOP/s",
        1e3 * forward,
        1e3 * both,
        operations / both / 1e9
    );
    println!(
        "a product of {side} x {side} x {side}: {:.2} ms: {:.1} GFLOP/s",
        1e3 * plain,
        of_plain / plain / 1e9
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
