//! Initial values, as candle's `Init` describes them and as this project draws them.

use candle_core::Shape;
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use randomness::Stream;

/// Values of a parameter in its order. `Init` draws from a generator of candle's own; here its distributions are drawn
/// from a stream that has an address.
pub(crate) fn draw(init: Init, shape: &Shape, stream: &mut Stream) -> Vec<f64> {
    let count = shape.elem_count();
    let mut uniform = |low: f64, high: f64| (0..count).map(|_| stream.uniform_in(low, high)).collect();
    match init {
        Init::Const(value) => vec![value; count],
        Init::Uniform { lo, up } => uniform(lo, up),
        Init::Randn { mean, stdev } => normal(mean, stdev, count, stream),
        Init::Kaiming { dist, fan, non_linearity } => {
            let deviation = non_linearity.gain() / libm::sqrt(fan.for_shape(shape) as f64);
            match dist {
                NormalOrUniform::Uniform => {
                    let bound = libm::sqrt(3.0) * deviation;
                    uniform(-bound, bound)
                }
                NormalOrUniform::Normal => normal(0.0, deviation, count, stream),
            }
        }
    }
}

fn normal(mean: f64, deviation: f64, count: usize, stream: &mut Stream) -> Vec<f64> {
    (0..count).map(|_| mean + deviation * stream.normal()).collect()
}
